// Days and instants of UTC.
#include "t/unit/support/test.h"

#include <ctime>

#include "shared/http/date.h"
#include "t/unit/support/fake_arena.h"

namespace {
using namespace heartbeat;

std::string day_text(Day day) {
  FakeArena arena;
  Text out(arena);
  add_day(out, day);
  return std::string(out.view());
}
std::string instant_text(Millis at) {
  FakeArena arena;
  Text out(arena);
  add_instant(out, at);
  return std::string(out.view());
}

// The C library's calendar, day by day, for three centuries: leap days, and 2100 which has none.
void every_day(void**) {
  for (Day day = 0; day < 110000; ++day) {
    std::time_t seconds = static_cast<std::time_t>(day * 86400);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    char expected[16];
    std::strftime(expected, sizeof expected, "%Y-%m-%d", &parts);
    if (day_text(day) != expected) fail_msg("day %ld is %s, not %s", static_cast<long>(day), day_text(day).c_str(), expected);
    Day again = -1;
    assert_true(parse_day(expected, again));
    assert_int_equal(again, day);
  }
}

void days(void**) {
  Day day = -1;
  assert_true(parse_day("1970-01-01", day));
  assert_int_equal(day, 0);
  assert_true(parse_day("2024-02-29", day));
  assert_int_equal(day, 19782);
  assert_true(parse_day("2000-02-29", day));
  assert_true(parse_day("9999-12-31", day));
  assert_text_equal(day_text(day), "9999-12-31");
  for (std::string_view text : {"", "2023-02-29", "2100-02-29", "2024-02-30", "2024-04-31", "2024-00-01", "2024-13-01", "2024-01-00",
                                "2024-01-32", "24-01-01", "2024-1-1", "2024-01-1", "2024-01-01 ", " 2024-01-01", "2024/01/01", "2024-01-01Z",
                                "+024-01-01", "-024-01-01", "2024--1-01", "1969-12-31", "0000-01-01", "20240101", "2024-01-0\xd9"}) {
    if (parse_day(text, day)) fail_msg("\"%s\" is no day", std::string(text).c_str());
  }
}

void instants(void**) {
  Millis at = -1;
  assert_true(parse_instant("1970-01-01T00:00:00Z", at));
  assert_int_equal(at, 0);
  assert_true(parse_instant("2024-02-29T08:05Z", at));
  assert_int_equal(at, 1709193900000);
  assert_true(parse_instant("2024-02-29t23:59:59z", at));
  assert_int_equal(at, 1709251199000);
  for (std::string_view text : {"", "2024-02-29", "2024-02-29T", "2024-02-29T08", "2024-02-29T08Z", "2024-02-29T08:00", "2024-02-29 08:00Z",
                                "2024-02-29T24:00Z", "2024-02-29T08:60Z", "2024-02-29T08:00:60Z", "2024-02-29T08:00:0Z", "2024-02-29T08:00:Z",
                                "2024-02-29T08:00:00.5Z", "2024-02-29T08:00+00:00", "2024-02-29T08:00ZZ", "2024-02-30T08:00Z", "2024-02-29T8:00Z"}) {
    if (parse_instant(text, at)) fail_msg("\"%s\" is no instant", std::string(text).c_str());
  }
}

void written(void**) {
  assert_text_equal(instant_text(0), "1970-01-01T00:00:00Z");
  assert_text_equal(instant_text(1709193900999), "2024-02-29T08:05:00Z");
  assert_text_equal(instant_text(kDay - 1), "1970-01-01T23:59:59Z");
  assert_text_equal(instant_text(-1), "1969-12-31T23:59:59Z");
  assert_int_equal(day_of(0), 0);
  assert_int_equal(day_of(kDay - 1), 0);
  assert_int_equal(day_of(kDay), 1);
  assert_int_equal(day_of(-1), -1);
  assert_int_equal(day_of(-kDay), -1);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(every_day), cmocka_unit_test(days), cmocka_unit_test(instants),
                              cmocka_unit_test(written)};
  return cmocka_run_group_tests_name("date", tests, nullptr, nullptr);
}
