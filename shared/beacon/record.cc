// What the spool keeps of one request, as bytes: a head of fixed size, four short texts, the payload.
#include "shared/beacon/record.h"

#include "shared/http/text.h"

namespace heartbeat {
namespace {

constexpr std::uint8_t kVersion = 1;

struct Head {
  std::int64_t at;
  std::uint16_t number;
  std::uint8_t version;
  BeaconRecord::Kind kind;
  BeaconEvent event;
  Transport transport;
  Browser browser;
  std::uint8_t flags;
  std::uint8_t sizes[4];  // of site, view, session, type
};
static_assert(sizeof(Head) == 24);

constexpr std::size_t kLongest = 255;

}  // namespace

void write_record(const BeaconRecord& record, Text& out) {
  const std::string_view texts[4] = {record.site.substr(0, kLongest), record.view.substr(0, kLongest),
                                     record.session.substr(0, kLongest), record.type.substr(0, kLongest)};
  Head head{};
  head.at = record.at;
  head.number = record.number;
  head.version = kVersion;
  head.kind = record.kind;
  head.event = record.event;
  head.transport = record.transport;
  head.browser = record.browser;
  head.flags = record.flags;
  for (int i = 0; i < 4; ++i) head.sizes[i] = static_cast<std::uint8_t>(texts[i].size());
  out.add({reinterpret_cast<const char*>(&head), sizeof head});
  for (std::string_view text : texts) out.add(text);
  out.add(record.payload);
}

bool read_record(std::string_view bytes, BeaconRecord& record) {
  Head head;
  if (bytes.size() < sizeof head) return false;
  std::memcpy(&head, bytes.data(), sizeof head);
  bytes.remove_prefix(sizeof head);
  bool known = head.version == kVersion && head.kind <= BeaconRecord::Kind::batch && head.event <= BeaconEvent::resume &&
               static_cast<unsigned>(head.transport) < kTransports && head.browser <= Browser::other;
  if (!known) return false;
  std::string_view* texts[4] = {&record.site, &record.view, &record.session, &record.type};
  for (int i = 0; i < 4; ++i) {
    if (head.sizes[i] > bytes.size()) return false;
    *texts[i] = bytes.substr(0, head.sizes[i]);
    bytes.remove_prefix(head.sizes[i]);
  }
  record.payload = bytes;
  record.at = head.at;
  record.number = head.number;
  record.kind = head.kind;
  record.event = head.event;
  record.transport = head.transport;
  record.browser = head.browser;
  record.flags = head.flags;
  return true;
}

}  // namespace heartbeat
