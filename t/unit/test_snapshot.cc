// Lists in shared memory: what was written is read, whole or not at all, whoever writes and dies meanwhile.
#include "t/unit/support/test.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>

#include "shared/session/distinct.h"
#include "shared/session/layout.h"
#include "shared/session/newest.h"
#include "shared/session/snapshot.h"
#include "t/unit/support/zone.h"

namespace {
using namespace heartbeat;

constexpr Millis kNow = 1760000000000;

void fill(Snapshot& snapshot, std::uint16_t site, unsigned count, const std::string& word) {
  snapshot.head() = {};
  snapshot.head().site = site;
  snapshot.head().at = kNow;
  snapshot.head().online = count;
  for (unsigned i = 0; i < count; ++i) {
    std::string id = word + std::to_string(i);
    if (!snapshot.add({id, word, kNow - 5000, kNow - i, i % 2 == 0 ? 0 : kNow - 100})) break;
  }
}

std::vector<std::string> ids(const Snapshot& snapshot) {
  std::vector<std::string> found;
  OnlineSession session;
  for (std::size_t at = 0; snapshot.next(at, session);) found.emplace_back(session.id);
  return found;
}

struct World {
  explicit World(std::size_t size = std::size_t{64} << 10) : zone(size), area(zone.memory, size), snapshot(area.room()) {}
  Zone zone;
  SnapshotArea area;
  Snapshot snapshot;
};

void a_list(void**) {
  World world;
  assert_int_equal(world.area.number(7), 0);
  fill(world.snapshot, 7, 3, "a");
  assert_false(world.area.write(world.snapshot));
  assert_true(world.area.want(7, kNow));
  Snapshot read(world.area.room());
  assert_false(world.area.read(7, read));
  assert_true(world.area.write(world.snapshot));
  assert_int_equal(world.area.number(7), 1);
  assert_true(world.area.read(7, read));
  assert_true(ids(read) == (std::vector<std::string>{"a0", "a1", "a2"}));
  OnlineSession session;
  std::size_t at = 0;
  assert_true(read.next(at, session) && read.next(at, session));
  assert_text_equal(session.user, "a");
  assert_int_equal(session.since, kNow - 5000);
  assert_int_equal(session.last, kNow - 1);
  assert_int_equal(session.active, kNow - 100);
  at = 0;
  assert_true(read.next(at, session));
  assert_int_equal(session.active, 0);
  fill(world.snapshot, 7, 1, "b");
  assert_true(world.area.write(world.snapshot));
  assert_true(world.area.read(7, read));
  assert_int_equal(read.head().number, 2);
  assert_true(ids(read) == std::vector<std::string>{"b0"});
  assert_false(world.area.read(8, read));
}

void as_many_as_fit(void**) {
  for (std::size_t size : {std::size_t{30} << 10, std::size_t{64} << 10, std::size_t{1} << 20}) {
    World world(size);
    assert_true(world.area.capacity() >= 2);
    fill(world.snapshot, 1, 100000, "name");
    std::uint32_t listed = world.snapshot.head().listed;
    assert_true(size < (std::size_t{1} << 20) ? listed >= 100 : listed == kListed);
    assert_true(sizeof(SnapshotHead) + world.snapshot.head().bytes <= world.area.room());
    assert_true(world.area.want(1, kNow) && world.area.write(world.snapshot));
    Snapshot read(world.area.room());
    assert_true(world.area.read(1, read));
    assert_int_equal(ids(read).size(), listed);
  }
  World world;
  fill(world.snapshot, 1, 0, "");
  std::string long_name(300, 'x');
  assert_true(world.snapshot.add({long_name, long_name, 0, kNow + 5, INT64_MIN}));
  OnlineSession session;
  std::size_t at = 0;
  assert_true(world.snapshot.next(at, session));
  assert_int_equal(session.id.size(), 255);
  assert_int_equal(session.user.size(), 255);
  assert_int_equal(session.last, kNow);
}

void many_sites(void**) {
  World world;
  std::uint32_t capacity = world.area.capacity();
  for (std::uint16_t site = 0; site < capacity; ++site) assert_true(world.area.want(site, kNow));
  assert_false(world.area.want(100, kNow));
  assert_true(world.area.want(0, kNow));
  fill(world.snapshot, 1, 1, "old");
  assert_true(world.area.write(world.snapshot));
  world.area.want(0, kNow + 30000);
  assert_true(world.area.want(100, kNow + SnapshotArea::kForgotten));  // in the place of 1, that nobody asked for
  Snapshot read(world.area.room());
  assert_false(world.area.read(1, read));
  assert_false(world.area.read(100, read));
  assert_false(world.area.write(world.snapshot));
  fill(world.snapshot, 100, 1, "new");
  assert_true(world.area.write(world.snapshot) && world.area.read(100, read));
  assert_true(world.area.want(0, kNow + SnapshotArea::kForgotten));
  SnapshotArea none;
  assert_false(none.want(1, kNow));
  assert_int_equal(none.number(1), 0);
  assert_false(SnapshotArea(world.zone.memory, 1000).want(1, kNow));
}

void answers(void**) {
  World world;
  world.area.want(3, kNow);
  assert_int_equal(world.area.site(0), 3);
  assert_int_equal(world.area.site(1), kNone);
  assert_int_equal(world.area.answered(0), 0);
  world.area.set_answered(3, 1000, kNow - 1000);
  world.area.set_answered(4, 2000, 1);
  assert_int_equal(world.area.answered(0), 1000);
  assert_int_equal(world.area.ahead(0), kNow - 1000);
}

// Whatever bytes a writer leaves behind that died or was late: nothing is shown, or what was whole.
void broken_memory(void**) {
  World world;
  world.area.want(1, kNow);
  Snapshot read(world.area.room());
  std::srand(1);
  for (int round = 0; round < 2000; ++round) {
    fill(world.snapshot, 1, 20, "s");
    assert_true(world.area.write(world.snapshot));
    std::size_t half = 64 + (world.snapshot.head().number & 1) * world.area.room();
    char* byte = world.zone.bytes() + half + std::rand() % (sizeof(SnapshotHead) + world.snapshot.head().bytes);
    *byte = static_cast<char>(*byte ^ (1 << std::rand() % 8));
    assert_false(world.area.read(1, read));
  }
}

// A list of `count` sessions that all have one name: a mixture would show.
struct Shared {
  SnapshotArea area;
  std::atomic<bool> stop{false};
  std::atomic<unsigned> reads{0}, torn{0}, missed{0};
};

void* write_lists(void* argument) {
  auto& shared = *static_cast<Shared*>(argument);
  Snapshot snapshot(shared.area.room());
  for (unsigned i = 1; !shared.stop.load(); ++i) {
    unsigned count = i * 7919 % 200 + 1;
    fill(snapshot, 1, count, "n" + std::to_string(count) + "-");
    shared.area.write(snapshot);
    if (i % 16 == 0) usleep(1);
  }
  return nullptr;
}

void* read_lists(void* argument) {
  auto& shared = *static_cast<Shared*>(argument);
  Snapshot snapshot(shared.area.room());
  std::uint64_t last = 0;
  while (!shared.stop.load()) {
    if (!shared.area.read(1, snapshot)) {
      ++shared.missed;
      continue;
    }
    std::vector<std::string> found = ids(snapshot);
    std::string word = "n" + std::to_string(snapshot.head().online) + "-";
    bool good = found.size() == snapshot.head().listed && found.size() == snapshot.head().online && snapshot.head().number >= last;
    for (std::size_t i = 0; i < found.size(); ++i) good = good && found[i] == word + std::to_string(i);
    last = snapshot.head().number;
    if (!good) ++shared.torn;
    ++shared.reads;
  }
  return nullptr;
}

void run_threads(unsigned writers) {
  World world(std::size_t{256} << 10);
  Shared shared{world.area};
  shared.area.want(1, kNow);
  fill(world.snapshot, 1, 1, "n1-");
  shared.area.write(world.snapshot);
  std::vector<pthread_t> threads(writers + 3);
  for (std::size_t i = 0; i < threads.size(); ++i) pthread_create(&threads[i], nullptr, i < writers ? write_lists : read_lists, &shared);
  usleep(300000);
  shared.stop.store(true);
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  assert_int_equal(shared.torn.load(), 0);
  assert_true(shared.reads.load() > 100);
}

void one_writes_and_many_read(void**) { run_threads(1); }
void two_who_believe_they_are_the_writer(void**) { run_threads(2); }

void a_writer_dies(void**) {
  World world(std::size_t{256} << 10);
  world.area.want(1, kNow);
  fill(world.snapshot, 1, 1, "n1-");
  world.area.write(world.snapshot);
  for (int round = 0; round < 30; ++round) {
    pid_t child = fork();
    if (child == 0) {
      Shared shared{world.area};
      write_lists(&shared);
    }
    usleep(static_cast<useconds_t>(500 + round * 137));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    Snapshot read(world.area.room());
    assert_true(world.area.read(1, read));
    assert_int_equal(ids(read).size(), read.head().online);
    fill(world.snapshot, 1, 5, "after");
    assert_true(world.area.write(world.snapshot) && world.area.read(1, read));
    assert_text_equal(ids(read)[4], "after4");
  }
}

void counts_of_seconds(void**) {
  SnapshotHead head{};
  for (Millis age : {-5, 0, 1, 999, 1000, 1001, 59000, 59001, 60000, 60001, 100000}) count_within(head, age);
  assert_int_equal(head.within[0], 5);
  assert_int_equal(head.within[1], 6);
  assert_int_equal(head.within[58], 7);
  assert_int_equal(head.within[59], 9);
}

void the_newest(void**) {
  struct Item {
    Millis last;
  };
  static Newest<Item> newest;
  for (int round = 0; round < 2; ++round) {
    newest.clear();
    for (unsigned i = 0; i < 5000; ++i) newest.add({static_cast<Millis>(i * 7919 % 5000)});
    std::span<const Item> sorted = newest.sorted();
    assert_int_equal(sorted.size(), kListed);
    for (unsigned i = 0; i < kListed; ++i) assert_int_equal(sorted[i].last, 4999 - i);
  }
}

std::uint64_t mixed(std::uint64_t n) {
  n = (n ^ n >> 30) * 0xbf58476d1ce4e5b9;
  n = (n ^ n >> 27) * 0x94d049bb133111eb;
  return n ^ n >> 31;
}

void different_names(void**) {
  for (std::uint64_t names : {0, 1, 100, 3072, 5000, 100000, 2000000}) {
    auto distinct = std::make_unique<Distinct>();
    for (int round = 0; round < 2; ++round) {
      for (std::uint64_t i = 1; i <= names; ++i) distinct->add(mixed(i));
    }
    double error = names == 0 ? 0 : static_cast<double>(distinct->count()) / static_cast<double>(names) - 1;
    if (names <= 3072) assert_int_equal(distinct->count(), names);
    else if (error > 0.08 || error < -0.08) fail_msg("%f of %lu", error, static_cast<unsigned long>(names));
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(a_list), cmocka_unit_test(as_many_as_fit), cmocka_unit_test(many_sites), cmocka_unit_test(answers),
                              cmocka_unit_test(broken_memory), cmocka_unit_test(one_writes_and_many_read), cmocka_unit_test(two_who_believe_they_are_the_writer),
                              cmocka_unit_test(a_writer_dies), cmocka_unit_test(counts_of_seconds), cmocka_unit_test(the_newest), cmocka_unit_test(different_names)};
  return cmocka_run_group_tests_name("snapshot", tests, nullptr, nullptr);
}
