// Who has to go when the table is full: whoever is offline, then newcomers, then those who have been silent for a while.
// Somebody who is here stays.
#include "t/unit/support/test.h"

#include "t/unit/support/ledger.h"

namespace {
using namespace heartbeat;

struct World : LedgerWorld {
  using LedgerWorld::LedgerWorld;
  bool here(std::string_view id) { return slot_of(id) != UINT32_MAX; }
  // Sessions that are known by name, by looking at each slot once.
  std::uint32_t count(std::string_view word) {
    std::uint32_t found = 0;
    for (std::uint32_t i = 0; i < table.slots(); ++i) {
      found += table.in_use(i) && std::string_view(table.name(i).bytes, table.name(i).size).starts_with(word);
    }
    return found;
  }
  void check() { assert_text_equal(faults(table), ""); }
};

std::string numbered(std::string_view word, std::uint64_t number) { return std::string(word) + std::to_string(number); }

struct Flood {
  bool durable;
  std::uint64_t ids;     // invented ones
  std::uint32_t each;    // ids a millisecond
  std::uint32_t twice;   // one in so many comes again after a while; 0: none
};

// Real sessions that beat every 30 seconds, while ids are invented without end. After each second there is a flush, as
// there would be.
void flood(const Flood& flood) {
  World world;
  if (!flood.durable) {
    assert_true(add_site(world.table, "memory", kNone, true, 604800000, world.site));
    assert_true(world.table.add_place(world.site, {}, world.place));
  }
  const std::uint64_t real = world.table.capacity() / 2;
  std::uint64_t lost = 0;
  std::uint64_t beaten = 0;
  const Millis begin = world.now;
  // Everybody's beat is due at another moment of the 30 seconds.
  auto real_ones = [&] {
    std::uint64_t due = static_cast<std::uint64_t>(world.now - begin) * real / 30000;
    for (; beaten < due; ++beaten) lost += world.mark(numbered("real", beaten % real)) != (beaten < real ? Marked::inserted : Marked::known);
    if ((world.now - begin) % 1000 == 0 && flood.durable) world.flush();
  };
  for (; world.now < begin + 60000; ++world.now) real_ones();
  for (std::uint64_t id = 0; id < flood.ids; ++id) {
    world.mark(numbered("invented", id));
    if (flood.twice != 0 && id % flood.twice == 0 && id >= 1000) world.mark(numbered("invented", id - 1000));
    if (id % flood.each != 0) continue;
    ++world.now;
    real_ones();
  }
  assert_int_equal(lost, 0);
  assert_int_equal(world.count("real"), real);
  if (world.table.header().evicted.load() == 0) assert_true(world.table.header().refused.load() > 0);
  world.check();
  print_message("    %lu invented, %lu evicted, %lu refused\n", flood.ids, world.table.header().evicted.load(),
                world.table.header().refused.load());
}

void invented_ids(void**) { flood({true, 1000000, 10, 0}); }
void invented_ids_in_memory(void**) { flood({false, 1000000, 10, 0}); }
void invented_ids_that_come_again(void**) { flood({true, 300000, 5, 3}); }
void invented_ids_slowly(void**) { flood({true, 100000, 1, 10}); }

// Sessions that began and were last seen so long ago.
struct Crowd {
  Millis began, seen;  // ms
};

// Fills three quarters of a table with the given kinds by turns. How many of each are left after so many newcomers.
std::vector<std::uint32_t> left_of(std::vector<Crowd> kinds, std::uint64_t newcomers) {
  World world;
  const Millis now = world.now + 1000000;
  std::uint64_t capacity = world.table.capacity();
  std::vector<Millis> moments;
  for (const Crowd& kind : kinds) {
    for (Millis at : {kind.began, kind.seen}) moments.push_back(at);
  }
  std::sort(moments.rbegin(), moments.rend());
  moments.erase(std::unique(moments.begin(), moments.end()), moments.end());
  for (Millis moment : moments) {
    world.now = now - moment;
    for (std::size_t kind = 0; kind < kinds.size(); ++kind) {
      if (kinds[kind].began < moment || kinds[kind].seen > moment) continue;
      // A sign at the beginning, at the end, and at everybody else's moments in between, so that the run goes on.
      for (std::uint64_t i = kind; i < capacity * 3 / 4; i += kinds.size()) world.mark(numbered("kind", kind) + numbered("-", i));
    }
  }
  world.now = now;
  world.flush();
  for (std::uint64_t i = 0; i < newcomers; ++i) {
    world.mark(numbered("new", i));
    if (i % 100 == 0) world.flush();
    if (i % 100 == 0) ++world.now;
  }
  world.check();
  std::vector<std::uint32_t> left;
  for (std::size_t kind = 0; kind < kinds.size(); ++kind) left.push_back(world.count(numbered("kind", kind) + "-"));
  return left;
}

void the_order(void**) {
  constexpr std::uint32_t kSeconds = 1000;
  World world;
  std::uint32_t all = static_cast<std::uint32_t>(world.table.capacity() * 3 / 4);
  // Offline (91 s of silence), newcomers (a run of 5 s), silent for 46 s, and present.
  std::vector<Crowd> kinds = {{151 * kSeconds, 91 * kSeconds}, {5 * kSeconds, 0}, {106 * kSeconds, 46 * kSeconds}, {60 * kSeconds, 0}};
  // As many newcomers as find room, and half as many again: those offline go.
  auto left = left_of(kinds, all / 2);
  assert_true(left[0] < all / 4 * 2 / 3);
  assert_true(left[1] > all / 4 * 9 / 10);
  assert_int_equal(left[2], all / 4);
  assert_int_equal(left[3], all / 4);
  // Ten tables of them: also those who came just now; who has been here for a while is still there, silent or not.
  left = left_of(kinds, 10 * all);
  assert_int_equal(left[0], 0);
  assert_true(left[1] < all / 4 / 10);
  assert_int_equal(left[2], all / 4);
  assert_int_equal(left[3], all / 4);
  // Where nobody is offline and nobody is new, the silent ones go; who is present stays.
  left = left_of({{106 * kSeconds, 46 * kSeconds}, {60 * kSeconds, 0}}, 0);
  assert_int_equal(left[0] + left[1], all);
}

// A table full of those who are present refuses; one of them falls silent, and there is room.
void full_of_presence(void**) {
  World world;
  std::uint64_t capacity = world.table.capacity();
  std::vector<std::string> present;
  for (int round = 0; round < 2; ++round, world.now += 30000) {
    for (std::uint64_t i = 0; i < 3 * capacity; ++i) world.mark(numbered("s", i));
  }
  for (std::uint64_t i = 0; i < 3 * capacity; ++i) {
    if (world.mark(numbered("s", i)) == Marked::known) present.push_back(numbered("s", i));
  }
  world.flush();
  assert_true(present.size() > capacity * 9 / 10);
  std::uint64_t refused = world.table.header().refused.load();
  for (int i = 0; i < 1000; ++i) world.mark(numbered("new", static_cast<std::uint64_t>(i)));
  assert_true(world.table.header().refused.load() > refused + 500);
  for (const std::string& id : present) assert_true(world.mark(id) == Marked::known);
  world.flush();
  world.now += 45001;
  assert_true(world.mark("late") == Marked::inserted);
  world.check();
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(invented_ids), cmocka_unit_test(invented_ids_in_memory),
                              cmocka_unit_test(invented_ids_that_come_again), cmocka_unit_test(invented_ids_slowly),
                              cmocka_unit_test(the_order), cmocka_unit_test(full_of_presence)};
  return cmocka_run_group_tests_name("eviction", tests, nullptr, nullptr);
}
