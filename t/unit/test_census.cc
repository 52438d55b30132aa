// Who is online by the host's own table.
#include "t/unit/support/test.h"

#include "shared/redis/store.h"
#include "shared/session/census.h"
#include "t/unit/support/fake_reactor.h"
#include "t/unit/support/fake_settings.h"
#include "t/unit/support/zone.h"

namespace {
using namespace heartbeat;

constexpr Millis kInterval = 1000;

struct World {
  explicit World(bool redis = false, std::size_t size = std::size_t{1} << 20) : zone(size) {
    assert_true(table.create(zone.memory, size));
    set_defaults(context, settings);
    set("heartbeat_timeout", {"10s"});
    set("heartbeat_grace", {"2s"});
    set("heartbeat_ids", {"plain"});
    if (redis) set("heartbeat_redis", {"redis://127.0.0.1"});
    Error error;
    Store* store = stores.add(settings, arena, error);
    assert_true(stores.bind(table, error));
    for (auto& [name, each] : sites) {
      assert_true(bind_site(table, settings, store, name, each.site, error));
      assert_true(bind_place(table, settings, each.site, each.place));
    }
    area = SnapshotArea(table.snapshots().memory, table.snapshots().size);
    assert_true(area.want(sites["one"].site.index, reactor.now()));
    assert_true(table.take_lease(5, reactor.now(), 1000000000));
    census = std::make_unique<Census>(reactor, table, area, 5, kInterval, 1000);
    snapshot = std::make_unique<Snapshot>(area.room());
  }
  void set(std::string_view name, std::vector<std::string_view> words) { assert_text_equal(apply(context, settings, name, words), ""); }
  void mark(const std::string& site, std::string_view id, std::string_view user = {}, bool active = false, bool leaving = false) {
    Sign sign;
    sign.user = user;
    sign.active = active;
    sign.leaving = leaving;
    table.mark(sites[site].site, sites[site].place, id, sign, reactor.now());
  }
  void count() {
    census->go_on();
    reactor.advance(200);
  }
  std::map<std::string, OnlineSession> shown(const char* site = "one") {
    std::map<std::string, OnlineSession> sessions;
    OnlineSession session;
    if (!area.read(sites[site].site.index, *snapshot)) return sessions;
    for (std::size_t at = 0; snapshot->next(at, session);) sessions[std::string(session.id)] = session;
    return sessions;
  }

  struct Bound {
    Site site;
    Place place;
  };
  FakeArena arena;
  FakeContext context{arena};
  FakeReactor reactor;
  Zone zone;
  Table table;
  Settings settings;
  Stores stores;
  std::map<std::string, Bound> sites{{"one", {}}, {"two", {}}};
  SnapshotArea area;
  std::unique_ptr<Census> census;
  std::unique_ptr<Snapshot> snapshot;
};

void those_who_are_here(void**) {
  World world;
  world.mark("one", "a");
  world.mark("two", "elsewhere");
  world.reactor.advance(1500);
  world.mark("one", "b", "Bob", true);
  world.count();
  auto shown = world.shown();
  assert_int_equal(shown.size(), 2);
  const SnapshotHead& head = world.snapshot->head();
  assert_int_equal(head.online, 2);
  assert_int_equal(head.users, 1);
  assert_int_equal(head.within[0], 1);
  assert_int_equal(head.within[1], 2);
  assert_text_equal(shown["b"].user, "Bob");
  assert_int_equal(shown["b"].last - shown["a"].last, 1500);
  assert_int_equal(shown["b"].active, shown["b"].last);
  assert_int_equal(shown["a"].active, 0);
  assert_int_equal(head.at - shown["b"].last, 0);
  assert_true(head.at > 1600000000000);
}

void those_who_are_not(void**) {
  World world;
  world.mark("one", "silent");
  world.mark("one", "gone", {}, false, true);
  world.mark("one", "back", {}, false, true);
  world.reactor.advance(1900);
  world.mark("one", "back");
  world.count();
  assert_int_equal(world.shown().size(), 3);
  world.reactor.advance(1000);
  world.count();
  auto shown = world.shown();
  assert_int_equal(shown.size(), 2);
  assert_int_equal(shown.count("gone"), 0);
  world.reactor.advance(7200);
  world.count();
  assert_int_equal(world.shown().size(), 1);
  assert_int_equal(world.shown().count("back"), 1);
}

void so_often(void**) {
  World world;
  world.count();
  assert_int_equal(world.area.number(0), 1);
  world.count();
  assert_int_equal(world.area.number(0), 1);
  world.reactor.advance(700);
  world.count();
  assert_int_equal(world.area.number(0), 2);
  world.reactor.advance(SnapshotArea::kForgotten);
  world.count();
  assert_int_equal(world.area.number(0), 2);  // nobody asks any more
}

void redis_has_the_first_word(void**) {
  World world(true);
  std::uint16_t site = world.sites["one"].site.index;
  world.mark("one", "a");
  world.count();
  assert_int_equal(world.shown().size(), 1);  // it has not answered yet
  world.area.set_answered(site, world.reactor.now(), 1760000000000);
  world.reactor.advance(1000);
  world.count();
  assert_int_equal(world.area.number(site), 1);
  world.reactor.advance(Census::kPatience + kInterval);
  world.count();
  assert_int_equal(world.area.number(site), 2);  // it was silent for too long
  assert_int_equal(world.shown()["a"].last, 1760000000000 + 1000000);
}

// What Redis says while the walk goes on is not put aside.
void redis_answers_meanwhile(void**) {
  World world(true, std::size_t{64} << 20);
  std::uint16_t site = world.sites["one"].site.index;
  for (int i = 0; i < 100000; ++i) world.mark("one", std::to_string(i));
  world.census->go_on();
  assert_int_equal(world.area.number(site), 0);
  world.area.set_answered(site, world.reactor.now(), 0);
  world.reactor.advance(60000);
  assert_int_equal(world.area.number(site), 0);
}

void a_new_holder_waits_for_redis(void**) {
  World world(true);
  std::uint16_t site = world.sites["one"].site.index;
  world.area.set_answered(site, world.reactor.now(), 0);
  world.reactor.advance(20000);
  world.count();
  assert_int_equal(world.area.number(site), 0);
  world.reactor.advance(Census::kPatience + kInterval);
  world.count();
  assert_int_equal(world.area.number(site), 1);
}

void many(void**) {
  World world(false, std::size_t{64} << 20);
  for (int i = 0; i < 100000; ++i) world.mark("one", "s" + std::to_string(i), "u" + std::to_string(i % 1000));
  world.reactor.advance(10);
  for (int i = 0; i < 600; ++i) world.mark("one", "new" + std::to_string(i));
  world.census->go_on();
  assert_int_equal(world.area.number(0), 0);  // not in one go
  for (int steps = 0; world.area.number(0) == 0 && steps < 10000; ++steps) world.reactor.advance(1);
  auto shown = world.shown();
  assert_int_equal(shown.size(), kListed);
  for (const auto& [id, session] : shown) assert_true(id.starts_with("new"));
  assert_int_equal(world.snapshot->head().online, 100600);
  assert_int_equal(world.snapshot->head().users, 1000);
  assert_text_equal(faults(world.table), "");
}

void hashed_ids(void**) {
  World world;
  world.set("heartbeat_ids", {"hash"});
  Error error;
  assert_true(bind_site(world.table, world.settings, nullptr, "one", world.sites["one"].site, error));
  set_terms(world.table, world.settings, world.sites["one"].site);
  world.mark("one", "secret");
  world.count();
  auto shown = world.shown();
  assert_int_equal(shown.size(), 1);
  assert_int_equal(shown.begin()->first.size(), 32);
}

void without_the_lease(void**) {
  World world(false, std::size_t{64} << 20);
  for (int i = 0; i < 100000; ++i) world.mark("one", std::to_string(i));
  world.census->go_on();
  world.table.drop_lease(5);
  world.reactor.advance(60000);
  assert_int_equal(world.area.number(0), 0);
  world.census->stop();
  assert_int_equal(world.reactor.timers(), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(those_who_are_here), cmocka_unit_test(those_who_are_not), cmocka_unit_test(so_often),
                              cmocka_unit_test(redis_has_the_first_word), cmocka_unit_test(redis_answers_meanwhile), cmocka_unit_test(a_new_holder_waits_for_redis),
                              cmocka_unit_test(many), cmocka_unit_test(hashed_ids), cmocka_unit_test(without_the_lease)};
  return cmocka_run_group_tests_name("census", tests, nullptr, nullptr);
}
