// Where the session id comes from.
#include "t/unit/support/test.h"

#include "shared/identity/source.h"
#include "t/unit/support/fake_arena.h"
#include "t/unit/support/fake_request.h"

namespace {
using namespace heartbeat;

const Source kCookie{Source::Kind::cookie, "hb", nullptr};
const Source kHeader{Source::Kind::header, "X-Session", nullptr};
const Source kArg{Source::Kind::arg, "s", nullptr};

std::string id_of(const FakeRequest& request, std::vector<Source> sources) {
  FakeArena arena;
  return std::string(session_id(request, sources, arena));
}

void each_kind(void**) {
  FakeRequest request;
  request.cookie_lines = {"a=b; hb=from-cookie"};
  request.headers = {{"x-session", "from-header"}};
  request.query = "s=from%2Dquery&t=x";
  std::string expression = "from-expression";
  assert_text_equal(id_of(request, {kCookie}), "from-cookie");
  assert_text_equal(id_of(request, {kHeader}), "from-header");
  assert_text_equal(id_of(request, {kArg}), "from-query");
  assert_text_equal(id_of(request, {{Source::Kind::expression, "$x", &expression}}), "from-expression");
}

void first_hit_wins(void**) {
  FakeRequest request;
  assert_text_equal(id_of(request, {}), "");
  assert_text_equal(id_of(request, {kCookie, kHeader, kArg}), "");
  request.query = "s=3";
  assert_text_equal(id_of(request, {kCookie, kHeader, kArg}), "3");
  request.headers = {{"X-Session", "2"}};
  assert_text_equal(id_of(request, {kCookie, kHeader, kArg}), "2");
  request.cookie_lines = {"hb=1"};
  assert_text_equal(id_of(request, {kCookie, kHeader, kArg}), "1");
  assert_text_equal(id_of(request, {kArg, kHeader, kCookie}), "3");
}

void several_cookie_lines(void**) {
  FakeRequest request;
  request.cookie_lines = {"a=b", "hb=", "hb=2; x=y", "hb=3"};
  assert_text_equal(id_of(request, {kCookie}), "2");
}

void longest(void**) {
  FakeRequest request;
  for (std::size_t size : {std::size_t{4095}, kMaxId, kMaxId + 1, 3 * kMaxId, 3 * kMaxId + 1, 20 * kMaxId}) {
    std::string id(size, 'x');
    std::string expected = size <= kMaxId ? id : "";
    request.cookie_lines = {"hb=" + id};
    assert_true(id_of(request, {kCookie}) == expected);
    request.headers = {{"X-Session", id}};
    assert_true(id_of(request, {kHeader}) == expected);
    std::string query = "s=" + id;
    request.query = query;
    assert_true(id_of(request, {kArg}) == expected);
  }
}

// What is too long once decoded is no session either; it must not become the session of its first 4,096 bytes.
void longest_decoded(void**) {
  FakeRequest request;
  for (std::size_t size : {kMaxId - 1, kMaxId, kMaxId + 1, kMaxId + 2, 2 * kMaxId}) {
    std::string query = "s=%41" + std::string(size - 1, 'x');
    request.query = query;
    assert_int_equal(id_of(request, {kArg}).size(), size <= kMaxId ? size : 0);
  }
  std::string all = "s=";
  for (std::size_t i = 0; i < kMaxId; ++i) all += "%41";
  request.query = all;
  assert_true(id_of(request, {kArg}) == std::string(kMaxId, 'A'));
}

// A source that has an id which is too long hides the later ones: the request has a session, but none that is kept.
void too_long_is_a_hit(void**) {
  FakeRequest request;
  request.cookie_lines = {"hb=" + std::string(kMaxId + 1, 'x')};
  request.headers = {{"X-Session", "2"}};
  assert_text_equal(id_of(request, {kCookie, kHeader}), "");
}

// --- what else sources draw on ---

const Source kJwt{Source::Kind::jwt, "", nullptr};
const Source kBody{Source::Kind::body, "sid", nullptr};

std::string id_of(const FakeRequest& request, std::vector<Source> sources, const Evidence& evidence) {
  FakeArena arena;
  return std::string(session_id(request, sources, arena, evidence));
}

void from_a_token(void**) {
  FakeRequest request;
  Evidence evidence;
  assert_text_equal(id_of(request, {kJwt}, evidence), "");
  evidence.token = "a.b.c";
  evidence.session = "of the token";
  evidence.user = "Ann";
  request.headers = {{"X-Session", "of the header"}};
  assert_text_equal(id_of(request, {kJwt, kHeader}, evidence), "of the token");
  assert_text_equal(id_of(request, {kHeader, kJwt}, evidence), "of the header");
  FakeArena arena;
  assert_text_equal(user_name(request, std::vector<Source>{kJwt}, arena, evidence), "Ann");
}

void from_a_body(void**) {
  FakeArena arena;
  FakeRequest request;
  request.body = "sid=b+1";
  Body body(arena);
  Error error;
  assert_true(body.read(request, error));
  Evidence evidence;
  assert_text_equal(id_of(request, {kBody}, evidence), "");
  evidence.body = &body;
  assert_text_equal(id_of(request, {kBody}, evidence), "b 1");
}

// A cookie of tokens stands for what the good one says, and what looks like another is nobody's id.
void from_the_cookie_of_tokens(void**) {
  FakeRequest request;
  Evidence evidence;
  request.cookie_lines = {"hb=a.b.c"};
  assert_text_equal(id_of(request, {kCookie}, evidence), "a.b.c");
  evidence.token_cookie = "hb";
  assert_text_equal(id_of(request, {kCookie}, evidence), "");
  evidence.token = "a.b.c";
  evidence.session = "s1";
  assert_text_equal(id_of(request, {kCookie}, evidence), "s1");
  request.cookie_lines = {"hb=a.b.d"};
  assert_text_equal(id_of(request, {kCookie}, evidence), "");
  request.cookie_lines = {"hb=plain"};
  assert_text_equal(id_of(request, {kCookie}, evidence), "plain");
  evidence.issued = true;
  assert_text_equal(id_of(request, {kCookie}, evidence), "");
  evidence.token_cookie = "other";
  assert_text_equal(id_of(request, {kCookie}, evidence), "plain");
}

void shapes(void**) {
  for (const char* text : {"a.b.c", "eyJ.eyJ.x-_"}) assert_true(token_shaped(text));
  for (const char* text : {"", ".", "..", "a", "a.b", "a.b.", ".b.c", "a..c", "a.b.c.d", "a.b.c."}) assert_false(token_shaped(text));
}

std::string cleaned(std::string_view raw, std::size_t most = kMaxUser) {
  FakeArena arena;
  return std::string(clean_text(raw, most, arena));
}

void names(void**) {
  const std::string replaced = "\xef\xbf\xbd";
  assert_text_equal(cleaned(""), "");
  assert_text_equal(cleaned("Ann"), "Ann");
  assert_text_equal(cleaned("J\xc3\xb6rg \xf0\x9f\x98\x80"), "J\xc3\xb6rg \xf0\x9f\x98\x80");
  assert_text_equal(cleaned("J\xf6rg"), "J" + replaced + "rg");
  assert_text_equal(cleaned(std::string("a\0\n\x7f", 4)), "a" + replaced + replaced + replaced);
  assert_text_equal(cleaned("\xc3"), replaced);
  assert_text_equal(cleaned(std::string(64, 'x')), std::string(63, 'x'));
  assert_text_equal(cleaned(std::string(62, 'x') + "\xc3\xb6"), std::string(62, 'x'));
  assert_text_equal(cleaned(std::string(61, 'x') + "\xc3\xb6"), std::string(61, 'x') + "\xc3\xb6");
  assert_text_equal(cleaned(std::string(61, 'x') + "\xff"), std::string(61, 'x'));
  assert_text_equal(cleaned(std::string(5000, '\xff')).substr(0, 3), replaced);
  assert_int_equal(cleaned(std::string(5000, '\xff')).size(), 63);
  FakeArena dry;
  dry.left = 0;
  assert_text_equal(clean_text("Ann", 63, dry), "Ann");
  assert_text_equal(clean_text("J\xf6rg", 63, dry), "");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(each_kind), cmocka_unit_test(first_hit_wins),
                              cmocka_unit_test(several_cookie_lines), cmocka_unit_test(longest),
                              cmocka_unit_test(longest_decoded), cmocka_unit_test(too_long_is_a_hit),
                              cmocka_unit_test(from_a_token), cmocka_unit_test(from_a_body),
                              cmocka_unit_test(from_the_cookie_of_tokens), cmocka_unit_test(shapes), cmocka_unit_test(names)};
  return cmocka_run_group_tests_name("source", tests, nullptr, nullptr);
}
