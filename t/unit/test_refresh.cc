// Asking Redis who is online: the commands, and what becomes of the answers.
#include "t/unit/support/test.h"

#include "online_lua.h"
#include "shared/redis/refresh.h"
#include "t/unit/support/fake_redis.h"
#include "t/unit/support/fake_settings.h"
#include "t/unit/support/zone.h"

namespace {
using namespace heartbeat;

constexpr Millis kNow = 1000000;
constexpr Millis kAt = 1760000000000;

std::string words(const std::vector<std::string>& list) {
  std::string text;
  for (const std::string& word : list) text += std::to_string(word.size()) + ":" + word;
  return text;
}
std::string time(Millis age) { return std::to_string(kAt - age); }

struct World {
  explicit World(const char* shards = "1") {
    assert_true(table.create(zone.memory, zone.size));
    FakeContext context(arena);
    set_defaults(context, settings);
    assert_text_equal(apply(context, settings, "heartbeat_redis", {"redis://127.0.0.1"}), "");
    assert_text_equal(apply(context, settings, "heartbeat_shards", {shards}), "");
    Error error;
    store = stores.add(settings, arena, error);
    assert_true(stores.bind(table, error));
    area = SnapshotArea(table.snapshots().memory, table.snapshots().size);
    for (const char* name : {"quiet", "site", "other"}) {
      Site site;
      assert_true(bind_site(table, settings, store, name, site, error));
      sites.push_back(site.index);
    }
    Site memory;
    assert_true(bind_site(table, settings, nullptr, "memory", memory, error));
    assert_true(area.want(memory.index, kNow));
    assert_true(area.want(sites[1], kNow));
    refresh = std::make_unique<Refresh>(table, *store, area, 1000);
  }
  Command written(ScriptForm form = ScriptForm::by_hash) {
    Buffer out;
    refresh->write(CommandWriter(out), form);
    std::string bytes(out.view());
    Command command;
    assert_true(take_command(bytes, command));
    assert_true(bytes.empty());
    return command;
  }
  bool take(std::string_view text, RedisReply::Type type = RedisReply::Type::string) {
    assert_true(reply.begin(type, 1) && reply.put(0, type, text, 0));
    return refresh->take(reply, kNow + 10);
  }
  std::vector<OnlineSession> shown() {
    std::vector<OnlineSession> sessions;
    OnlineSession session;
    assert_true(area.read(sites[1], snapshot));
    for (std::size_t at = 0; snapshot.next(at, session);) sessions.push_back(session);
    return sessions;
  }

  FakeArena arena;
  Zone zone;  // the smallest has room for the lists of two sites
  Table table;
  Settings settings;
  Stores stores;
  Store* store;
  SnapshotArea area;
  std::vector<std::uint16_t> sites;
  RedisReply reply;
  Snapshot snapshot{std::size_t{64} << 10};
  std::unique_ptr<Refresh> refresh;
};

void one_site(void**) {
  World world;
  assert_true(world.refresh->begin(kNow));
  assert_true(world.written() == (Command{"EVALSHA", std::string(kOnlineLuaSha1), "3", "hb:{site}:online", "hb:{site}:seen", "hb:{site}:user", "hb:{site}:session:", "500"}));
  assert_text_equal(world.written(ScriptForm::in_full)[1], kOnlineLua);
  assert_false(world.take(words({time(0), "3", "1", "", "a", "", time(9000), time(3000), "", "b", "Bob", time(5000), time(1000), time(1000), "c", "", time(1), "", ""})));
  assert_text_equal(world.refresh->why(), "");
  std::vector<OnlineSession> shown = world.shown();
  assert_int_equal(shown.size(), 3);
  assert_text_equal(shown[0].id, "b");
  assert_text_equal(shown[0].user, "Bob");
  assert_int_equal(shown[0].active, kAt - 1000);
  assert_text_equal(shown[1].id, "a");
  assert_int_equal(shown[1].since, kAt - 9000);
  assert_int_equal(shown[1].active, 0);
  const SnapshotHead& head = world.snapshot.head();
  assert_int_equal(head.at, kAt);
  assert_int_equal(head.taken, kNow + 10);
  assert_int_equal(head.online, 3);
  assert_int_equal(head.users, 1);
  assert_int_equal(head.within[0], 1);
  assert_int_equal(head.within[2], 2);
  assert_int_equal(world.area.answered(1), kNow + 10);
  assert_int_equal(world.area.ahead(1), kAt - kNow - 10);
  assert_int_equal(world.area.answered(0), 0);
}

void so_often(void**) {
  World world;
  assert_true(world.refresh->begin(kNow));
  assert_false(world.take(words({time(0), "0", "0", ""})));
  assert_false(world.refresh->begin(kNow + 700));
  assert_true(world.refresh->begin(kNow + 990));
  assert_int_equal(world.shown().size(), 0);
  assert_false(world.refresh->begin(kNow + SnapshotArea::kForgotten + 5000));  // nobody asks any more
}

void an_error(void**) {
  World world;
  assert_true(world.refresh->begin(kNow));
  assert_false(world.take("NOPERM", RedisReply::Type::error));
  assert_text_equal(world.refresh->why(), "NOPERM");
  assert_int_equal(world.area.number(world.sites[1]), 0);
  assert_int_equal(world.area.answered(1), 0);
}

void shards(void**) {
  World world("4");
  assert_true(world.refresh->begin(kNow));
  std::vector<std::string> seconds(60, "300");
  for (int shard = 0; shard < 4; ++shard) {
    std::string tag = "hb:{site/" + std::to_string(shard) + "}:";
    Command command = world.written();
    assert_text_equal(command[3], tag + "online");
    assert_text_equal(command[6], tag + "session:");
    std::vector<std::string> answer{time(0), shard == 3 ? "1" : "200", "2"};
    if (shard != 3) answer.insert(answer.end(), seconds.begin(), seconds.end());
    answer.push_back("");
    for (int i = 0; i < (shard == 3 ? 1 : 164); ++i) {
      for (const std::string& word : {"s" + std::to_string(shard) + "-" + std::to_string(i), std::string(), time(1), time(i * 4 + shard), std::string()}) answer.push_back(word);
    }
    assert_int_equal(world.take(words(answer)), shard < 3);
  }
  std::vector<OnlineSession> shown = world.shown();
  assert_true(shown.size() > 90);
  assert_text_equal(shown[0].id, "s0-0");
  assert_text_equal(shown[1].id, "s1-0");
  assert_true(std::is_sorted(shown.begin(), shown.end(), [](const auto& a, const auto& b) { return a.last > b.last; }));
  assert_int_equal(world.snapshot.head().online, 601);
  assert_int_equal(world.snapshot.head().users, 8);
  assert_int_equal(world.snapshot.head().within[0], 601);  // never more than are online
}

void answers_that_are_none(void**) {
  const std::string good = words({time(0), "1", "0", "", "a", "", time(1), time(1), ""});
  for (const std::string& text : {std::string(), std::string("x"), std::string("3:ab"), std::string("-1:"), std::string("99999999999999999999:a"), words({"0", "0", "0", ""}),
                                  words({"x", "0", "0", ""}), words({time(0), "1"}), words({time(0), "1", "1", "5"}), words({time(0), "1", "1", "x", ""}), words({time(0), "-1", "0", ""}),
                                  words({"9223372036854775807", "0", "0", ""}), words({time(0) + ".5", "0", "0", ""})}) {
    World world;
    assert_true(world.refresh->begin(kNow));
    assert_false(world.take(text));
    assert_text_equal(world.refresh->why(), "no list that can be read");
    assert_int_equal(world.area.number(world.sites[1]), 0);
  }
  for (std::size_t cut = 0; cut < good.size(); ++cut) {
    World world;
    assert_true(world.refresh->begin(kNow));
    assert_false(world.take(std::string_view(good).substr(0, cut)));
  }
  std::vector<std::string> long_list{time(0), "1", "1"};
  long_list.insert(long_list.end(), 61, "1");
  World world;
  assert_true(world.refresh->begin(kNow));
  assert_false(world.take(words(long_list)));
  assert_text_equal(world.refresh->why(), "no list that can be read");
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(one_site), cmocka_unit_test(so_often), cmocka_unit_test(an_error), cmocka_unit_test(shards),
                              cmocka_unit_test(answers_that_are_none)};
  return cmocka_run_group_tests_name("refresh", tests, nullptr, nullptr);
}
