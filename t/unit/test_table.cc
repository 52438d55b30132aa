// The session table: marking, evicting, batches, and what validate() finds. Several processes at once: test_table_shared.cc.
#include "t/unit/support/test.h"

#include <sys/wait.h>
#include <unistd.h>

#include "t/unit/support/marks.h"
#include "t/unit/support/zone.h"

namespace {
using namespace heartbeat;

constexpr Millis kWeek = 604800000;
constexpr std::uint64_t kMe = 77;
constexpr std::size_t kMega = std::size_t{1} << 20;

struct World {
  explicit World(std::size_t size = kMega, bool durable = true) : zone(size) {
    assert_true(table.create(zone.memory, size));
    store = durable ? table.add_store("redis") : kNone;
    assert_true(add_site(table, "site", store, false, kWeek, site));
    assert_true(table.take_lease(kMe, now, 1000000000));
  }
  Marked mark(std::string_view id, bool active = false) { return heartbeat::mark(table, site, id, LifeSign::ping, active, now); }
  Header& header() { return table.header(); }

  // One whole pass; returns the sum of the beats acknowledged, and counts them for each slot.
  std::uint64_t flush() {
    std::uint64_t sum = 0;
    for (Pass pass; !pass.done();) {
      std::uint32_t count = table.publish(store, kMe, pass, now);
      for (std::uint32_t i = 0; i < count; ++i) {
        const BatchEntry& entry = table.store(store).entries[i];
        sum += entry.delta;
        sent[entry.slot] += entry.delta;
      }
      if (count != 0) assert_true(table.acknowledge(store, kMe, table.store(store).number, {}));
    }
    return sum;
  }
  std::uint32_t publish() {
    Pass pass;
    std::uint32_t count = 0;
    for (int turn = 0; count == 0 && turn < 1000 && !pass.done(); ++turn) count = table.publish(store, kMe, pass, now);
    return count;
  }
  void check() { assert_text_equal(faults(table), ""); }

  Zone zone;
  Table table;
  std::uint16_t store = kNone;
  Site site;
  Millis now = 1000000;
  std::map<std::uint32_t, std::uint64_t> sent;
};

std::string numbered(std::string_view word, std::uint64_t number) { return std::string(word) + std::to_string(number); }

// Buckets of the front.
std::uint32_t front_of(const Table& table) { return std::clamp(static_cast<std::uint32_t>(table.capacity() / kWays / 8), 1U, 1024U); }

// --- size and making -------------------------------------------------------------------------------

void bytes_per_session(void**) {
  constexpr std::uint64_t kEach = sizeof(Slot) + sizeof(Name) + 2 + 4 + 4;  // and the tag, its last touch, its detail
  for (std::size_t size : {16 * kMega, 64 * kMega, 256 * kMega}) {
    World world(size);
    std::uint64_t capacity = Table::capacity(size);
    assert_int_equal(capacity, world.table.capacity());
    // The documented formula, to within a word of 64 slots: five bits of every slot stand in bitmaps.
    std::uint64_t fixed = world.header().offsets[kTags] + kParts * 64;
    std::uint64_t expected = (size - fixed) * 8 / (kEach * 8 + 5);
    assert_int_equal(kEach * 8 + 5, 1013);
    if (capacity > expected || capacity + 128 <= expected) fail_msg("%lu sessions, not %lu", capacity, expected);
    assert_int_equal(world.header().offsets[kNames] % 64, 0);
    assert_true(world.header().offsets[kNames] + capacity * sizeof(Name) <= size);
  }
  assert_true(Table::capacity(16 * kMega) >= 100000);
  assert_true(Table::capacity(std::size_t{64} << 30) > 400000000);
}

void parts_do_not_overlap(void**) {
  for (std::size_t size = Table::kMinimum; size < 3 * kMega; size += 4096 * 7 + 64) {
    Zone zone(size);
    Table table;
    assert_true(table.create(zone.memory, size));
    const Header& header = table.header();
    std::uint64_t slots = table.capacity();
    const std::pair<Part, std::uint64_t> parts[] = {
        {kSites, header.max_sites * sizeof(SiteRecord)}, {kPlaces, header.max_places * sizeof(PlaceRecord)},
        {kTouchKeys, kMaxTouches * sizeof(TouchRecord)}, {kStores, kMaxStores * sizeof(StoreRecord)},
        {kPast, header.max_past * sizeof(PastRun)},      {kDetails, header.max_details * sizeof(Detail)},
        {kDetailPrints, header.max_details * sizeof(DetailPrints)},
        {kVerified, table.verified_tokens().size},       {kSnapshots, table.snapshots().size},
        {kQuotas, table.quotas().size},
        {kTags, slots * 2},                              {kDirty, slots / 8},
        {kTouchBits, kTouchStores * slots / 8},          {kTouched, slots * 4},
        {kDetailOf, slots * 4},
        {kSlots, slots * sizeof(Slot)},                  {kNames, slots * sizeof(Name)}};
    assert_int_equal(std::size(parts), kParts);
    std::uint64_t end = sizeof(Header);
    for (const auto& [part, bytes] : parts) {
      assert_true(bytes != 0);
      assert_true(end <= header.offsets[part]);
      assert_int_equal(header.offsets[part] % 64, 0);
      end = header.offsets[part] + bytes;
    }
    assert_true(end <= size);
    assert_true(table.verified_tokens().memory == zone.bytes() + header.offsets[kVerified]);
    assert_true(table.snapshots().memory == zone.bytes() + header.offsets[kSnapshots]);
  }
}

void too_small(void**) {
  Zone zone;
  Table table;
  for (std::size_t size : {std::size_t{0}, std::size_t{4096}, Table::kMinimum - 1}) assert_false(table.create(zone.memory, size));
  assert_false(table.attached());
  assert_true(table.create(zone.memory, Table::kMinimum));
}

void attach(void**) {
  World world;
  world.mark("abc");
  Table other;
  assert_false(other.attached());
  assert_true(other.attach(world.zone.memory, world.zone.size));
  Site site;
  assert_true(add_site(other, "site", other.add_store("redis"), false, kWeek, site));
  assert_true(mark(other, site, "abc", LifeSign::ping, false, world.now) == Marked::known);
  assert_text_equal(faults(other), "");
}

void attach_refuses_another_layout(void**) {
  World world;
  Header saved;
  std::memcpy(static_cast<void*>(&saved), world.zone.memory, sizeof saved);
  auto refused = [&](auto change) {
    change(world.header());
    Table other;
    bool result = !other.attach(world.zone.memory, world.zone.size) && !other.attached();
    std::memcpy(world.zone.memory, static_cast<void*>(&saved), sizeof saved);
    return result;
  };
  assert_true(refused([](Header& header) { header.magic ^= 1; }));
  assert_true(refused([](Header& header) { header.layout += 1; }));
  assert_true(refused([](Header& header) { header.size *= 2; }));
  assert_false(refused([](Header&) {}));
  Zone empty;
  Table other;
  assert_false(other.attach(empty.memory, empty.size));
  assert_false(other.attach(world.zone.memory, 4096));
}

// --- marking ---------------------------------------------------------------------------------------

void insert_and_find(void**) {
  World world;
  assert_true(world.mark("abc") == Marked::inserted);
  assert_true(world.mark("abc") == Marked::known);
  assert_true(world.mark("abd") == Marked::inserted);
  assert_int_equal(world.header().sessions.load(), 2);
  world.check();
  assert_int_equal(world.publish(), 2);
}

void what_a_mark_records(void**) {
  World world;
  world.mark("abc");
  world.now += 500;
  mark(world.table, world.site, "abc", LifeSign::page, true, world.now);
  world.now += 500;
  mark(world.table, world.site, "abc", LifeSign::request, false, world.now);
  assert_int_equal(world.publish(), 1);
  const BatchEntry& entry = world.table.store(world.store).entries[0];
  assert_int_equal(entry.seen, 1001000);
  assert_int_equal(entry.open_length, 1000);
  assert_int_equal(entry.active_back, 500);
  assert_int_equal(entry.active_length, 0);
  assert_int_equal(entry.delta, 3);
  assert_int_equal(entry.source, LifeSign::request);
  assert_int_equal(world.table.run_start(entry.slot), 1000000);
  assert_int_equal(world.table.name(entry.slot).size, 3);
  assert_memory_equal(world.table.name(entry.slot).bytes, "abc", 3);
}

// Until the grace is over, what the page had on its way does not bring the visitor back.
void a_beacon_after_a_goodbye(void**) {
  World world;
  world.table.set_terms(world.site, {false, kWeek, 5000});
  world.mark("abc");
  Sign goodbye;
  goodbye.source = LifeSign::beat;
  goodbye.leaving = true;
  world.table.mark(world.site, default_place(world.table, world.site), "abc", goodbye, ++world.now);
  const Millis left = world.now;
  auto last = [&] { return std::pair(world.table.store(world.store).entries[0].seen, world.table.store(world.store).entries[0].source); };
  auto beacon = [&](Millis at) { return mark(world.table, world.site, "abc", LifeSign::beacon, false, at); };
  assert_true(beacon(left + 4999) == Marked::known);
  assert_int_equal(world.publish(), 1);
  assert_true(last() == std::pair(left, static_cast<std::uint8_t>(static_cast<unsigned>(LifeSign::beat) | kLeaving)));
  assert_true(world.table.acknowledge(world.store, kMe, world.table.store(world.store).number, {}));
  assert_true(beacon(left + 5000) == Marked::known);
  world.now = left + 5000;
  assert_int_equal(world.publish(), 1);
  assert_true(last() == std::pair(left + 5000, static_cast<std::uint8_t>(LifeSign::beacon)));
}

void seen_never_goes_backwards(void**) {
  World world;
  world.mark("abc");
  mark(world.table, world.site, "abc", LifeSign::ping, false, world.now - 5000);
  world.publish();
  assert_int_equal(world.table.store(world.store).entries[0].seen, world.now);
  assert_int_equal(world.table.store(world.store).entries[0].delta, 2);
}

// Every length up to the longest id, and the neighbours of each: all are sessions of their own, found again.
void every_length(void**) {
  World world(4 * kMega);
  for (std::size_t size = 1; size <= 4096; ++size) {
    std::string id(size, 'x');
    if (world.mark(id) != Marked::inserted) fail_msg("%zu bytes", size);
    id.back() = 'y';
    if (world.mark(id) != Marked::inserted) fail_msg("%zu bytes, the last one other", size);
  }
  for (std::size_t size = 1; size <= 4096; ++size) {
    if (world.mark(std::string(size, 'x')) != Marked::known) fail_msg("%zu bytes", size);
  }
  assert_int_equal(world.header().sessions.load(), 2 * 4096);
  world.check();
}

void every_byte(void**) {
  World world;
  for (int byte = 0; byte < 256; ++byte) {
    for (std::string id : {std::string(1, static_cast<char>(byte)), "ab" + std::string(1, static_cast<char>(byte)),
                           std::string(100, static_cast<char>(byte))}) {
      assert_true(world.mark(id) == Marked::inserted);
      assert_true(world.mark(id) == Marked::known);
    }
  }
  assert_true(world.mark(std::string("a\0", 2)) == Marked::inserted);
  assert_true(world.mark("a\xff") == Marked::inserted);
  assert_int_equal(world.header().sessions.load(), 3 * 256 + 2);
  world.check();
}

void short_names_are_kept_and_long_ones_digested(void**) {
  World world;
  for (std::size_t size : {std::size_t{1}, std::size_t{kNameBytes}, std::size_t{kNameBytes} + 1, std::size_t{4096}}) {
    std::string id(size, 'x');
    world.mark(id);
    assert_int_equal(world.publish(), 1);
    const Name& name = world.table.name(world.table.store(world.store).entries[0].slot);
    if (size <= kNameBytes) {
      assert_int_equal(name.size, size);
      assert_memory_equal(name.bytes, id.data(), size);
    } else {
      assert_int_equal(name.size, Name::kDigest);
    }
    assert_true(world.table.acknowledge(world.store, kMe, world.table.store(world.store).number, {}));
  }
}

void recent(void**) {
  World world;
  Recent recent{};
  auto mark = [&](std::string_view id) {
    return heartbeat::mark(world.table, world.site, id, LifeSign::ping, false, world.now, &recent);
  };
  assert_true(mark("abc") == Marked::inserted);
  assert_true(mark("abc") == Marked::known);
  assert_true(mark("abc") == Marked::known);
  assert_true(mark("abd") == Marked::inserted);
  assert_true(mark("abd") == Marked::known);
  assert_true(mark("abc") == Marked::known);
  std::string long_id(kNameBytes + 1, 'x');
  assert_true(mark(long_id) == Marked::inserted);
  assert_true(mark(long_id) == Marked::known);
  assert_true(mark(std::string(256 + 3, 'x')) == Marked::inserted);  // its size, cut to a byte, is 3
  Site other;
  assert_true(add_site(world.table, "other", world.store, false, kWeek, other));
  mark("abc");
  assert_true(heartbeat::mark(world.table, other, "abc", LifeSign::ping, false, world.now, &recent) == Marked::inserted);
  assert_int_equal(world.flush(), 11);
  world.check();
}

// The connection of a proxy: it stops to remember, and every session is found all the same.
void recent_of_many(void**) {
  World world;
  Recent recent{};
  for (std::uint64_t i = 0; i < 100; ++i) {
    bool remembers = i / 2 <= Recent::kShared;
    std::string id = numbered("visitor", i / 2);
    assert_true(mark(world.table, world.site, id, LifeSign::ping, false, world.now, &recent) == (i % 2 == 0 ? Marked::inserted : Marked::known));
    if (i % 2 == 1) assert_int_equal(recent.size == id.size() && std::memcmp(recent.id, id.data(), id.size()) == 0, remembers);
  }
  assert_int_equal(world.flush(), 100);
  world.check();
}

// A connection's memory of a session that was evicted meanwhile must not count for whoever has the slot now.
void recent_of_an_evicted_one(void**) {
  World world(kMega, false);
  Recent recent{};
  for (int i = 0; i < 2; ++i) mark(world.table, world.site, "first", LifeSign::ping, false, world.now, &recent);
  for (std::uint64_t i = 0; world.header().evicted.load() < 2 * world.table.capacity(); ++i) {
    ++world.now;
    world.mark(numbered("other", i));
  }
  assert_true(mark(world.table, world.site, "first", LifeSign::ping, false, world.now, &recent) == Marked::inserted);
  world.check();
}

// A process that died while it evicted left the tag cleared and the fingerprint standing. Whoever remembers the slot
// must not beat into the void.
void recent_of_a_half_evicted_one(void**) {
  World world;
  Recent recent{};
  for (int i = 0; i < 2; ++i) mark(world.table, world.site, "first", LifeSign::ping, false, world.now, &recent);
  world.flush();
  pid_t child = ::fork();
  if (child == 0) {
    world.header().lock.lock();
    auto* tags = part_of<std::uint16_t>(world.table, kTags);
    tags[recent.index] = 0;
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  world.mark("takes the lock");
  assert_true(mark(world.table, world.site, "first", LifeSign::ping, false, world.now, &recent) == Marked::inserted);
  assert_int_equal(world.flush(), 2);
  world.check();
}

void an_unrecorded_site(void**) {
  Site site;
  assert_int_equal(site.index, kNone);
}

// --- evicting --------------------------------------------------------------------------------------

// Two full buckets refuse a newcomer though others have room: nobody is refused below five sixths of the capacity, and
// seldom one or two of a hundred thousand.
void a_hundred_thousand_in_16m(void**) {
  World world(16 * kMega);
  assert_true(world.table.capacity() >= 113000);
  std::vector<bool> here(100000);
  for (std::uint64_t i = 0; i < world.table.capacity() * 5 / 6; ++i) assert_true(world.mark(numbered("session-", i)) == Marked::inserted);
  std::uint64_t first = world.header().sessions.load();
  for (std::uint64_t i = 0; i < 100000; ++i) here[i] = world.mark(numbered("session-", i)) != Marked::refused;
  auto count = static_cast<std::uint64_t>(std::count(here.begin(), here.end(), true));
  assert_true(count >= 100000 - 10);
  assert_int_equal(world.header().refused.load(), 100000 - count);
  assert_int_equal(world.header().sessions.load(), count);
  assert_int_equal(world.header().evicted.load(), 0);
  for (std::uint64_t i = 0; i < 100000; ++i) {
    if (here[i]) assert_true(world.mark(numbered("session-", i)) == Marked::known);
  }
  assert_int_equal(world.flush(), first + 2 * count);
  world.check();
}

// Also less what nginx' slab allocator takes of a zone.
void fewer_in_less(void**) {
  World world(16 * kMega / 16 * 15);
  std::uint64_t most = world.table.capacity() * 5 / 6;
  for (std::uint64_t i = 0; i < most; ++i) assert_true(world.mark(numbered("session-", i)) == Marked::inserted);
  assert_int_equal(world.header().refused.load() + world.header().evicted.load(), 0);
}

// What is looked at all the time lies together: the front is filled first, and who comes while others there are offline
// takes their places. They go to other buckets, with all that is known of them.
void the_front(void**) {
  World world(16 * kMega);
  const std::uint32_t end = front_of(world.table) * kWays;
  auto in_front = [&](std::string_view word) {
    std::uint32_t count = 0;
    for (std::uint32_t index = 0; index < end; ++index) {
      count += world.table.in_use(index) && std::string_view(world.table.name(index).bytes, word.size()) == word ? 1 : 0;
    }
    return count;
  };
  for (std::uint64_t i = 0; i < end / 2; ++i) {
    world.table.mark(world.site, default_place(world.table, world.site), numbered("early", i), sign_of(numbered("name of ", i % 100)), world.now);
  }
  assert_true(in_front("early") > end / 2 - end / 200);
  for (std::uint64_t i = 0; i < 2 * end; ++i) world.mark(numbered("many", i));
  assert_true(in_front("") > end - end / 100);
  world.now += 90001;
  world.mark("late");
  assert_int_equal(in_front("late"), 0);  // Redis does not have those who are offline
  world.flush();
  for (std::uint64_t i = 0; i < end / 2; ++i) assert_true(world.mark(numbered("new", i)) == Marked::inserted);
  assert_true(in_front("new") > end / 2 - end / 200);
  assert_true(in_front("") > end - end / 100);
  assert_int_equal(world.header().evicted.load(), 0);
  world.check();
  assert_int_equal(world.flush(), end / 2);  // of those who moved there is no news
  std::uint32_t named = 0;
  for (std::uint32_t index = end; index < world.table.capacity(); ++index) named += world.table.in_use(index) && world.table.user(index).starts_with("name of ") ? 1 : 0;
  assert_true(named > end / 10);
  for (std::uint64_t i = 0; i < end / 2; ++i) assert_true(world.mark(numbered("early", i)) == Marked::known);
  for (std::uint64_t i = 0; i < 2 * end; ++i) assert_true(world.mark(numbered("many", i)) == Marked::known);
  world.check();
}

// Where there is no room at all, who has been offline for longest goes out of the table.
void the_front_of_a_full_table(void**) {
  World world;
  const std::uint64_t capacity = world.table.capacity();
  for (std::uint64_t i = 0; i < 3 * capacity; ++i) {
    world.now += 100;
    world.mark(numbered("s", i));
    if (i % 100 == 0) world.flush();
  }
  assert_true(world.header().sessions.load() > capacity - capacity / 100);
  std::uint64_t here = 0;
  for (std::uint64_t i = 3 * capacity - capacity * 3 / 4; i < 3 * capacity; ++i) here += world.mark(numbered("s", i)) == Marked::known ? 1 : 0;
  assert_true(here > capacity * 3 / 4 - capacity / 10);
  world.check();
}

void dirty_ones_are_never_evicted(void**) {
  World world;
  std::vector<std::string> inserted;
  std::uint64_t refused = 0;
  for (std::uint64_t i = 0; i < 3 * world.table.capacity(); ++i) {
    ++world.now;
    Marked marked = world.mark(numbered("s", i));
    if (marked == Marked::inserted) inserted.push_back(numbered("s", i));
    refused += marked == Marked::refused;
  }
  assert_int_equal(world.header().evicted.load(), 0);
  assert_int_equal(world.header().refused.load(), refused);
  assert_int_equal(world.header().sessions.load(), inserted.size());
  assert_true(inserted.size() > world.table.capacity() * 9 / 10);
  for (const std::string& id : inserted) assert_true(world.mark(id) == Marked::known);
  assert_int_equal(world.flush(), 2 * inserted.size());
  world.check();
  // Once Redis has them all, there is room again.
  assert_true(world.mark("late") == Marked::inserted);
  world.check();
}

// Sessions on their way are not evicted either, though the beats of a batch are taken.
void those_on_their_way_are_kept(void**) {
  World world;
  for (std::uint64_t i = 0; i < 300; ++i) world.mark(numbered("way", i));
  std::uint32_t count = world.publish();
  assert_true(count != 0);
  std::uint64_t number = world.table.store(world.store).number;
  std::vector<std::uint32_t> slots;
  for (std::uint32_t i = 0; i < count; ++i) slots.push_back(world.table.store(world.store).entries[i].slot);
  for (std::uint64_t i = 0; i < 3 * world.table.capacity(); ++i) world.mark(numbered("x", i));
  for (std::uint32_t i = 0; i < count; ++i) {
    assert_int_equal(world.table.store(world.store).entries[i].slot, slots[i]);
    assert_memory_equal(world.table.name(slots[i]).bytes, "way", 3);
  }
  world.check();
  assert_true(world.table.acknowledge(world.store, kMe, number, {}));
  world.check();
}

// Where some are dirty and some are clean, room is made among the clean ones, though the dirty ones are older.
void clean_ones_go_first(void**) {
  World world;
  std::uint64_t capacity = world.table.capacity();
  for (std::uint64_t i = 0; i < capacity; ++i) {
    ++world.now;
    world.mark(numbered("s", i));
    if (i == capacity / 2) world.flush();
  }
  ++world.now;
  for (std::uint64_t i = 0; i <= capacity / 2; ++i) world.mark(numbered("s", i));  // dirty again, but not the oldest
  Site memory;  // always clean, and newer than all
  assert_true(add_site(world.table, "memory", kNone, false, kWeek, memory));
  world.flush();
  for (std::uint64_t i = 0; i < capacity / 4; ++i) world.mark(numbered("s", i));
  world.now += 1000;
  for (std::uint64_t i = capacity / 4; i < capacity; ++i) {
    mark(world.table, memory, numbered("m", i), LifeSign::ping, false, world.now);
  }
  world.now += 1000;
  world.header().refused.store(0);
  for (std::uint64_t i = 0; i < 10 * capacity; ++i) mark(world.table, memory, numbered("n", i), LifeSign::ping, false, ++world.now);
  assert_int_equal(world.header().refused.load(), 0);
  world.check();
}

// A session can be on its way without a change: its bit was set anew by a beat that the batch before it took along.
void on_its_way_without_a_change(void**) {
  World world;
  world.mark("abc");
  world.flush();
  auto* dirty = part_of<std::uint64_t>(world.table, kDirty);
  std::uint32_t index = 0;
  while (world.table.slot(index).seen.load() == 0) ++index;
  dirty[index / 64] |= 1ULL << index % 64;
  assert_int_equal(world.publish(), 1);
  assert_int_equal(world.table.store(world.store).entries[0].delta, 0);
  Site memory;
  assert_true(add_site(world.table, "memory", kNone, false, kWeek, memory));
  for (std::uint64_t i = 0; i < 4 * world.table.capacity(); ++i) mark(world.table, memory, numbered("m", i), LifeSign::ping, false, ++world.now);
  world.check();
  assert_memory_equal(world.table.name(index).bytes, "abc", 3);
  assert_true(world.mark("abc") == Marked::known);
}

// Of the 32 places a new session could take, it gets that of the one that was silent longest.
void the_longest_silent_goes(void**) {
  for (bool durable : {false, true}) {
    World world(kMega, durable);
    std::map<std::string, Millis> alive;
    for (std::uint64_t i = 0; i < 2 * world.table.capacity(); ++i) {
      ++world.now;
      std::string id = numbered("s", i);
      world.mark(id);
      alive[id] = world.now;
      if (durable && i % 1000 == 0) world.flush();
    }
    // The newest eighth is there in full, and none of the oldest.
    std::uint64_t newest = 0, oldest = 0, probes = world.table.capacity() / 8;
    std::uint64_t sessions = world.header().sessions.load();
    for (std::uint32_t index = 0; index < world.table.capacity(); ++index) {
      Millis seen = world.table.slot(index).seen.load();
      newest += seen > world.now - static_cast<Millis>(probes);
      oldest += seen != 0 && seen <= 1000000 + static_cast<Millis>(probes);
    }
    assert_int_equal(newest, probes);
    assert_int_equal(oldest, 0);
    assert_true(sessions > world.table.capacity() * 9 / 10);
    assert_true(world.header().evicted.load() > 0);
    assert_int_equal(world.header().refused.load(), 0);
    world.check();
  }
}

void memory_only_never_refuses(void**) {
  World world(kMega, false);
  for (std::uint64_t i = 0; i < 4 * world.table.capacity(); ++i) {
    ++world.now;
    assert_true(world.mark(numbered("s", i)) == Marked::inserted);
  }
  assert_int_equal(world.header().refused.load(), 0);
  assert_false(world.table.anything_to_flush(UINT32_MAX));
  world.check();
}

// --- sites and stores ------------------------------------------------------------------------------

void sites_are_apart(void**) {
  World world;
  Site sites[40];
  for (int i = 0; i < 40; ++i) assert_true(add_site(world.table, numbered("site", static_cast<unsigned>(i)), world.store, i % 2 == 0, kWeek, sites[i]));
  for (int i = 0; i < 40; ++i) assert_true(mark(world.table, sites[i], "same", LifeSign::ping, false, world.now) == Marked::inserted);
  for (int i = 0; i < 40; ++i) assert_true(mark(world.table, sites[i], "same", LifeSign::ping, false, world.now) == Marked::known);
  assert_int_equal(world.publish(), 40);
  const StoreRecord& record = world.table.store(world.store);
  for (std::uint32_t i = 1; i < record.count; ++i) assert_true(world.table.place(record.entries[i - 1].place).site < world.table.place(record.entries[i].place).site);
  world.check();
}

void the_same_site_again(void**) {
  World world;
  Site again;
  assert_true(add_site(world.table, "site", world.store, true, 1234567, again));
  assert_int_equal(again.index, world.site.index);
  assert_memory_equal(again.key, world.site.key, sizeof again.key);
  assert_int_equal(world.table.site(again.index).retention, kWeek);  // what runs is not changed by what is tried
  assert_int_equal(world.table.site(again.index).plain, 0);
  world.table.set_terms(again, {true, 1234567, 5, 3});
  const SiteRecord& record = world.table.site(again.index);
  assert_true(record.retention == 1234567 && record.plain == 1 && record.grace == 5 && record.shards == 3);
  Site in_memory;
  assert_true(add_site(world.table, "site", kNone, false, kWeek, in_memory));
  assert_int_not_equal(in_memory.index, world.site.index);
  assert_true(world.site.durable);
  assert_false(in_memory.durable);
}

void too_many_sites(void**) {
  World world;
  Site site;
  std::uint64_t added = 1;
  while (add_site(world.table, numbered("s", added), world.store, false, kWeek, site)) ++added;
  assert_int_equal(added, world.header().max_sites);
  assert_true(added >= 50);
  assert_true(add_site(world.table, "s1", world.store, false, kWeek, site));
  assert_false(add_site(world.table, "new", world.store, false, kWeek, site));
  assert_false(add_site(world.table, std::string(256, 'x'), world.store, false, kWeek, site));
  assert_true(world.mark("abc") == Marked::inserted);
  world.check();
}

void too_many_stores(void**) {
  World world;
  std::set<std::uint16_t> indices = {world.store};
  for (unsigned i = 1; i < kMaxStores; ++i) indices.insert(world.table.add_store(numbered("redis", i)));
  assert_int_equal(indices.size(), kMaxStores);
  assert_false(indices.contains(kNone));
  assert_int_equal(world.table.add_store("one more"), kNone);
  assert_int_equal(world.table.add_store("redis"), world.store);
  assert_int_equal(world.table.add_store("redis3"), 3);
}

// --- batches ---------------------------------------------------------------------------------------

void each_beat_is_sent_once(void**) {
  World world;
  std::map<std::string, std::uint64_t> beats;
  std::uint64_t sum = 0;
  std::uint64_t random = 12345;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 2000; ++i) {
      random = random * 6364136223846793005 + 1442695040888963407;
      ++world.now;
      world.mark(numbered("s", (random >> 33) % 1500));
    }
    sum += world.flush();
    assert_int_equal(sum, static_cast<std::uint64_t>(round + 1) * 2000);
    assert_int_equal(world.flush(), 0);
    assert_false(world.table.anything_to_flush(UINT32_MAX));
    world.check();
  }
}

void a_beat_while_on_its_way(void**) {
  World world;
  world.mark("abc");
  assert_int_equal(world.publish(), 1);
  world.now += 10;
  world.mark("abc");
  world.mark("abc");
  world.check();
  assert_int_equal(world.table.store(world.store).entries[0].delta, 1);
  assert_int_equal(world.publish(), 0);  // one batch at a time
  assert_true(world.table.acknowledge(world.store, kMe, 1, {}));
  assert_true(world.table.anything_to_flush(1));
  assert_int_equal(world.publish(), 1);
  const BatchEntry& entry = world.table.store(world.store).entries[0];
  assert_int_equal(entry.delta, 2);
  assert_int_equal(entry.seen, world.now);
  assert_true(world.table.acknowledge(world.store, kMe, 2, {}));
  assert_false(world.table.anything_to_flush(1));
  world.check();
}

void failed_entries_stay_changed(void**) {
  World world;
  for (std::uint64_t i = 0; i < 50; ++i) world.mark(numbered("s", i));
  assert_int_equal(world.publish(), 50);
  std::set<std::uint32_t> failed_slots;
  const std::uint16_t failed[] = {0, 7, 8, 49};
  for (std::uint16_t i : failed) failed_slots.insert(world.table.store(world.store).entries[i].slot);
  world.now += 5;
  assert_true(world.table.acknowledge(world.store, kMe, 1, failed));
  world.check();
  assert_true(world.table.anything_to_flush(1));
  assert_int_equal(world.publish(), 4);
  for (std::uint32_t i = 0; i < 4; ++i) {
    const BatchEntry& entry = world.table.store(world.store).entries[i];
    assert_true(failed_slots.contains(entry.slot));
    assert_int_equal(entry.delta, 1);
  }
  assert_true(world.table.acknowledge(world.store, kMe, 2, {}));
  assert_int_equal(world.flush(), 0);
  world.check();
}

void odd_failures(void**) {
  World world;
  world.mark("abc");
  assert_int_equal(world.publish(), 1);
  const std::uint16_t failed[] = {5, 3, 60000};  // none of them is in the batch
  assert_true(world.table.acknowledge(world.store, kMe, 1, failed));
  world.check();
}

void only_the_owner(void**) {
  World world;
  world.mark("abc");
  Pass pass;
  assert_int_equal(world.table.publish(world.store, kMe + 1, pass, world.now), 0);
  assert_int_equal(world.publish(), 1);
  assert_false(world.table.acknowledge(world.store, kMe + 1, 1, {}));
  assert_false(world.table.acknowledge(world.store, kMe, 2, {}));
  assert_false(world.table.acknowledge(world.store, kMe, 0, {}));
  assert_true(world.table.acknowledge(world.store, kMe, 1, {}));
  assert_false(world.table.acknowledge(world.store, kMe, 1, {}));
}

void the_lease(void**) {
  World world;
  Table& table = world.table;
  table.drop_lease(kMe);
  assert_true(table.take_lease(1, 1000, 3000));
  assert_false(table.take_lease(2, 1000, 3000));
  assert_true(table.take_lease(1, 2000, 3000));
  assert_false(table.take_lease(2, 4999, 3000));
  assert_true(table.take_lease(2, 5000, 3000));
  assert_false(table.take_lease(1, 5001, 3000));
  table.drop_lease(1);  // not its own any more
  assert_false(table.take_lease(1, 5001, 3000));
  table.drop_lease(2);
  assert_true(table.take_lease(1, 5001, 3000));
}

// The process that sent a batch died before the answer: its successor finds the same batch, under the same number.
void a_successor_sends_the_same_batch(void**) {
  World world;
  world.table.drop_lease(kMe);
  for (std::uint64_t i = 0; i < 100; ++i) world.mark(numbered("s", i));
  pid_t child = ::fork();
  if (child == 0) {
    Pass pass;
    world.table.take_lease(5, 1000, 3000);
    while (world.table.publish(world.store, 5, pass, world.now) == 0 && !pass.done()) continue;
    ::kill(::getpid(), SIGKILL);
  }
  ::waitpid(child, nullptr, 0);
  const StoreRecord& record = world.table.store(world.store);
  std::vector<char> entries(record.count * sizeof(BatchEntry));
  std::memcpy(entries.data(), record.entries, entries.size());
  std::uint32_t count = record.count;
  assert_true(count > 0);
  world.now += 100;
  for (std::uint64_t i = 0; i < 200; ++i) world.mark(numbered("s", i));
  Pass pass;
  assert_false(world.table.take_lease(6, 3999, 3000));
  assert_int_equal(world.table.publish(world.store, 6, pass, world.now), 0);
  assert_true(world.table.take_lease(6, 4000, 3000));
  assert_int_equal(world.table.publish(world.store, 6, pass, world.now), 0);  // that one is still on its way
  assert_int_equal(record.count, count);
  assert_int_equal(record.number, 1);
  assert_memory_equal(entries.data(), record.entries, entries.size());
  assert_false(world.table.acknowledge(world.store, 5, 1, {}));
  assert_true(world.table.acknowledge(world.store, 6, 1, {}));
  assert_int_equal(record.applied, 1);
  world.check();
  world.table.drop_lease(6);
  assert_true(world.table.take_lease(kMe, 5000, 1000000));
  assert_int_equal(world.flush(), 300 - count);
  world.check();
}

void beats_wrap(void**) {
  World world;
  world.mark("abc");
  world.flush();
  std::uint32_t index = 0;
  while (world.table.slot(index).seen.load() == 0) ++index;
  auto& slot = const_cast<Slot&>(world.table.slot(index));
  slot.beats.store(UINT32_MAX - 1);
  slot.stored_beats.store(UINT32_MAX - 1);
  for (int i = 0; i < 5; ++i) world.mark("abc");
  assert_int_equal(slot.beats.load(), 3);
  assert_int_equal(world.flush(), 5);
  assert_int_equal(world.flush(), 0);
  world.check();
}

// An activity at the very time of the last sign that was sent is sent once more: another may have followed in the same
// millisecond.
void activity_is_not_sent_for_ever(void**) {
  World world;
  constexpr std::uint32_t kNever = BatchEntry::kNever;
  auto back = [&] {  // of the activity behind the last sign
    assert_int_equal(world.publish(), 1);
    std::uint32_t result = world.table.store(world.store).entries[0].active_back;
    assert_true(world.table.acknowledge(world.store, kMe, world.table.store(world.store).number, {}));
    return result;
  };
  world.mark("abc");
  assert_int_equal(back(), kNever);
  world.now += 10;
  world.mark("abc", true);
  assert_int_equal(back(), 0);
  world.now += 10;
  world.mark("abc");
  assert_int_equal(back(), 10);
  world.now += 10;
  world.mark("abc");
  assert_int_equal(back(), kNever);
  world.now += 10;
  world.mark("abc", true);
  world.now += 10;
  world.mark("abc");
  assert_int_equal(back(), 10);
}

void too_old_for_redis(void**) {
  World world;
  world.mark("old");
  world.now += kWeek + 1;
  world.mark("new");
  assert_int_equal(world.flush(), 1);
  assert_false(world.table.anything_to_flush(1));
  world.check();
}

void many_in_slices(void**) {
  World world(4 * kMega);
  for (std::uint64_t i = 0; i < 20000; ++i) world.mark(numbered("s", i));
  std::uint64_t sum = 0;
  int batches = 0;
  for (Pass pass; !pass.done();) {
    std::uint32_t count = world.table.publish(world.store, kMe, pass, world.now);
    if (count == 0) continue;
    assert_true(count <= kBatch);
    sum += count;
    ++batches;
    world.check();
    assert_true(world.table.acknowledge(world.store, kMe, world.table.store(world.store).number, {}));
  }
  assert_int_equal(sum, 20000);
  assert_true(batches < 100);  // new sessions cost twice as much as others
  world.check();
}

void two_stores(void**) {
  World world;
  std::uint16_t other_store = world.table.add_store("other");
  Site other;
  assert_true(add_site(world.table, "site", other_store, false, kWeek, other));
  for (std::uint64_t i = 0; i < 100; ++i) {
    world.mark(numbered("s", i));
    mark(world.table, other, numbered("s", i), LifeSign::ping, false, world.now);
  }
  assert_int_equal(world.flush(), 100);
  assert_false(world.table.anything_to_flush(1));
  assert_true(world.table.anything_to_flush(2));
  world.store = other_store;
  assert_int_equal(world.flush(), 100);
  assert_false(world.table.anything_to_flush(3));
  assert_int_equal(world.table.store(0).number, world.table.store(1).number);
  world.check();
}

void forget_stored(void**) {
  World world;
  for (std::uint64_t i = 0; i < 1000; ++i) world.mark(numbered("s", i));
  assert_int_equal(world.flush(), 1000);
  Site memory;
  assert_true(add_site(world.table, "memory", kNone, false, kWeek, memory));
  mark(world.table, memory, "m", LifeSign::ping, false, world.now);
  world.table.forget_stored(world.store);
  while (world.table.mark_forgotten(world.store)) continue;
  world.check();
  assert_true(world.table.anything_to_flush(1));
  std::uint64_t sessions = 0;
  for (Pass pass; !pass.done();) {
    std::uint32_t count = world.table.publish(world.store, kMe, pass, world.now);
    sessions += count;
    for (std::uint32_t i = 0; i < count; ++i) assert_int_equal(world.table.store(world.store).entries[i].delta, 0);
    if (count != 0) assert_true(world.table.acknowledge(world.store, kMe, world.table.store(world.store).number, {}));
  }
  assert_int_equal(sessions, 1000);
  assert_false(world.table.anything_to_flush(1));
  world.check();
}

void drop_orphans(void**) {
  World world;
  for (std::uint64_t i = 0; i < 1000; ++i) world.mark(numbered("s", i));
  world.publish();
  auto drop = [&](std::uint32_t in_use) {
    for (std::uint32_t cursor = 0; cursor < world.table.end();) world.table.drop_orphans(in_use, cursor, world.now, 60000);
  };
  world.now += 59999;
  drop(0);
  drop(1);
  assert_int_equal(world.header().dropped.load(), 0);
  world.now += 1;
  drop(1);
  assert_int_equal(world.header().dropped.load(), 0);
  drop(0);
  assert_int_equal(world.header().dropped.load(), 1000);
  world.check();
  assert_false(world.table.anything_to_flush(1));
  for (std::uint64_t i = 0; i < 3 * world.table.capacity(); ++i) world.mark(numbered("x", i));
  world.check();
}

// --- checking --------------------------------------------------------------------------------------

// Each corruption alone, on a table in the middle of its work, is found.
void validate_finds(void**) {
  World world;
  for (std::uint64_t i = 0; i < 1000; ++i) world.mark(numbered("s", i));
  world.flush();
  for (std::uint64_t i = 0; i < 900; ++i) world.mark(numbered("s", i));
  world.table.mark(world.site, default_place(world.table, world.site), "s0", sign_of("alice"), world.now);
  assert_true(world.publish() != 0);
  world.check();
  std::vector<char> saved(world.zone.bytes(), world.zone.bytes() + world.zone.size);
  auto* tags = part_of<std::uint16_t>(world.table, kTags);
  auto* dirty = part_of<std::uint64_t>(world.table, kDirty);
  auto* names = part_of<Name>(world.table, kNames);
  auto* slots = part_of<Slot>(world.table, kSlots);
  auto* detail_of = part_of<std::uint32_t>(world.table, kDetailOf);
  auto* details = part_of<Detail>(world.table, kDetails);
  StoreRecord& store = world.table.store(world.store);
  std::uint32_t used = 0, free_slot = 0, unsent = 0;
  while (tags[used] == 0 || tags[used] == 0x55) ++used;
  while (tags[free_slot] != 0) ++free_slot;
  while (tags[unsent] == 0 || slots[unsent].pinned.load() != 0 || (dirty[unsent / 64] >> unsent % 64 & 1) == 0) ++unsent;

  auto finds = [&](const char* what, auto corrupt) {
    corrupt();
    std::string found = faults(world.table);
    std::memcpy(world.zone.memory, saved.data(), saved.size());
    if (found.find(what) == std::string::npos) fail_msg("expected \"%s\", found \"%s\"", what, found.c_str());
  };
  finds("", [] {});
  world.check();
  finds("the tag is not its own", [&] { tags[used] = static_cast<std::uint16_t>(tags[used] ^ 0x55); });
  finds("sessions counted", [&] { tags[used] = 0; });
  finds("sessions counted", [&] { world.header().sessions.fetch_add(1); });
  // By half of their range: none of its three buckets is what it was.
  finds("in a foreign bucket", [&] { slots[used].fingerprint[0].fetch_xor(1ULL << 63 | 1ULL << 31); slots[used].fingerprint[1].fetch_xor(1ULL << 31); });
  finds("unknown place", [&] { slots[used].place = 1; });
  finds("belongs to slot", [&] { ++details[0].owner; });
  finds("details owned", [&] { detail_of[details[0].owner - 1] = 0; });
  finds("details owned", [&] { world.header().free_detail = 0; });
  finds("too long", [&] { details[0].user_size = kUserBytes + 1; });
  finds("too long", [&] { details[0].page_size = kPageBytes + 1; });
  finds("a name of 56 bytes", [&] { names[used].size = 56; });
  finds("changed, but nobody will know", [&] { dirty[unsent / 64] &= ~(1ULL << unsent % 64); });
  finds("pinned slots", [&] { slots[unsent].pinned.store(1); });
  finds("pinned slots", [&] { slots[store.entries[0].slot].pinned.store(0); });
  finds("in a batch, but not pinned", [&] { slots[store.entries[0].slot].pinned.store(0); slots[free_slot].pinned.store(1); });
  finds("names no slot", [&] { store.entries[0].slot = 0x7fffffff; });
  finds("names no slot", [&] { store.entries[store.count - 1].slot = static_cast<std::uint32_t>(world.table.capacity()); });
  finds("pinned slots", [&] { ++store.count; store.entries[store.count - 1].slot = store.entries[0].slot; });
  // A session twice: once more in its own bucket, and in another of its buckets.
  auto copy_to = [&](std::uint32_t bucket) {
    std::uint32_t copy = bucket * kWays + (bucket * kWays == used ? 1 : 0);
    if (tags[copy] == 0) world.header().sessions.fetch_add(1);
    tags[copy] = tags[used];
    slots[copy].fingerprint[0].store(slots[used].fingerprint[0].load());
    slots[copy].fingerprint[1].store(slots[used].fingerprint[1].load());
  };
  finds("stands twice", [&] { copy_to(used / kWays); });
  std::uint64_t others = world.header().buckets - front_of(world.table);
  auto behind = static_cast<std::uint32_t>(front_of(world.table) + ((slots[used].fingerprint[0].load() >> 32) * others >> 32));
  assert_true(used / kWays < front_of(world.table));
  finds("stands twice", [&] { copy_to(behind); });
}

// The holder of the lock died in the middle of an insertion and of a batch: whoever takes the lock next sets the
// count and the pins right.
void a_dead_holder_is_cleaned_up_after(void**) {
  World world;
  for (std::uint64_t i = 0; i < 100; ++i) world.mark(numbered("s", i));
  world.flush();
  for (std::uint64_t i = 0; i < 50; ++i) world.mark(numbered("s", i));
  world.publish();
  pid_t child = ::fork();
  if (child == 0) {
    world.header().lock.lock();
    world.header().sessions.fetch_add(7);
    for (std::uint32_t index = 0; index < world.table.capacity(); index += 3) const_cast<Slot&>(world.table.slot(index)).pinned.store(1);
    const_cast<Slot&>(world.table.slot(world.table.store(world.store).entries[0].slot)).pinned.store(0);
    ::kill(::getpid(), SIGKILL);
  }
  ::waitpid(child, nullptr, 0);
  world.check();
  assert_int_equal(world.header().sessions.load(), 100);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(bytes_per_session), cmocka_unit_test(parts_do_not_overlap), cmocka_unit_test(too_small),
      cmocka_unit_test(attach), cmocka_unit_test(attach_refuses_another_layout), cmocka_unit_test(insert_and_find),
      cmocka_unit_test(what_a_mark_records), cmocka_unit_test(a_beacon_after_a_goodbye), cmocka_unit_test(seen_never_goes_backwards), cmocka_unit_test(every_length),
      cmocka_unit_test(every_byte), cmocka_unit_test(short_names_are_kept_and_long_ones_digested), cmocka_unit_test(recent), cmocka_unit_test(recent_of_many),
      cmocka_unit_test(recent_of_an_evicted_one), cmocka_unit_test(recent_of_a_half_evicted_one),
      cmocka_unit_test(an_unrecorded_site), cmocka_unit_test(a_hundred_thousand_in_16m),
      cmocka_unit_test(fewer_in_less), cmocka_unit_test(the_front), cmocka_unit_test(the_front_of_a_full_table), cmocka_unit_test(dirty_ones_are_never_evicted),
      cmocka_unit_test(those_on_their_way_are_kept), cmocka_unit_test(the_longest_silent_goes),
      cmocka_unit_test(clean_ones_go_first), cmocka_unit_test(on_its_way_without_a_change),
      cmocka_unit_test(memory_only_never_refuses), cmocka_unit_test(sites_are_apart), cmocka_unit_test(the_same_site_again),
      cmocka_unit_test(too_many_sites), cmocka_unit_test(too_many_stores), cmocka_unit_test(each_beat_is_sent_once),
      cmocka_unit_test(a_beat_while_on_its_way), cmocka_unit_test(failed_entries_stay_changed), cmocka_unit_test(odd_failures),
      cmocka_unit_test(only_the_owner), cmocka_unit_test(the_lease), cmocka_unit_test(a_successor_sends_the_same_batch),
      cmocka_unit_test(beats_wrap), cmocka_unit_test(activity_is_not_sent_for_ever), cmocka_unit_test(too_old_for_redis),
      cmocka_unit_test(many_in_slices), cmocka_unit_test(two_stores), cmocka_unit_test(forget_stored),
      cmocka_unit_test(drop_orphans), cmocka_unit_test(validate_finds), cmocka_unit_test(a_dead_holder_is_cleaned_up_after)};
  return cmocka_run_group_tests_name("table", tests, nullptr, nullptr);
}
