// Days and instants of UTC as requests and answers write them (RFC 3339, section 5.6), in the Gregorian calendar.
#pragma once

#include "shared/http/text.h"

namespace heartbeat {

/// Whole days since 1970-01-01, UTC.
using Day = std::int64_t;
inline constexpr Millis kDay = 86400000;

/// Milliseconds since 1970 by this host's clock (CLOCK_REALTIME).
Millis wall_clock();

/// YYYY-MM-DD, from the year 1970 on. False: it is none, or no such day exists.
bool parse_day(std::string_view text, Day& day);

/// YYYY-MM-DDTHH:MM[:SS]Z, as milliseconds since 1970; without the seconds they are 0. False: it is none.
bool parse_instant(std::string_view text, Millis& at);

/// The day an instant lies in.
constexpr Day day_of(Millis at) { return at >= 0 ? at / kDay : -((kDay - 1 - at) / kDay); }

/// YYYY-MM-DD, for the years 0 to 9999.
struct WrittenDay {
  char text[10];
  operator std::string_view() const { return {text, sizeof text}; }
};
WrittenDay written(Day day);
/// Writes that.
void add_day(Text& out, Day day);
/// Writes YYYY-MM-DDTHH:MM:SSZ; parts of a second are cut.
void add_instant(Text& out, Millis at);

}  // namespace heartbeat
