// The touches of applications' sessions, from a sign of life to what their Redis is told; only the clock is false.
#include "t/unit/support/test.h"

#include <pthread.h>
#include <unistd.h>

#include <atomic>

#include "shared/port/poll_reactor.h"
#include "shared/redis/flusher.h"
#include "t/unit/support/fake_log.h"
#include "t/unit/support/fake_reactor.h"
#include "t/unit/support/fake_redis.h"
#include "t/unit/support/fake_settings.h"
#include "t/unit/support/zone.h"
#include "touch_lua.h"

namespace {
using namespace heartbeat;

constexpr Millis kAhead = 1700000000000;  // of the clock of Redis

/// A Redis of an application: keys and when they end. It knows the script, not what it says.
struct AppRedis {
  AppRedis() {
    redis.answer = [this](const Command& command) { return answer ? answer(command) : usual(command); };
  }
  std::string usual(const Command& command) {
    if (command[0] != "EVAL" && command[0] != "EVALSHA") return redis.usual(command);
    assert_text_equal(command[1], command[0] == "EVAL" ? kTouchLua : kTouchLuaSha1);
    std::size_t keys = std::strtoul(command[2].c_str(), nullptr, 10);
    assert_int_equal(command.size(), 3 + 2 * keys);
    for (std::size_t i = 0; i < keys; ++i) {
      if (forbidden.count(command[3 + i]) != 0)
        return "-NOPERM this user has no permissions to access one of the keys used as arguments\r\n";
    }
    if (command[0] == "EVALSHA" && !script_known) return "-NOSCRIPT No matching script. Please use EVAL.\r\n";
    script_known = true;
    for (std::size_t i = 0; i < keys; ++i) {
      ends[command[3 + i]] = std::strtoll(command[3 + keys + i].c_str(), nullptr, 10);
    }
    return integer(redis.clock());
  }
  /// Commands that name keys.
  int told() const {
    int count = 0;
    for (const Command& command : redis.seen) count += command.size() > 3 && command[0].starts_with("EVAL");
    return count;
  }

  FakeRedis redis;
  std::function<std::string(const Command&)> answer;
  bool script_known = false;
  std::set<std::string> forbidden;
  std::map<std::string, Millis> ends;
};

struct World {
  using Words = std::vector<std::string_view>;
  explicit World(std::vector<Words> touches = {{"app:{session}", "1m", "unix:/first"}}) {
    assert_true(table.create(zone.memory, zone.size));
    FakeContext context(arena);
    set_defaults(context, settings);
    for (const Words& words : touches) assert_text_equal(apply(context, settings, "heartbeat_touch", words), "");
    Error error;
    stores.add_touches(*settings.touch, settings, arena, error);
    assert_text_equal(error.text(), "");
    std::size_t i = 0;
    for (Store* store : stores.all()) store->addresses[0] = apps[i++].redis.address();
    for (AppRedis& app : apps) app.redis.clock = [this] { return reactor.now() + kAhead; };
    assert_true(stores.bind(table, error));
    assert_true(bind_site(table, settings, nullptr, "site", site, error));
    assert_true(bind_touches(table, *settings.touch, nullptr, error));
    assert_true(bind_place(table, settings, site, place));
    flusher = std::make_unique<Flusher>(reactor, log, table, stores, 1000);
  }

  void settle() {
    for (int idle = 0; idle < 3;) {
      bool busy = reactor.look();
      for (AppRedis& app : apps) busy = app.redis.look() || busy;
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
  Millis mark(std::string_view id, bool extends = true, std::string_view user = {}) {
    Sign sign;
    sign.extends = extends;
    sign.user = user;
    table.mark(site, place, id, sign, reactor.now());
    return reactor.now();
  }
  bool anything_due() { return table.any_touch_due(stores.mask()); }
  std::map<std::string, Millis>& ends() { return apps[0].ends; }

  FakeArena arena;
  FakeLog log;
  FakeReactor reactor;
  AppRedis apps[kTouchStores];
  Zone zone;
  Table table;
  Settings settings;
  Stores stores;
  Site site;
  Place place;
  std::unique_ptr<Flusher> flusher;
};

std::string key_of(std::string_view pattern, std::string_view id, std::string_view user) {
  Name name{};
  name.size = id.size() > kNameBytes ? Name::kDigest : static_cast<std::uint8_t>(id.size());
  std::memcpy(name.bytes, id.data(), std::min<std::size_t>(id.size(), kNameBytes));
  Buffer key;
  return write_touch_key(pattern, name, user, key) ? std::string(key.view()) : "none";
}

void keys(void**) {
  assert_text_equal(key_of("app:{session}", "abc", ""), "app:abc");
  assert_text_equal(key_of("{session}", "abc", ""), "abc");
  assert_text_equal(key_of("{session}{user}{session}:x", "abc", "ann"), "abcannabc:x");
  assert_text_equal(key_of("app:{{session}}", "abc", ""), "app:{abc}");
  assert_text_equal(key_of("{app}:{session", "abc", ""), "{app}:{session");
  assert_text_equal(key_of("{session}", "{user}", "ann"), "{user}");
  assert_text_equal(key_of("{user}", "abc", "{session}"), "{session}");
  assert_true(key_of("a{session}b", std::string("\0\r\n{}", 5), "") == std::string("a\0\r\n{}b", 7));
  assert_text_equal(key_of("{user}", "abc", ""), "none");
  assert_text_equal(key_of("x{session}", std::string(kNameBytes, 'i'), ""), "x" + std::string(kNameBytes, 'i'));
  assert_text_equal(key_of("x{session}", std::string(kNameBytes + 1, 'i'), ""), "none");
  assert_text_equal(key_of("x{user}", std::string(kNameBytes + 1, 'i'), "ann"), "xann");
}

void one_session(void**) {
  World world;
  world.start();
  world.mark("abc");
  world.advance(400);
  Millis last = world.mark("abc");
  world.mark("observed", false);
  world.advance(1600);
  assert_int_equal(world.ends().size(), 1);
  assert_int_equal(world.ends()["app:abc"], last + 60000 + kAhead);
  std::vector<std::string> verbs;
  for (const Command& command : world.apps[0].redis.seen) verbs.push_back(command[0]);
  // The clock by hash, then in full; from then on the script is known.
  assert_true(verbs == (std::vector<std::string>{"SELECT", "EVALSHA", "EVAL", "EVALSHA"}));
  world.advance(10000);
  assert_int_equal(world.apps[0].told(), 1);
  assert_true(world.log.lines.empty());
}

// What touches nothing must not lengthen what an earlier sign has justified, however late that is carried.
void a_later_sign_that_touches_nothing(void**) {
  World world;
  world.start();
  world.advance(1500);
  world.apps[0].redis.away();
  Millis last = world.mark("abc");
  for (int i = 0; i < 20; ++i) {
    world.advance(1000);
    world.mark("abc", false);
  }
  world.apps[0].redis.listen();
  world.advance(10000);
  assert_int_equal(world.ends()["app:abc"], last + 60000 + kAhead);
}

// The place where the tab is only watched comes last: what is due is still that of the place before.
void another_place_meanwhile(void**) {
  World world;
  Settings watched = world.settings;
  watched.touch.value = {};
  watched.timeout.value = 12345;
  Place other;
  assert_true(bind_place(world.table, watched, world.site, other));
  world.mark("abc");
  for (bool extends : {false, true}) {
    Sign sign;
    sign.extends = extends;
    world.table.mark(world.site, other, "abc", sign, world.reactor.now());
  }
  world.start();
  world.advance(1500);
  assert_int_equal(world.ends().size(), 1);
}

void what_cannot_be_named(void**) {
  World world({{"s:{session}", "1m", "unix:/first"}, {"u:{user}", "1m", "unix:/first"}});
  world.start();
  world.mark(std::string(56, 'x'));
  world.advance(1500);
  assert_int_equal(world.apps[0].redis.commands("EVALSHA").size(), 0);
  world.mark("abc");
  world.advance(1500);
  assert_int_equal(world.ends().size(), 1);
  world.mark("abc", true, "ann");
  world.mark(std::string(56, 'x'), true, "bob");
  world.advance(1500);
  assert_int_equal(world.ends().count("u:ann"), 1);
  assert_int_equal(world.ends().count("u:bob"), 1);
  assert_int_equal(world.ends().size(), 3);
  assert_false(world.anything_due());
}

void too_late(void**) {
  World world;
  world.apps[0].redis.away();
  world.start();
  world.mark("old");
  world.advance(59000);
  Millis last = world.mark("young");
  world.advance(2000);
  world.apps[0].redis.listen();
  world.advance(10000);
  assert_int_equal(world.ends().size(), 1);
  assert_int_equal(world.ends()["app:young"], last + 60000 + kAhead);
  assert_false(world.anything_due());
}

void many_in_few_commands(void**) {
  World world;
  for (int i = 0; i < 1500; ++i) world.mark("s" + std::to_string(i));
  world.start();
  world.advance(2000);
  assert_int_equal(world.ends().size(), 1500);
  assert_true(world.apps[0].told() <= 4);
  assert_int_equal(world.apps[0].redis.commands("EVAL").size(), 1);
}

// One that does not answer, one where nobody is, one that refuses everything: the fourth does not feel it.
void each_store_for_itself(void**) {
  World world({{"app:{session}", "1m", "unix:/a"}, {"app:{session}", "1m", "unix:/b"},
               {"app:{session}", "1m", "unix:/c"}, {"app:{session}", "1m", "unix:/d"}});
  world.apps[0].redis.reads = false;
  world.apps[1].redis.away();
  world.apps[2].answer = [](const Command&) { return "-LOADING Redis is loading the dataset in memory\r\n"; };
  world.start();
  std::uint64_t passes = world.table.header().passes_done.load();
  for (int i = 1; i <= 20; ++i) {
    Millis last = world.mark("abc");
    world.advance(1000);
    assert_int_equal(world.apps[3].ends["app:abc"], last + 60000 + kAhead);
  }
  assert_true(world.table.header().passes_done.load() >= passes + 18);
  Millis last = world.mark("abc");
  world.apps[0].redis.reads = true;
  world.apps[1].redis.listen();
  world.apps[2].answer = nullptr;
  world.advance(12000);
  for (AppRedis& app : world.apps) assert_int_equal(app.ends["app:abc"], last + 60000 + kAhead);
  assert_true(world.log.lines.size() < 50);
}

void a_refused_key(void**) {
  World world;
  world.apps[0].forbidden = {"app:secret-3", "app:secret-7"};
  world.start();
  for (int i = 0; i < 10; ++i) world.mark("secret-" + std::to_string(i));
  world.advance(1500);
  assert_int_equal(world.ends().size(), 8);
  assert_false(world.anything_due());
  assert_int_equal(world.log.count("refuses to touch 2 keys, of app:{session} for one"), 1);
  for (int i = 0; i < 20; ++i) {
    world.mark("secret-3");
    world.advance(300);
  }
  int told = world.log.count("refuses to touch");
  assert_true(told >= 3 && told <= 8);
  assert_int_equal(world.log.count("secret"), 0);
  assert_int_equal(world.apps[0].redis.connections, 1);
}

void refusals(void**) {
  for (const char* refusal :
       {"-LOADING Redis is loading the dataset in memory\r\n", "-READONLY You can't write against a read only replica.\r\n",
        "-NOPERM this user has no permissions to run the 'evalsha' command\r\n", "-BUSY Redis is busy running a script\r\n",
        "-NOSCRIPT No matching script. Please use EVAL.\r\n", "+OK\r\n", "*1\r\n:1\r\n", "garbage\r\n", "*2\r\n*1\r\n:1\r\n:1\r\n"}) {
    for (bool at_the_clock : {true, false}) {
      if (!at_the_clock && *refusal != '-') continue;  // an answer is an answer there
      World world;
      world.apps[0].answer = [&](const Command& command) {
        bool refused = command[0].starts_with("EVAL") && (command[2] == "0") == at_the_clock;
        return refused ? refusal : world.apps[0].usual(command);
      };
      world.start();
      Millis last = world.mark("abc");
      world.advance(10000);
      assert_true(world.ends().empty());
      std::size_t tries = world.apps[0].redis.seen.size();
      if (tries > 80) fail_msg("%s: %zu commands", refusal, tries);
      assert_true(world.anything_due());
      world.apps[0].answer = nullptr;
      world.advance(10000);
      assert_int_equal(world.ends()["app:abc"], last + 60000 + kAhead);
    }
  }
}

void a_lost_answer(void**) {
  World world;
  world.start();
  Millis last = world.mark("abc");
  bool lost = false;
  world.apps[0].answer = [&](const Command& command) {
    std::string answer = world.apps[0].usual(command);
    if (command.size() < 4 || lost || !command[0].starts_with("EVAL")) return answer;
    lost = true;
    return std::string();
  };
  world.advance(12000);
  assert_true(lost);
  assert_int_equal(world.apps[0].told(), 2);
  assert_int_equal(world.ends()["app:abc"], last + 60000 + kAhead);
}

// The clock's answer comes as late as the rest: it is not believed.
void a_slow_clock(void**) {
  World world;
  world.apps[0].script_known = true;
  Millis last = world.mark("abc");
  std::string late;
  int asked = 0;
  world.apps[0].answer = [&](const Command& command) {
    std::string answer = world.apps[0].usual(command);
    if (!command[0].starts_with("EVAL") || command[2] != "0" || ++asked > 2) return answer;
    late = answer;
    return std::string();
  };
  world.start();
  for (int i = 1; i <= 2; ++i) {
    world.advance(2000);
    assert_int_equal(asked, i);
    world.apps[0].redis.send(late);
    world.settle();
  }
  world.advance(1000);
  assert_int_equal(world.ends()["app:abc"], last + 60000 + kAhead);
}

void stopping_gives_back(void**) {
  World world;
  world.start();
  world.advance(1500);
  world.apps[0].redis.reads = false;
  world.mark("abc");
  world.advance(1500);
  assert_false(world.anything_due());  // on its way
  world.flusher->stop();
  assert_true(world.anything_due());
  assert_int_equal(world.reactor.timers(), 0);
  assert_int_equal(world.reactor.watches(), 0);
  world.apps[0].redis.reads = true;
  world.start();
  world.advance(1500);
  assert_int_equal(world.ends().size(), 1);
}

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

// Whoever holds the lease: it may be one that stands still.
void the_last_pass(void**) {
  World world({{"app:{session}", "1m", "unix:/a"}, {"app:{session}", "1m", "unix:/b"}});
  world.apps[1].redis.away();
  world.reactor.clock = monotonic_now();
  assert_true(world.table.take_lease(99, world.reactor.now(), 100000));
  for (int i = 0; i < 1500; ++i) world.mark("s" + std::to_string(i));
  Serving serving{&world.apps[0].redis};
  pthread_t thread;
  pthread_create(&thread, nullptr, serve, &serving);
  Millis begin = monotonic_now();
  flush_before_exit(world.log, world.table, world.stores, 4000);
  serving.stop.store(true);
  pthread_join(thread, nullptr);
  assert_true(monotonic_now() - begin < 2000);
  assert_int_equal(world.ends().size(), 1500);
  assert_int_equal(world.apps[1].ends.size(), 0);
}

void the_stores_of_touches(void**) {
  FakeArena arena;
  FakeContext context(arena);
  Settings settings;
  set_defaults(context, settings);
  Error error;
  Stores stores;
  assert_text_equal(apply(context, settings, "heartbeat_touch", {"a:{session}", "1m"}), "");
  stores.add_touches(*settings.touch, settings, arena, error);
  assert_holds(error.text(), "heartbeat_touch a:{session}: no Redis");

  error = Error();
  assert_text_equal(apply(context, settings, "heartbeat_redis", {"redis://ann:s3cret@127.0.0.1:7000/1"}), "");
  assert_text_equal(apply(context, settings, "heartbeat_touch", {"b:{session}", "1m", "redis://ann@127.0.0.1:7000/2"}), "");
  assert_text_equal(apply(context, settings, "heartbeat_touch", {"c:{session}", "1m", "redis://127.0.0.1:7000/2"}), "");
  stores.add_touches(*settings.touch, settings, arena, error);
  assert_text_equal(error.text(), "");
  assert_int_equal(stores.all().size(), 3);
  const Store &own = *stores.all()[0], &same_user = *stores.all()[1], &other_user = *stores.all()[2];
  assert_true(own.records && own.touches);
  assert_true(!same_user.records && same_user.touches && !other_user.records);
  assert_text_equal(same_user.password, "s3cret");
  assert_text_equal(other_user.password, "");

  for (const char* url : {"unix:/c", "unix:/d"}) {
    Settings next;
    set_defaults(context, next);
    assert_text_equal(apply(context, next, "heartbeat_touch", {"a:{session}", "1m", url}), "");
    stores.add_touches(*next.touch, next, arena, error);
  }
  assert_holds(error.text(), "more than 4 different");
}

void the_table_is_full_of_touches(void**) {
  Zone zone;
  Table table;
  assert_true(table.create(zone.memory, zone.size));
  Store store;
  store.index = table.add_store("redis");
  Error error;
  for (unsigned i = 0; i <= kMaxTouches; ++i) {
    std::string key = std::to_string(i) + "{session}";
    Touch touch{key, 1000};
    assert_true(bind_touches(table, {&touch, 1}, &store, error) == (i < kMaxTouches));
    assert_true(bind_touches(table, {&touch, 1}, &store, error) == (i < kMaxTouches));
  }
  assert_holds(error.text(), "no room for heartbeat_touch 64{session}");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(keys), cmocka_unit_test(one_session), cmocka_unit_test(a_later_sign_that_touches_nothing),
      cmocka_unit_test(another_place_meanwhile), cmocka_unit_test(what_cannot_be_named), cmocka_unit_test(too_late),
      cmocka_unit_test(many_in_few_commands), cmocka_unit_test(each_store_for_itself), cmocka_unit_test(a_refused_key),
      cmocka_unit_test(refusals), cmocka_unit_test(a_lost_answer), cmocka_unit_test(a_slow_clock),
      cmocka_unit_test(stopping_gives_back), cmocka_unit_test(the_last_pass), cmocka_unit_test(the_stores_of_touches),
      cmocka_unit_test(the_table_is_full_of_touches)};
  return cmocka_run_group_tests_name("touches", tests, nullptr, nullptr);
}
