// Days and instants of UTC.
#include "shared/http/date.h"

#include <chrono>
#include <ctime>

namespace heartbeat {
namespace {

using Days = std::chrono::sys_days;

// Exactly `size` digits at the start of `text`, which are taken off.
bool take_number(std::string_view& text, std::size_t size, int& value) {
  value = 0;
  if (text.size() < size) return false;
  for (char c : text.substr(0, size)) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + (c - '0');
  }
  text.remove_prefix(size);
  return true;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || (text[0] | 0x20) != (c | 0x20)) return false;
  text.remove_prefix(1);
  return true;
}

bool take_day(std::string_view& text, Day& day) {
  int year = 0, month = 0, of_month = 0;
  if (!take_number(text, 4, year) || !take(text, '-') || !take_number(text, 2, month) || !take(text, '-') ||
      !take_number(text, 2, of_month) || year < 1970) {
    return false;
  }
  std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                                   std::chrono::day(static_cast<unsigned>(of_month))};
  if (!date.ok()) return false;
  day = Days(date).time_since_epoch().count();
  return true;
}

void write_number(char* out, unsigned value, unsigned size) {
  for (unsigned i = size; i > 0; --i, value /= 10) out[i - 1] = static_cast<char>('0' + value % 10);
}

void add_number(Text& out, unsigned value, unsigned size) {
  char digits[4];
  write_number(digits, value, size);
  out.add({digits, size});
}

}  // namespace

bool parse_day(std::string_view text, Day& day) { return take_day(text, day) && text.empty(); }

bool parse_instant(std::string_view text, Millis& at) {
  Day day = 0;
  int hour = 0, minute = 0, second = 0;
  if (!take_day(text, day) || !take(text, 'T') || !take_number(text, 2, hour) || !take(text, ':') ||
      !take_number(text, 2, minute)) {
    return false;
  }
  if (text.size() > 1 && (!take(text, ':') || !take_number(text, 2, second))) return false;
  if (!take(text, 'Z') || !text.empty() || hour > 23 || minute > 59 || second > 59) return false;
  at = day * kDay + ((hour * 60 + minute) * 60 + second) * Millis{1000};
  return true;
}

Millis wall_clock() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return Millis{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

WrittenDay written(Day day) {
  std::chrono::year_month_day date(Days(std::chrono::days(static_cast<int>(day))));
  WrittenDay out;
  write_number(out.text, static_cast<unsigned>(static_cast<int>(date.year())), 4);
  out.text[4] = out.text[7] = '-';
  write_number(out.text + 5, static_cast<unsigned>(date.month()), 2);
  write_number(out.text + 8, static_cast<unsigned>(date.day()), 2);
  return out;
}

void add_day(Text& out, Day day) { out.add(written(day)); }

void add_instant(Text& out, Millis at) {
  Day day = day_of(at);
  auto seconds = static_cast<unsigned>((at - day * kDay) / 1000);
  add_day(out, day);
  out.add("T");
  add_number(out, seconds / 3600, 2);
  out.add(":");
  add_number(out, seconds / 60 % 60, 2);
  out.add(":");
  add_number(out, seconds % 60, 2);
  out.add("Z");
}

}  // namespace heartbeat
