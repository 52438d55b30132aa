// What time it is in Redis, by the clock of this host.
#pragma once

#include "shared/port/port.h"

namespace heartbeat {

/// How far the clock of a Redis is ahead of Millis. What its answer says may be late by as long as the answer took, so
/// a slow one is not believed, but asked for again: a Redis that stood still for ten seconds must not shift times by
/// ten seconds. One that is always slow is used all the same, from the middle of its round trip.
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
    offset_ = there - (asked_ + (now - asked_) / 2);
    return true;
  }
  /// What to add to Millis to get the clock of Redis.
  Millis offset() const { return offset_; }

 private:
  static constexpr Millis kGoodRoundTrip = 50;
  static constexpr int kTries = 3;

  int tries_ = 0;
  Millis asked_ = 0;
  Millis offset_ = 0;
};

}  // namespace heartbeat
