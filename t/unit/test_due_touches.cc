// Keys of applications' sessions that a sign of life makes due, as the table keeps them until they are on their way.
#include "t/unit/support/test.h"

#include "t/unit/support/ledger.h"

namespace {
using namespace heartbeat;

struct World : LedgerWorld {
  std::uint16_t touch(std::uint16_t store, std::string_view key, Millis ttl = 60000) { return table.add_touch(store, key, ttl); }
  Place place_with(std::vector<std::uint16_t> touches, std::uint32_t timeout = 90000) {
    Place own;
    own.timeout = timeout;
    assert_true(table.add_place(site, touches, own));
    return own;
  }
  void extend(const Place& own, std::string_view id) {
    Sign sign;
    sign.extends = true;
    table.mark(site, own, id, sign, now);
  }
  // All that is due in a store, as "id:touch".
  std::multiset<std::string> take(std::uint16_t from, std::size_t room = 1024) {
    std::multiset<std::string> found;
    taken.clear();
    for (std::uint32_t cursor = 0; cursor < table.end();) {
      std::vector<DueTouch> out(room);
      std::uint32_t count = table.take_touches(from, cursor, out);
      assert_true(count <= room);
      for (std::uint32_t i = 0; i < count; ++i) {
        const Name& name = table.name(out[i].slot);
        found.insert(std::string(name.bytes, name.size) + ":" + std::to_string(out[i].touch));
        taken.push_back(out[i]);
      }
    }
    return found;
  }
  std::vector<DueTouch> taken;
};
using Found = std::multiset<std::string>;

// --- keys and places -------------------------------------------------------------------------------

void the_same_key_once(void**) {
  World world;
  std::uint16_t first = world.touch(world.store, "PHPREDIS_SESSION:{session}");
  assert_int_equal(first, 0);
  assert_int_equal(world.touch(world.store, "PHPREDIS_SESSION:{session}"), first);
  std::set<std::uint16_t> all = {first};
  assert_true(all.insert(world.touch(world.store, "PHPREDIS_SESSION:{session}", 60001)).second);
  assert_true(all.insert(world.touch(world.store, "PHPREDIS_SESSION:{sessio}")).second);
  assert_true(all.insert(world.touch(world.table.add_store("other"), "PHPREDIS_SESSION:{session}")).second);
  const TouchRecord& record = world.table.touch(first);
  assert_text_equal(std::string_view(record.key, record.size), "PHPREDIS_SESSION:{session}");
  assert_int_equal(record.ttl, 60000);
  assert_int_equal(record.store, world.store);
}

void limits_of_keys(void**) {
  World world;
  assert_int_equal(world.touch(world.store, ""), kNone);
  assert_int_equal(world.touch(world.store, std::string(sizeof TouchRecord::key + 1, 'x')), kNone);
  assert_int_equal(world.touch(world.store, std::string(sizeof TouchRecord::key, 'x')), 0);
  for (std::uint32_t i = 1; i < kMaxTouches; ++i) assert_int_equal(world.touch(world.store, "key" + std::to_string(i)), i);
  assert_int_equal(world.touch(world.store, "one more"), kNone);
  assert_int_equal(world.touch(world.store, "key5"), 5);
}

void limits_of_stores(void**) {
  World world;
  for (std::uint32_t i = 0; i < kTouchStores; ++i) {
    assert_int_equal(world.touch(world.table.add_store("app" + std::to_string(i)), "key"), i);
  }
  assert_int_equal(world.touch(world.table.add_store("one more"), "key"), kNone);
  assert_int_equal(world.touch(world.table.add_store("app2"), "another"), kTouchStores);
}

void the_same_place_once(void**) {
  World world;
  std::uint16_t one = world.touch(world.store, "one"), two = world.touch(world.store, "two");
  Place plain = world.place_with({});
  assert_int_equal(plain.index, world.place.index);
  assert_int_equal(plain.touch_stores, 0);
  std::set<std::uint16_t> all = {plain.index};
  assert_true(all.insert(world.place_with({one}).index).second);
  assert_true(all.insert(world.place_with({one, two}).index).second);
  assert_true(all.insert(world.place_with({one}, 1000).index).second);
  assert_false(all.insert(world.place_with({one}).index).second);
  assert_int_equal(world.place_with({one, kNone, two}).index, world.place_with({one, two}).index);
  assert_int_equal(world.place_with({one}).touch_stores, 1);
  // What says something else of the rate alone is no other place: that is not kept.
  Place limited;
  limited.rate_interval = 5;
  assert_true(world.table.add_place(world.site, {}, limited));
  assert_int_equal(limited.index, plain.index);
  Site other;
  Place elsewhere;
  assert_true(add_site(world.table, "other", world.store, true, 1000, other));
  assert_true(world.table.add_place(other, {}, elsewhere));
  assert_true(all.insert(elsewhere.index).second);
}

void too_many_places(void**) {
  World world;
  std::uint32_t most = world.table.header().max_places;
  Place own;
  for (std::uint32_t i = 1; i < most; ++i) {
    own.timeout = 1000 + i;
    assert_true(world.table.add_place(world.site, {}, own));
    assert_int_equal(own.index, i);
  }
  own.timeout = 500;
  own.index = kNone;
  assert_false(world.table.add_place(world.site, {}, own));
  assert_int_equal(own.index, kNone);
  own.timeout = 1001;
  assert_true(world.table.add_place(world.site, {}, own));
  assert_int_equal(own.index, 1);
  assert_text_equal(faults(world.table), "");
}

// --- what is due -----------------------------------------------------------------------------------

void due_once(void**) {
  World world;
  std::uint16_t one = world.touch(world.store, "one"), two = world.touch(world.store, "two");
  Place own = world.place_with({one, two});
  assert_true(world.take(world.store).empty());
  assert_false(world.table.any_touch_due(UINT32_MAX));
  for (int i = 0; i < 3; ++i, world.now += 1000) world.extend(own, "a");
  world.table.mark(world.site, own, "b", {}, world.now);  // only observes
  assert_true(world.table.any_touch_due(1U << world.store));
  assert_false(world.table.any_touch_due(~(1U << world.store)));
  assert_true(world.take(world.store) == Found({"a:0", "a:1"}));
  for (const DueTouch& each : world.taken) assert_int_equal(each.seen, world.now - 1000);
  assert_false(world.table.any_touch_due(UINT32_MAX));
  assert_true(world.take(world.store).empty());
  world.extend(own, "a");
  assert_int_equal(world.take(world.store).size(), 2);
}

void each_store_its_own(void**) {
  World world;
  std::uint16_t stores[kTouchStores], touches[kTouchStores];
  for (std::uint32_t i = 0; i < kTouchStores; ++i) {
    stores[i] = world.table.add_store("app" + std::to_string(i));
    touches[i] = world.touch(stores[i], "key" + std::to_string(i));
  }
  Place first = world.place_with({touches[0], touches[3]});
  Place all = world.place_with({touches[0], touches[1], touches[2], touches[3]});
  assert_int_equal(first.touch_stores, 1 | 8);
  assert_int_equal(all.touch_stores, 15);
  world.extend(first, "a");
  world.extend(all, "b");
  assert_true(world.take(stores[1]) == Found({"b:1"}));
  assert_true(world.take(stores[0]) == Found({"a:0", "b:0"}));
  assert_true(world.take(stores[3]) == Found({"a:3", "b:3"}));
  assert_true(world.table.any_touch_due(1U << stores[2]));
  assert_true(world.take(stores[2]) == Found({"b:2"}));
  assert_false(world.table.any_touch_due(UINT32_MAX));
  assert_true(world.take(world.table.add_store("never touched")).empty());
}

void given_back(void**) {
  World world;
  Place own = world.place_with({world.touch(world.store, "one")});
  for (int i = 0; i < 100; ++i) world.extend(own, "s" + std::to_string(i));
  Found all = world.take(world.store);
  assert_int_equal(all.size(), 100);
  world.table.give_back_touches(world.store, world.taken);
  assert_true(world.take(world.store) == all);
  world.table.give_back_touches(world.store, std::span(world.taken).first(7));
  assert_int_equal(world.take(world.store).size(), 7);
  world.table.give_back_touches(world.table.add_store("never touched"), world.taken);
  assert_false(world.table.any_touch_due(UINT32_MAX));
  // Of a session that went meanwhile nothing is due.
  world.table.give_back_touches(world.store, world.taken);
  world.flush();
  world.now += 200000;
  Site memory;
  assert_true(add_site(world.table, "memory", kNone, true, 1000, memory));
  for (std::uint64_t i = 0; i < 3 * world.table.capacity(); ++i) {
    mark(world.table, memory, "m" + std::to_string(i), LifeSign::ping, false, world.now);
  }
  for (const std::string& each : world.take(world.store)) fail_msg("%s is due", each.c_str());
}

// In bounded steps, whatever the room: nothing is left out and nothing comes twice.
void in_steps(void**) {
  World world;
  std::vector<std::uint16_t> touches;
  for (std::uint32_t i = 0; i < kPlaceTouches; ++i) touches.push_back(world.touch(world.store, "key" + std::to_string(i)));
  Place own = world.place_with(touches);
  for (std::size_t room : {std::size_t{256}, std::size_t{257}, std::size_t{1000}, std::size_t{100000}}) {
    for (int i = 0; i < 2000; ++i) world.extend(own, "s" + std::to_string(i));
    Found found = world.take(world.store, room);
    assert_int_equal(found.size(), 2000 * kPlaceTouches);
    assert_int_equal(std::set<std::string>(found.begin(), found.end()).size(), found.size());
    assert_false(world.table.any_touch_due(UINT32_MAX));
  }
}

// What is due, the place says: while it is, a sign elsewhere that touches nothing does not take the place away.
void the_place_stays_while_due(void**) {
  World world;
  Place own = world.place_with({world.touch(world.store, "one")});
  Place other = world.place_with({world.touch(world.store, "two")}, 1000);
  auto at = [&] { return world.table.slot(world.slot_of("a")).place.load(); };
  world.extend(own, "a");
  assert_int_equal(at(), own.index);
  world.table.mark(world.site, world.place, "a", {}, ++world.now);
  assert_int_equal(at(), own.index);
  assert_true(world.take(world.store) == Found({"a:0"}));
  world.table.mark(world.site, world.place, "a", {}, ++world.now);
  assert_int_equal(at(), world.place.index);
  world.extend(own, "a");
  world.extend(other, "a");  // one that touches does
  assert_int_equal(at(), other.index);
  assert_true(world.take(world.store) == Found({"a:1"}));
}

// Nobody leaves the front of the table whose application's session is not extended yet.
void nobody_leaves_the_front(void**) {
  World world;
  Place own = world.place_with({world.touch(world.store, "one")});
  const std::uint64_t half = world.table.capacity() / 2;
  for (std::uint64_t i = 0; i < half; ++i) world.extend(own, "s" + std::to_string(i));
  world.flush();
  world.now += 90001;
  for (std::uint64_t i = 0; i < half / 2; ++i) world.table.mark(world.site, world.place, "n" + std::to_string(i), {}, world.now);
  assert_int_equal(world.take(world.store).size(), half);
}

// Those whose touch is on its way may leave it: they get it back wherever they are, and nobody gets another's.
void given_back_elsewhere(void**) {
  World world;
  Place own = world.place_with({world.touch(world.store, "one")});
  const std::uint64_t half = world.table.capacity() / 2;
  for (std::uint64_t i = 0; i < half; ++i) world.extend(own, "s" + std::to_string(i));
  world.flush();
  Found all = world.take(world.store);
  std::vector<DueTouch> on_their_way = world.taken;
  Millis seen = world.now;
  world.now += 90001;
  for (std::uint64_t i = 0; i < half / 2; ++i) world.table.mark(world.site, world.place, "n" + std::to_string(i), {}, world.now);
  std::uint64_t moved = 0;
  for (const DueTouch& each : on_their_way) moved += world.table.slot_of(each) != each.slot ? 1 : 0;
  assert_true(moved > 100);
  world.table.give_back_touches(world.store, on_their_way);
  assert_true(world.take(world.store) == all);
  for (const DueTouch& each : world.taken) assert_int_equal(each.seen, seen);
  assert_false(world.table.any_touch_due(UINT32_MAX));
}

// Who is not in the table any more gets none.
void given_back_to_nobody(void**) {
  World world;
  Place own = world.place_with({world.touch(world.store, "one")});
  world.extend(own, "gone");
  world.flush();
  world.take(world.store);
  std::vector<DueTouch> on_its_way = world.taken;
  world.now += 90001;
  for (std::uint64_t i = 0; world.table.slot_of(on_its_way[0]) != UINT32_MAX; ++i) {
    world.table.mark(world.site, own, "n" + std::to_string(i), {}, world.now);
  }
  world.table.give_back_touches(world.store, on_its_way);
  assert_true(world.take(world.store).empty());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(the_same_key_once), cmocka_unit_test(limits_of_keys), cmocka_unit_test(limits_of_stores),
                              cmocka_unit_test(the_same_place_once), cmocka_unit_test(too_many_places), cmocka_unit_test(due_once),
                              cmocka_unit_test(each_store_its_own), cmocka_unit_test(given_back), cmocka_unit_test(in_steps),
                              cmocka_unit_test(the_place_stays_while_due),
                              cmocka_unit_test(nobody_leaves_the_front),
                              cmocka_unit_test(given_back_elsewhere), cmocka_unit_test(given_back_to_nobody)};
  return cmocka_run_group_tests_name("due touches", tests, nullptr, nullptr);
}
