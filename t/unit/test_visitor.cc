// Who makes a request: tokens, sources, bodies, and the cookie that is issued.
#include <ctime>

#include "t/unit/support/test.h"

#include "shared/identity/visitor.h"
#include "t/unit/support/fake_request.h"
#include "t/unit/support/fake_settings.h"
#include "t/unit/support/keys.h"

namespace {
using namespace heartbeat;

const std::string kSecret = "0123456789abcdefghijklmnopqrstuv";
const std::string kOther = "another secret, as long as it must be";

std::string token_of(const std::string& names, int seconds = 600, const std::string& secret = kSecret) {
  return hs256(R"({"alg":"HS256"})", "{" + names + (names.empty() ? "" : ",") + "\"exp\":" + std::to_string(std::time(nullptr) + seconds) + "}", secret);
}

// What is known of a visitor, kept beyond the request.
struct Known {
  std::string session, user, cookie;
  TokenFault fault;
  bool verified;
};

struct World {
  explicit World(bool keys = true) {
    set_defaults(context, settings);
    Error error;
    if (keys) settings.keys.value = ring_of({kSecret}, arena, error);
    assert_text_equal(error.text(), "");
  }
  void set(std::string_view name, std::vector<std::string_view> words) { assert_text_equal(apply(context, settings, name, words), ""); }
  Known look(const char* body_text = nullptr, bool may_issue = true) {
    Body body(arena);
    Error error;
    if (body_text != nullptr) request.body = body_text;
    assert_true(body.read(request, error));
    Visitor visitor = visitor_of({request, settings, arena, verified, body_text == nullptr ? nullptr : &body, may_issue});
    return {std::string(visitor.session), std::string(visitor.user), std::string(visitor.cookie), visitor.fault, visitor.verified};
  }
  FakeArena arena;
  FakeContext context{arena};
  Settings settings;
  FakeRequest request;
  VerifiedTokens* verified = nullptr;
};

void where_tokens_are_found(void**) {
  std::string token = token_of(R"("sid":"s1","sub":"Ann")");
  auto good = [](const Known& known) { return known.session == "s1" && known.user == "Ann" && known.verified && known.fault == TokenFault::none; };
  for (const std::string scheme : {"Bearer ", "bearer ", "Bearer  "}) {
    World world;
    world.request.headers = {{"Authorization", scheme + token}};
    assert_true(good(world.look()));
  }
  World cookie;
  cookie.request.cookie_lines = {"a=b; hb=" + token};
  assert_true(good(cookie.look()));
  World t;
  std::string query = "x=1&t=" + token;
  t.request.query = query;
  assert_true(good(t.look()));
  World v;
  query = "t=nonce&v=" + token;
  v.request.query = query;
  assert_true(good(v.look()));
  World body;
  std::string text = "token=" + token;
  assert_true(good(body.look(text.c_str())));
  World none;
  assert_true(none.look("").session.empty() && !none.look("").verified);
}

void the_first_token_decides(void**) {
  World world;
  std::string query = "v=" + token_of(R"("sid":"4")");
  std::string body = "token=" + token_of(R"("sid":"5")");
  assert_text_equal(world.look(body.c_str()).session, "5");
  world.request.query = query;
  assert_text_equal(world.look(body.c_str()).session, "4");
  std::string both = "t=" + token_of(R"("sid":"3")") + "&" + query;
  world.request.query = both;
  assert_text_equal(world.look(body.c_str()).session, "3");
  world.request.cookie_lines = {"hb=" + token_of(R"("sid":"2")")};
  assert_text_equal(world.look(body.c_str()).session, "2");
  world.request.headers = {{"Authorization", "Bearer " + token_of(R"("sid":"1")")}};
  assert_text_equal(world.look(body.c_str()).session, "1");
  world.request.headers = {{"Authorization", "Bearer " + token_of(R"("sid":"1")", -600)}};
  assert_true(world.look(body.c_str()).fault == TokenFault::expired);
  world.request.headers = {{"Authorization", "Basic QW5uOng="}};
  assert_text_equal(world.look(body.c_str()).session, "2");
}

void bad_tokens(void**) {
  const std::pair<std::string, TokenFault> cases[] = {{token_of(R"("sid":"s1")", -600), TokenFault::expired},
                                                      {token_of(R"("sid":"s1")", 600, kOther), TokenFault::signature},
                                                      {token_of(""), TokenFault::malformed}, {"a.b.c", TokenFault::malformed}};
  for (const auto& [token, fault] : cases) {
    World world;
    world.request.cookie_lines = {"hb=" + token};
    Known known = world.look();
    assert_true(known.fault == fault && known.session.empty() && known.user.empty() && known.cookie.empty());
  }
  World nonce;
  nonce.request.query = "t=12345.x&v=1";
  nonce.request.cookie_lines = {"hb=plain"};
  assert_true(nonce.look().fault == TokenFault::none);
  assert_text_equal(nonce.look().session, "plain");
  World opaque;
  opaque.request.headers = {{"Authorization", "Bearer opaque"}};
  assert_true(opaque.look().fault == TokenFault::malformed);
}

void without_keys(void**) {
  World world(false);
  std::string token = token_of(R"("sid":"s1","sub":"Ann")");
  world.request.headers = {{"Authorization", "Bearer nonsense"}};
  world.request.cookie_lines = {"hb=" + token};
  Known known = world.look();
  assert_text_equal(known.session, token);
  assert_true(known.user.empty() && !known.verified && known.fault == TokenFault::none);
}

// Where there are keys, only a token or the sources that are named say who somebody is.
void a_body_is_no_proof(void**) {
  World world;
  Known known = world.look("session=b1&user=Bob");
  assert_text_equal(known.session, "b1");
  assert_text_equal(known.user, "");
  world.set("heartbeat_user", {"jwt", "body:user"});
  assert_text_equal(world.look("session=b1&user=Bob").user, "Bob");
}

// Neither a token that names nobody, nor the cookie that anybody gets, nor a good token beside another session.
void none_but_bearers(void**) {
  World world;
  world.set("heartbeat_anonymous", {"off"});
  world.request.headers = {{"Authorization", "Bearer " + token_of(R"("vid":"v1")")}};
  assert_text_equal(world.look("session=forged").session, "");
  world.request.headers = {{"Authorization", "Bearer " + token_of(R"("sid":"anon.abc")")}};
  assert_text_equal(world.look().session, "");
  world.set("heartbeat_session", {"cookie:PHPSESSID", "jwt"});
  world.request.cookie_lines = {"PHPSESSID=forged"};
  world.request.headers = {{"Authorization", "Bearer " + token_of(R"("sid":"s1")")}};
  Known known = world.look("user=Boss");
  assert_text_equal(known.session, "s1");
  assert_text_equal(known.user, "");
}

void what_a_body_says(void**) {
  World world(false);
  Known known = world.look("session=b1&user=Bob");
  assert_text_equal(known.session, "b1");
  assert_text_equal(known.user, "Bob");
  world.request.cookie_lines = {"hb=c1"};
  known = world.look("session=b1&user=Bob");
  assert_text_equal(known.session, "c1");
  assert_text_equal(known.user, "Bob");
  World with_keys;
  with_keys.request.headers = {{"Authorization", "Bearer " + token_of(R"("sid":"t1")")}};
  known = with_keys.look("session=b1&user=Bob");
  assert_text_equal(known.session, "t1");
  assert_text_equal(known.user, "");
  with_keys.set("heartbeat_user", {"jwt", "body:user"});
  assert_text_equal(with_keys.look("user=Bob").user, "Bob");
  World of_user;
  of_user.request.headers = {{"Authorization", "Bearer " + token_of(R"("sub":"Ann")")}};
  assert_text_equal(of_user.look("user=Bob").user, "Ann");
}

void users(void**) {
  World world;
  world.set("heartbeat_user", {"header:X-User", "arg:u"});
  world.request.headers = {{"X-User", "J\xf6rg"}};
  assert_text_equal(world.look().user, "J\xef\xbf\xbdrg");
  world.request.headers.clear();
  world.request.query = "u=J%C3%B6rg";
  assert_text_equal(world.look().user, "J\xc3\xb6rg");
}

void nobody_anonymous(void**) {
  World world;
  world.set("heartbeat_anonymous", {"off"});
  world.request.cookie_lines = {"hb=plain"};
  assert_text_equal(world.look("session=b1").session, "");
  world.request.query = "t=nonce";
  assert_true(world.look().fault == TokenFault::none);
  std::string token = token_of(R"("sid":"s1")");
  world.request.cookie_lines = {"hb=" + token};
  assert_text_equal(world.look().session, "s1");
}

// --- remembered tokens ---

void remembered(void**) {
  World world;
  static constexpr unsigned char kKey[16] = {1};
  std::vector<std::uint64_t> memory(VerifiedTokens::bytes(64) / 8);
  VerifiedTokens verified;
  verified.attach(memory.data(), memory.size() * 8, kKey);
  world.verified = &verified;
  // Whatever they say, in whatever JSON: escapes, other claims, a page view, names of any length.
  const std::pair<std::string, std::string> cases[] = {{R"("sid":"s1","sub":"Ann")", "Ann"},
                                                       {R"("sid":"s1","sub":"\u0041nn","roles":["x"])", "Ann"},
                                                       {R"("sid":"s1","vid":"v1")", ""},
                                                       {R"("sid":"s1","sub":")" + std::string(200, 'x') + "\"", std::string(kMaxUser, 'x')}};
  std::string token;
  for (int i = 0; i < 12; ++i) {
    const auto& [names, user] = cases[i / 3];
    if (i % 3 == 0) token = token_of(names);
    world.request.headers = {{"Authorization", "Bearer " + token}};
    Known known = world.look();
    assert_text_equal(known.session, "s1");
    assert_text_equal(known.user, user);
    assert_true(known.verified);
    assert_true(verified.find(verified.print_of(token, (*world.settings.keys)->id), std::time(nullptr)));
  }
  Error error;
  world.settings.keys.value = ring_of({kOther}, world.arena, error);
  assert_true(world.look().fault == TokenFault::signature);
  Claims claims;
  assert_true(check_token(token, **world.settings.keys, &verified, std::time(nullptr), world.arena, claims) == TokenFault::signature);
  assert_true(claims.session.empty() && claims.user.empty() && claims.view.empty() && claims.expires == 0);
  token.append(4097 - token.size(), 'A');
  assert_true(check_token(token, **world.settings.keys, &verified, std::time(nullptr), world.arena, claims) == TokenFault::malformed);
}

// --- the cookie ---

std::string token_in(const std::string& cookie) {
  std::size_t begin = cookie.find('=') + 1;
  return cookie.substr(begin, cookie.find(';') - begin);
}

Claims claims_of(World& world, const std::string& token) {
  Claims claims;
  assert_true(verify_token(token, **world.settings.keys, std::time(nullptr), world.arena, claims) == TokenFault::none);
  return claims;
}

void issued(void**) {
  World world;
  world.set("heartbeat_cookie", {"visitor"});
  Known known = world.look();
  assert_int_equal(known.session.size(), 27);
  assert_true(known.session.starts_with("anon."));
  assert_true(known.verified);
  Claims claims = claims_of(world, token_in(known.cookie));
  assert_text_equal(claims.session, known.session);
  assert_true(claims.user.empty());
  assert_true(std::llabs(claims.expires - std::time(nullptr) - 7 * 86400) <= 2);
  assert_holds(known.cookie, "visitor=");
  assert_text_equal(known.cookie.substr(known.cookie.find(';')), "; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax");
  assert_true(world.look().session != known.session);
  world.request.cookie_lines = {"visitor=" + token_in(known.cookie)};
  Known again = world.look();
  assert_text_equal(again.session, known.session);
  assert_text_equal(again.cookie, "");
}

std::string attributes(std::vector<std::string_view> words, bool https = false) {
  World world;
  world.set("heartbeat_retention", {"1h"});
  words.insert(words.begin(), "c");
  world.set("heartbeat_cookie", words);
  world.request.over_https = https;
  std::string cookie = world.look().cookie;
  return cookie.substr(cookie.find(';'));
}

void attributes_of_it(void**) {
  assert_text_equal(attributes({}, true), "; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure");
  assert_text_equal(attributes({"HttpOnly"}, true), "; HttpOnly; Path=/; Max-Age=3600");
  assert_text_equal(attributes({"path=/shop", "max-age=60"}), "; path=/shop; max-age=60");
  assert_text_equal(attributes({"Secure", "SameSite=None", "Partitioned"}), "; Secure; SameSite=None; Partitioned; Path=/; Max-Age=3600");
}

void renewed(void**) {
  World world;
  world.set("heartbeat_cookie", {"hb"});
  world.set("heartbeat_retention", {"1000s"});
  world.request.cookie_lines = {"hb=" + token_of(R"("sid":"anon.1")", 510)};
  assert_text_equal(world.look().cookie, "");
  world.request.cookie_lines = {"hb=" + token_of(R"("sid":"anon.1")", 490)};
  assert_text_equal(world.look(nullptr, false).cookie, "");
  assert_text_equal(world.look(nullptr, false).session, "anon.1");
  Known known = world.look();
  assert_text_equal(known.session, "anon.1");
  Claims claims = claims_of(world, token_in(known.cookie));
  assert_text_equal(claims.session, "anon.1");
  assert_true(claims.expires > std::time(nullptr) + 990);
  world.request.cookie_lines = {"hb=" + token_of(R"("sid":"anon.1","sub":"Ann")", 490)};
  assert_text_equal(world.look().cookie, "");
  assert_text_equal(world.look().user, "Ann");
  world.request.cookie_lines = {"hb=" + token_of(R"("sid":"s1")", 490)};  // the application's own: good until it expires
  assert_text_equal(world.look().cookie, "");
  assert_text_equal(world.look().session, "s1");
  world.set("heartbeat_cookie", {"hb", "Max-Age=100"});
  for (auto [left, again] : {std::pair{60, false}, std::pair{40, true}}) {
    world.request.cookie_lines = {"hb=" + token_of(R"("sid":"anon.1")", left)};
    assert_int_equal(!world.look().cookie.empty(), again);
  }
  assert_true(claims_of(world, token_in(world.look().cookie)).expires <= std::time(nullptr) + 100);
}

// Whatever is wrong with it, the visitor only gets another.
void bad_cookies(void**) {
  for (const std::string& value : {token_of(R"("sid":"s1")", -600), token_of(R"("sid":"s1")", 600, kOther), std::string("a.b.c"), std::string("plain")}) {
    World world;
    world.set("heartbeat_cookie", {"hb"});
    world.request.cookie_lines = {"hb=" + value};
    Known known = world.look();
    assert_true(known.fault == TokenFault::none);
    assert_int_equal(known.session.size(), 27);
    assert_holds(known.cookie, "hb=");
  }
}

void others_come_first(void**) {
  World world;
  world.set("heartbeat_cookie", {"hb"});
  assert_text_equal(world.look("session=b1").session, "b1");
  assert_text_equal(world.look("session=b1").cookie, "");
  world.request.cookie_lines = {"hb=" + token_of(R"("sid":"c1")")};
  std::string body = "token=" + token_of(R"("sid":"t1","sub":"Ann")");
  assert_text_equal(world.look(body.c_str()).session, "t1");
  assert_text_equal(world.look(body.c_str()).user, "Ann");
  assert_text_equal(world.look(body.c_str()).cookie, "");
  world.set("heartbeat_session", {"header:X-Session"});
  assert_text_equal(world.look().session, "c1");
  world.request.headers = {{"X-Session", "h1"}};
  assert_text_equal(world.look().session, "h1");
}

void who_gets_none(void**) {
  World world;
  world.set("heartbeat_cookie", {"hb"});
  world.request.headers = {{"Host", "own.example"}, {"Origin", "https://a.example"}};
  assert_text_equal(world.look().cookie, "");
  assert_text_equal(world.look().session, "");
  world.set("heartbeat_origin", {"*"});
  assert_text_equal(world.look().cookie, "");
  world.set("heartbeat_origin", {"https://a.example"});
  assert_holds(world.look().cookie, "hb=");
  world.request.headers = {{"Host", "Own.example"}, {"Origin", "http://own.example"}};
  assert_holds(world.look().cookie, "hb=");
  world.request.headers = {{"Host", "own.example"}, {"Origin", "https://own.example"}};
  assert_holds(world.look().cookie, "hb=");
  world.request.headers = {{"Host", "own.example"}, {"Origin", "http://own.example"}};
  world.request.over_https = true;
  assert_text_equal(world.look().cookie, "");
  world.request.headers.clear();
  world.set("heartbeat_policy", {"never"});
  assert_text_equal(world.look().cookie, "");
  world.set("heartbeat_policy", {"observe"});
  assert_holds(world.look().cookie, "hb=");
  world.set("heartbeat_anonymous", {"off"});
  assert_text_equal(world.look().cookie, "");
}

void without_memory(void**) {
  for (std::size_t left = 0; left < 12; ++left) {
    World world;
    world.set("heartbeat_cookie", {"hb"});
    world.arena.left = left;
    world.look();
    world.arena.left = left;
    world.request.headers = {{"Authorization", "Bearer " + token_of(R"("sid":"s1","sub":"Ann")")}};
    world.look();
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(where_tokens_are_found), cmocka_unit_test(the_first_token_decides), cmocka_unit_test(bad_tokens),
                              cmocka_unit_test(without_keys), cmocka_unit_test(a_body_is_no_proof), cmocka_unit_test(none_but_bearers), cmocka_unit_test(what_a_body_says), cmocka_unit_test(users),
                              cmocka_unit_test(nobody_anonymous), cmocka_unit_test(remembered), cmocka_unit_test(issued),
                              cmocka_unit_test(attributes_of_it), cmocka_unit_test(renewed), cmocka_unit_test(bad_cookies),
                              cmocka_unit_test(others_come_first), cmocka_unit_test(who_gets_none), cmocka_unit_test(without_memory)};
  return cmocka_run_group_tests_name("visitor", tests, nullptr, nullptr);
}
