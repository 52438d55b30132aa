// From the table to Redis, against a scripted Redis at the other end of a socket; only the clock is false.
#include "t/unit/support/test.h"

#include <pthread.h>

#include "shared/port/poll_reactor.h"
#include "shared/redis/flusher.h"
#include "t/unit/support/fake_log.h"
#include "t/unit/support/fake_reactor.h"
#include "t/unit/support/fake_redis.h"
#include "t/unit/support/fake_settings.h"
#include "t/unit/support/marks.h"
#include "t/unit/support/zone.h"

namespace {
using namespace heartbeat;

constexpr Millis kRedisAhead = 1700000000000;  // of the host's clock

struct World {
  explicit World(std::size_t size = std::size_t{1} << 20) : zone(size) {
    assert_true(table.create(zone.memory, size));
    FakeContext context(arena);
    set_defaults(context, settings);
    assert_text_equal(apply(context, settings, "heartbeat_redis", {"redis://:s3cret@127.0.0.1"}), "");
    assert_text_equal(apply(context, settings, "heartbeat_ids", {"plain"}), "");
    Error error;
    store = stores.add(settings, arena, error);
    assert_non_null(store);
    store->addresses[0] = redis.address();
    store->address_count = 1;
    redis.password = "s3cret";
    redis.clock = [this] { return reactor.now() + kRedisAhead; };
    assert_true(stores.bind(table, error));
    assert_true(bind_site(table, settings, store, "site", site, error));
    flusher = std::make_unique<Flusher>(reactor, log, table, stores, 1000);
  }
  ~World() { assert_int_equal(log.count("s3cret"), 0); }

  void settle() {
    for (int idle = 0; idle < 3;) {
      bool busy = reactor.look();
      busy = redis.look() || busy;
      idle = busy ? 0 : idle + 1;
    }
  }
  void advance(Millis time) {
    reactor.advance(time, [this] { settle(); });
  }
  void start() {
    flusher->start();
    settle();
  }
  void mark(std::string_view id, LifeSign source = LifeSign::ping, bool active = false) {
    heartbeat::mark(table, site, id, source, active, reactor.now());
  }
  void mark_many(unsigned count, const char* word = "s") {
    for (unsigned i = 0; i < count; ++i) mark(word + std::to_string(i));
  }
  long long redis_beats() const {
    long long sum = 0;
    for (const auto& [key, beats] : redis.beats) sum += beats;
    return sum;
  }
  void expect_all_sent(long long beats) {
    assert_false(table.anything_to_flush(UINT32_MAX));
    assert_int_equal(redis_beats(), beats);
    assert_text_equal(faults(table), "");
  }

  FakeArena arena;
  FakeLog log;
  FakeReactor reactor;
  FakeRedis redis;
  Zone zone;
  Table table;
  Settings settings;
  Stores stores;
  Store* store;
  Site site;
  std::unique_ptr<Flusher> flusher;
};

std::string key(std::string_view id) { return "hb:{site}:session:" + std::string(id); }

void one_session(void**) {
  World world;
  Millis first = world.reactor.now();
  world.mark("abc", LifeSign::page, true);
  world.advance(300);
  world.mark("abc");
  world.start();
  world.advance(2000);
  world.expect_all_sent(2);
  std::vector<Batch> batches = world.redis.batches();
  assert_int_equal(batches.size(), 2);  // by hash, and then in full
  assert_true(batches[0].by_hash);
  const Batch& batch = batches[1];
  assert_false(batch.by_hash);
  assert_true(batch.whole);
  assert_true(batch.keys == (std::vector<std::string>{"hb:node:" + std::string(NodeName(world.table, 0)), "hb:sites"}));
  assert_int_equal(batch.number, 1);
  assert_text_equal(batch.prefix, "hb");
  assert_true(batch.groups == (std::vector<Batch::Group>{{"site", 1, 604800000, 90000, 45000}}));
  assert_int_equal(batch.entries.size(), 1);
  const Batch::Entry& entry = batch.entries[0];
  assert_text_equal(entry.key, key("abc"));
  assert_int_equal(entry.seen, first + 300 + kRedisAhead);
  assert_int_equal(entry.active, first + kRedisAhead);
  assert_int_equal(entry.active_from, first + kRedisAhead);
  assert_int_equal(entry.from, first + kRedisAhead);
  assert_int_equal(entry.fresh, first + kRedisAhead);
  assert_int_equal(entry.stays, 90000);
  assert_int_equal(entry.delta, 2);
  assert_text_equal(entry.source, "ping");
  assert_true(world.log.lines.empty());
}

void every_interval_and_only_changes(void**) {
  World world;
  world.start();
  world.advance(5000);
  assert_int_equal(world.redis.batches().size(), 0);
  for (int i = 0; i < 5; ++i) {
    world.mark("abc");
    world.mark("abc");
    world.advance(1000);
  }
  world.advance(1000);
  assert_int_equal(world.redis.batches().size(), 6);
  world.expect_all_sent(10);
  std::size_t commands = world.redis.seen.size();
  std::size_t sweeps = world.redis.sweeps().size();
  world.advance(10000);
  assert_int_equal(world.redis.batches().size(), 6);
  sweeps = world.redis.sweeps().size() - sweeps;
  assert_int_equal(world.redis.seen.size(), commands + 2 * sweeps);  // TIME before each, and nothing else
}

void many_sessions_in_batches(void**) {
  World world(std::size_t{2} << 20);
  world.mark_many(4000);
  world.start();
  world.advance(3000);
  world.expect_all_sent(4000);
  std::vector<Batch> batches = world.redis.batches();
  assert_true(batches.size() >= 9 && batches.size() <= 20);
  long long number = 0;
  for (std::size_t i = 1; i < batches.size(); ++i) {
    assert_true(batches[i].whole);
    assert_true(batches[i].entries.size() <= kBatch);
    assert_int_equal(batches[i].number, ++number);
    assert_int_equal(batches[i].applied, number - 1);
  }
}

void sites_in_one_batch(void**) {
  World world;
  Site other;
  Error error;
  bind_site(world.table, world.settings, world.store, "other", other, error);
  for (unsigned i = 0; i < 20; ++i) {
    world.mark("s" + std::to_string(i));
    mark(world.table, other, "s" + std::to_string(i), LifeSign::request, false, world.reactor.now());
  }
  world.start();
  world.advance(1500);
  Batch batch = world.redis.batches().back();
  assert_true(batch.whole);
  assert_int_equal(batch.groups.size(), 2);
  assert_int_equal(batch.entries.size(), 40);
  world.expect_all_sent(40);
  assert_int_equal(world.redis.beats.size(), 40);
}

void the_script_is_sent_in_full_once(void**) {
  World world;
  for (int i = 0; i < 5; ++i) {
    world.mark("abc");
    world.start();
    world.advance(1000);
  }
  assert_int_equal(world.redis.commands("EVAL").size(), 1);
  world.redis.script_known = false;  // SCRIPT FLUSH
  world.mark("abc");
  world.advance(1000);
  assert_int_equal(world.redis.commands("EVAL").size(), 2);
  world.expect_all_sent(6);
}

// What Redis answers when it cannot: the same batch comes again, with what it held, until it is taken.
void refusals(void**) {
  for (const char* refusal : {"-LOADING Redis is loading the dataset in memory\r\n", "-READONLY You can't write against a read only replica.\r\n",
                              "-OOM command not allowed when used memory > 'maxmemory'.\r\n", "-MISCONF Redis is configured to save\r\n",
                              "-BUSY Redis is busy running a script\r\n", "-MASTERDOWN Link with MASTER is down\r\n",
                              "-ERR Error running script: wrong\r\n", "+OK\r\n", "*1\r\n:1\r\n", ":1\r\n", "garbage\r\n", "*2\r\n*1\r\n:1\r\n:1\r\n"}) {
    World world;
    world.mark_many(100);
    world.redis.answer = [&](const Command& command) {
      bool batch = command[0] == "EVAL" || command[0] == "EVALSHA";
      return batch ? refusal : world.redis.usual(command);
    };
    world.start();
    world.advance(10000);
    std::vector<Batch> tries = world.redis.batches();
    if (tries.size() < 3 || tries.size() > 15) fail_msg("%s: %zu tries", refusal, tries.size());
    world.mark_many(100);
    world.advance(10000);
    for (const Batch& each : world.redis.batches()) {
      assert_int_equal(each.number, 1);
      assert_true(each.entries == tries[0].entries);
    }
    world.redis.answer = nullptr;
    world.advance(10000);
    world.expect_all_sent(200);
    assert_int_equal(world.log.count("is back"), 1);
    assert_true(world.log.lines.size() < 20);
  }
}

// The batch was applied, but its answer never came: it is sent again unchanged, and counts once.
void a_lost_answer(void**) {
  for (bool half : {false, true}) {
    World world;
    world.redis.script_known = true;
    world.mark_many(100);
    bool lost = false;
    world.redis.answer = [&](const Command& command) {
      std::string answer = world.redis.usual(command);
      if (command[0] != "EVALSHA" || lost) return answer;
      lost = true;
      return half ? answer.substr(0, answer.size() / 2) : std::string();
    };
    world.start();
    world.advance(1000);
    assert_int_equal(world.redis_beats(), 100);
    world.mark_many(100);
    world.advance(3900);
    assert_int_equal(world.redis.batches().size(), 1);
    assert_int_equal(world.redis.connections, 1);
    world.advance(6000);
    std::vector<Batch> batches = world.redis.batches();
    assert_int_equal(batches.size(), 3);
    assert_int_equal(batches[1].number, 1);
    assert_true(batches[0].entries == batches[1].entries);
    assert_int_equal(batches[2].number, 2);
    assert_int_equal(world.redis.connections, 2);
    world.expect_all_sent(200);
  }
}

void redis_is_away(void**) {
  World world;
  world.redis.away();
  world.start();
  for (int i = 0; i < 60; ++i) {
    world.mark_many(10);
    world.advance(1000);
  }
  assert_true(world.log.lines.size() < 30);
  world.redis.listen();
  world.advance(10000);
  world.expect_all_sent(600);
}

// Redis came back empty. Last-seen times are all there again, in every session's hash, and the batches go on counting.
void redis_lost_everything(void**) {
  for (bool restarted : {false, true}) {
    World world;
    world.mark_many(1000);
    world.start();
    world.advance(3000);
    world.expect_all_sent(1000);
    std::string id_key = world.redis.id_key;
    world.redis.forget_everything();
    if (restarted) world.redis.hang_up();
    world.advance(2000);
    assert_int_equal(world.redis.last.size(), restarted ? 1000 : 0);  // without any new sign of life
    world.mark("s0");
    world.advance(5000);
    assert_int_equal(world.redis.last.size(), 1000);
    assert_int_equal(world.redis.last[key("s1")], 1000000 + kRedisAhead);
    assert_false(world.table.anything_to_flush(UINT32_MAX));
    if (restarted) assert_true(world.redis.id_key == id_key);
    std::size_t batches = world.redis.batches().size();
    world.advance(5000);
    assert_int_equal(world.redis.batches().size(), batches);
  }
}

// A host that joins uses the key of the ids that Redis has, not its own.
void the_key_of_the_ids_is_shared(void**) {
  World world;
  world.redis.id_key = std::string(32, 'k');
  world.mark("abc");
  world.start();
  world.advance(1000);
  assert_memory_equal(world.table.store(world.store->index).key, world.redis.id_key.data(), 32);
  std::vector<Command> sets = world.redis.commands("SET");
  assert_int_equal(sets.size(), 1);
  assert_text_equal(sets[0][1], "hb:idkey");
  assert_text_equal(sets[0][3], "NX");

  World broken;
  broken.redis.id_key = "short";
  broken.start();
  assert_int_equal(broken.log.count("hb:idkey does not hold 32 bytes"), 1);
  assert_int_equal(broken.log.count("short"), 0);
}

void failed_entries(void**) {
  World world;
  world.redis.refuses = {"s3", "s7"};
  world.mark_many(10);
  world.start();
  world.advance(500);
  assert_int_equal(world.redis_beats(), 8);
  assert_true(world.table.anything_to_flush(1));
  assert_int_equal(world.log.count("refused 2 sessions"), 1);
  assert_int_equal(world.log.count("WRONGTYPE"), 1);
  world.mark("s3");
  world.advance(10000);
  assert_int_equal(world.redis_beats(), 8);
  assert_true(world.redis.batches().size() < 20);  // once a pass, not without end
  world.redis.refuses.clear();
  world.advance(1500);
  world.expect_all_sent(11);
  assert_int_equal(world.redis.beats[key("s3")], 2);
}

// An answer to TIME that came late is not believed: sessions must not be shifted by as long as Redis stood still.
void a_slow_clock(void**) {
  World world;
  world.mark("abc");
  Millis seen = world.reactor.now();
  int asked = 0;
  std::string late;
  world.redis.answer = [&](const Command& command) {
    std::string answer = world.redis.usual(command);
    if (command[0] != "TIME" || ++asked > 2) return answer;
    late = answer;
    return std::string();
  };
  world.start();
  for (int i = 1; i <= 2; ++i) {
    world.advance(2000);
    assert_int_equal(asked, i);
    world.redis.send(late);
    world.settle();
  }
  assert_int_equal(asked, 3);
  world.advance(1000);
  world.expect_all_sent(1);
  assert_int_equal(world.redis.last[key("abc")], seen + kRedisAhead);
}

// One that is always slow is used all the same, from the middle of its round trip.
void an_always_slow_clock(void**) {
  World world;
  world.mark("abc");
  Millis seen = world.reactor.now();
  std::string late;
  world.redis.answer = [&](const Command& command) {
    if (command[0] != "TIME") return world.redis.usual(command);
    late = "asked";
    return std::string();
  };
  world.start();
  for (int i = 0; i < 3; ++i) {
    assert_text_equal(late, "asked");
    late.clear();
    world.advance(200);
    std::string answer = world.redis.time();
    world.advance(200);
    world.redis.send(answer);
    world.settle();
  }
  world.advance(2000);
  world.expect_all_sent(1);
  assert_int_equal(world.redis.last[key("abc")], seen + kRedisAhead);
}

void frozen_for_ten_seconds(void**) {
  World world;
  world.start();
  world.advance(1000);
  world.redis.reads = false;
  Millis seen = world.reactor.now();
  for (int i = 0; i < 10; ++i) {
    world.mark("abc");
    seen = world.reactor.now();
    world.advance(1000);
  }
  world.redis.reads = true;
  world.advance(6000);
  world.expect_all_sent(10);
  assert_int_equal(world.redis.last[key("abc")], seen + kRedisAhead);
}

// Two processes of one host: one flushes. When it is gone without a word, the other takes over within the lease,
// and sends what was on its way once more.
void the_lease_is_handed_on(void**) {
  World world;
  world.start();
  world.advance(1500);
  World* first = &world;
  FakeReactor second_reactor;
  second_reactor.clock = first->reactor.clock;
  Flusher second(second_reactor, world.log, world.table, world.stores, 1000);
  second.start();
  assert_int_equal(second_reactor.watches(), 0);
  world.mark_many(50);
  bool lost = false;
  world.redis.answer = [&](const Command& command) {
    std::string answer = world.redis.usual(command);
    bool applied = world.redis_beats() != 0;
    if (!applied || lost) return answer;
    lost = true;
    return std::string();
  };
  world.advance(1500);
  assert_int_equal(world.redis_beats(), 50);
  assert_true(world.table.anything_to_flush(1));
  // The first one stands still from here on; the second one's clock goes on.
  auto settle = [&] {
    for (int idle = 0; idle < 3;) {
      bool busy = second_reactor.look();
      busy = world.redis.look() || busy;
      idle = busy ? 0 : idle + 1;
    }
  };
  world.redis.clock = [&] { return second_reactor.now() + kRedisAhead; };
  second_reactor.advance(1000, settle);
  assert_int_equal(world.redis.connections, 1);
  second_reactor.advance(Flusher::kLease + Flusher::kTick + 1000, settle);
  assert_int_equal(world.redis.connections, 2);
  world.expect_all_sent(50);
  // Awake again, the first one notices that it lost the lease, and closes.
  world.reactor.clock = second_reactor.clock;
  world.advance(1500);
  assert_int_equal(world.reactor.watches(), 0);
  world.mark("late");
  second_reactor.advance(2000, settle);
  world.expect_all_sent(51);
  second.stop();
}

void stopping_gives_the_lease_back(void**) {
  World world;
  world.start();
  world.advance(1500);
  assert_true(world.table.header().lease_owner.load() != 0);
  world.flusher->stop();
  assert_int_equal(world.table.header().lease_owner.load(), 0);
  assert_int_equal(world.reactor.timers(), 0);
  assert_int_equal(world.reactor.watches(), 0);
  world.mark("abc");
  world.start();
  world.advance(1500);
  world.expect_all_sent(1);
  assert_text_equal(world.redis.batches().back().calm, "1");  // Redis was not away
}

// For eight seconds after Redis was away other hosts may still be sending what they kept, and the script is told so.
void calm_or_not(void**) {
  World world;
  world.start();
  auto calm = [&] {
    world.mark("abc");
    world.advance(1500);
    assert_false(world.table.anything_to_flush(1));
    return world.redis.batches().back().calm;
  };
  assert_text_equal(calm(), "1");
  for (int i = 0; i < 2; ++i) {
    world.redis.hang_up();
    world.advance(1500);
    for (int k = 0; k < 4; ++k) assert_text_equal(calm(), "0");
    world.advance(4000);
    assert_text_equal(calm(), "1");
  }
  world.redis.away();
  world.advance(20000);
  world.mark("abc");
  world.redis.listen();
  world.advance(6300);  // the longest backoff is 6.25 seconds
  assert_text_equal(world.redis.batches().back().calm, "0");  // what was kept meanwhile
  assert_int_equal(world.redis.batches().back().entries[0].delta, 1);
  world.advance(10000);
  assert_text_equal(calm(), "1");
}

void refused_sessions_are_told_once_a_pass(void**) {
  World world;
  world.redis.away();
  world.start();
  for (unsigned i = 0; i < 20000; ++i) world.mark("s" + std::to_string(i));
  assert_true(world.table.header().refused.load() > 1000);
  world.advance(10000);
  int told = world.log.count("new sessions refused");
  assert_true(told >= 1 && told <= 10);
}

void passes_are_counted(void**) {
  World world;
  world.start();
  world.advance(3000);
  std::uint64_t begun = world.table.header().passes_begun.load();
  std::uint64_t done = world.table.header().passes_done.load();
  assert_true(begun >= 3);
  assert_true(done + 1 >= begun && done <= begun);
}

void without_redis(void**) {
  World world;
  Stores none;
  Flusher flusher(world.reactor, world.log, world.table, none, 1000);
  flusher.start();
  assert_int_equal(world.reactor.timers(), 0);
  assert_int_equal(none.mask(), 0);
}

// --- looking for silent sessions -------------------------------------------------------------------

std::vector<Command> sweeps_until(World& world, Millis time) {
  std::size_t before = world.redis.sweeps().size();
  world.advance(time);
  std::vector<Command> all = world.redis.sweeps();
  return {all.begin() + static_cast<std::ptrdiff_t>(before), all.end()};
}

// About once a second, but not while other hosts may still send what they kept while Redis was away.
void sweeps(void**) {
  World world;
  world.start();
  assert_int_equal(sweeps_until(world, 7900).size(), 0);
  std::vector<Command> found = sweeps_until(world, 20000);
  assert_in_range(found.size(), 15, 34);
  const Command& last = found.back();
  assert_int_equal(last.size(), 8);
  assert_text_equal(last[0], "EVALSHA");
  assert_text_equal(last[1], kSweepLuaSha1);
  assert_text_equal(last[2], "1");
  assert_text_equal(last[3], "hb:sites");
  assert_text_equal(last[4], "hb");
  assert_text_equal(last[5], "1250");  // heartbeat_flush, and what a batch may take
  assert_in_range(std::strtoll(last[6].c_str(), nullptr, 10), world.reactor.now() + kRedisAhead - 2500, world.reactor.now() + kRedisAhead);
  assert_text_equal(last[7], "200");
  assert_int_equal(world.redis.commands("EVAL").size(), 1);
  world.redis.hang_up();
  world.advance(1000);
  assert_int_equal(sweeps_until(world, 6900).size(), 0);
  assert_true(sweeps_until(world, 5000).size() >= 2);
  assert_true(world.log.count("error") == 0);
}

// Many fell silent at once: they are taken without a pause, but what this host knows goes first each time, so that
// nobody whose sign of life waits here is taken for silent.
void sweeps_of_many(void**) {
  World world;
  world.start();
  world.advance(12000);
  world.redis.silent = 2100;
  int busy = 0;
  world.redis.answer = [&](const Command& command) {
    if (FakeRedis::is_sweep(command) && command[0] == "EVALSHA" && world.redis.silent > 0) {
      assert_false(world.table.anything_to_flush(1));
      world.mark("s" + std::to_string(++busy));
    }
    return world.redis.usual(command);
  };
  std::size_t before = world.redis.sweeps().size();
  world.advance(1700);  // no room for more than two others, which are 600 ms apart or more
  assert_int_equal(world.redis.silent, 0);
  assert_in_range(world.redis.sweeps().size() - before, 11, 13);
  assert_int_equal(busy, 11);
  world.redis.answer = nullptr;
  world.advance(1500);
  world.expect_all_sent(11);
}

void sweeps_that_fail(void**) {
  for (const char* refusal : {"-ERR Error running script: wrong\r\n", "+OK\r\n", "*1\r\n:1\r\n", "*4\r\n:1\r\n$0\r\n\r\n:0\r\n$0\r\n\r\n",
                              "-OOM command not allowed when used memory > 'maxmemory'.\r\n"}) {
    World world;
    world.start();
    world.redis.answer = [&](const Command& command) {
      return FakeRedis::is_sweep(command) ? refusal : world.redis.usual(command);
    };
    world.advance(30000);
    std::size_t tries = world.redis.sweeps().size();
    if (tries < 1 || tries > 10) fail_msg("%s: %zu tries", refusal, tries);
    world.redis.answer = nullptr;
    world.mark("abc");
    world.advance(20000);
    world.expect_all_sent(1);
    assert_true(world.redis.sweeps().size() > tries);
  }
}

// What a sweep could not tell is said at most once a second; that it came too late is nobody's business.
void what_a_sweep_answers(void**) {
  World world;
  world.start();
  std::string answer = "*2\r\n:3\r\n" + bulk("hb:{site}:events: WRONGTYPE Operation");
  world.redis.answer = [&](const Command& command) {
    return FakeRedis::is_sweep(command) ? answer : world.redis.usual(command);
  };
  world.advance(20000);
  int told = world.log.count("hb:{site}:events: WRONGTYPE");
  assert_in_range(told, 3, 20);
  answer = "*2\r\n:-1\r\n" + bulk("");
  std::size_t before = world.redis.sweeps().size();
  world.advance(10000);
  assert_in_range(world.redis.sweeps().size() - before, 5, 17);
  assert_int_equal(world.log.count("WRONGTYPE"), told);
}

// A past run whose session Redis refuses must not be sent without end, and is there once the way is free.
void past_runs_that_are_refused(void**) {
  World world;
  world.mark("s1");
  world.start();
  world.advance(2000);
  world.redis.refuses = {"s1"};
  world.mark("s1");
  world.reactor.clock += 100000;
  world.mark("s1");
  world.advance(500);
  std::size_t batches = world.redis.batches().size();
  world.advance(10000);
  assert_in_range(world.redis.batches().size() - batches, 5, 25);
  world.redis.refuses.clear();
  world.advance(3000);
  world.expect_all_sent(3);
  Batch last = world.redis.batches().back();
  assert_int_equal(last.entries.size(), 2);
  assert_int_equal(last.entries[0].delta, 0);
  assert_true(last.entries[0].seen < last.entries[1].from);
}

// --- before the process ends: on a reactor and clock of its own -----------------------------------

struct Serving {
  FakeRedis* redis;
  std::atomic<bool> stop{false};
};
void* serve(void* argument) {
  auto* serving = static_cast<Serving*>(argument);
  while (!serving->stop.load()) {
    if (!serving->redis->look()) ::usleep(500);
  }
  return nullptr;
}

void the_last_flush(void**) {
  World world;
  world.mark_many(3000);
  Serving serving{&world.redis};
  pthread_t thread;
  pthread_create(&thread, nullptr, serve, &serving);
  flush_before_exit(world.log, world.table, world.stores, 4000);
  serving.stop.store(true);
  pthread_join(thread, nullptr);
  world.expect_all_sent(3000);
  assert_int_equal(world.table.header().lease_owner.load(), 0);
}

void the_last_flush_does_not_wait_in_vain(void**) {
  World world;
  Millis begin = monotonic_now();
  flush_before_exit(world.log, world.table, world.stores, 2000);  // nothing to do
  world.mark("abc");
  world.redis.away();
  flush_before_exit(world.log, world.table, world.stores, 2000);  // nobody there
  assert_true(monotonic_now() - begin < 500);
  world.redis.listen();  // there, but silent
  begin = monotonic_now();
  flush_before_exit(world.log, world.table, world.stores, 300);
  Millis took = monotonic_now() - begin;
  assert_true(took >= 250 && took < 1000);
  assert_true(world.table.anything_to_flush(1));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(one_session), cmocka_unit_test(every_interval_and_only_changes), cmocka_unit_test(many_sessions_in_batches),
      cmocka_unit_test(sites_in_one_batch), cmocka_unit_test(the_script_is_sent_in_full_once), cmocka_unit_test(refusals),
      cmocka_unit_test(a_lost_answer), cmocka_unit_test(redis_is_away), cmocka_unit_test(redis_lost_everything),
      cmocka_unit_test(the_key_of_the_ids_is_shared), cmocka_unit_test(failed_entries), cmocka_unit_test(a_slow_clock),
      cmocka_unit_test(an_always_slow_clock), cmocka_unit_test(frozen_for_ten_seconds), cmocka_unit_test(the_lease_is_handed_on),
      cmocka_unit_test(stopping_gives_the_lease_back), cmocka_unit_test(calm_or_not), cmocka_unit_test(refused_sessions_are_told_once_a_pass),
      cmocka_unit_test(passes_are_counted), cmocka_unit_test(without_redis), cmocka_unit_test(sweeps), cmocka_unit_test(sweeps_of_many), cmocka_unit_test(sweeps_that_fail),
      cmocka_unit_test(what_a_sweep_answers), cmocka_unit_test(past_runs_that_are_refused), cmocka_unit_test(the_last_flush),
      cmocka_unit_test(the_last_flush_does_not_wait_in_vain)};
  return cmocka_run_group_tests_name("flusher", tests, nullptr, nullptr);
}
