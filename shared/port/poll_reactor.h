// A reactor of its own on poll(2): for Apache's flusher thread and for the last flush before a process ends.
#pragma once

#include <atomic>

#include "shared/port/port.h"

namespace heartbeat {

class PollReactor final : public Reactor {
 public:
  PollReactor();
  ~PollReactor();
  PollReactor(const PollReactor&) = delete;
  PollReactor& operator=(const PollReactor&) = delete;

  Millis now() override;
  bool watch(int fd, bool writable, IoHandler& handler) override;
  void unwatch(int fd, IoHandler& handler) override;
  void set_timer(TimerHandler& handler, Millis delay) override;
  void cancel_timer(TimerHandler& handler) override;

  /// Waits for at most `longest` and calls whatever is due.
  void turn(Millis longest);

  /// From any thread or a signal handler: makes the turn that waits, or the next one, return at once.
  void wake();

 private:
  static constexpr int kMost = 64;
  struct Watch {
    int fd;
    bool writable;
    IoHandler* handler;
  };
  struct Timer {
    Millis due;
    TimerHandler* handler;
  };

  void fire_timers();
  Millis until_timer(Millis longest);

  int wake_[2] = {-1, -1};
  Watch watches_[kMost] = {};
  Timer timers_[kMost] = {};
};

/// CLOCK_MONOTONIC in milliseconds, as coarse as the kernel keeps it without a system call.
Millis monotonic_now();

}  // namespace heartbeat
