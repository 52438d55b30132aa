// Times, sizes, numbers and origins as an operator writes them.
#include "t/unit/support/test.h"

#include "shared/settings/parse.h"

namespace {
using namespace heartbeat;

constexpr Millis kWrong = -7;

Millis time_of(std::string_view text) {
  Millis result = kWrong;
  return parse_time(text, result) ? result : kWrong;
}

void times(void**) {
  static const struct {
    const char* text;
    Millis expected;
  } cases[] = {{"0", 0},           {"1", 1000},       {"30s", 30000},       {"500ms", 500},
               {"1m30s", 90000},   {"1h", 3600000},   {"7d", 604800000},    {"2w", 1209600000},
               {"1w1d1h1m1s1ms", 694861001},          {"3650d", 315360000000},
               {"007s", 7000},     {"315360000", 315360000000}};
  for (const auto& each : cases) {
    if (time_of(each.text) != each.expected) fail_msg("%s", each.text);
  }
}

void wrong_times(void**) {
  for (const char* text : {"", "s", "-1s", "+1", "1 s", " 1s", "1s ", "1x", "1S", "1s1m", "1s1s", "1m30", "1.5s", "3651d",
                           "315360001", "3650d1ms", "99999999999999999999", "9223372036854775807ms", "1ss", "0x10"}) {
    if (time_of(text) != kWrong) fail_msg("\"%s\"", text);
  }
  Millis untouched = 5;
  assert_false(parse_time("1x", untouched));
  assert_int_equal(untouched, 5);
}

std::uint64_t size_of(std::string_view text) {
  std::size_t result = 0;
  return parse_size(text, result) ? result : UINT64_MAX;
}

void sizes(void**) {
  assert_int_equal(size_of("0"), 0);
  assert_int_equal(size_of("123"), 123);
  assert_int_equal(size_of("64k"), 65536);
  assert_int_equal(size_of("64K"), 65536);
  assert_int_equal(size_of("16m"), 16777216);
  assert_int_equal(size_of("16M"), 16777216);
  assert_int_equal(size_of("1g"), 1073741824);
  assert_int_equal(size_of("1024g"), std::uint64_t{1} << 40);
  assert_int_equal(size_of("1099511627776"), std::uint64_t{1} << 40);
  for (const char* text : {"", "k", "1t", "1kk", "1 k", "-1", "1025g", "1099511627777", "18446744073709551616", "1.5m", "m1"}) {
    if (size_of(text) != UINT64_MAX) fail_msg("\"%s\"", text);
  }
}

void numbers(void**) {
  std::uint64_t result = 0;
  assert_true(parse_number("0", 0, result));
  assert_true(parse_number("18446744073709551615", UINT64_MAX, result));
  assert_int_equal(result, UINT64_MAX);
  assert_true(parse_number("65535", 65535, result));
  assert_false(parse_number("65536", 65535, result));
  for (const char* text : {"", " 1", "1 ", "+1", "-1", "1a", "a", "18446744073709551616", "0x1"}) {
    if (parse_number(text, UINT64_MAX, result)) fail_msg("\"%s\"", text);
  }
}

void origins(void**) {
  for (const char* text : {"https://www.example.com", "http://localhost:8080", "https://a.b:1", "http://[::1]:8080",
                           "http://[::1]", "chrome-extension://abcdef", "http://127.0.0.1:65535", "http://a_b.c-d"}) {
    if (!is_origin(text)) fail_msg("%s", text);
  }
  for (const char* text : {"", "*", "null", "www.example.com", "https://", "://www.example.com", "https://a/", "https://a/b",
                           "https://A.example", "HTTPS://a", "https://a:0", "https://a:65536", "https://a:", "https://a:b",
                           "https://:80", "https://a b", "https://a;b", "https://a'b", "https://a,b", "https://a\r\nb",
                           "https://a?b", "https://u@a", "ht tp://a", "https://\xc3\xa4"}) {
    if (is_origin(text)) fail_msg("\"%s\"", text);
  }
  assert_true(is_origin("https://" + std::string(292, 'a')));
  assert_false(is_origin("https://" + std::string(293, 'a')));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(times), cmocka_unit_test(wrong_times), cmocka_unit_test(sizes),
                              cmocka_unit_test(numbers), cmocka_unit_test(origins)};
  return cmocka_run_group_tests_name("parse", tests, nullptr, nullptr);
}
