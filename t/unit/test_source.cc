// Where the session id comes from.
#include "t/unit/support/test.h"

#include "shared/identity/source.h"
#include "t/unit/support/fake_request.h"

namespace {
using namespace heartbeat;

const Source kCookie{Source::Kind::cookie, "hb", nullptr};
const Source kHeader{Source::Kind::header, "X-Session", nullptr};
const Source kArg{Source::Kind::arg, "s", nullptr};

std::string id_of(const FakeRequest& request, std::vector<Source> sources) {
  IdScratch scratch;
  return std::string(session_id(request, sources, scratch));
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

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(each_kind), cmocka_unit_test(first_hit_wins),
                              cmocka_unit_test(several_cookie_lines), cmocka_unit_test(longest),
                              cmocka_unit_test(longest_decoded), cmocka_unit_test(too_long_is_a_hit)};
  return cmocka_run_group_tests_name("source", tests, nullptr, nullptr);
}
