// What time it is in Redis, by the clock of this host.
#pragma once

#include "shared/port/port.h"

namespace heartbeat {

/// How far the clock of a Redis is ahead of Millis. What its answer says may be late by as long as the answer took, so
/// a slow one is not believed, but asked for again: a Redis that stood still for ten seconds must not shift times by
/// ten seconds. One that is always slow is used all the same, from the middle of its round trip.
/// What was measured before stands as long as it can be true: the beginning of what goes on must not move by a millisecond
/// from one flush to the next, for then Redis would take it for something else.
class RedisClock {
 public:
  void begin() { tries_ = 0; }
  bool asked() const { return tries_ != 0; }
  void ask(Millis now) {
    asked_ = now;
    ++tries_;
  }
  /// Redis says that it is `there`. False: to be asked for again.
  bool take(Millis there, Millis now) {
    if (now - asked_ > kGoodRoundTrip && tries_ < kTries) return false;
    bool holds = known_ && offset_ >= there - now - kCoarse && offset_ <= there - asked_ + kCoarse;
    if (!holds) offset_ = there - (asked_ + (now - asked_) / 2);
    known_ = true;
    return true;
  }
  /// What to add to Millis to get the clock of Redis.
  Millis offset() const { return offset_; }

 private:
  static constexpr Millis kGoodRoundTrip = 50;
  static constexpr int kTries = 3;
  static constexpr Millis kCoarse = 5;  // a server's clock ticks every 4 ms, that of Redis is cut to whole ones

  int tries_ = 0;
  bool known_ = false;
  Millis asked_ = 0;
  Millis offset_ = 0;
};

}  // namespace heartbeat
