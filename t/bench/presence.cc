// How many beats a second one Redis can take: simulated hosts, each with a table and a flusher of its own, mark sessions
// that are online, and Redis' own account says what it spent. Usage: presence PORT HOSTS SESSIONS BEATS SECONDS USERS SHARDS
// (sessions and beats per second of all hosts together; USERS 1: every session has a user).
#include <sys/mman.h>

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
  static constexpr std::size_t kZone = std::size_t{256} << 20;

  Host(const RedisUrl& url, std::uint16_t shards) {
    void* memory = ::mmap(nullptr, kZone, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || !table.create(memory, kZone)) std::abort();
    settings.redis.value = &url;
    settings.prefix.value = "hb";
    settings.ids.value = Ids::hash;
    settings.retention.value = 7LL * 24 * 3600 * 1000;
    settings.grace.value = 5000;
    settings.timeout.value = 90000;
    settings.interval.value = 30000;
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

std::uint64_t behind(Host& host) {
  const Header& header = host.table.header();
  return header.passes_begun.load() - header.passes_done.load();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 8) return 2;
  const std::uint64_t hosts = std::strtoull(argv[2], nullptr, 10), sessions = std::strtoull(argv[3], nullptr, 10);
  const std::uint64_t beats = std::strtoull(argv[4], nullptr, 10), seconds = std::strtoull(argv[5], nullptr, 10);
  const bool users = argv[6][0] == '1';
  BenchArena arena;
  Error error;
  const RedisUrl* url = parse_redis_url(std::string("redis://127.0.0.1:") + argv[1], arena, error);
  std::vector<std::unique_ptr<Host>> all;
  for (std::uint64_t i = 0; i < hosts; ++i) {
    all.push_back(std::make_unique<Host>(*url, static_cast<std::uint16_t>(std::atoi(argv[7]))));
  }
  // All of them come first, at the same pace; then the measured time. Each session belongs to one host.
  const std::uint64_t arrival = sessions / beats + 5;
  const Millis begin = all[0]->reactor.now();
  std::uint64_t sent = 0, worst = 0, settled = 0;
  for (;;) {
    Millis elapsed = all[0]->reactor.now() - begin;
    auto phase = static_cast<std::uint64_t>(elapsed) / 1000;
    if (phase >= arrival + seconds) break;
    std::uint64_t wanted = static_cast<std::uint64_t>(elapsed) * beats / 1000;
    for (; sent < wanted; ++sent) {
      std::uint64_t session = sent % sessions;
      beat(*all[session % hosts], session, users);
    }
    for (auto& host : all) {
      host->reactor.turn(0);
      if (phase >= arrival && behind(*host) > worst) worst = behind(*host);
    }
    if (phase == arrival && settled == 0) std::printf("measure\n"), std::fflush(stdout), settled = sent;
  }
  std::printf("beats %" PRIu64 " passes_behind %" PRIu64 "\n", sent - settled, worst);
  for (auto& host : all) host->flusher->stop();
}
