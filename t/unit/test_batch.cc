// Commands as Redis reads them, and a batch as a command.
#include "t/unit/support/test.h"

#include "shared/redis/batch.h"
#include "shared/redis/keys.h"
#include "t/unit/support/fake_redis.h"
#include "t/unit/support/marks.h"
#include "t/unit/support/zone.h"

namespace {
using namespace heartbeat;

void commands(void**) {
  Buffer out;
  CommandWriter writer(out);
  writer.command({"SET", "", std::string_view("a\r\n\0b", 5)});
  assert_true(out.view() == std::string_view("*3\r\n$3\r\nSET\r\n$0\r\n\r\n$5\r\na\r\n\0b\r\n", 30));
  out.clear();
  writer.begin(2);
  writer.number(INT64_MIN);
  writer.number(INT64_MAX);
  assert_text_equal(out.view(), "*2\r\n$20\r\n-9223372036854775808\r\n$19\r\n9223372036854775807\r\n");
}

// As redis.sha1hex() says.
void shards(void**) {
  struct Known {
    std::string_view name;
    std::uint32_t of_two, of_seven, of_many;
  };
  for (const Known& known : {Known{"alice", 0, 3, 874}, Known{"v", 1, 6, 203}, Known{"AAAAAAAAAAAAAAAAAAAAAA", 1, 5, 945},
                             Known{"", 0, 4, 1006}, Known{"\xff", 1, 1, 625}}) {
    assert_int_equal(shard_of(known.name, 1), 0);
    assert_int_equal(shard_of(known.name, 2), known.of_two);
    assert_int_equal(shard_of(known.name, 7), known.of_seven);
    assert_int_equal(shard_of(known.name, 1024), known.of_many);
  }
  assert_text_equal(std::string_view(tag_of("hb", "one.test", 1, "alice")), "hb:{one.test}:");
  assert_text_equal(std::string_view(tag_of("hb", "one.test", 7, "alice")), "hb:{one.test/3}:");
  assert_text_equal(std::string_view(tag_of_shard("hb", "one.test", 1024, 1023)), "hb:{one.test/1023}:");
  RedisKey longest = tag_of(std::string(64, 'p'), std::string(255, 's'), 1024, "");
  assert_int_equal(std::string_view(longest).size(), 64 + 2 + 255 + 5 + 2);
  assert_int_equal(std::string_view(longest.add("view:").add(std::string(22, 'v'))).size(), 64 + 2 + 255 + 5 + 2 + 27);
}

void keys(void**) {
  assert_text_equal(std::string_view(node_key("app", "host-1")), "app:node:host-1");
  assert_text_equal(std::string_view(sites_key("app")), "app:sites");
  assert_text_equal(std::string_view(id_key("hb")), "hb:idkey");
  // The longest of everything fits: prefix 64, a node's name 95.
  assert_int_equal(std::string_view(node_key(std::string(64, 'p'), std::string(95, 'n'))).size(), 64 + 6 + 95);
  assert_true(RedisKey().add(std::string(1000, 'x')).operator std::string_view().size() < 1000);
}

struct World {
  World() {
    assert_true(table.create(zone.memory, zone.size));
    store.prefix = "hb";
    store.index = table.add_store("x");
    assert_true(table.take_lease(1, 0, 1000000000));
  }
  Site site(std::string_view name, bool plain) {
    Site site;
    assert_true(add_site(table, name, store.index, plain, 86400000, site));
    return site;
  }
  Command written(ScriptForm form = ScriptForm::by_hash, bool calm = true) {
    Buffer out;
    write_batch(CommandWriter(out), form, {"node-1", "9.9", calm}, store, table, 1000000000000, ids);
    std::string bytes(out.view());
    Command command;
    assert_true(take_command(bytes, command));
    assert_true(bytes.empty());
    return command;
  }
  void publish(Millis now) {
    for (Pass pass; table.publish(store.index, 1, pass, now) == 0;) assert_false(pass.done());
  }
  Zone zone;
  Table table;
  Store store;
  ShownIds ids;
};

void a_batch(void**) {
  World world;
  Site plain = world.site("plain", true);
  Site hashed = world.site("hashed", false);
  mark(world.table, plain, "abc", LifeSign::page, false, 5000);
  mark(world.table, plain, "abc", LifeSign::ping, true, 6000);
  mark(world.table, hashed, "abc", LifeSign::request, false, 7000);
  mark(world.table, plain, std::string("q\"{}\r\n\0'", 8), LifeSign::ping, false, 7500);
  world.publish(8000);
  Batch batch(world.written());
  assert_true(batch.whole && batch.by_hash);
  assert_true(batch.keys == (std::vector<std::string>{"hb:node:node-1", "hb:sites"}));
  assert_text_equal(batch.prefix, "hb");
  assert_true(batch.groups == (std::vector<Batch::Group>{{"plain", 1, 86400000, 90000, 45000}, {"hashed", 1, 86400000, 90000, 45000}}));
  assert_int_equal(batch.number, 1);
  assert_int_equal(batch.applied, 0);
  assert_text_equal(batch.version, "9.9");
  assert_text_equal(batch.calm, "1");
  assert_int_equal(batch.entries.size(), 3);
  for (const Batch::Entry& entry : batch.entries) {
    if (entry.id == "abc") {
      assert_true(entry == (Batch::Entry{"hb:{plain}:session:abc", "abc", "ping", 1000000006000, 1000000005000, 1000000005000,
                                         1000000006000, 1000000006000, 90000, 2, Batch::kKeep, "", ""}));
    } else if (entry.id.size() == 8) {
      assert_true(entry.id == std::string("q\"{}\r\n\0'", 8));
    } else {
      assert_int_equal(entry.id.size(), 32);
      assert_int_equal(entry.active, 0);
      assert_text_equal(entry.source, "request");
    }
  }
}

// A place is a group of its own, with its times; of a session all that there is to say, its past runs first.
void runs_users_and_leaving(void**) {
  World world;
  Site site;
  assert_true(world.table.add_site("s", world.store.index, {true, 86400000, 5000, 7}, site));
  Place place, other;
  other.timeout = 60000;
  other.gap = 30000;
  assert_true(world.table.add_place(site, {}, place));
  assert_true(world.table.add_place(site, {}, other));
  Sign sign = sign_of("alice", "/one", true);
  sign.source = LifeSign::beat;
  world.table.mark(site, place, "a", sign, 1000);
  world.table.mark(site, place, "a", {}, 5000);
  sign.active = false;
  sign.page = "/two";
  sign.leaving = true;
  world.table.mark(site, place, "a", sign, 200000);
  sign = {};
  sign.source = LifeSign::beacon;
  world.table.mark(site, other, "b", sign, 200000);
  world.publish(200000);
  Batch batch(world.written());
  assert_true(batch.whole);
  assert_true(batch.groups == (std::vector<Batch::Group>{{"s", 7, 86400000, 90000, 45000}, {"s", 7, 86400000, 60000, 30000}}));
  constexpr long long kOffset = 1000000000000;
  assert_int_equal(batch.entries.size(), 3);
  assert_true(batch.entries[0] == (Batch::Entry{"hb:{s}:session:a", "a", "ping", kOffset + 5000, kOffset + 1000, kOffset + 1000,
                                                kOffset + 1000, kOffset + 1000, 90000, 0, Batch::kUser, "alice", "/two"}));
  assert_true(batch.entries[1] == (Batch::Entry{"hb:{s}:session:a", "a", "beat", kOffset + 200000, kOffset + 200000, kOffset + 200000,
                                                kOffset + 1000, kOffset + 1000, 5000, 3, Batch::kKeep | Batch::kLeft | Batch::kUser, "alice", "/two"}));
  assert_true(batch.entries[2] == (Batch::Entry{"hb:{s}:session:b", "b", "beacon", kOffset + 200000, kOffset + 200000, kOffset + 200000,
                                                0, 0, 60000, 1, Batch::kKeep, "", ""}));
}

// A run goes on over many batches; each tells where it began, and where what is new in it begins.
void what_is_fresh(void**) {
  World world;
  Site site = world.site("s", true);
  constexpr long long kOffset = 1000000000000;
  auto next = [&](Millis now) {
    world.publish(now);
    Batch batch(world.written());
    assert_true(batch.whole);
    assert_int_equal(batch.entries.size(), 1);
    return batch.entries[0];
  };
  auto applied = [&](std::vector<std::uint16_t> failed = {}) {
    assert_true(world.table.acknowledge(world.store.index, 1, world.table.store(world.store.index).number, failed));
  };
  for (Millis now : {1000, 2000, 3000}) mark(world.table, site, "a", LifeSign::ping, false, now);
  Batch::Entry entry = next(3000);
  assert_int_equal(entry.fresh, kOffset + 1000);
  applied();
  for (Millis now : {40000, 50000, 60000}) mark(world.table, site, "a", LifeSign::ping, now == 50000, now);
  entry = next(60000);
  assert_int_equal(entry.seen, kOffset + 60000);
  assert_int_equal(entry.from, kOffset + 1000);
  assert_int_equal(entry.fresh, kOffset + 40000);
  assert_int_equal(entry.active, kOffset + 50000);
  assert_int_equal(entry.active_from, kOffset + 50000);
  assert_int_equal(entry.delta, 3);
  // What came while the batch was on its way is fresh in the next one; what Redis refused, still.
  mark(world.table, site, "a", LifeSign::ping, false, 70000);
  applied();
  entry = next(71000);
  assert_int_equal(entry.fresh, kOffset + 70000);
  assert_int_equal(entry.active, 0);
  mark(world.table, site, "a", LifeSign::ping, false, 72000);
  applied({0});
  entry = next(73000);
  assert_int_equal(entry.seen, kOffset + 72000);
  assert_int_equal(entry.fresh, kOffset + 70000);
  assert_int_equal(entry.delta, 2);
  applied();
}

// While hosts may still be sending what they kept, the script is told so; all else is the same.
void not_calm(void**) {
  World world;
  mark(world.table, world.site("s", true), "a", LifeSign::ping, false, 1000);
  world.publish(1000);
  Batch calm(world.written()), other(world.written(ScriptForm::by_hash, false));
  assert_true(calm.whole && other.whole);
  assert_text_equal(calm.calm, "1");
  assert_text_equal(other.calm, "0");
  assert_true(calm.entries == other.entries && calm.groups == other.groups);
}

void the_same_again(void**) {
  World world;
  Site site = world.site("s", false);
  for (int i = 0; i < 300; ++i) mark(world.table, site, "id" + std::to_string(i), LifeSign::ping, i % 2 == 0, 5000 + i);
  world.publish(8000);
  Command first = world.written();
  for (int i = 0; i < 300; ++i) mark(world.table, site, "id" + std::to_string(i), LifeSign::page, true, 9000);
  assert_true(world.written() == first);
  Command in_full = world.written(ScriptForm::in_full);
  assert_text_equal(in_full[0], "EVAL");
  assert_true(in_full[1] == kFlushLua);
  assert_true(std::equal(first.begin() + 2, first.end(), in_full.begin() + 2, in_full.end()));
  assert_int_equal(std::string_view(kFlushLuaSha1).size(), 40);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(commands), cmocka_unit_test(shards), cmocka_unit_test(keys), cmocka_unit_test(a_batch), cmocka_unit_test(runs_users_and_leaving),
                              cmocka_unit_test(what_is_fresh), cmocka_unit_test(not_calm),
                              cmocka_unit_test(the_same_again)};
  return cmocka_run_group_tests_name("batch", tests, nullptr, nullptr);
}
