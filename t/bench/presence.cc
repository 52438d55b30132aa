// How many beats a second one Redis can take: simulated hosts, each with a table and a flusher of its own, mark sessions
// that are online, and Redis' own account says what it spent. Usage: presence PORT HOSTS SESSIONS BEATS SECONDS USERS SHARDS
// (sessions and beats per second of all hosts together; USERS 1: every session has a user).
// Prints "here" when all sessions are online, "measure" when the measured time begins, and at its end the beats that were
// offered, the entries that were sent to Redis, and how many passes that host has done that has done the fewest.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "shared/port/poll_reactor.h"
#include "shared/redis/flusher.h"

using namespace heartbeat;

namespace {

class BenchLog final : public Log {
 public:
  void write(Level level, std::string_view message) override {
    if (level <= Level::warn) std::fprintf(stderr, "%.*s\n", HEARTBEAT_VIEW(message));
  }
};

class BenchArena final : public Arena {
 public:
  void* allocate(std::size_t size, std::size_t alignment) override {
    return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  }
};

// One host.
struct Host {
  static constexpr std::size_t kZone = std::size_t{768} << 20;  // has room for the users of a quarter of a million sessions

  Host(const RedisUrl& url, std::uint16_t shards) {
    void* memory = ::mmap(nullptr, kZone, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || !table.create(memory, kZone)) std::abort();
    settings.redis.value = &url;
    settings.prefix.value = "hb";
    settings.ids.value = Ids::hash;
    settings.retention.value = 7LL * 24 * 3600 * 1000;
    settings.grace.value = 5000;
    settings.timeout.value = 300000;  // all have come before the first would be looked at again
    settings.interval.value = 120000;  // nobody's activity breaks off before they have
    settings.shards.value = shards;
    Error error;
    const Store* store = stores.add(settings, arena, error);
    if (error || !stores.bind(table, error) || !bind_site(table, settings, store, "site", site, error) ||
        !bind_place(table, settings, site, place)) {
      std::fprintf(stderr, "%s\n", error.text());
      std::exit(1);
    }
    flusher = std::make_unique<Flusher>(reactor, log, table, stores, 1000);
    flusher->start();
  }

  PollReactor reactor;
  BenchLog log;
  BenchArena arena;
  Table table;
  Settings settings;
  Stores stores;
  Site site;
  Place place;
  std::unique_ptr<Flusher> flusher;
  std::uint64_t number = 0;  // of the last batch that was counted
};

void beat(Host& host, std::uint64_t session, bool users) {
  char id[40];
  char name[40];
  Sign sign;
  sign.source = LifeSign::beat;
  sign.active = sign.extends = true;
  int size = std::snprintf(id, sizeof id, "session-%016" PRIx64, session * 0x9e3779b97f4a7c15);
  if (users) sign.user = {name, static_cast<std::size_t>(std::snprintf(name, sizeof name, "user%" PRIu64, session))};
  host.table.mark(host.site, host.place, {id, static_cast<std::size_t>(size)}, sign, host.reactor.now());
}

std::uint64_t passes(Host& host) { return host.table.header().passes_done.load(); }

// Entries of the batches that were made since the last call; never more than one in a turn, for one is on its way.
std::uint64_t new_entries(Host& host) {
  const StoreRecord& record = host.table.store(0);
  if (record.number == host.number) return 0;
  host.number = record.number;
  return record.count;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 8) return 2;
  const std::uint64_t hosts = std::strtoull(argv[2], nullptr, 10), sessions = std::strtoull(argv[3], nullptr, 10);
  const std::uint64_t beats = std::strtoull(argv[4], nullptr, 10), seconds = std::strtoull(argv[5], nullptr, 10);
  const bool users = argv[6][0] == '1';
  const auto around = static_cast<Millis>(sessions * 1000 / beats);  // between two beats of a session
  BenchArena arena;
  Error error;
  const RedisUrl* url = parse_redis_url(std::string("redis://127.0.0.1:") + argv[1], arena, error);
  std::vector<std::unique_ptr<Host>> all;
  for (std::uint64_t i = 0; i < hosts; ++i) {
    all.push_back(std::make_unique<Host>(*url, static_cast<std::uint16_t>(std::atoi(argv[7]))));
  }
  std::uint64_t entries = 0;
  // A host that waited in vain would take from Redis what a core shares with its neighbour.
  auto turn = [&](bool busy) {
    const std::uint64_t known = entries;
    for (auto& host : all) {
      host->reactor.turn(0);
      entries += new_entries(*host);
    }
    if (!busy && entries == known) ::usleep(200);
  };
  // Beats at the pace of `rate` until `done` says so; each session belongs to one host.
  std::uint64_t next = 0;
  auto offer = [&](std::uint64_t rate, auto done) {
    const Millis begin = all[0]->reactor.now();
    std::uint64_t sent = 0;
    for (;;) {
      const Millis elapsed = all[0]->reactor.now() - begin;
      if (done(sent, elapsed)) return sent;
      // In slices, or a host that is late would be kept from its Redis by what it has to catch up with.
      std::uint64_t due = static_cast<std::uint64_t>(elapsed) * rate / 1000;
      for (int slice = 0; slice < 200 && sent < due; ++slice, ++sent, ++next) {
        beat(*all[next % sessions % hosts], next % sessions, users);
      }
      turn(sent < due);
    }
  };
  // All of them come, and all that is known is in Redis.
  offer(40000, [&](std::uint64_t sent, Millis) { return sent >= sessions; });
  for (auto& host : all) {
    while (host->table.anything_to_flush(1)) turn(false);
  }
  std::puts("here");
  std::fflush(stdout);
  // Once around, so that all is as it stays; then the measured time.
  offer(beats, [&](std::uint64_t, Millis elapsed) { return elapsed >= around + 2000; });
  std::puts("measure");
  std::fflush(stdout);
  std::vector<std::uint64_t> before;
  for (auto& host : all) before.push_back(passes(*host));
  entries = 0;
  const std::uint64_t sent =
      offer(beats, [&](std::uint64_t, Millis elapsed) { return elapsed >= static_cast<Millis>(seconds) * 1000; });
  std::uint64_t fewest = UINT64_MAX;
  for (std::size_t i = 0; i < all.size(); ++i) fewest = std::min(fewest, passes(*all[i]) - before[i]);
  std::printf("beats %" PRIu64 " entries %" PRIu64 " passes %" PRIu64 "\n", sent, entries, fewest);
  std::fflush(stdout);
  for (auto& host : all) host->flusher->stop();
}
