// The reactor on poll(2): real descriptors, real time, little of it.
#include "t/unit/support/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/port/poll_reactor.h"

namespace {
using namespace heartbeat;

struct Io final : IoHandler {
  void on_io(bool readable, bool writable) override {
    reads += readable;
    writes += writable;
    ++calls;
    if (then) then();
  }
  int reads = 0, writes = 0, calls = 0;
  std::function<void()> then;
};
struct Timer final : TimerHandler {
  void on_timer() override {
    ++calls;
    if (then) then();
  }
  int calls = 0;
  std::function<void()> then;
};
struct Pair {
  Pair() { assert_int_equal(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0); }
  ~Pair() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  void write() const { assert_int_equal(::write(ends[1], "x", 1), 1); }
  int ends[2];
};

void reading_and_writing(void**) {
  PollReactor reactor;
  Pair pair;
  Io io;
  assert_true(reactor.watch(pair.ends[0], false, io));
  reactor.turn(0);
  assert_int_equal(io.calls, 0);
  pair.write();
  reactor.turn(100);
  reactor.turn(100);  // level-triggered: it was not read
  assert_int_equal(io.reads, 2);
  assert_int_equal(io.writes, 0);
  assert_true(reactor.watch(pair.ends[0], true, io));
  reactor.turn(100);
  assert_int_equal(io.calls, 3);
  assert_int_equal(io.writes, 1);
  assert_true(reactor.watch(pair.ends[0], false, io));
  reactor.turn(100);
  assert_int_equal(io.writes, 1);
  reactor.unwatch(pair.ends[0], io);
  reactor.turn(0);
  assert_int_equal(io.calls, 4);
  assert_true(::fcntl(pair.ends[0], F_GETFD) >= 0);  // closing it is the caller's
}

void the_other_end_closes(void**) {
  PollReactor reactor;
  Pair pair;
  Io io;
  reactor.watch(pair.ends[0], false, io);
  ::shutdown(pair.ends[1], SHUT_RDWR);
  reactor.turn(100);
  assert_int_equal(io.reads, 1);
}

void a_handler_ends_another_watch(void**) {
  PollReactor reactor;
  Pair pairs[2];
  Io ios[2];
  for (int i = 0; i < 2; ++i) {
    reactor.watch(pairs[i].ends[0], false, ios[i]);
    pairs[i].write();
  }
  ios[0].then = [&] { reactor.unwatch(pairs[1].ends[0], ios[1]); };
  ios[1].then = [&] { reactor.unwatch(pairs[0].ends[0], ios[0]); };
  reactor.turn(100);
  reactor.turn(0);
  assert_int_equal(ios[0].calls + ios[1].calls, 2);
  assert_true(ios[0].calls == 0 || ios[1].calls == 0);
}

void timers(void**) {
  PollReactor reactor;
  Timer early, late, canceled;
  reactor.set_timer(late, 60);
  reactor.set_timer(early, 20);
  reactor.set_timer(canceled, 20);
  reactor.cancel_timer(canceled);
  Millis begin = monotonic_now();
  while (early.calls == 0) reactor.turn(5000);
  Millis took = monotonic_now() - begin;
  assert_true(took >= 20 && took < 55);
  assert_int_equal(late.calls, 0);
  while (late.calls == 0) reactor.turn(5000);
  reactor.turn(0);
  assert_int_equal(early.calls + late.calls, 2);
  assert_int_equal(canceled.calls, 0);
}

void a_timer_set_again(void**) {
  PollReactor reactor;
  Timer timer;
  reactor.set_timer(timer, 1);
  reactor.set_timer(timer, 50);
  Millis begin = monotonic_now();
  while (timer.calls == 0) reactor.turn(5000);
  assert_true(monotonic_now() - begin >= 48);
  timer.then = [&] {
    if (timer.calls < 4) reactor.set_timer(timer, 5);
  };
  reactor.set_timer(timer, 5);
  for (Millis end = monotonic_now() + 1000; timer.calls < 4 && monotonic_now() < end;) reactor.turn(100);
  assert_int_equal(timer.calls, 4);
}

void no_longer_than_asked(void**) {
  PollReactor reactor;
  Timer timer;
  reactor.set_timer(timer, 10000);
  Millis begin = monotonic_now();
  reactor.turn(20);
  assert_true(monotonic_now() - begin < 500);
  assert_int_equal(timer.calls, 0);
}

void too_many_watches(void**) {
  PollReactor reactor;
  Pair pair;
  std::vector<Io> ios(65);
  for (int i = 0; i < 64; ++i) assert_true(reactor.watch(pair.ends[0], false, ios[static_cast<std::size_t>(i)]));
  assert_false(reactor.watch(pair.ends[0], false, ios[64]));
  reactor.unwatch(pair.ends[0], ios[7]);
  assert_true(reactor.watch(pair.ends[0], false, ios[64]));
  pair.write();
  reactor.turn(100);
  assert_int_equal(ios[64].calls, 1);
  assert_int_equal(ios[7].calls, 0);
}

void* wake_later(void* reactor) {
  ::usleep(20000);
  static_cast<PollReactor*>(reactor)->wake();
  return nullptr;
}

void waking(void**) {
  PollReactor reactor;
  Millis begin = monotonic_now();
  for (int i = 0; i < 100000; ++i) reactor.wake();  // a full pipe is no harm
  reactor.turn(5000);
  pthread_t thread;
  pthread_create(&thread, nullptr, wake_later, &reactor);
  for (int i = 0; i < 3; ++i) reactor.turn(i == 2 ? 100 : 5000 * (monotonic_now() - begin < 20));
  pthread_join(thread, nullptr);
  assert_true(monotonic_now() - begin < 2000);
}

void the_clock(void**) {
  Millis before = monotonic_now();
  ::usleep(30000);
  Millis passed = monotonic_now() - before;
  assert_true(passed >= 20 && passed < 1000);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(reading_and_writing), cmocka_unit_test(the_other_end_closes),
                              cmocka_unit_test(a_handler_ends_another_watch), cmocka_unit_test(timers),
                              cmocka_unit_test(a_timer_set_again), cmocka_unit_test(no_longer_than_asked),
                              cmocka_unit_test(too_many_watches), cmocka_unit_test(waking), cmocka_unit_test(the_clock)};
  return cmocka_run_group_tests_name("poll_reactor", tests, nullptr, nullptr);
}
