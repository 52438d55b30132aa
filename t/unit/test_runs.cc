// Runs of signs of life: what of them reaches Redis, and that it adds up to what really was.
#include "t/unit/support/test.h"

#include <ctime>

#include "t/unit/support/ledger.h"

namespace {
using namespace heartbeat;

using Pairs = std::vector<std::pair<Millis, Millis>>;
constexpr Millis kTimeout = 90000;
constexpr Millis kGap = 45000;

struct World : LedgerWorld {
  using LedgerWorld::LedgerWorld;
  // One sign after each of these times; returns when the first one was.
  Millis signs(std::string_view id, std::initializer_list<Millis> steps, bool active = false) {
    Millis first = 0;
    for (Millis step : steps) {
      now += step;
      if (first == 0) first = now;
      mark(id, sign_of({}, {}, active));
    }
    return first;
  }
  Pairs open(const std::string& id) { return in_redis(id).open.merged(kTimeout); }
  Pairs active_runs(const std::string& id) { return in_redis(id).active.merged(kGap); }
  void check() { assert_text_equal(faults(table), ""); }
};

// --- going on, and silence -------------------------------------------------------------------------

void a_lone_sign(void**) {
  World world;
  Millis at = world.signs("a", {0});
  assert_int_equal(world.flush(), 1);
  assert_true(world.open("a") == Pairs({{at, at}}));
  assert_true(world.active_runs("a").empty());
}

// Up to the timeout, the end included, a run goes on, whether it was flushed in between or not.
void a_run_goes_on(void**) {
  for (bool flushing : {false, true}) {
    World world;
    Millis from = world.signs("a", {0});
    for (Millis step : {Millis{1}, kTimeout, kTimeout - 1, Millis{0}, kTimeout}) {
      if (flushing) assert_true(world.flush() <= 1);
      world.signs("a", {step});
    }
    assert_int_equal(world.flush(), 1);
    const BatchEntry& last = world.ledger.entries.back();
    assert_int_equal(last.seen, world.now);
    assert_int_equal(last.open_length, world.now - from);
    assert_true(world.open("a") == Pairs({{from, world.now}}));
    assert_int_equal(world.in_redis("a").beats, 6);
    world.check();
  }
}

void silence_begins_another(void**) {
  for (bool flushing : {false, true}) {
    World world;
    Millis from = world.signs("a", {0});
    Millis to = world.signs("a", {1000});
    if (flushing) assert_int_equal(world.flush(), 1);
    Millis again = world.signs("a", {kTimeout + 1});
    world.signs("a", {500});
    assert_int_equal(world.publish(), flushing ? 1 : 2);
    std::uint32_t index = flushing ? 0 : 1;
    assert_int_equal(world.entry(0).flags & BatchEntry::kPast, flushing ? 0 : BatchEntry::kPast);
    assert_int_equal(world.entry(index).flags & BatchEntry::kPast, 0);
    assert_int_equal(world.entry(index).open_length, 500);
    assert_int_equal(world.table.run_start(world.entry(index).slot), again);
    world.check();
    world.apply();
    assert_true(world.acknowledge());
    assert_true(world.open("a") == Pairs({{from, to}, {again, again + 500}}));
    assert_int_equal(world.in_redis("a").beats, 4);
    assert_int_equal(world.flush(), 0);
    world.check();
  }
}

// Silence is what the place of the last sign calls silence.
void silence_by_place(void**) {
  World world;
  Place patient;
  patient.timeout = 600000;
  patient.gap = 60000;
  assert_true(world.table.add_place(world.site, {}, patient));
  assert_int_not_equal(patient.index, world.place.index);
  Millis from = world.now;
  world.table.mark(world.site, patient, "a", {}, world.now);
  world.now += 500000;
  world.mark("a");
  assert_int_equal(world.publish(), 1);
  assert_int_equal(world.entry().open_length, 500000);
  assert_int_equal(world.entry().place, world.place.index);
  world.acknowledge();
  world.now += kTimeout + 1;
  world.table.mark(world.site, patient, "a", {}, world.now);
  assert_int_equal(world.publish(), 1);
  assert_int_equal(world.entry().open_length, 0);
  assert_true(world.now > from);
  world.check();
}

// Every run is cut after 24 days, because of its start only the low half is kept; Redis puts the parts together.
void cut_after_24_days(void**) {
  constexpr Millis kDay = 86400000;
  for (bool flushing : {false, true}) {
    World world;
    Millis from = world.signs("a", {0}, true);
    for (Millis at = 0; at < 60 * kDay; at += kTimeout / 3) {
      world.signs("a", {kTimeout / 3}, at % 4 == 0);
      if (flushing && at % (kDay / 24) == 0) world.flush();
    }
    if (flushing) world.flush();
    else while (world.publish() != 0) { world.apply(); world.acknowledge(); }
    for (const BatchEntry& entry : world.ledger.entries) assert_true(entry.open_length <= INT32_MAX);
    // A past run older than the retention is nothing that Redis would keep.
    Pairs open = world.open("a");
    assert_int_equal(open.size(), 1);
    assert_int_equal(open[0].second, world.now);
    if (flushing) assert_int_equal(open[0].first, from);
    if (flushing) assert_int_equal(world.active_runs("a").size(), 1);
    world.check();
  }
}

void a_start_across_the_wrap(void**) {
  World world;
  world.now = (Millis{5} << 32) - 40000;
  Millis from = world.signs("a", {0}, true);
  world.signs("a", {30000, 30000}, true);
  assert_int_equal(world.publish(), 1);
  assert_int_equal(world.entry().open_length, 60000);
  assert_int_equal(world.entry().active_length, 60000);
  assert_int_equal(world.table.run_start(world.entry().slot), from);
  world.apply();
  world.acknowledge();
  Millis again = world.signs("a", {kTimeout + 1}, true);
  world.flush();
  assert_true(world.open("a") == Pairs({{from, from + 60000}, {again, again}}));
}

// --- activity --------------------------------------------------------------------------------------

void activity_goes_on_and_pauses(void**) {
  for (bool flushing : {false, true}) {
    World world;
    Millis from = world.signs("a", {0});
    Millis first = world.signs("a", {10000}, true);
    Millis second = world.signs("a", {kGap}, true);
    if (flushing) world.flush();
    world.signs("a", {30000});          // of no human
    Millis third = world.signs("a", {15001}, true);
    assert_int_equal(third - second, kGap + 1);
    Millis fourth = world.signs("a", {20000}, true);
    Millis end = world.signs("a", {5000});
    world.flush();
    assert_true(world.open("a") == Pairs({{from, end}}));
    assert_true(world.active_runs("a") == Pairs({{first, second}, {third, fourth}}));
    assert_int_equal(world.in_redis("a").beats, 7);
    world.check();
  }
}

void activity_ends_with_the_run(void**) {
  World world;
  Millis first = world.signs("a", {0}, true);
  Millis second = world.signs("a", {1000}, true);
  Millis again = world.signs("a", {kTimeout + 1});
  world.flush();
  assert_true(world.active_runs("a") == Pairs({{first, second}}));
  assert_true(world.open("a") == Pairs({{first, second}, {again, again}}));
}

// --- users -----------------------------------------------------------------------------------------

Millis sign_as(World& world, std::string_view user, Millis step, bool active = false) {
  world.now += step;
  world.mark("a", sign_of(user, {}, active));
  return world.now;
}

// What was before somebody had a name is nobody's; what was under another name is that one's.
void another_user(void**) {
  for (bool flushing : {false, true}) {
    World world;
    Millis t0 = sign_as(world, "", 0, true);
    Millis t1 = sign_as(world, "", 1000, true);
    if (flushing) world.flush();
    Millis t2 = sign_as(world, "alice", 1000);
    Millis t3 = sign_as(world, "", 1000, true);  // says nothing new
    world.flush();
    Millis t4 = sign_as(world, "alice", 1000);
    Millis t5 = sign_as(world, "bob", 2000, true);
    Millis t6 = sign_as(world, "bob", 2000);
    assert_int_equal(world.flush(), 2);  // the end of alice's, and bob
    auto& session = world.in_redis("a");
    assert_true(session.open_of[""].merged(0) == Pairs({{t0, t1}}));
    assert_true(session.open_of["alice"].merged(0) == Pairs({{t2, t4}}));
    assert_true(session.open_of["bob"].merged(0) == Pairs({{t5, t6}}));
    assert_true(session.open.merged(kTimeout) == Pairs({{t0, t6}}));
    assert_true(session.active_of[""].merged(kGap) == Pairs({{t0, t1}}));
    assert_true(session.active_of["alice"].merged(kGap) == Pairs({{t3, t3}}));
    assert_true(session.active_of["bob"].merged(kGap) == Pairs({{t5, t5}}));
    assert_text_equal(session.user, "bob");
    world.check();
  }
}

// Runs of before the user changed are never told with the name of the later one, however many there are.
void another_user_after_silence(void**) {
  World world;
  sign_as(world, "alice", 0);
  world.flush();
  Millis from = world.now;
  sign_as(world, "alice", 1000);
  Millis again = sign_as(world, "", kTimeout + 1);
  sign_as(world, "", 5000);
  Millis bob = sign_as(world, "bob", 1000);
  sign_as(world, "bob", 1000);
  assert_int_equal(world.publish(), 3);
  for (std::uint32_t i = 0; i < 3; ++i) {
    Table::Said said;
    world.table.said(world.entry(i), said);
    assert_text_equal(said.user, i == 2 ? "bob" : "");
    assert_int_equal(world.entry(i).flags & BatchEntry::kPast, i == 2 ? 0 : BatchEntry::kPast);
  }
  world.apply();
  world.acknowledge();
  auto& session = world.in_redis("a");
  assert_true(session.open_of["alice"].merged(0) == Pairs({{from, from + 1000}, {again, again + 5000}}));
  assert_true(session.open_of["bob"].merged(0) == Pairs({{bob, bob + 1000}}));
}

// A user whom Redis does not know yet is told with the first run, not with the last.
void a_new_user_after_silence(void**) {
  World world;
  Millis first = sign_as(world, "alice", 0);
  Millis again = sign_as(world, "", kTimeout + 1);
  assert_int_equal(world.flush(), 2);
  assert_true(world.in_redis("a").open_of["alice"].merged(0) == Pairs({{first, first}, {again, again}}));
  assert_false(world.in_redis("a").open_of.contains(""));
}

// --- while Redis is away ---------------------------------------------------------------------------

void runs_of_an_outage(void**) {
  World world;
  Pairs expected;
  for (int i = 0; i < 100; ++i) {
    Millis from = world.signs("a", {i == 0 ? 0 : kTimeout + 1 + i});
    world.signs("a", {1000});
    expected.emplace_back(from, world.now);
  }
  world.check();
  assert_int_equal(world.publish(), 100);
  for (std::uint32_t i = 0; i + 1 < 100; ++i) assert_true(world.entry(i).seen < world.entry(i + 1).seen);
  for (std::uint32_t i = 0; i < 100; ++i) assert_int_equal(world.entry(i).delta, i == 99 ? 200 : 0);
  world.check();
  world.apply();
  world.acknowledge();
  assert_true(world.open("a") == expected);
  assert_int_equal(world.flush(), 0);
  assert_int_equal(world.table.header().lost_runs.load(), 0);
}

// More than a batch holds: past runs go first, each session's before what it is now.
void more_runs_than_a_batch(void**) {
  World world(std::size_t{4} << 20);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 300; ++i) world.mark("s" + std::to_string(i));
    world.now += kTimeout + 1;
  }
  std::map<std::uint32_t, Millis> last;
  int batches = 0;
  while (std::uint32_t count = world.publish()) {
    assert_true(count <= kBatch);
    for (std::uint32_t i = 0; i < count; ++i) {
      const BatchEntry& entry = world.entry(i);
      if (i != 0 && world.entry(i - 1).slot == entry.slot) assert_true(world.entry(i - 1).seen < entry.seen);
      assert_true(last[entry.slot] < entry.seen);
      last[entry.slot] = entry.seen;
    }
    ++batches;
    world.check();
    world.apply();
    world.acknowledge();
  }
  assert_true(batches >= 3 && batches < 10);
  for (int i = 0; i < 300; ++i) assert_int_equal(world.open("s" + std::to_string(i)).size(), 3);
}

// There is room for so many; the oldest make room, and are counted.
void too_many_runs(void**) {
  World world;
  std::uint32_t most = world.table.header().max_past;
  Pairs expected;
  for (std::uint32_t i = 0; i < most + 51; ++i) {
    Millis at = world.signs("a", {kTimeout + 1});
    if (i >= 50) expected.emplace_back(at, at);
  }
  assert_int_equal(world.table.header().lost_runs.load(), 50);
  world.check();
  assert_int_equal(world.flush(), most + 1);
  assert_true(world.open("a") == expected);
  assert_int_equal(world.in_redis("a").beats, most + 51);
  // There is room again, for as many.
  for (std::uint32_t i = 0; i < most; ++i) world.signs("a", {kTimeout + 1});
  assert_int_equal(world.table.header().lost_runs.load(), 50);
  assert_int_equal(world.flush(), most);
  world.check();
}

// The room of runs for a Redis that left the configuration is given back, and counts on from there.
void runs_of_an_orphan(void**) {
  World world;
  std::uint32_t most = world.table.header().max_past;
  Site other;
  Place place;
  std::uint16_t other_store = world.table.add_store("other");
  assert_true(add_site(world.table, "other", other_store, true, 604800000, other));
  assert_true(world.table.add_place(other, {}, place));
  for (std::uint32_t i = 0; i <= most; ++i) {
    world.now += kTimeout + 1;
    world.table.mark(other, place, "o", {}, world.now);
  }
  assert_int_equal(world.table.header().lost_runs.load(), 0);
  world.now += 100000;
  for (std::uint32_t cursor = 0; cursor < world.table.end();) world.table.drop_orphans(1U << world.store, cursor, world.now, 60000);
  for (std::uint32_t i = 0; i <= most; ++i) world.signs("a", {kTimeout + 1});
  assert_int_equal(world.table.header().lost_runs.load(), 0);
  assert_int_equal(world.flush(), most + 1);
  assert_int_equal(world.ledger.entries.size(), most + 1);
  assert_int_equal(world.open("a").size(), most + 1);
  world.check();
}

// The session went and another one has its slot: its runs are nobody's.
void the_slot_is_anothers(void**) {
  World world;
  world.signs("a", {0, kTimeout + 1});
  assert_int_equal(world.flush(), 2);
  // A run that Redis refused while it took the session.
  world.signs("a", {kTimeout + 1, 0});
  world.signs("a", {1000});
  world.signs("a", {kTimeout + 1});
  assert_int_equal(world.publish(), 2);
  const std::uint16_t failed[] = {0};
  std::uint32_t slot = world.entry().slot;
  assert_true(world.acknowledge(failed));
  world.now += 2 * kTimeout;
  Site memory;
  assert_true(add_site(world.table, "memory", kNone, true, 604800000, memory));
  for (int i = 0; world.table.in_use(slot) && std::string_view(world.table.name(slot).bytes, 1) == "a"; ++i) {
    mark(world.table, memory, "m" + std::to_string(i), LifeSign::ping, false, world.now);
  }
  assert_int_equal(world.flush(), 0);
  world.mark("b");
  for (std::uint32_t cursor = 0; cursor < world.table.end();) world.table.drop_orphans(1U << world.store, cursor, world.now, 60000);
  assert_int_equal(world.flush(), 1);
  world.check();
  assert_int_equal(world.table.header().past_begin, world.table.header().past_end);
}

void too_old_for_redis(void**) {
  World world;
  world.signs("a", {0, kTimeout + 1});
  world.signs("a", {604800001});
  assert_int_equal(world.flush(), 1);
  assert_true(world.open("a") == Pairs({{world.now, world.now}}));
}

// --- answers that are lost, entries that fail ------------------------------------------------------

// The batch is sent again as it was; what came meanwhile follows in the next one.
void a_lost_answer(void**) {
  World world;
  Millis from = world.signs("a", {0, 1000}, true);
  Millis to = world.now;
  Millis again = world.signs("a", {kTimeout + 1}, true);
  assert_int_equal(world.publish(), 2);
  world.apply();
  std::vector<BatchEntry> sent(world.table.store(world.store).entries, world.table.store(world.store).entries + 2);
  Millis third = world.signs("a", {kTimeout + 1}, true);
  assert_memory_equal(sent.data(), world.table.store(world.store).entries, 2 * sizeof(BatchEntry));
  world.apply();  // a second time: nothing that adds up twice but the beats, which Redis' number of batches keeps out
  world.in_redis("a").beats -= 3;
  assert_true(world.acknowledge());
  assert_int_equal(world.flush(), 2);  // also the run that was on its way when it ended: nobody knew that it arrives
  assert_true(world.open("a") == Pairs({{from, to}, {again, again}, {third, third}}));
  assert_true(world.active_runs("a") == Pairs({{from, to}, {again, again}, {third, third}}));
  assert_int_equal(world.in_redis("a").beats, 4);
  world.check();
}

void runs_that_are_refused(void**) {
  World world;
  Millis from = world.signs("a", {0, 1000});
  Millis again = world.signs("a", {kTimeout + 1});
  assert_int_equal(world.publish(), 2);
  const std::uint16_t failed[] = {0, 1};
  assert_true(world.acknowledge(failed));
  world.check();
  world.now += 999;  // not at once again, without end
  assert_int_equal(world.publish(), 1);
  assert_int_equal(world.entry().flags & BatchEntry::kPast, 0);
  const std::uint16_t first[] = {0};
  assert_true(world.acknowledge(first));
  world.now += 1;
  assert_int_equal(world.publish(), 2);
  world.apply();
  assert_true(world.acknowledge());
  assert_true(world.open("a") == Pairs({{from, from + 1000}, {again, again}}));
  assert_int_equal(world.flush(), 0);
  assert_int_equal(world.in_redis("a").beats, 3);
  world.check();
}

// Redis lost everything: the run that goes on is there again in full, with its activity, its user and its page.
void forget_stored(void**) {
  World world;
  Millis from = world.signs("a", {0});
  Millis active = world.signs("a", {1000}, true);
  world.now += 1000;
  world.mark("a", sign_of("", "/page"));
  world.flush();
  for (int i = 0; i < 10; ++i) {
    world.signs("a", {30000});
    world.flush();
  }
  world.ledger = {};
  world.table.forget_stored(world.store);
  while (world.table.mark_forgotten(world.store)) continue;
  assert_int_equal(world.flush(), 1);
  const BatchEntry& entry = world.ledger.entries[0];
  assert_int_equal(entry.flags, BatchEntry::kKeep | BatchEntry::kDetail);
  assert_true(world.open("a") == Pairs({{from, world.now}}));
  assert_true(world.active_runs("a") == Pairs({{active, active}}));
  assert_text_equal(world.in_redis("a").page, "/page");
  assert_int_equal(world.in_redis("a").beats, 0);
  world.check();
}

// --- all of it at random ---------------------------------------------------------------------------

struct Truth {
  std::vector<Millis> open, active;
  std::map<std::string, std::vector<Millis>> open_of, active_of;
  std::string user;
};

Runs as_runs(const std::vector<Millis>& points) {
  Runs runs;
  for (Millis point : points) runs.add(point, point);
  return runs;
}

// Signs of all kinds, batches, lost answers: what Redis has in the end is what the bare points in time give.
void at_random(void**) {
  std::uint64_t random = static_cast<std::uint64_t>(std::time(nullptr));
  print_message("    seed %lu\n", random);
  auto next = [&](std::uint64_t below) {
    random = random * 6364136223846793005 + 1442695040888963407;
    return (random >> 33) % below;
  };
  for (int round = 0; round < 60; ++round) {
    World world;
    std::map<std::string, Truth> truth;
    bool unanswered = false;
    std::set<std::string> told_since;  // sessions whose user changed since the last flush
    for (int step = 0; step < 400; ++step) {
      std::string id = "s" + std::to_string(next(5));
      world.now += static_cast<Millis>(next(3) == 0 ? next(200000) : next(20000));
      Truth& own = truth[id];
      Sign sign;
      std::string user;
      if (next(8) == 0 && told_since.insert(id).second) user = own.user = "u" + std::to_string(next(3));
      else if (next(2) == 0) user = own.user;
      sign.user = user;
      sign.active = next(3) == 0;
      world.mark(id, sign);
      own.open.push_back(world.now);
      own.open_of[own.user].push_back(world.now);
      if (sign.active) own.active.push_back(world.now);
      if (sign.active) own.active_of[own.user].push_back(world.now);
      if (unanswered && next(4) == 0) {  // sent again, and taken
        world.apply();
        world.acknowledge();
        unanswered = false;
      }
      if (!unanswered && next(10) == 0) {
        if (next(3) == 0) {
          unanswered = world.publish() != 0;
        } else {
          world.flush();
          told_since.clear();
        }
      }
      if (step % 50 == 0) world.check();
    }
    if (unanswered) {
      world.apply();
      world.acknowledge();
    }
    world.flush();
    assert_int_equal(world.table.header().lost_runs.load(), 0);
    for (const auto& [id, own] : truth) {
      auto& session = world.in_redis(id);
      assert_true(session.open.merged(kTimeout) == as_runs(own.open).merged(kTimeout));
      assert_true(session.active.length(kGap) == as_runs(own.active).length(kGap));
      assert_int_equal(session.beats, own.open.size());
      assert_text_equal(session.user, own.user);
      for (const auto& [user, points] : own.open_of) {
        assert_true(session.open_of[user].merged(kTimeout) == as_runs(points).merged(kTimeout));
      }
      for (const auto& [user, points] : own.active_of) {
        assert_int_equal(session.active_of[user].length(kGap), as_runs(points).length(kGap));
      }
    }
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_lone_sign), cmocka_unit_test(a_run_goes_on), cmocka_unit_test(silence_begins_another),
      cmocka_unit_test(silence_by_place), cmocka_unit_test(cut_after_24_days), cmocka_unit_test(a_start_across_the_wrap),
      cmocka_unit_test(activity_goes_on_and_pauses), cmocka_unit_test(activity_ends_with_the_run), cmocka_unit_test(another_user),
      cmocka_unit_test(another_user_after_silence), cmocka_unit_test(a_new_user_after_silence), cmocka_unit_test(runs_of_an_outage),
      cmocka_unit_test(more_runs_than_a_batch), cmocka_unit_test(too_many_runs), cmocka_unit_test(runs_of_an_orphan),
      cmocka_unit_test(the_slot_is_anothers), cmocka_unit_test(too_old_for_redis), cmocka_unit_test(a_lost_answer),
      cmocka_unit_test(runs_that_are_refused), cmocka_unit_test(forget_stored), cmocka_unit_test(at_random)};
  return cmocka_run_group_tests_name("runs", tests, nullptr, nullptr);
}
