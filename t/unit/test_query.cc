// The query of a URL.
#include "t/unit/support/test.h"

#include "shared/http/query.h"

namespace {
using namespace heartbeat;

void values(void**) {
  assert_text_equal(query_value("a=1&b=2&c=3", "b"), "2");
  assert_text_equal(query_value("a=1", "a"), "1");
  assert_text_equal(query_value("ab=1&a=2", "a"), "2");
  assert_text_equal(query_value("a=&a=2", "a"), "2");
  assert_text_equal(query_value("a&a=2", "a"), "2");
  assert_text_equal(query_value("a=1&a=2", "a"), "1");
  assert_text_equal(query_value("a=b=c&d=e", "a"), "b=c");
  assert_text_equal(query_value("a=%41;+", "a"), "%41;+");
  assert_text_equal(query_value("&&&a=1&", "a"), "1");
  for (const char* query : {"", "a", "a=", "=1", "&", "b=a=1", "A=1", "%61=1", "aa=1", "?a=1"}) {
    if (!query_value(query, "a").empty()) fail_msg("\"%s\"", query);
  }
}

std::string decoded(std::string_view text, std::size_t capacity = 100) {
  std::string out(capacity, '#');
  std::size_t size = percent_decode(text, out.data(), capacity);
  assert_true(size <= capacity);
  return out.substr(0, size);
}

void percent(void**) {
  assert_text_equal(decoded("abc"), "abc");
  assert_text_equal(decoded("%41%4a%4A%7b"), "AJJ{");
  assert_text_equal(decoded("a%20b+c"), "a b+c");
  assert_text_equal(decoded("%"), "%");
  assert_text_equal(decoded("%4"), "%4");
  assert_text_equal(decoded("%4g%g4%%41"), "%4g%g4%A");
  assert_text_equal(decoded("%2541"), "%41");
  assert_true(decoded("%00x%ff") == std::string("\0x\xff", 3));
  for (int byte = 0; byte < 256; ++byte) {
    char text[4];
    std::snprintf(text, sizeof text, "%%%02x", byte);
    assert_true(decoded(text) == std::string(1, static_cast<char>(byte)));
  }
  assert_text_equal(decoded("%41%42%43", 2), "AB");
  assert_text_equal(decoded("abc", 0), "");
}

void percent_in_place(void**) {
  std::string text = "%41b%43%";
  text.resize(percent_decode(text, text.data(), text.size()));
  assert_text_equal(text, "AbC%");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(percent), cmocka_unit_test(percent_in_place)};
  return cmocka_run_group_tests_name("query", tests, nullptr, nullptr);
}
