// A reactor on poll(2).
#include "shared/port/poll_reactor.h"

#include <fcntl.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

namespace heartbeat {

Millis monotonic_now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return Millis{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

PollReactor::PollReactor() {
  if (pipe2(wake_, O_CLOEXEC | O_NONBLOCK) != 0) wake_[0] = wake_[1] = -1;
}

PollReactor::~PollReactor() {
  for (int fd : wake_) {
    if (fd >= 0) ::close(fd);
  }
}

Millis PollReactor::now() { return monotonic_now(); }

bool PollReactor::watch(int fd, bool writable, IoHandler& handler) {
  Watch* free_place = nullptr;
  for (Watch& watch : watches_) {
    if (watch.handler == &handler) {
      watch.fd = fd;
      watch.writable = writable;
      return true;
    }
    if (watch.handler == nullptr && free_place == nullptr) free_place = &watch;
  }
  if (free_place == nullptr) return false;
  *free_place = {fd, writable, &handler};
  return true;
}

void PollReactor::unwatch(int, IoHandler& handler) {
  for (Watch& watch : watches_) {
    if (watch.handler == &handler) watch = {};
  }
}

void PollReactor::set_timer(TimerHandler& handler, Millis delay) {
  Timer* place = nullptr;
  for (Timer& timer : timers_) {
    if (timer.handler == &handler) place = &timer;
    if (timer.handler == nullptr && place == nullptr) place = &timer;
  }
  cancel_timer(handler);
  if (place != nullptr) *place = {now() + delay, &handler};
}

void PollReactor::cancel_timer(TimerHandler& handler) {
  for (Timer& timer : timers_) {
    if (timer.handler == &handler) timer = {};
  }
}

Millis PollReactor::until_timer(Millis longest) {
  Millis now = this->now();
  for (const Timer& timer : timers_) {
    if (timer.handler == nullptr) continue;
    Millis left = timer.due > now ? timer.due - now : 0;
    if (left < longest) longest = left;
  }
  return longest;
}

void PollReactor::fire_timers() {
  Millis now = this->now();
  for (Timer& timer : timers_) {
    if (timer.handler == nullptr || timer.due > now) continue;
    TimerHandler* handler = timer.handler;
    timer = {};
    handler->on_timer();
  }
}

void PollReactor::turn(Millis longest) {
  pollfd fds[kMost + 1];
  Watch polled[kMost];
  nfds_t count = 0;
  for (const Watch& watch : watches_) {
    if (watch.handler == nullptr) continue;
    polled[count] = watch;
    fds[count++] = {watch.fd, static_cast<short>(watch.writable ? POLLIN | POLLOUT : POLLIN), 0};
  }
  fds[count] = {wake_[0], POLLIN, 0};
  int ready = ::poll(fds, count + 1, static_cast<int>(until_timer(longest)));
  if (ready > 0 && fds[count].revents != 0) {
    char bytes[64];
    while (::read(wake_[0], bytes, sizeof bytes) > 0) continue;
  }
  for (nfds_t i = 0; ready > 0 && i < count; ++i) {
    if (fds[i].revents == 0) continue;
    bool same = false;  // an earlier handler may have ended this watch
    for (const Watch& watch : watches_) same = same || (watch.handler == polled[i].handler && watch.fd == polled[i].fd);
    if (!same) continue;
    short failure = fds[i].revents & (POLLERR | POLLHUP);
    polled[i].handler->on_io((fds[i].revents & POLLIN) != 0 || failure != 0,
                             polled[i].writable && ((fds[i].revents & POLLOUT) != 0 || failure != 0));
  }
  fire_timers();
}

void PollReactor::wake() {
  char byte = 0;
  if (wake_[1] >= 0 && ::write(wake_[1], &byte, 1) < 0) return;  // a full pipe wakes just as well
}

}  // namespace heartbeat
