// One connection to Redis, against a scripted one at the other end of a socket; only the clock is false.
#include "t/unit/support/test.h"

#include "shared/redis/link.h"
#include "t/unit/support/fake_arena.h"
#include "t/unit/support/fake_log.h"
#include "t/unit/support/fake_reactor.h"
#include "t/unit/support/fake_redis.h"

namespace {
using namespace heartbeat;

struct World final : public LinkUser {
  World() {
    Error error;
    url = parse_redis_url("redis://app:s3cret@redis.example:7000/5", arena, error);
    set_url(*url);
    redis.password = "s3cret";
    redis.clock = [this] { return reactor.now(); };
  }
  void set_url(const RedisUrl& its) {
    store.url = &its;
    store.password = its.password;
    store.addresses[0] = redis.address();
    store.address_count = 1;
  }
  void on_ready() override { ++readies; }
  void on_reply(const RedisReply& reply) override {
    replies.emplace_back(reply.text());
    if (at_reply) at_reply();
  }
  void on_down() override { ++downs; }

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
  void open() {
    link.open();
    settle();
  }
  void ask(std::initializer_list<std::string_view> words) {
    link.commands().command(words);
    link.send(1);
    settle();
  }
  bool logged_secret() const { return log.count("s3cret") != 0; }

  FakeArena arena;
  FakeLog log;
  FakeReactor reactor;
  FakeRedis redis;
  const RedisUrl* url;
  Store store;
  std::function<void()> at_reply;
  Link link{reactor, log, store, *this};
  int readies = 0, downs = 0;
  std::vector<std::string> replies;
};

void logs_in_then_selects(void**) {
  World world;
  world.open();
  assert_true(world.link.ready());
  assert_int_equal(world.readies, 1);
  assert_int_equal(world.redis.seen.size(), 2);
  assert_true(world.redis.seen[0] == (Command{"AUTH", "app", "s3cret"}));
  assert_true(world.redis.seen[1] == (Command{"SELECT", "5"}));
  assert_true(world.log.lines.empty());
}

void logins(void**) {
  static const struct {
    const char* url;
    std::vector<Command> expected;
  } cases[] = {{"redis://h", {{"SELECT", "0"}}},
               {"redis://:pw@h/2", {{"AUTH", "pw"}, {"SELECT", "2"}}},
               {"redis://u@h", {{"SELECT", "0"}}},
               {"unix:/x?db=3", {{"SELECT", "3"}}}};
  for (const auto& each : cases) {
    World world;
    Error error;
    world.set_url(*parse_redis_url(each.url, world.arena, error));
    world.redis.password = "pw";
    world.open();
    assert_true(world.link.ready());
    assert_true(world.redis.seen == each.expected);
  }
}

// Neither a refused login nor a server that repeats what it was sent brings the password into the log.
void password_is_never_logged(void**) {
  for (const char* answer : {"-WRONGPASS invalid username-password pair or user is disabled.\r\n", "-NOAUTH Authentication required.\r\n",
                             "-ERR unknown command `AUTH`, with args beginning with: `app`, `s3cret`, \r\n",
                             "-ERR Protocol error near s3cret\r\n", "-s3cret\r\n", "garbage s3cret\r\n"}) {
    World world;
    world.redis.answer = [&](const Command&) { return answer; };
    world.open();
    assert_false(world.link.ready());
    world.advance(20000);
    assert_true(world.log.count("redis://app:***@redis.example:7000/5") > 0);
    if (world.logged_secret()) fail_msg("%s", world.log.lines.back().second.c_str());
    assert_int_equal(world.readies, 0);
    assert_int_equal(world.downs, 0);
  }
}

void replies_in_order(void**) {
  World world;
  world.open();
  world.redis.answer = [](const Command& command) { return bulk(command[1]); };
  for (const char* word : {"a", "b", "c"}) world.link.commands().command({"ECHO", word});
  world.link.send(3);
  world.settle();
  assert_true(world.replies == (std::vector<std::string>{"a", "b", "c"}));
}

// A reply that comes byte by byte, and one behind another in one packet.
void replies_in_pieces(void**) {
  World world;
  world.open();
  world.redis.answer = [](const Command&) { return ""; };
  world.ask({"X"});
  for (char c : std::string("$5\r\nhello\r\n")) {
    world.redis.send({&c, 1});
    world.settle();
  }
  assert_true(world.replies == (std::vector<std::string>{"hello"}));
  world.link.commands().command({"X"});
  world.link.commands().command({"X"});
  world.link.send(2);
  world.settle();
  world.redis.send("+a\r\n+b\r\n");
  world.settle();
  assert_int_equal(world.replies.size(), 3);
}

// More than the socket takes at once: the rest goes when there is room, and reading goes on meanwhile.
void big_commands(void**) {
  World world;
  world.open();
  world.redis.reads = false;
  std::string big(3000000, 'x');
  world.ask({"SET", big});
  world.advance(100);
  world.redis.reads = true;
  world.redis.answer = [](const Command&) { return "+OK\r\n"; };
  world.settle();
  assert_int_equal(world.replies.size(), 1);
  assert_int_equal(world.redis.seen.back()[1].size(), big.size());
}

// A large answer comes whole; what is larger than any question of ours has an answer ends the connection, with a reason.
void big_replies(void**) {
  World world;
  world.open();
  std::string most(RedisReply::kText, 'x');
  world.redis.answer = [&](const Command&) { return ""; };
  auto send_all = [&](std::string bytes) {
    for (; !bytes.empty() && world.link.ready(); bytes.erase(0, 65536)) {
      world.redis.send(std::string_view(bytes).substr(0, 65536));
      world.settle();
    }
  };
  world.ask({"X"});
  send_all(bulk(most));
  assert_int_equal(world.replies.size(), 1);
  assert_true(world.replies[0] == most);
  world.ask({"X"});
  send_all(bulk(most + "x"));
  assert_int_equal(world.downs, 1);
  assert_int_equal(world.log.count("its answer is beyond 1 MiB, 4096 elements or one level"), 1);
  world.redis.answer = nullptr;
  world.advance(200);
  assert_true(world.link.ready());
  world.ask({"PING"});
  assert_text_equal(world.replies.back(), "PONG");
}

void nobody_listens(void**) {
  World world;
  world.redis.away();
  world.open();
  assert_false(world.link.ready());
  assert_true(world.link.failed_before());
  assert_int_equal(world.log.count("Connection refused"), 1);
  assert_int_equal(world.reactor.watches(), 0);
  world.redis.listen();
  world.advance(200);
  assert_true(world.link.ready());
}

// {100 ms, doubled up to 5 s, each less or more by a quarter}, and from the start again after success.
void backoff(void**) {
  World world;
  std::set<Millis> different;
  for (int round = 0; round < 20; ++round) {
    world.redis.away();
    world.settle();
    if (round == 0) world.open();
    Millis expected = 100;
    for (int failure = 0; failure < 10; ++failure) {
      Millis wait = world.reactor.until(world.link);
      if (wait < expected * 3 / 4 || wait > expected * 5 / 4) fail_msg("%ld ms instead of %ld", static_cast<long>(wait), static_cast<long>(expected));
      if (expected == 5000) different.insert(wait);
      if (failure == 9) world.redis.listen();
      world.advance(wait);
      expected = std::min<Millis>(expected * 2, 5000);
    }
    assert_true(world.link.ready());
    world.link.succeeded();
  }
  assert_true(different.size() > 20);
}

// A server that takes logins and refuses the rest must not be asked ten times a second: ready is not success.
void backoff_grows_though_the_login_works(void**) {
  World world;
  world.redis.answer = [&](const Command& command) { return command[0] == "AUTH" || command[0] == "SELECT" ? "+OK\r\n" : "-LOADING\r\n"; };
  world.open();
  for (int i = 0; i < 10; ++i) {
    assert_true(world.link.ready());
    world.link.give_up("LOADING");
    world.advance(world.reactor.until(world.link));
  }
  world.link.give_up("LOADING");
  assert_true(world.reactor.until(world.link) >= 3750);
}

void silence(void**) {
  World world;
  world.open();
  world.redis.answer = [](const Command&) { return ""; };
  world.ask({"X"});
  world.advance(Link::kCommandTimeout - 1);
  assert_true(world.link.ready());
  world.advance(1);
  assert_false(world.link.ready());
  assert_int_equal(world.downs, 1);
  assert_int_equal(world.log.count("no answer within five seconds"), 1);
  assert_int_equal(world.replies.size(), 0);
}

// Half an answer is no answer, and does not start the time again.
void half_an_answer(void**) {
  World world;
  world.open();
  world.redis.answer = [](const Command&) { return "$5\r\nhe"; };
  world.ask({"X"});
  world.advance(3000);
  world.redis.send("l");
  world.advance(1999);
  assert_true(world.link.ready());
  world.advance(1);
  assert_false(world.link.ready());
  world.redis.answer = nullptr;
  world.advance(200);
  assert_true(world.link.ready());  // and the half is forgotten
  world.ask({"PING"});
  assert_true(world.replies == (std::vector<std::string>{"PONG"}));
}

void silent_login(void**) {
  World world;
  world.redis.answer = [](const Command&) { return ""; };
  world.open();
  world.advance(Link::kCommandTimeout);
  assert_int_equal(world.log.count("no answer to the login"), 1);
  assert_int_equal(world.downs, 0);
}

void idle_connections_are_asked(void**) {
  World world;
  world.open();
  std::size_t before = world.redis.seen.size();
  world.advance(Link::kIdleTimeout - 1);
  assert_int_equal(world.redis.seen.size(), before);
  world.advance(1);
  assert_int_equal(world.redis.seen.size(), before + 1);
  assert_text_equal(world.redis.seen.back()[0], "PING");
  assert_true(world.replies.empty());
  world.advance(10 * Link::kIdleTimeout);
  assert_true(world.link.ready());
  world.redis.answer = [](const Command&) { return ""; };
  world.advance(Link::kIdleTimeout + Link::kCommandTimeout);
  assert_int_equal(world.downs, 1);
}

// The answer to our own PING is not the user's, whatever follows it at once.
void a_ping_of_our_own_in_between(void**) {
  World world;
  world.open();
  world.redis.answer = [](const Command&) { return ""; };
  world.advance(Link::kIdleTimeout);
  world.ask({"ECHO"});
  world.redis.send("+PONG\r\n+mine\r\n");
  world.settle();
  assert_true(world.replies == (std::vector<std::string>{"mine"}));
}

void trouble(void**) {
  for (const char* bytes : {"HTTP/1.1 400 Bad Request\r\n", "+unasked\r\n", "-ERR max number of clients reached\r\n", "*1\r\n*1\r\n:1\r\n"}) {
    World world;
    world.open();
    world.redis.send(bytes);
    world.settle();
    assert_false(world.link.ready());
    assert_int_equal(world.downs, 1);
    world.advance(200);
    assert_true(world.link.ready());
  }
  World world;
  world.open();
  world.redis.hang_up();
  world.settle();
  assert_int_equal(world.downs, 1);
  assert_int_equal(world.log.count("closed the connection"), 1);
}

void an_error_in_the_log_is_printable(void**) {
  World world;
  world.open();
  world.redis.send("-ERR \x1b[31m\x07\xff" + std::string(500, 'x') + "\r\n");
  world.settle();
  const std::string& line = world.log.lines.back().second;
  assert_holds(line, "ERR ?[31m??xxx");
  assert_true(line.size() < 400);
}

void log_lines_are_rare(void**) {
  World world;
  world.redis.away();
  world.open();
  world.advance(60000);
  assert_true(world.log.lines.size() <= 20);
  world.redis.listen();
  world.advance(10000);
  world.link.succeeded();
  assert_text_equal(world.log.lines.back().second, "heartbeat: Redis redis://app:***@redis.example:7000/5 is back");
  assert_true(world.log.lines.back().first == Level::notice);
}

void close_and_open(void**) {
  World world;
  world.open();
  world.link.close();
  assert_int_equal(world.downs, 0);
  assert_int_equal(world.reactor.watches(), 0);
  assert_int_equal(world.reactor.timers(), 0);
  world.settle();
  assert_false(world.redis.connected());
  world.open();
  assert_true(world.link.ready());
  assert_int_equal(world.readies, 2);
  world.link.open();
  world.settle();
  assert_int_equal(world.redis.connections, 2);
}

// The user may give up in the middle of a packet of replies: those behind are not delivered.
void giving_up_in_a_reply(void**) {
  World world;
  world.open();
  world.redis.answer = [](const Command&) { return ""; };
  world.at_reply = [&] { world.link.give_up("enough"); };
  world.link.commands().command({"X"});
  world.link.commands().command({"X"});
  world.link.send(2);
  world.settle();
  world.redis.send("+a\r\n+b\r\n");
  world.settle();
  assert_int_equal(world.replies.size(), 1);
  assert_int_equal(world.downs, 1);
}

void no_room_in_the_reactor(void**) {
  World world;
  world.reactor.refuse_watches = true;
  world.open();
  assert_int_equal(world.log.count("no free connection"), 1);
  assert_int_equal(world.reactor.watches(), 0);
  world.reactor.refuse_watches = false;
  world.advance(200);
  assert_true(world.link.ready());
}

// Of several addresses the next is tried after each failure.
void another_address(void**) {
  World world;
  FakeRedis gone;
  world.store.addresses[1] = world.store.addresses[0];
  world.store.addresses[0] = gone.address();
  world.store.address_count = 2;
  gone.away();
  world.open();
  assert_false(world.link.ready());
  world.advance(200);
  assert_true(world.link.ready());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(logs_in_then_selects), cmocka_unit_test(logins), cmocka_unit_test(password_is_never_logged),
      cmocka_unit_test(replies_in_order), cmocka_unit_test(replies_in_pieces), cmocka_unit_test(big_commands), cmocka_unit_test(big_replies),
      cmocka_unit_test(nobody_listens), cmocka_unit_test(backoff), cmocka_unit_test(backoff_grows_though_the_login_works),
      cmocka_unit_test(silence), cmocka_unit_test(half_an_answer), cmocka_unit_test(silent_login),
      cmocka_unit_test(idle_connections_are_asked), cmocka_unit_test(a_ping_of_our_own_in_between), cmocka_unit_test(trouble),
      cmocka_unit_test(an_error_in_the_log_is_printable), cmocka_unit_test(log_lines_are_rare), cmocka_unit_test(close_and_open),
      cmocka_unit_test(giving_up_in_a_reply), cmocka_unit_test(no_room_in_the_reactor), cmocka_unit_test(another_address)};
  return cmocka_run_group_tests_name("link", tests, nullptr, nullptr);
}
