// One question to Redis: every way it can end, each exactly once and in time.
#include "t/unit/support/test.h"

#include "shared/redis/lookup.h"
#include "t/unit/support/fake_arena.h"
#include "t/unit/support/fake_log.h"
#include "t/unit/support/fake_reactor.h"
#include "t/unit/support/fake_redis.h"

namespace {
using namespace heartbeat;

struct Asked final : public Question, public Lookup::Waiter {
  RedisScript script() const override { return {"return 1", "0123456789012345678901234567890123456789"}; }
  std::size_t arguments() const override { return 2; }
  void write(CommandWriter writer) const override {
    writer.word("one");
    writer.number(2);
  }
  void take(const RedisReply& reply) override { answers.emplace_back(reply.text()); }
  void no_answer(std::string_view why) override { failures.emplace_back(why); }
  void on_end() override {
    ++ends;
    if (at_end) at_end();
  }
  std::vector<std::string> answers, failures;
  int ends = 0;
  std::function<void()> at_end;
};

struct World {
  World() {
    Error error;
    url = parse_redis_url("redis://app:s3cret@redis.example:7000/5", arena, error);
    store.url = url;
    store.password = url->password;
    store.addresses[0] = redis.address();
    store.address_count = 1;
    store.index = 3;
    redis.password = "s3cret";
    redis.answer = [this](const Command& command) {
      return command[0].starts_with("EVAL") ? script(command) : redis.usual(command);
    };
    reactor.clock = next_clock();
  }
  // One after the other, as in one process: what silence taught is kept there.
  static Millis next_clock() {
    static Millis clock = 0;
    return clock += 1000000;
  }
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
  std::unique_ptr<Lookup> make(Asked& asked) { return std::make_unique<Lookup>(reactor, log, store, asked, asked); }
  /// Nothing is left of it: no connection, no timer.
  void nothing_left() {
    assert_int_equal(reactor.watches(), 0);
    assert_int_equal(reactor.timers(), 0);
    settle();
    assert_false(redis.connected());
  }
  // Asks, waits for so long, and says how it ended.
  std::string ask(Millis time) {
    Asked asked;
    std::unique_ptr<Lookup> lookup = make(asked);
    lookup->start();
    assert_int_equal(asked.ends, 0);
    advance(time);
    if (asked.ends == 0) return "";
    assert_int_equal(asked.ends, 1);
    assert_int_equal(asked.answers.size() + asked.failures.size(), 1);
    nothing_left();
    return asked.answers.empty() ? asked.failures[0] : asked.answers[0];
  }

  FakeArena arena;
  FakeLog log;
  FakeReactor reactor;
  FakeRedis redis;
  const RedisUrl* url;
  Store store;
  std::function<std::string(const Command&)> script = [](const Command&) { return "+answer\r\n"; };
};

void an_answer(void**) {
  World world;
  assert_text_equal(world.ask(0), "answer");
  assert_true(world.redis.seen.back() == (Command{"EVALSHA", "0123456789012345678901234567890123456789", "0", "one", "2"}));
  assert_int_equal(world.redis.seen.size(), 3);  // AUTH, SELECT
  assert_text_equal(world.ask(0), "answer");
  assert_int_equal(world.redis.connections, 2);
  assert_true(world.log.lines.empty());
}

void a_script_redis_does_not_know(void**) {
  World world;
  world.script = [](const Command& command) { return command[0] == "EVALSHA" ? "-NOSCRIPT No matching script.\r\n" : "+full\r\n"; };
  assert_text_equal(world.ask(0), "full");
  assert_true(world.redis.seen.back() == (Command{"EVAL", "return 1", "0", "one", "2"}));
  world.script = [](const Command&) { return "-NOSCRIPT whatever\r\n"; };
  assert_text_equal(world.ask(0), "Redis cannot answer this");
}

void an_error(void**) {
  World world;
  world.script = [](const Command&) { return "-WRONGTYPE Operation against a key\r\n"; };
  assert_text_equal(world.ask(0), "Redis cannot answer this");
  assert_int_equal(world.log.count("WRONGTYPE"), 1);
  assert_int_equal(world.log.count("a request that waits for it is not answered"), 1);
  assert_int_equal(world.log.count("s3cret"), 0);
}

void no_login(void**) {
  World world;
  world.redis.password = "other";
  assert_text_equal(world.ask(0), "Redis cannot be reached");
  assert_int_equal(world.log.count("WRONGPASS"), 1);
}

// Known at once: nobody waits for two seconds.
void nobody_listens(void**) {
  World world;
  world.redis.away();
  assert_text_equal(world.ask(0), "Redis cannot be reached");
  assert_text_equal(world.ask(0), "Redis cannot be reached");
  world.redis.listen();
  assert_text_equal(world.ask(0), "answer");
}

void another_address(void**) {
  World world;
  FakeRedis gone;
  world.store.addresses[1] = world.store.addresses[0];
  world.store.addresses[0] = gone.address();
  world.store.address_count = 2;
  gone.away();
  assert_text_equal(world.ask(200), "answer");
  world.redis.away();
  assert_text_equal(world.ask(400), "Redis cannot be reached");
}

void silence(void**) {
  for (bool accepts : {true, false}) {
    World world;
    world.redis.accepts = accepts;
    if (!accepts) world.redis.reads = false;
    world.script = [](const Command&) { return ""; };
    Asked asked;
    std::unique_ptr<Lookup> lookup = world.make(asked);
    lookup->start();
    world.advance(Lookup::kDeadline - 1);
    assert_int_equal(asked.ends, 0);
    world.advance(1);
    assert_int_equal(asked.ends, 1);
    assert_text_equal(asked.failures.at(0), "Redis does not answer");
    assert_int_equal(world.log.count("no answer within two seconds"), 1);
    // The next ones do not wait: for a second it is known.
    std::size_t connections = static_cast<std::size_t>(world.redis.connections);
    assert_text_equal(world.ask(0), "Redis does not answer");
    assert_int_equal(world.redis.connections, connections);
    world.redis.accepts = world.redis.reads = true;
    world.script = [](const Command&) { return "+answer\r\n"; };
    world.advance(Lookup::kSilence);
    assert_text_equal(world.ask(0), "answer");
    assert_text_equal(world.ask(0), "answer");
  }
}

// Slow is not silent: what comes within the deadline counts, what comes later does not, in however many pieces.
void slow(void**) {
  World world;
  world.script = [](const Command&) { return "$6\r\nan"; };
  for (Millis pause : {600, 700}) {
    Asked asked;
    std::unique_ptr<Lookup> lookup = world.make(asked);
    lookup->start();
    world.advance(pause);
    world.redis.send("s");
    world.advance(pause);
    world.redis.send("wer");
    world.advance(pause);
    world.redis.send("\r\n");
    world.advance(0);
    assert_int_equal(asked.ends, 1);
    assert_text_equal(pause == 600 ? asked.answers.at(0) : asked.failures.at(0), pause == 600 ? "answer" : "Redis does not answer");
    world.settle();
  }
}

void the_connection_breaks(void**) {
  World world;
  for (const char* part : {"", "$6\r\nans"}) {
    world.script = [part](const Command&) { return part; };
    Asked asked;
    std::unique_ptr<Lookup> lookup = world.make(asked);
    lookup->start();
    world.advance(10);
    assert_int_equal(asked.ends, 0);
    world.redis.hang_up();
    world.advance(0);
    assert_int_equal(asked.ends, 1);
    assert_text_equal(asked.failures.at(0), "Redis cannot answer this");
    world.nothing_left();
  }
}

void garbage(void**) {
  World world;
  for (const char* bytes : {"HTTP/1.1 400 Bad Request\r\n", "*1\r\n*1\r\n:1\r\n", "*5000\r\n"}) {
    world.script = [bytes](const Command&) { return bytes; };
    assert_text_equal(world.ask(0), "Redis cannot answer this");
  }
}

// The client has gone: nothing is called any more, whenever that is.
void nobody_waits_any_more(void**) {
  for (int moment = 0; moment < 4; ++moment) {
    World world;
    world.script = [](const Command&) { return ""; };
    Asked asked;
    std::unique_ptr<Lookup> lookup = world.make(asked);
    lookup->start();
    if (moment > 0) world.reactor.look();
    if (moment > 1) world.settle();
    if (moment > 2) {
      world.redis.send("+answer\r\n");
      world.reactor.look();  // answered, but the end has not been told
      assert_int_equal(asked.answers.size(), 1);
    }
    lookup.reset();
    world.nothing_left();
    world.advance(5000);
    assert_int_equal(asked.ends, 0);
  }
}

// As the server does: the end of a request frees the lookup from within.
void destroyed_at_its_end(void**) {
  for (int kind = 0; kind < 3; ++kind) {
    World world;
    if (kind == 1) world.script = [](const Command&) { return ""; };
    if (kind == 2) world.redis.away();
    Asked asked;
    std::unique_ptr<Lookup> lookup = world.make(asked);
    asked.at_end = [&] { lookup.reset(); };
    lookup->start();
    world.advance(3000);
    assert_int_equal(asked.ends, 1);
    world.nothing_left();
  }
}

void only_so_many_at_a_time(void**) {
  World world;
  world.redis.accepts = false;
  std::vector<std::unique_ptr<Lookup>> lookups;
  Asked waiting[Lookup::kMost];
  for (Asked& asked : waiting) {
    lookups.push_back(world.make(asked));
    lookups.back()->start();
  }
  Asked another;
  std::unique_ptr<Lookup> lookup = world.make(another);
  lookup->start();
  assert_int_equal(another.ends, 0);
  world.advance(0);
  assert_int_equal(another.ends, 1);
  assert_text_equal(another.failures.at(0), "too many such requests at a time");
  lookups.pop_back();
  Asked next;
  lookup = world.make(next);
  lookup->start();
  world.advance(0);
  assert_int_equal(next.ends, 0);
  lookup.reset();
  lookups.clear();
  world.redis.accepts = true;
  world.settle();
  assert_text_equal(world.ask(0), "answer");
}

void no_room_in_the_reactor(void**) {
  World world;
  world.reactor.refuse_watches = true;
  assert_text_equal(world.ask(0), "Redis cannot be reached");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(an_answer), cmocka_unit_test(a_script_redis_does_not_know), cmocka_unit_test(an_error), cmocka_unit_test(no_login),
      cmocka_unit_test(nobody_listens), cmocka_unit_test(another_address), cmocka_unit_test(silence), cmocka_unit_test(slow),
      cmocka_unit_test(the_connection_breaks), cmocka_unit_test(garbage), cmocka_unit_test(nobody_waits_any_more),
      cmocka_unit_test(destroyed_at_its_end), cmocka_unit_test(only_so_many_at_a_time), cmocka_unit_test(no_room_in_the_reactor)};
  return cmocka_run_group_tests_name("lookup", tests, nullptr, nullptr);
}
