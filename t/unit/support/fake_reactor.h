// A reactor whose clock is turned by hand. Its descriptors are real ones, looked at without ever waiting.
#pragma once

#include <poll.h>

#include <functional>
#include <map>
#include <vector>

#include "shared/port/port.h"

namespace heartbeat {

class FakeReactor final : public Reactor {
 public:
  Millis now() override { return clock; }
  bool watch(int fd, bool writable, IoHandler& handler) override {
    if (refuse_watches) return false;
    watches_[fd] = {&handler, writable};
    return true;
  }
  void unwatch(int fd, IoHandler&) override { watches_.erase(fd); }
  void set_timer(TimerHandler& handler, Millis delay) override { timers_[&handler] = clock + delay; }
  void cancel_timer(TimerHandler& handler) override { timers_.erase(&handler); }

  /// Calls the handlers of the descriptors that are ready now. False: none was.
  bool look() {
    std::vector<pollfd> fds;
    for (const auto& [fd, watch] : watches_) fds.push_back({fd, static_cast<short>(POLLIN | (watch.writable ? POLLOUT : 0)), 0});
    if (::poll(fds.data(), fds.size(), 0) <= 0) return false;
    bool called = false;
    for (const pollfd& ready : fds) {
      auto watch = watches_.find(ready.fd);
      if (ready.revents == 0 || watch == watches_.end()) continue;
      bool failure = (ready.revents & (POLLERR | POLLHUP)) != 0;
      called = true;
      watch->second.handler->on_io((ready.revents & POLLIN) != 0 || failure,
                                   watch->second.writable && ((ready.revents & POLLOUT) != 0 || failure));
    }
    return called;
  }

  /// Turns the clock on by `time`; each timer fires at its own moment, and `settle` runs after each.
  void advance(Millis time, const std::function<void()>& settle = [] {}) {
    Millis end = clock + time;
    settle();
    for (;;) {
      TimerHandler* next = nullptr;
      Millis due = end;
      for (const auto& [handler, at] : timers_) {
        if (at <= due) {
          due = at;
          next = handler;
        }
      }
      if (next == nullptr) break;
      if (due > clock) clock = due;
      timers_.erase(next);
      next->on_timer();
      settle();
    }
    clock = end;
  }

  /// How long until the timer of `handler`; -1: it has none.
  Millis until(TimerHandler& handler) const {
    auto found = timers_.find(&handler);
    return found == timers_.end() ? -1 : found->second - clock;
  }
  std::size_t timers() const { return timers_.size(); }
  std::size_t watches() const { return watches_.size(); }
  bool watches_writable(int fd) const { return watches_.at(fd).writable; }

  Millis clock = 1000000;
  bool refuse_watches = false;

 private:
  struct Watch {
    IoHandler* handler;
    bool writable;
  };
  std::map<int, Watch> watches_;
  std::map<TimerHandler*, Millis> timers_;
};

}  // namespace heartbeat
