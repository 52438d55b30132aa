// The endpoint online: what is shown of a list, and to whom not again.
#include "t/unit/support/test.h"

#include "shared/endpoint/bodies.h"
#include "shared/endpoint/endpoint.h"
#include "shared/redis/store.h"
#include "t/unit/support/fake_request.h"
#include "t/unit/support/fake_settings.h"
#include "t/unit/support/zone.h"

namespace {
using namespace heartbeat;

constexpr Millis kAt = 1760000000123;

struct World {
  World() {
    set_defaults(context, settings);
    assert_true(table.create(zone.memory, zone.size));
    Error error;
    assert_true(bind_site(table, settings, nullptr, "site", site, error));
    assert_true(bind_place(table, settings, site, place));
    area = SnapshotArea(table.snapshots().memory, table.snapshots().size);
    assert_true(area.want(site.index, now));
  }
  void set(std::string_view name, std::vector<std::string_view> words) { assert_text_equal(apply(context, settings, name, words), ""); }
  // The sessions, newest first.
  void show(const std::vector<OnlineSession>& sessions, std::uint32_t online = 0, std::uint32_t users = 0) {
    Snapshot snapshot(area.room());
    SnapshotHead& head = snapshot.head();
    head.site = site.index;
    head.at = kAt;
    head.online = online == 0 ? static_cast<std::uint32_t>(sessions.size()) : online;
    head.users = users;
    for (std::uint32_t i = 0; i < kWithin; ++i) head.within[i] = i + 700;
    for (const OnlineSession& session : sessions) assert_true(snapshot.add(session));
    assert_true(area.write(snapshot));
  }
  Reply ask(std::string_view query, Method method = Method::get) {
    request.method = method;
    request.query = query;
    return answer(Endpoint::online, {request, settings, site, place, table, arena, now});
  }
  std::string body(std::string_view query) {
    Reply reply = ask(query);
    assert_int_equal(reply.status, 200);
    return std::string(reply.body);
  }
  FakeArena arena;
  FakeContext context{arena};
  Settings settings;
  FakeRequest request;
  Zone zone;
  Table table;
  Site site;
  Place place;
  SnapshotArea area;
  Millis now = 5000;
};

std::string header(const Reply& reply, std::string_view name) {
  std::string all;
  for (unsigned i = 0; i < reply.header_count; ++i) {
    if (reply.headers[i].name == name) all += (all.empty() ? "" : ", ") + std::string(reply.headers[i].value);
  }
  return all;
}

const std::vector<OnlineSession> kTwo = {{"b", "", kAt - 9000, kAt - 1000, 0}, {"a", "<Al&ice>", kAt - 5000, kAt - 2500, kAt - 3000}};

void formats(void**) {
  World world;
  world.show(kTwo);
  assert_text_equal(world.body(""),
                    "{\"at\":1760000000123,\"count\":2,\"users\":1,\"listed\":2,\"online\":[\n"
                    "{\"name\":\"\\u003cAl&ice>\",\"id\":\"a\",\"user\":\"\\u003cAl&ice>\",\"since\":1759999995123,\"last\":1759999997623,\"active\":true},\n"
                    "{\"name\":\"b\",\"id\":\"b\",\"user\":null,\"since\":1759999991123,\"last\":1759999999123,\"active\":false}]}\n");
  assert_text_equal(world.body("format=xml"),
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<online at=\"1760000000123\" count=\"2\" users=\"1\" listed=\"2\">\n"
                    "<session name=\"&lt;Al&amp;ice&gt;\" id=\"a\" user=\"&lt;Al&amp;ice&gt;\" since=\"1759999995123\" last=\"1759999997623\" active=\"true\"/>\n"
                    "<session name=\"b\" id=\"b\" since=\"1759999991123\" last=\"1759999999123\" active=\"false\"/>\n</online>\n");
  assert_text_equal(world.body("format=text"),
                    "# count 2, users 1, listed 2, at 2025-10-09T08:53:20.123Z\n"
                    "<Al&ice>\ta\t<Al&ice>\t2025-10-09T08:53:15.123Z\t2025-10-09T08:53:17.623Z\tactive\n"
                    "b\tb\t\t2025-10-09T08:53:11.123Z\t2025-10-09T08:53:19.123Z\tidle\n");
  std::string html = world.body("format=html");
  assert_holds(html, "<title>Online: 2</title>");
  assert_holds(html, "Sessions: 2. Users: 1. Listed: 2. As of <time>2025-10-09T08:53:20.123Z</time>.");
  assert_holds(html, "<tbody>\n<tr><th scope=\"row\"><bdi>&lt;Al&amp;ice&gt;</bdi></th><td><bdi>a</bdi></td><td><bdi>&lt;Al&amp;ice&gt;</bdi></td>"
                     "<td><time>2025-10-09T08:53:15.123Z</time></td><td><time>2025-10-09T08:53:17.623Z</time></td><td>yes</td></tr>\n<tr>");
  assert_lacks(html, "@");
  assert_true(html.ends_with("</html>\n"));
}

void headers_of_answers(void**) {
  World world;
  world.show(kTwo);
  Reply reply = world.ask("");
  assert_text_equal(reply.content_type, "application/json");
  assert_text_equal(header(reply, "Cache-Control"), "no-cache");
  assert_text_equal(header(reply, "Vary"), "Accept");
  assert_text_equal(header(reply, "X-Content-Type-Options"), "nosniff");
  assert_text_equal(header(reply, "Content-Security-Policy"), "");
  assert_int_equal(header(reply, "ETag").size(), 36);
  reply = world.ask("format=html");
  assert_text_equal(header(reply, "Content-Security-Policy"), "default-src 'none'; frame-ancestors 'self'");
  world.set("heartbeat_origin", {"https://a.example"});
  world.request.headers = {{"Origin", "https://a.example"}};
  reply = world.ask("format=html");
  assert_text_equal(header(reply, "Vary"), "Accept, Origin");
  assert_text_equal(header(reply, "Access-Control-Allow-Origin"), "https://a.example");
  assert_text_equal(header(reply, "Access-Control-Allow-Credentials"), "true");
  assert_text_equal(header(world.ask("format=x"), "Access-Control-Allow-Origin"), "https://a.example");
  assert_int_equal(world.ask("", Method::options).status, 204);
  assert_int_equal(world.ask("", Method::other).status, 405);
  assert_int_equal(world.ask("", Method::head).status, 200);
  world.set("heartbeat_trim", {"on"});
  assert_false(world.ask("").bare);
}

void not_again(void**) {
  World world;
  auto sessions = kTwo;
  world.show(sessions);
  std::string tag = header(world.ask(""), "ETag");
  auto status = [&](std::string_view query = "") {
    world.request.headers = {{"If-None-Match", "\"x\", " + tag}};
    Reply reply = world.ask(query);
    assert_text_equal(header(reply, "Cache-Control"), "no-cache");
    assert_text_equal(header(reply, "Vary"), "Accept");
    assert_int_equal(reply.status == 304, header(reply, "ETag") == tag);
    assert_int_equal(reply.status == 304, reply.body.empty() && reply.content_type.empty());
    return reply.status;
  };
  assert_int_equal(status(), 304);
  assert_int_equal(status("limit=100"), 304);
  assert_int_equal(status("within=100"), 304);
  assert_int_equal(status("format=xml"), 200);
  assert_int_equal(status("limit=1"), 200);
  assert_int_equal(status("within=1"), 200);
  sessions[0].last = kAt - 10;
  sessions[1].last = kAt - 5;
  std::swap(sessions[0], sessions[1]);
  world.show(sessions);
  assert_int_equal(status(), 304);  // seen again: nothing that shows
  std::swap(sessions[0].since, sessions[1].since);
  world.show(sessions);
  assert_int_equal(status(), 304);
  sessions[0].active = 0;
  world.show(sessions);
  assert_int_equal(status(), 200);
  sessions[0] = kTwo[1];
  world.show(sessions, 3);
  assert_int_equal(status(), 200);
  sessions[0].user = "Bob";
  world.show(sessions);
  assert_int_equal(status(), 200);
  world.show(kTwo);
  assert_int_equal(status(), 304);
  World other;
  other.show(kTwo);
  assert_text_equal(header(other.ask(""), "ETag"), tag);  // another host
  world.show({});
  assert_int_equal(status(), 200);
  tag = "*";
  world.request.headers = {{"If-None-Match", "*"}};
  assert_int_equal(world.ask("").status, 304);
}

void fresh_times(void**) {
  World world;
  auto sessions = kTwo;
  world.show(sessions);
  world.body("");
  sessions[0].last = kAt;
  world.show(sessions);
  assert_holds(world.body(""), "\"last\":1760000000123");
}

void within(void**) {
  World world;
  std::vector<OnlineSession> sessions;
  std::vector<std::string> names(50);
  for (int i = 0; i < 50; ++i) {
    names[static_cast<std::size_t>(i)] = "s" + std::to_string(i);
    sessions.push_back({names[static_cast<std::size_t>(i)], i % 2 == 0 ? "even" : "odd", kAt - 100000, kAt - i * 1000, 0});
  }
  world.show(sessions);
  assert_holds(world.body("within=10"), "\"count\":11,\"users\":2,\"listed\":11,");
  assert_holds(world.body("within=10&limit=3"), "\"count\":11,\"users\":2,\"listed\":3,");
  assert_holds(world.body("within=49"), "\"count\":50,");
  assert_holds(world.body("limit=1"), "\"count\":50,\"users\":2,\"listed\":1,\"online\":[\n{\"name\":\"even\",\"id\":\"s0\"");
  // More are online than are listed, and the oldest that is listed was seen 49 seconds ago.
  world.show(sessions, 5000, 77);
  assert_holds(world.body(""), "\"count\":5000,\"users\":77,\"listed\":50,");
  assert_holds(world.body("within=10"), "\"count\":11,\"users\":2,");
  assert_holds(world.body("within=48"), "\"count\":49,\"users\":2,");
  assert_holds(world.body("within=49"), "\"count\":748,\"users\":77,");
  assert_holds(world.body("within=60"), "\"count\":759,\"users\":77,");
  assert_holds(world.body("within=61"), "\"count\":5000,");
}

void the_latest_arrival_first(void**) {
  World world;
  world.show({{"x", "", 10, kAt - 1, 0}, {"c", "", 30, kAt - 2, 0}, {"a", "", 30, kAt - 3, 0}, {"z", "", 40, kAt - 4, 0}});
  std::string text = world.body("format=text&limit=3");
  assert_true(text.find("\na\t") < text.find("\nc\t") && text.find("\nc\t") < text.find("\nx\t") && text.find("\nx\t") != std::string::npos);
  assert_lacks(text, "\nz\t");
}

void wrong_wishes(void**) {
  World world;
  world.show(kTwo);
  for (const char* query : {"format=yaml", "format=JSON", "within=0", "within=x", "within=1.5", "within=-1", "within=99999999999", "limit=x", "limit=-1", "limit=1e3"}) {
    Reply reply = world.ask(query);
    assert_int_equal(reply.status, 400);
    assert_text_equal(reply.content_type, "text/plain");
    assert_text_equal(header(reply, "Cache-Control"), "no-store");
  }
  assert_holds(world.ask("format=yaml").body, "json, xml, html or text");
  assert_text_equal(world.ask("format=json&limit=x").content_type, "application/json");
  assert_text_equal(world.ask("format=text&limit=x").content_type, "text/plain");
  world.request.headers = {{"Accept", "application/json"}};
  Reply reply = world.ask("limit=x");
  assert_text_equal(reply.content_type, "application/json");
  assert_text_equal(reply.body, "{\"error\":\"limit: expected how many sessions to list\"}\n");
}

void nothing_to_show(void**) {
  World world;
  Reply reply = world.ask("");
  assert_int_equal(reply.status, 503);
  assert_text_equal(header(reply, "Retry-After"), "1");
  Site nowhere;
  Table none;
  world.request.method = Method::get;
  assert_int_equal(answer(Endpoint::online, {world.request, world.settings, nowhere, world.place, world.table, world.arena, 1}).status, 503);
  assert_int_equal(answer(Endpoint::online, {world.request, world.settings, world.site, world.place, none, world.arena, 1}).status, 503);
  world.show({});
  assert_holds(world.body(""), "\"count\":0,\"users\":0,\"listed\":0,\"online\":[]}");
}

void without_memory(void**) {
  for (std::size_t left = 0; left < 12; ++left) {
    World world;
    world.show(kTwo);
    world.arena.left = left;
    unsigned status = world.ask("").status;
    assert_true(status == 200 || status == 503);
  }
}

void kept_bodies(void**) {
  auto bodies = std::make_unique<Bodies>();
  FakeArena arena;
  Tag tag, found;
  tag.size = 3;
  std::memcpy(tag.text, "\"t\"", 3);
  std::string_view body;
  BodyKey key{1, 1, 0, 100, 45000, 1, 0};
  assert_true(bodies->find(key, "", arena, found, body) == Bodies::Found::none);
  bodies->keep(key, tag, "hello");
  assert_true(bodies->find(key, "", arena, found, body) == Bodies::Found::body);
  assert_text_equal(body, "hello");
  assert_text_equal(found, "\"t\"");
  assert_true(bodies->find(key, "\"t\"", arena, found, body) == Bodies::Found::same);
  key.number = 2;
  assert_true(bodies->find(key, "", arena, found, body) == Bodies::Found::none);
  bodies->keep(key, tag, "world");
  key.number = 1;
  assert_true(bodies->find(key, "", arena, found, body) == Bodies::Found::none);  // the list before
  for (std::uint32_t i = 0; i < 1000; ++i) {
    key.limit = i;
    FakeArena once;
    bodies->keep(key, tag, std::string(i % 3 * 50000, 'x'));
    assert_true(bodies->find(key, "", once, found, body) == Bodies::Found::body);
    assert_int_equal(body.size(), i % 3 * 50000);
  }
  bodies->keep(key, tag, std::string(Bodies::kBytes, 'x'));  // too large to be kept
  assert_true(bodies->find(key, "", arena, found, body) == Bodies::Found::body && body.size() < Bodies::kBytes);
  bodies->forget();
  assert_true(bodies->find(key, "", arena, found, body) == Bodies::Found::none);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(formats), cmocka_unit_test(headers_of_answers), cmocka_unit_test(not_again), cmocka_unit_test(fresh_times), cmocka_unit_test(within),
                              cmocka_unit_test(the_latest_arrival_first), cmocka_unit_test(wrong_wishes), cmocka_unit_test(nothing_to_show), cmocka_unit_test(without_memory),
                              cmocka_unit_test(kept_bodies)};
  return cmocka_run_group_tests_name("online", tests, nullptr, nullptr);
}
