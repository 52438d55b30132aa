// Who is online. Input: Accept, If-None-Match and the query, each ended by a line end; then names, each ended by a byte
// 255. Whatever they are, each format stays what it is.
#include "shared/endpoint/endpoint.h"
#include "shared/redis/store.h"
#include "t/fuzz/check.h"
#include "t/unit/support/fake_request.h"
#include "t/unit/support/fake_settings.h"
#include "t/unit/support/zone.h"

#include "shared/http/escape.h"

namespace {
using namespace heartbeat;

std::size_t count(std::string_view text, std::string_view part) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string_view::npos; at += part.size()) ++found;
  return found;
}

bool is_utf8(std::string_view text) {
  bool good = true;
  while (!text.empty() && good) text.remove_prefix(character(text, good));
  return good;
}

struct World {
  World() {
    set_defaults(context, settings);
    Error error;
    CHECK(table.create(zone.memory, zone.size) && bind_site(table, settings, nullptr, "site", site, error));
    CHECK(bind_place(table, settings, site, place));
    area = SnapshotArea(table.snapshots().memory, table.snapshots().size);
    CHECK(area.want(site.index, 1));
  }
  FakeArena arena;
  FakeContext context{arena};
  Settings settings;
  Zone zone;
  Table table;
  Site site;
  Place place;
  SnapshotArea area;
};

// Brackets stand only where a string begins and ends with quotes, and nothing below a blank but line ends.
void check_json(std::string_view body, std::size_t listed) {
  bool quoted = false;
  std::size_t objects = 0;
  for (std::size_t i = 0; i < body.size(); ++i) {
    CHECK(static_cast<unsigned char>(body[i]) >= ' ' || (body[i] == '\n' && !quoted));
    if (quoted && body[i] == '\\') ++i;
    else if (body[i] == '"') quoted = !quoted;
    else if (!quoted && body[i] == '{') ++objects;
  }
  CHECK(!quoted && objects == listed + 1 && body.find('<') == std::string_view::npos);
}

void check_lines(std::string_view body, std::size_t listed) {
  CHECK(count(body, "\n") == listed + 1 && count(body, "\t") == 5 * listed);
  for (char c : body) CHECK((static_cast<unsigned char>(c) >= ' ' && c != 127) || c == '\n' || c == '\t');
}

void check_markup(std::string_view body) {
  for (char c : body) CHECK((static_cast<unsigned char>(c) >= ' ' && c != 127) || c == '\n');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static World* world = new World;
  std::string_view input = INPUT;
  FakeRequest request(Method::get);
  request.headers = {{"Accept", std::string(take_line(input))}, {"If-None-Match", std::string(take_line(input))}};
  std::string query(take_line(input));
  Snapshot snapshot(world->area.room());
  snapshot.head().site = world->site.index;
  snapshot.head().at = 1760000000000;
  for (Millis i = 0; !input.empty(); ++i) {
    std::size_t end = input.find('\xff');
    Exact name(input.substr(0, end));
    input = end == std::string_view::npos ? std::string_view() : input.substr(end + 1);
    if (!snapshot.add({"id" + std::to_string(i), name, i, i, i})) break;
  }
  std::size_t listed = snapshot.head().online = snapshot.head().listed;
  CHECK(world->area.write(snapshot));
  const char* const formats[] = {"", "format=json&limit=500", "format=xml&limit=500", "format=html&limit=500", "format=text&limit=500"};
  for (int i = 0; i < 5; ++i) {
    FakeArena arena;
    request.query = i == 0 ? std::string_view(query) : formats[i];
    if (i != 0) request.headers[1].second.clear();
    Reply reply = answer(Endpoint::online, {request, world->settings, world->site, world->place, world->table, arena, 1});
    CHECK(reply.status == 200 || (i == 0 && (reply.status == 304 || reply.status == 400)));
    CHECK((reply.status == 304) == reply.body.empty() && is_utf8(reply.body));
    if (i == 1) check_json(reply.body, listed);
    if (i == 2) CHECK(count(reply.body, "<") == listed + 3 && count(reply.body, "\"") == 12 + 12 * listed - 2 * (listed - count(reply.body, " user=\"")));
    if (i == 3) CHECK(count(reply.body, "<tr>") == listed + 1 && count(reply.body, "<") - count(reply.body, "</") == 20 + 12 * listed);
    if (i == 2 || i == 3) check_markup(reply.body);
    if (i == 4) check_lines(reply.body, listed);
  }
  return 0;
}
