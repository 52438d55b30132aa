// The endpoints: a request in, a reply out, the session marked.
#include <ctime>

#include "t/unit/support/test.h"

#include "shared/endpoint/endpoint.h"
#include "t/unit/support/fake_request.h"
#include "t/unit/support/fake_settings.h"
#include "t/unit/support/keys.h"
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
  Reply post(const std::string& body, const char* type = "application/x-www-form-urlencoded") {
    sent = body;
    request.body = sent;
    if (type != nullptr) request.headers.emplace_back("Content-Type", type);
    return ask(Endpoint::beat, Method::post);
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
  std::string sent;
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
  assert_lacks(reply.body, "@REFRESH@");
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

void a_beat(void**) {
  World world;
  Reply reply = world.post("");
  assert_int_equal(reply.status, 204);
  assert_text_equal(headers(reply), "Cache-Control: no-store\n");
  assert_true(reply.content_type.empty() && reply.body.empty() && !reply.bare);
  assert_true(world.slot()->beats.load() == 1 && world.slot()->seen.load() == 5000);
  assert_int_equal(world.slot()->active.load(), 5000);
}

void what_a_beat_says_of_the_human(void**) {
  for (const char* body : {"active=0", "active=false", "active=1", "active=true", "user=x"}) {
    World world;
    assert_int_equal(world.post(body).status, 204);
    bool inactive = std::string(body) == "active=0" || std::string(body) == "active=false";
    assert_int_equal(world.slot()->active.load(), inactive ? 0 : 5000);
  }
  World observing;
  observing.set("heartbeat_policy", {"observe"});
  assert_int_equal(observing.post("active=1").status, 204);
  assert_int_equal(observing.slot()->active.load(), 0);
}

void bad_beats(void**) {
  const std::pair<const char*, const char*> cases[] = {{"active=maybe", "active: "}, {"leave=2", "leave: "}, {"user=a%00b", "user: "}, {"page=a%0Ab", "page: "}};
  for (const auto& [body, expected] : cases) {
    World world;
    Reply reply = world.post(body);
    assert_int_equal(reply.status, 400);
    assert_text_equal(reply.content_type, "text/plain");
    assert_holds(reply.body, expected);
    assert_holds(headers(reply), "Cache-Control: no-store\n");
    assert_null(world.slot());
  }
  World world;
  world.request.headers = {{"Accept", "application/json, text/plain"}};
  assert_holds(world.post("{", "application/json").body, "{\"error\":\"body: invalid JSON");
  World typed;
  Reply reply = typed.post("<a/>", "text/xml");
  assert_int_equal(reply.status, 400);
  assert_holds(reply.body, "application/x-www-form-urlencoded");
}

void a_beat_that_is_too_large(void**) {
  World world;
  world.request.body_too_large = true;
  Reply reply = world.post("");
  assert_int_equal(reply.status, 413);
  assert_text_equal(reply.body, "body: expected at most 65536 bytes\n");
  assert_null(world.slot());
}

void whose_beat(void**) {
  World world;
  world.request.cookie_lines.clear();
  assert_int_equal(world.post("").status, 400);
  assert_holds(world.post("").body, "no session");
  assert_null(world.slot());
  assert_int_equal(world.post("session=s1").status, 204);
  assert_int_equal(world.slot()->beats.load(), 1);
  assert_int_equal(world.post("session=" + std::string(4097, 'x')).status, 400);
}

void methods_of_a_beat(void**) {
  World world;
  for (Method method : {Method::head, Method::get, Method::other}) {
    Reply reply = world.ask(Endpoint::beat, method);
    assert_int_equal(reply.status, 405);
    assert_holds(headers(reply), "Allow: POST\n");
    assert_text_equal(reply.body, "method not allowed, expected POST\n");
  }
  assert_int_equal(world.ask(Endpoint::ping, Method::post).status, 405);
  assert_text_equal(world.ask(Endpoint::ping, Method::post).body, "method not allowed, expected HEAD or GET\n");
  world.set("heartbeat_origin", {"https://a.example"});
  world.request.headers = {{"Origin", "https://a.example"}};
  assert_holds(headers(world.ask(Endpoint::beat, Method::options)), "Access-Control-Allow-Methods: POST\n");
  assert_holds(headers(world.ask(Endpoint::beat, Method::get)), "Access-Control-Allow-Origin: https://a.example\n");
}

void how_long_to_wait(void**) {
  World world;
  Exchange exchange{world.request, world.settings, world.site, world.place, world.table, world.arena, world.now};
  const std::pair<Millis, const char*> cases[] = {{-5, "1"}, {0, "1"}, {1, "1"}, {1000, "1"}, {1001, "2"}, {59001, "60"}};
  for (const auto& [wait, expected] : cases) {
    Reply reply = retry_reply(exchange, 429, "too many", wait);
    assert_int_equal(reply.status, 429);
    assert_holds(headers(reply), "Retry-After: " + std::string(expected) + "\n");
    assert_lacks(headers(reply), "Expose");
  }
  world.set("heartbeat_origin", {"https://a.example"});
  world.request.headers = {{"Origin", "https://a.example"}};
  assert_holds(headers(retry_reply(exchange, 429, "too many", 1)), "Access-Control-Expose-Headers: Retry-After\n");
}

void too_many_signs(void**) {
  World world;
  world.place.rate_interval = 1000;
  world.place.rate_burst = 1;
  for (Endpoint endpoint : {Endpoint::ping, Endpoint::beat, Endpoint::page}) {
    Reply reply = world.ask(endpoint, endpoint == Endpoint::beat ? Method::post : Method::get);
    assert_int_equal(reply.status, endpoint == Endpoint::page ? 429 : 204);
    if (endpoint == Endpoint::page) assert_holds(headers(reply), "Retry-After: 1\n");
  }
  assert_int_equal(world.slot()->beats.load(), 2);
  world.now += 1000;
  assert_int_equal(world.ask(Endpoint::ping).status, 204);
}

void a_leave(void**) {
  World world;
  assert_int_equal(world.post("leave=1&user=Ann&page=%2Fx").status, 204);
  assert_int_equal(world.slot()->source.load(), static_cast<int>(LifeSign::beat) | kLeaving);
}

// --- tokens ---

const std::string kSecret = "0123456789abcdefghijklmnopqrstuv";

std::string token_of(const std::string& payload, const std::string& secret = kSecret) {
  return hs256(R"({"alg":"HS256","typ":"JWT"})", payload, secret);
}

std::string soon(int seconds = 600) { return std::to_string(std::time(nullptr) + seconds); }

struct Keyed : World {
  Keyed() {
    Error error;
    settings.keys.value = ring_of({kSecret}, arena, error);
    assert_text_equal(error.text(), "");
    request.cookie_lines.clear();
  }
};

void bad_tokens(void**) {
  std::string bad = token_of(R"({"sid":"s1","exp":)" + soon() + "}", "another secret, as long as it must be");
  for (Endpoint endpoint : {Endpoint::ping, Endpoint::page, Endpoint::beat}) {
    Keyed world;
    world.request.headers = {{"Authorization", "Bearer " + bad}};
    Reply reply = world.ask(endpoint, endpoint == Endpoint::beat ? Method::post : Method::get);
    assert_int_equal(reply.status, 403);
    assert_text_equal(reply.body, "the token has a wrong signature\n");
    assert_lacks(headers(reply), bad);
    assert_null(world.slot());
  }
  Keyed world;
  assert_int_equal(world.post("token=" + bad).status, 403);
  assert_int_equal(world.post("token=nonsense").status, 403);
  world.set("heartbeat_trim", {"on"});
  world.request.cookie_lines = {"hb=" + bad};
  assert_false(world.ask(Endpoint::ping).bare);
  assert_int_equal(world.ask(Endpoint::ping).status, 403);
}

void only_tokens_where_nobody_is_anonymous(void**) {
  Keyed world;
  world.set("heartbeat_anonymous", {"off"});
  world.request.cookie_lines = {"hb=abc"};
  assert_int_equal(world.ask(Endpoint::ping).status, 204);
  assert_holds(world.ask(Endpoint::page, Method::get).body, "data-state=\"none\"");
  assert_int_equal(world.post("session=s1").status, 403);
  world.set("heartbeat_track", {"on"});
  track({world.request, world.settings, world.site, world.place, world.table, world.arena, world.now});
  assert_null(world.slot());
  std::string good = token_of(R"({"sid":"s1","exp":)" + soon() + "}");
  assert_int_equal(world.post("token=" + good).status, 204);
  assert_int_equal(world.slot()->beats.load(), 1);
}

void a_cookie_is_issued(void**) {
  Keyed world;
  world.set("heartbeat_cookie", {"visitor"});
  world.set("heartbeat_trim", {"on"});
  Reply reply = world.ask(Endpoint::ping);
  assert_true(reply.bare);
  assert_holds(headers(reply), "Set-Cookie: visitor=");
  assert_holds(headers(reply), "Cache-Control: no-store\n");
  assert_int_equal(world.slot()->beats.load(), 1);
  std::string all = headers(reply);
  std::size_t begin = all.find("visitor=");
  world.request.cookie_lines = {all.substr(begin, all.find(';', begin) - begin)};
  assert_text_equal(headers(world.ask(Endpoint::ping)), "");
  assert_lacks(headers(world.ask(Endpoint::page, Method::get)), "Set-Cookie");
  assert_int_equal(world.post("").status, 204);
  assert_int_equal(world.slot()->beats.load(), 4);
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
                              cmocka_unit_test(tracked_requests), cmocka_unit_test(a_full_table), cmocka_unit_test(a_beat),
                              cmocka_unit_test(what_a_beat_says_of_the_human), cmocka_unit_test(bad_beats), cmocka_unit_test(a_beat_that_is_too_large),
                              cmocka_unit_test(whose_beat), cmocka_unit_test(methods_of_a_beat), cmocka_unit_test(how_long_to_wait), cmocka_unit_test(too_many_signs), cmocka_unit_test(a_leave),
                              cmocka_unit_test(bad_tokens), cmocka_unit_test(only_tokens_where_nobody_is_anonymous), cmocka_unit_test(a_cookie_is_issued)};
  return cmocka_run_group_tests_name("endpoint", tests, nullptr, nullptr);
}
