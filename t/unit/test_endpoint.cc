// The endpoints: a request in, a reply out, the session marked.
#include "t/unit/support/test.h"

#include "shared/endpoint/endpoint.h"
#include "t/unit/support/fake_request.h"
#include "t/unit/support/fake_settings.h"
#include "t/unit/support/zone.h"

namespace {
using namespace heartbeat;

struct World {
  World() {
    set_defaults(context, settings);
    assert_true(table.create(zone.memory, zone.size));
    assert_true(table.add_site("site", table.add_store("x"), {.retention = 86400000}, site));
    assert_true(table.add_place(site, {}, place));
    request.cookie_lines = {"hb=abc"};
  }
  void set(std::string_view name, std::vector<std::string_view> words) { assert_text_equal(apply(context, settings, name, words), ""); }
  Reply ask(Endpoint endpoint, Method method = Method::head, std::uint32_t pings = 0) {
    request.method = method;
    return answer(endpoint, {request, settings, site, place, table, arena, now, pings});
  }
  const Slot* slot() {
    for (std::uint32_t i = 0; i < table.capacity(); ++i) {
      if (table.slot(i).seen.load() != 0) return &table.slot(i);
    }
    return nullptr;
  }
  FakeArena arena;
  FakeContext context{arena};
  Settings settings;
  FakeRequest request;
  Zone zone;
  Table table;
  Site site;
  Place place;
  Millis now = 5000;
};

std::string headers(const Reply& reply) {
  std::string all;
  for (unsigned i = 0; i < reply.header_count; ++i) {
    all += std::string(reply.headers[i].name) + ": " + std::string(reply.headers[i].value) + "\n";
  }
  return all;
}

void a_ping(void**) {
  World world;
  for (Method method : {Method::head, Method::get}) {
    Reply reply = world.ask(Endpoint::ping, method);
    assert_int_equal(reply.status, 204);
    assert_text_equal(headers(reply), "Cache-Control: no-store\n");
    assert_true(reply.content_type.empty() && reply.body.empty());
    assert_false(reply.bare || reply.close);
  }
  assert_int_equal(world.slot()->beats.load(), 2);
  assert_int_equal(world.slot()->seen.load(), 5000);
  assert_int_equal(world.slot()->active.load(), 0);
  assert_true(world.slot()->source.load() == static_cast<std::uint8_t>(LifeSign::ping));
}

void an_active_ping(void**) {
  for (const char* query : {"a=0", "a=11", "a", "b=1", ""}) {
    World world;
    world.request.query = query;
    world.ask(Endpoint::ping);
    assert_int_equal(world.slot()->active.load(), 0);
  }
  World world;
  world.request.query = "t=x&a=1";
  world.ask(Endpoint::ping);
  assert_int_equal(world.slot()->active.load(), 5000);
}

void policies(void**) {
  World observing;
  observing.set("heartbeat_policy", {"observe"});
  observing.request.query = "a=1";
  observing.ask(Endpoint::ping);
  assert_int_equal(observing.slot()->seen.load(), 5000);
  assert_int_equal(observing.slot()->active.load(), 0);
  World never;
  never.set("heartbeat_policy", {"never"});
  assert_int_equal(never.ask(Endpoint::ping).status, 204);
  assert_null(never.slot());
}

void nobody_to_record(void**) {
  World world;
  world.request.cookie_lines.clear();
  assert_int_equal(world.ask(Endpoint::ping).status, 204);
  assert_null(world.slot());
  world.request.cookie_lines = {"hb=" + std::string(4097, 'x')};
  assert_int_equal(world.ask(Endpoint::ping).status, 204);
  assert_null(world.slot());
  Table none;
  assert_int_equal(answer(Endpoint::ping, {world.request, world.settings, world.site, world.place, none, world.arena, 1}).status, 204);
}

void trimmed(void**) {
  World world;
  world.set("heartbeat_trim", {"on"});
  Reply reply = world.ask(Endpoint::ping);
  assert_true(reply.bare);
  assert_int_equal(reply.header_count, 0);
  world.request.http_1_1 = false;
  reply = world.ask(Endpoint::ping);
  assert_false(reply.bare);
  assert_text_equal(headers(reply), "Cache-Control: no-store\n");
  world.request.http_1_1 = true;
  assert_false(world.ask(Endpoint::page).bare);
}

void budget_of_pings(void**) {
  World world;
  assert_false(world.ask(Endpoint::ping, Method::head, 1000000).close);
  world.set("heartbeat_keepalive_pings", {"3"});
  for (std::uint32_t pings = 0; pings < 6; ++pings) assert_int_equal(world.ask(Endpoint::ping, Method::head, pings).close, pings >= 3);
}

void other_methods(void**) {
  for (Endpoint endpoint : {Endpoint::ping, Endpoint::page}) {
    World world;
    Reply reply = world.ask(endpoint, Method::other);
    assert_int_equal(reply.status, 405);
    assert_holds(headers(reply), "Allow: HEAD, GET");
    assert_holds(headers(reply), "Cache-Control: no-store");
    assert_text_equal(reply.content_type, "text/plain");
    world.request.headers = {{"Accept", "application/json"}};
    reply = world.ask(endpoint, Method::other);
    assert_text_equal(reply.content_type, "application/json");
    assert_holds(reply.body, "{\"error\":");
    assert_null(world.slot());
  }
}

void preflights(void**) {
  for (Endpoint endpoint : {Endpoint::ping, Endpoint::page}) {
    World world;
    world.request.headers = {{"Origin", "https://a.example"}};
    assert_int_equal(world.ask(endpoint, Method::options).status, 405);
    world.set("heartbeat_origin", {"https://a.example"});
    Reply reply = world.ask(endpoint, Method::options);
    assert_int_equal(reply.status, 204);
    for (const char* line : {"Access-Control-Allow-Origin: https://a.example\n", "Access-Control-Allow-Credentials: true\n", "Access-Control-Allow-Methods: HEAD, GET\n",
                             "Access-Control-Max-Age: 86400\n", "Vary: Origin\n", "Cache-Control: no-store\n"})
      assert_holds(headers(reply), line);
    world.request.headers = {{"Origin", "https://evil.example"}};
    assert_int_equal(world.ask(endpoint, Method::options).status, 405);
    assert_null(world.slot());
  }
}

void cross_origin_pings(void**) {
  World world;
  world.set("heartbeat_origin", {"https://a.example"});
  world.request.headers = {{"Origin", "https://a.example"}};
  assert_holds(headers(world.ask(Endpoint::ping)), "Access-Control-Allow-Origin: https://a.example\n");
  world.request.headers = {{"Origin", "https://evil.example"}};
  assert_lacks(headers(world.ask(Endpoint::ping)), "Access-Control");
}

void a_page(void**) {
  World world;
  Reply reply = world.ask(Endpoint::page, Method::get);
  assert_int_equal(reply.status, 200);
  assert_text_equal(reply.content_type, "text/html; charset=utf-8");
  assert_holds(headers(reply), "Cache-Control: no-store, no-cache\n");
  assert_holds(headers(reply), "default-src 'none'; script-src 'sha256-");
  assert_holds(headers(reply), "frame-ancestors 'self' \n");
  assert_lacks(headers(reply), "Access-Control");
  assert_holds(reply.body, "data-state=\"alive\"");
  assert_holds(reply.body, "data-origins=\"\"");
  assert_holds(reply.body, "content=\"30\"");
  assert_holds(reply.body, "postMessage");
  assert_lacks(reply.body, "unload");
  assert_lacks(reply.body, "@STATE@");
  assert_lacks(reply.body, "@SCRIPT@");
  assert_true(reply.body.ends_with("</script>\n"));
  assert_true(world.slot()->source.load() == static_cast<std::uint8_t>(LifeSign::page));
  assert_int_equal(world.slot()->active.load(), 0);
  world.request.cookie_lines.clear();
  assert_holds(world.ask(Endpoint::page, Method::get).body, "data-state=\"none\"");
}

void a_page_for_others(void**) {
  World world;
  world.set("heartbeat_origin", {"https://a.example", "https://b.example"});
  world.set("heartbeat_timeout", {"1s"});
  Reply reply = world.ask(Endpoint::page, Method::get);
  assert_holds(headers(reply), "frame-ancestors 'self' https://a.example https://b.example");
  assert_holds(reply.body, "data-origins=\"https://a.example https://b.example ");
  assert_holds(reply.body, "content=\"1\"");
  world.set("heartbeat_origin", {"*"});
  reply = world.ask(Endpoint::page, Method::get);
  assert_holds(headers(reply), "frame-ancestors *\n");
  assert_holds(reply.body, "data-origins=\"*\"");
}

void a_page_without_memory(void**) {
  for (std::size_t left = 0; left < 4; ++left) {
    World world;
    world.set("heartbeat_origin", {"https://a.example"});
    world.arena.left = left;
    Reply reply = world.ask(Endpoint::page, Method::get);
    assert_int_equal(reply.status, 200);
  }
}

void tracked_requests(void**) {
  World world;
  Exchange exchange{world.request, world.settings, world.site, world.place, world.table, world.arena, world.now};
  track(exchange);
  assert_null(world.slot());
  world.set("heartbeat_track", {"on"});
  track(exchange);
  assert_true(world.slot()->source.load() == static_cast<std::uint8_t>(LifeSign::request));
  assert_int_equal(world.slot()->active.load(), 5000);
}

void a_full_table(void**) {
  World world;
  for (unsigned i = 0; world.table.header().refused.load() < 20000; ++i) {
    world.request.cookie_lines = {"hb=s" + std::to_string(i)};
    assert_int_equal(world.ask(Endpoint::ping).status, 204);
  }
  assert_text_equal(faults(world.table), "");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(a_ping), cmocka_unit_test(an_active_ping), cmocka_unit_test(policies),
                              cmocka_unit_test(nobody_to_record), cmocka_unit_test(trimmed), cmocka_unit_test(budget_of_pings),
                              cmocka_unit_test(other_methods), cmocka_unit_test(preflights), cmocka_unit_test(cross_origin_pings),
                              cmocka_unit_test(a_page), cmocka_unit_test(a_page_for_others), cmocka_unit_test(a_page_without_memory),
                              cmocka_unit_test(tracked_requests), cmocka_unit_test(a_full_table)};
  return cmocka_run_group_tests_name("endpoint", tests, nullptr, nullptr);
}
