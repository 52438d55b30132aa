// How often one session may ping: so many a second, and so many ahead of that.
#include "t/unit/support/test.h"

#include "t/unit/support/ledger.h"

namespace {
using namespace heartbeat;

struct World : LedgerWorld {
  World(std::uint32_t interval, std::uint32_t burst) {
    place.rate_interval = interval;
    place.rate_burst = burst;
  }
  // Whether a ping is taken; if not, `wait` says when to come again.
  bool ping(std::string_view id = "a", LifeSign source = LifeSign::ping) {
    Sign sign;
    sign.source = source;
    wait = -1;
    return table.mark(site, place, id, sign, now, &recent, &wait) != Marked::limited;
  }
  int pings(int count) {
    int taken = 0;
    for (; count > 0; --count) taken += ping();
    return taken;
  }
  Recent recent{};
  Millis wait = -1;
};

void no_limit(void**) {
  World world(0, 0);
  assert_int_equal(world.pings(10000), 10000);
  assert_int_equal(world.wait, -1);
}

// Whoever keeps the rate is never refused, however long it goes on.
void steady(void**) {
  for (std::uint32_t burst : {0U, 3U}) {
    World world(100, burst);
    for (int i = 0; i < 100000; ++i, world.now += 100) assert_true(world.ping());
    world.flush();
    assert_int_equal(world.in_redis("a").beats, 100000);
  }
}

void too_fast(void**) {
  World world(100, 0);
  assert_true(world.ping());
  world.now += 99;
  assert_false(world.ping());
  assert_int_equal(world.wait, 1);
  world.now += 1;
  assert_true(world.ping());
  // Twice the rate: every other one.
  int taken = 0;
  for (int i = 0; i < 1000; ++i, world.now += 50) taken += world.ping();
  assert_in_range(taken, 499, 501);
}

void burst(void**) {
  World world(1000, 10);
  assert_int_equal(world.pings(50), 11);  // one, and ten ahead of time
  assert_int_equal(world.wait, 1000);
  world.now += 400;
  assert_false(world.ping());
  assert_int_equal(world.wait, 600);
  world.now += world.wait;
  assert_int_equal(world.pings(50), 1);
  world.now += 3500;
  assert_int_equal(world.pings(50), 3);
  assert_int_equal(world.wait, 500);
  // After a long rest the whole burst is there again, and not more.
  world.now += 1000000;
  assert_int_equal(world.pings(50), 11);
}

// Nothing of a refused ping is recorded.
void refused_is_not_recorded(void**) {
  World world(1000, 0);
  assert_true(world.ping());
  world.flush();
  world.now += 500;
  assert_false(world.ping());
  assert_int_equal(world.flush(), 0);
  assert_false(world.table.anything_to_flush(1));
  std::uint32_t slot = world.slot_of("a");
  assert_int_equal(world.table.slot(slot).beats.load(), 1);
  assert_int_equal(world.table.slot(slot).seen.load(), world.now - 500);
}

void each_for_itself(void**) {
  World world(1000, 0);
  for (int i = 0; i < 100; ++i) assert_true(world.ping("s" + std::to_string(i)));
  for (int i = 0; i < 100; ++i) assert_false(world.ping("s" + std::to_string(i)));
}

// Ordinary requests that are tracked are the server's business, not a visitor's pings: they are not limited and use
// nothing up.
void requests_and_beacons(void**) {
  World world(1000, 0);
  for (int i = 0; i < 100; ++i) assert_true(world.ping("a", LifeSign::request) && world.ping("a", LifeSign::beacon));
  world.now += 1000;
  for (int i = 0; i < 100; ++i) assert_true(world.ping("a", LifeSign::request));
  assert_true(world.ping());
  for (LifeSign source : {LifeSign::ping, LifeSign::page, LifeSign::beat}) assert_false(world.ping("a", source));
  assert_true(world.ping("a", LifeSign::request));
}

// The times are kept by their low half: at its wrap nothing is lost and nothing is given.
void across_the_wrap(void**) {
  for (Millis before : {Millis{0}, Millis{1}, Millis{999}, Millis{5500}, Millis{20000}}) {
    World world(1000, 10);
    world.now = (Millis{3} << 32) - before;
    int taken = 0;
    for (int i = 0; i < 1000; ++i, world.now += 100) taken += world.ping();
    assert_int_equal(taken, 10 + 100);
  }
  // Long ago, over half of the range and over all of it.
  for (Millis rest : {Millis{1} << 30, Millis{1} << 31, (Millis{1} << 31) + 5, Millis{3} << 30, Millis{1} << 32, Millis{5} << 32}) {
    World world(1000, 10);
    world.now = Millis{7} << 32;
    assert_int_equal(world.pings(50), 11);
    world.now += rest + 20000;
    assert_int_equal(world.pings(50), 11);
  }
}

// The same session where the rate is another: what was used up there is used up here, or two places would give more than
// either allows.
void another_place(void**) {
  World world(1000, 100);
  assert_int_equal(world.pings(200), 101);
  world.place.rate_interval = 10;
  world.place.rate_burst = 2;
  assert_int_equal(world.pings(50), 0);
  assert_int_equal(world.wait, 101 * 1000 - 20);
  world.now += world.wait;
  assert_int_equal(world.pings(50), 1);
}

// The session that a connection remembers is limited like any other; so is one that comes after silence.
void on_every_way(void**) {
  World world(1000, 0);
  world.place.timeout = 100;
  assert_true(world.table.add_place(world.site, {}, world.place));
  assert_true(world.ping());
  for (Millis step : {Millis{1}, Millis{500}, Millis{498}}) {
    world.now += step;
    assert_false(world.ping());
    world.recent = {};
    assert_false(world.ping());
    Sign sign;
    sign.user = "alice";
    assert_true(world.table.mark(world.site, world.place, "a", sign, world.now, nullptr, nullptr) == Marked::limited);
  }
  world.now += 1;
  assert_true(world.ping());
  assert_text_equal(faults(world.table), "");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(no_limit), cmocka_unit_test(steady), cmocka_unit_test(too_fast), cmocka_unit_test(burst),
                              cmocka_unit_test(refused_is_not_recorded), cmocka_unit_test(each_for_itself),
                              cmocka_unit_test(requests_and_beacons), cmocka_unit_test(across_the_wrap), cmocka_unit_test(another_place),
                              cmocka_unit_test(on_every_way)};
  return cmocka_run_group_tests_name("rate", tests, nullptr, nullptr);
}
