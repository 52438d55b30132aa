// The session table under many threads and processes at once, some of them killed at any moment. Redis is the parent
// process at the other end of a socket: it applies each numbered batch once, and outlives everybody.
#include "t/unit/support/test.h"

#include <poll.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "t/unit/support/marks.h"
#include "t/unit/support/zone.h"

namespace {
using namespace heartbeat;

constexpr Millis kWeek = 604800000;
constexpr Millis kLease = 30;
constexpr int kMarkers = 4;

Millis now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return Millis{time.tv_sec} * 1000 + time.tv_nsec / 1000000 + 1;
}

// Written before and after each mark, in shared memory: what a killed process did is known to within one beat.
struct Tally {
  std::atomic<std::uint64_t> begun, done, refused;
};

struct Sent {
  std::uint64_t number, beats, checksum;
};

struct Shared {
  std::atomic<bool> stop;
  std::atomic<std::uint64_t> told, torn;  // users and pages that were sent, and such that nobody has said
  Tally tallies[1000];
};

// What the markers say: nothing but pings, or users and pages as well, at two places where silence is short.
enum class Say { little, much };

struct World {
  World(std::size_t size, std::uint32_t ids, Say say) : zone(size), side(sizeof(Shared)), ids(ids), say(say) {
    shared = static_cast<Shared*>(side.memory);
    assert_true(table.create(zone.memory, size));
    store = table.add_store("redis");
    assert_true(add_site(table, "site", store, false, kWeek, site));
    for (Place& place : places) {
      if (say == Say::much) {
        place.timeout = &place == places ? 3 : 8;
        place.gap = 2;
      }
      assert_true(table.add_place(site, {}, place));
    }
  }
  Zone zone, side;
  Shared* shared;
  Table table;
  std::uint16_t store;
  Site site;
  Place places[2];
  std::uint32_t ids;  // so many different sessions
  Say say;
};

// A word of one byte that says how long it is: of two halves it is not one.
std::string_view word_of(std::uint64_t random, std::size_t most, char (&bytes)[128]) {
  std::size_t size = 1 + random % most;
  std::memset(bytes, 'A' + static_cast<int>(size % 26), size);
  return {bytes, size};
}
bool is_word(std::string_view word) {
  for (char c : word) {
    if (c != 'A' + static_cast<int>(word.size() % 26)) return false;
  }
  return true;
}

Sign random_sign(Say say, std::uint64_t random, char (&user)[128], char (&page)[128]) {
  Sign sign;
  sign.active = random >> 63 != 0;
  if (say == Say::little) return sign;
  sign.source = static_cast<LifeSign>((random >> 60) % 5);
  sign.leaving = (random >> 50) % 16 == 0;
  if ((random >> 54) % 2 == 0) sign.user = word_of(random >> 40, kUserBytes, user);
  if ((random >> 55) % 2 == 0) sign.page = word_of(random >> 32, kPageBytes, page);
  return sign;
}

void mark_until_stopped(World& world, Tally& tally, std::uint64_t seed) {
  Recent recent{};
  for (std::uint64_t random = seed * 0x9e3779b97f4a7c15 + 1; !world.shared->stop.load();) {
    random = random * 6364136223846793005 + 1442695040888963407;
    char id[32];
    int size = std::snprintf(id, sizeof id, "session-%u", static_cast<unsigned>((random >> 33) % world.ids));
    tally.begun.fetch_add(1);
    char user[128], page[128];
    Marked marked = world.table.mark(world.site, world.places[random >> 62 & 1], {id, static_cast<std::size_t>(size)},
                                     random_sign(world.say, random, user, page), now(), &recent);
    if (marked == Marked::refused) tally.refused.fetch_add(1);
    tally.done.fetch_add(1);
  }
}

Sent summary(World& world, const StoreRecord& record) {
  Sent sent{record.number, 0, record.count};
  for (std::uint32_t i = 0; i < record.count; ++i) {
    sent.beats += record.entries[i].delta;
    sent.checksum = sent.checksum * 31 + record.entries[i].slot * 7 + record.entries[i].delta;
    Table::Said said;
    world.table.said(record.entries[i], said);
    if (!said.user.empty() || !said.page.empty()) world.shared->told.fetch_add(1);
    if (!is_word(said.user) || !is_word(said.page)) world.shared->torn.fetch_add(1);
  }
  return sent;
}

// Sends batches to whoever is at the other end of `redis` until stopped, like StoreFlush does.
void flush_until_stopped(World& world, int redis, std::uint64_t owner) {
  Table& table = world.table;
  StoreRecord& record = table.store(world.store);
  for (Pass pass; !world.shared->stop.load();) {
    if (!table.take_lease(owner, now(), kLease)) {
      ::usleep(1000);
      continue;
    }
    if (pass.done()) pass.begin();
    if (record.count == 0 && table.publish(world.store, owner, pass, now()) == 0) continue;
    Sent sent = summary(world, record);
    for (int i = 0; world.say == Say::much && i < 20; ++i) summary(world, record);  // while others change what it says
    std::uint64_t applied = 0;
    if (::send(redis, &sent, sizeof sent, MSG_NOSIGNAL) != sizeof sent) return;
    if (::recv(redis, &applied, sizeof applied, 0) != sizeof applied) return;
    table.acknowledge(world.store, owner, sent.number, {});
    if (sent.number % 8 == 0) {  // the other one's turn
      table.drop_lease(owner);
      ::usleep(200);
    }
  }
}

struct Redis {
  std::uint64_t applied = 0, beats = 0, batches = 0, resent = 0, altered = 0;
  Sent last{};

  void apply(const Sent& sent) {
    if (sent.number > applied) {
      applied = sent.number;
      beats += sent.beats;
      last = sent;
      ++batches;
    } else {
      ++resent;
      altered += sent.number != last.number || sent.beats != last.beats || sent.checksum != last.checksum;
    }
  }
  // Answers what has arrived at any of the sockets, for `time`.
  void serve(const std::vector<int>& sockets, Millis time) {
    std::vector<pollfd> fds;
    for (int fd : sockets) fds.push_back({fd, POLLIN, 0});
    for (Millis end = now() + time; now() < end;) {
      if (::poll(fds.data(), fds.size(), 1) <= 0) continue;
      for (const pollfd& ready : fds) {
        Sent sent{};
        if (ready.revents == 0 || ::recv(ready.fd, &sent, sizeof sent, MSG_DONTWAIT) != sizeof sent) continue;
        apply(sent);
        ::send(ready.fd, &applied, sizeof applied, MSG_DONTWAIT | MSG_NOSIGNAL);
      }
    }
  }
};

struct ThreadWork {
  World* world;
  Tally* tally;
  std::uint64_t seed;
  int redis;
};

void* marker(void* work) {
  auto* own = static_cast<ThreadWork*>(work);
  mark_until_stopped(*own->world, *own->tally, own->seed);
  return nullptr;
}
void* flusher(void* work) {
  auto* own = static_cast<ThreadWork*>(work);
  flush_until_stopped(*own->world, own->redis, own->seed);
  return nullptr;
}

// A process with a few markers and a flusher, that goes on until it is stopped or killed.
pid_t start_process(World& world, Tally* tallies, std::uint64_t seed, int redis) {
  pid_t child = ::fork();
  if (child != 0) return child;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  pthread_t threads[kMarkers + 1];
  ThreadWork works[kMarkers + 1];
  for (int i = 0; i <= kMarkers; ++i) {
    works[i] = {&world, tallies + i, seed * 100 + static_cast<std::uint64_t>(i) + 1, redis};
    pthread_create(&threads[i], nullptr, i < kMarkers ? marker : flusher, &works[i]);
  }
  for (pthread_t thread : threads) pthread_join(thread, nullptr);
  ::_exit(0);
}

// Whatever is left is sent by the parent itself.
void flush_rest(World& world, Redis& redis) {
  assert_true(world.table.take_lease(999999, now() + 1000000, 1000000000));
  StoreRecord& record = world.table.store(world.store);
  for (Pass pass; record.count != 0 || !pass.done();) {
    if (record.count == 0 && world.table.publish(world.store, 999999, pass, now()) == 0) continue;
    redis.apply(summary(world, record));
    assert_true(world.table.acknowledge(world.store, 999999, record.number, {}));
  }
  assert_false(world.table.anything_to_flush(UINT32_MAX));
}

struct Totals {
  std::uint64_t begun = 0, done = 0, refused = 0;
};
Totals totals(const World& world) {
  Totals sum;
  for (const Tally& tally : world.shared->tallies) {
    sum.begun += tally.begun.load();
    sum.done += tally.done.load();
    sum.refused += tally.refused.load();
  }
  return sum;
}

// Two processes, one of them killed again and again and started anew.
void hammer(std::size_t size, std::uint32_t ids, int kills, Millis each, bool evicting, Say say = Say::little) {
  World world(size, ids, say);
  Redis redis;
  int ends[2][2];
  for (auto& pair : ends) assert_int_equal(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
  std::vector<int> sockets = {ends[0][0], ends[1][0]};
  Tally* tallies = world.shared->tallies;
  pid_t steady = start_process(world, tallies, 1, ends[0][1]);
  std::uint64_t random = static_cast<std::uint64_t>(now());
  for (int kill = 0; kill < kills; ++kill) {
    tallies += kMarkers + 1;
    pid_t victim = start_process(world, tallies, static_cast<std::uint64_t>(kill) + 2, ends[1][1]);
    random = random * 6364136223846793005 + 1442695040888963407;
    redis.serve(sockets, 1 + static_cast<Millis>(random >> 33) % each);
    ::kill(victim, SIGKILL);
    ::waitpid(victim, nullptr, 0);
    // What it had sent may still come; what was meant for it must not reach the next one.
    redis.serve(sockets, 1);
    for (auto& fd : {ends[1][1]}) {
      std::uint64_t stale = 0;
      while (::recv(fd, &stale, sizeof stale, MSG_DONTWAIT) > 0) continue;
    }
  }
  redis.serve(sockets, 50);
  world.shared->stop.store(true);
  bool ended = false;
  for (Millis end = now() + 5000; !ended && now() < end; ended = ::waitpid(steady, nullptr, WNOHANG) == steady) {
    redis.serve(sockets, 5);
  }
  if (!ended) ::kill(steady, SIGKILL);
  assert_true(ended);  // nobody waits for the lock for ever
  assert_text_equal(faults(world.table), "");
  flush_rest(world, redis);
  assert_text_equal(faults(world.table), "");

  Totals sum = totals(world);
  std::uint64_t in_table = 0;
  for (std::uint32_t i = 0; i < world.table.capacity(); ++i) in_table += world.table.slot(i).beats.load();
  print_message("    %lu marks, %lu refused, %lu evicted; %lu beats in %lu batches, %lu sent again\n",
                static_cast<unsigned long>(sum.done), static_cast<unsigned long>(sum.refused),
                static_cast<unsigned long>(world.table.header().evicted.load()), static_cast<unsigned long>(redis.beats),
                static_cast<unsigned long>(redis.batches), static_cast<unsigned long>(redis.resent));
  if (say == Say::much) {
    Header& header = world.table.header();
    std::uint64_t waiting = 0;
    for (std::uint64_t i = 0; i < header.max_past; ++i) waiting += part_of<PastRun>(world.table, kPast)[i].state != PastRun::kFree;
    print_message("    %lu names and pages, %lu runs, %lu without room, %lu sessions unnamed\n",
                  static_cast<unsigned long>(world.shared->told.load()), static_cast<unsigned long>(header.past_end),
                  static_cast<unsigned long>(header.lost_runs.load()), static_cast<unsigned long>(header.unnamed.load()));
    assert_true(world.shared->told.load() > 100);
    assert_int_equal(world.shared->torn.load(), 0);
    assert_true(header.past_end > 100);
    if (!evicting) assert_int_equal(waiting, 0);
  }
  assert_true(sum.done > 10000);
  assert_true(redis.batches > 10);
  assert_int_equal(redis.altered, 0);
  if (!evicting) assert_int_equal(redis.beats, in_table);
  assert_true(redis.beats + sum.refused >= sum.done);
  assert_true(redis.beats + sum.refused <= sum.begun);
  for (auto& pair : ends) {
    ::close(pair[0]);
    ::close(pair[1]);
  }
}

void nobody_dies(void**) { hammer(std::size_t{1} << 20, 2000, 1, 1000, false); }
void killed_again_and_again(void**) { hammer(std::size_t{1} << 20, 2000, 120, 15, false); }
// Far more sessions than places: each mark inserts or evicts, so most kills hit the holder of the lock.
void killed_while_the_lock_is_held(void**) { hammer(std::size_t{1} << 20, 1000000, 120, 15, true); }
void killed_while_they_say_much(void**) { hammer(std::size_t{1} << 20, 2000, 120, 15, false, Say::much); }
void killed_while_they_say_much_and_go(void**) { hammer(std::size_t{1} << 20, 100000, 120, 15, true, Say::much); }

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(nobody_dies), cmocka_unit_test(killed_again_and_again),
                              cmocka_unit_test(killed_while_the_lock_is_held), cmocka_unit_test(killed_while_they_say_much),
                              cmocka_unit_test(killed_while_they_say_much_and_go)};
  return cmocka_run_group_tests_name("table, shared", tests, nullptr, nullptr);
}
