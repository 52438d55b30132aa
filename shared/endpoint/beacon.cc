// The beacon: a batch of what a page has to say, above all when it is left. It is on disk before its answer goes out.
#include <ctime>

#include "shared/endpoint/endpoint.h"
#include "shared/endpoint/keep.h"
#include "shared/http/base64url.h"
#include "shared/http/origin.h"
#include "shared/http/query.h"
#include "shared/http/text.h"
#include "shared/identity/view.h"
#include "shared/settings/parse.h"

namespace heartbeat {
namespace {

constexpr std::size_t kMostQuery = 8000;  // bytes; servers end a request line at about 8,190
constexpr std::uint16_t kMostNumber = 999;
constexpr Millis kWait = 5000;  // before a spool that is full or a disk that fails is tried again

// One pixel that nobody sees, in 43 bytes (GIF89a).
constexpr std::string_view kPixel(
    "GIF89a\1\0\1\0\x80\0\0\0\0\0\0\0\0!\xf9\4\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;", 43);

bool read_event(std::string_view word, BeaconEvent& event) {
  if (word.empty()) return true;
  for (unsigned i = 0; i < std::size(kBeaconEventNames); ++i) {
    if (kBeaconEventNames[i] != word) continue;
    event = static_cast<BeaconEvent>(i);
    return true;
  }
  return false;
}

bool read_transport(std::string_view word, Transport& transport) { return word.empty() || transport_by_name(word, transport); }

bool is_image(const Request& request) { return request.method == Method::get; }

// The payload of an image is in its address.
bool read_payload(const Exchange& exchange, std::string_view& payload) {
  payload = exchange.request.body;
  if (!is_image(exchange.request)) return true;
  std::string_view data = query_value(exchange.request.query, "d");
  auto* bytes = static_cast<char*>(exchange.arena.allocate(base64url_bytes(data.size()) + 1, 1));
  payload = {bytes, bytes == nullptr ? 0 : base64url_bytes(data.size())};
  return bytes != nullptr && decode_base64url(data, bytes);
}

// "" where the request says a batch.
const char* read_batch(const Exchange& exchange, BeaconRecord& record) {
  std::string_view query = exchange.request.query;
  auto flag = [&](const char* name, std::uint8_t bit) { return query_value(query, name) == "1" ? bit : 0; };
  std::uint64_t number = 0;
  if (!parse_number(query_value(query, "n"), kMostNumber, number)) return "n: expected the number of the batch, from 0 to 999";
  if (!read_event(query_value(query, "e"), record.event)) return "e: expected load, more, hidden, leave or resume";
  record.transport = is_image(exchange.request) ? Transport::image : Transport::fetch;
  if (!read_transport(query_value(query, "x"), record.transport)) return "x: expected fetchLater, beacon, fetch or image";
  if (!read_payload(exchange, record.payload)) return "d: expected base64url without padding";
  record.number = static_cast<std::uint16_t>(number);
  record.flags = static_cast<std::uint8_t>(flag("f", BeaconRecord::kFinal) | flag("z", BeaconRecord::kGzip) |
                                           flag("c", BeaconRecord::kContinues));
  return "";
}

// False: `reply` says why not.
bool read_view(const Exchange& exchange, Claims& claims, Reply& reply) {
  std::string_view token = query_value(exchange.request.query, "v");
  TokenFault fault = token.empty() ? TokenFault::malformed
                                   : check_token(token, **exchange.settings.keys, exchange.verified, std::time(nullptr),
                                                 exchange.arena, claims);
  bool good = fault == TokenFault::none && is_view_name(claims.view);
  if (good) return true;
  if (fault == TokenFault::memory) reply = retry_reply(exchange, 503, sentence(fault), 1000);
  else reply = error_reply(exchange, 403, fault == TokenFault::none ? "v: no token of a page view" : sentence(fault));
  return false;
}

// An application's own token of a page view may say whose it is.
Visitor visitor_of_view(const Exchange& exchange, const Claims& claims) {
  Visitor visitor = visitor_of({exchange.request, exchange.settings, exchange.arena, exchange.verified, nullptr, false, true});
  if (visitor.session.empty()) visitor.session = claims.session;
  if (visitor.user.empty()) visitor.user = claims.user;
  return visitor;
}

// What was kept is also a sign of life, unless the page goes with it: that must not take back a goodbye, which another
// server may have heard. Beside the page's own pings it says nothing of the human.
void mark(const Exchange& exchange, const Visitor& visitor, BeaconEvent event) {
  if (event == BeaconEvent::hidden || event == BeaconEvent::leave) return;
  Sign sign = sign_of(exchange, visitor, LifeSign::beacon, Human::inactive);
  Reply ignored;
  record(exchange, visitor, sign, ignored);
}

Reply taken(const Exchange& exchange) {
  Reply reply;
  reply.add("Cache-Control", "no-store");
  add_cors(exchange.request, *exchange.settings.origin, reply);
  if (!is_image(exchange.request)) return reply;
  reply.status = 200;
  reply.content_type = "image/gif";
  reply.body = kPixel;
  return reply;
}

}  // namespace

Reply beacon(const Exchange& exchange) {
  Reply reply;
  Claims claims;
  BeaconRecord record;
  if (exchange.request.body_too_large) return body_too_large(exchange);
  if (exchange.request.query.size() > kMostQuery) return error_reply(exchange, 414, "expected a query of at most 8000 bytes");
  if (!read_view(exchange, claims, reply)) return reply;
  const char* wrong = read_batch(exchange, record);
  if (*wrong != '\0') return error_reply(exchange, 400, wrong);
  if (record.payload.size() > *exchange.settings.body) return body_too_large(exchange);
  Visitor visitor = visitor_of_view(exchange, claims);
  ShownId session = shown_session(exchange, visitor.session);
  record.view = claims.view;
  record.session = session;
  record.type = exchange.request.content_type();
  Millis wait = exchange.beacons->quota.take(record.view, record.session, record.payload.size(), exchange.now);
  if (wait != 0) return retry_reply(exchange, 429, "too much of one page view or session", wait);
  if (!keep(exchange, record)) {
    exchange.beacons->quota.give_back(record.view, record.payload.size());
    return retry_reply(exchange, 503, "no room to keep it", kWait);
  }
  mark(exchange, visitor, record.event);
  return taken(exchange);
}

}  // namespace heartbeat
