// Who is behind a session, and where: the user's name and the page.
#include "t/unit/support/test.h"

#include <sys/wait.h>
#include <unistd.h>

#include "t/unit/support/ledger.h"

namespace {
using namespace heartbeat;

struct World : LedgerWorld {
  using LedgerWorld::LedgerWorld;
  Marked say(std::string_view id, std::string_view user, std::string_view page) { return mark(id, sign_of(user, page)); }
  std::string_view user(std::string_view id) { return table.user(slot_of(id)); }
  std::string_view page(std::string_view id) { return table.page(slot_of(id)); }
  std::uint32_t free_details() {
    std::uint32_t count = 0;
    for (std::uint32_t next = table.header().free_detail.load(); next != 0; ++count) next = part_of<Detail>(table, kDetails)[next - 1].next;
    return count;
  }
  std::uint32_t most() { return table.header().max_details; }
  void check() { assert_text_equal(faults(table), ""); }
};

void nothing_said(void**) {
  World world;
  world.say("a", "", "");
  assert_text_equal(world.user("a"), "");
  assert_text_equal(world.page("a"), "");
  assert_int_equal(world.free_details(), world.most());
  assert_int_equal(world.publish(), 1);
  assert_int_equal(world.entry().flags, BatchEntry::kKeep);
}

void set_and_changed(void**) {
  World world;
  world.say("a", "alice", "/one");
  world.say("b", "", "/two");
  world.say("c", "carol", "");
  assert_text_equal(world.user("a"), "alice");
  assert_text_equal(world.page("a"), "/one");
  assert_text_equal(world.user("b"), "");
  assert_text_equal(world.page("b"), "/two");
  assert_text_equal(world.user("c"), "carol");
  assert_text_equal(world.page("c"), "");
  world.say("a", "", "/three");
  world.say("c", "", "");
  assert_text_equal(world.user("a"), "alice");
  assert_text_equal(world.page("a"), "/three");
  assert_text_equal(world.user("c"), "carol");
  world.say("a", "al", "/");  // shorter than before
  assert_text_equal(world.user("a"), "al");
  assert_text_equal(world.page("a"), "/");
  assert_int_equal(world.free_details(), world.most() - 3);
  world.check();
}

// A name and a page of the same word, and what was said once before.
void told_apart(void**) {
  World world;
  world.say("a", "x", "");
  world.say("a", "", "x");
  assert_text_equal(world.page("a"), "x");
  world.say("a", "y", "y");
  world.say("a", "x", "x");
  assert_text_equal(world.user("a"), "x");
  assert_text_equal(world.page("a"), "x");
  for (const char* page : {"/one", "/two", "/one"}) world.say("b", "x", page);
  assert_text_equal(world.page("b"), "/one");
  world.check();
}

// Only what is new is told, and told until it has arrived.
void told_once(void**) {
  World world;
  auto told = [&] {
    assert_int_equal(world.publish(), 1);
    Table::Said said;
    world.table.said(world.entry(), said);
    return std::string(said.user) + " " + std::string(said.page);
  };
  world.say("a", "alice", "/one");
  assert_text_equal(told(), "alice /one");
  const std::uint16_t failed[] = {0};
  world.acknowledge(failed);
  assert_text_equal(told(), "alice /one");
  world.acknowledge();
  world.say("a", "alice", "/one");
  assert_text_equal(told(), " ");
  world.acknowledge();
  world.say("a", "alice", "/two");
  assert_text_equal(told(), "alice /two");
  world.acknowledge();
  world.now += 10;
  world.say("a", "", "");
  assert_text_equal(told(), " ");
  world.acknowledge();
  world.table.forget_stored(world.store);
  while (world.table.mark_forgotten(world.store)) continue;
  assert_text_equal(told(), "alice /two");
}

// Other terms lead to other keys, where it is told again: once they count, not while a configuration with them is tried.
void told_again_elsewhere(void**) {
  World world;
  auto told = [&] {
    world.now += 10;
    world.say("a", "", "");
    assert_int_equal(world.publish(), 1);
    Table::Said said;
    world.table.said(world.entry(), said);
    world.acknowledge();
    return std::string(said.user);
  };
  const Table::SiteTerms terms{true, 604800000, 0, 4};
  Site same;
  world.say("a", "alice", "/one");
  assert_text_equal(told(), "alice");
  assert_true(world.table.add_site("site", world.store, terms, same));
  assert_text_equal(told(), "");
  world.table.set_terms(same, terms);
  assert_text_equal(told(), "alice");
  world.table.set_terms(same, terms);
  assert_text_equal(told(), "");
}

// What changes while a batch is on its way is not told by it: it may have been sent with the name of before.
void changed_on_its_way(void**) {
  World world;
  world.say("a", "alice", "/one");
  assert_int_equal(world.publish(), 1);
  world.say("a", "bob", "");
  Table::Said said;
  world.table.said(world.entry(), said);
  assert_text_equal(said.user, "");
  assert_text_equal(said.page, "");
  world.acknowledge();
  world.flush();
  assert_text_equal(world.in_redis("a").user, "bob");
  assert_text_equal(world.in_redis("a").page, "/one");
  assert_int_equal(world.flush(), 0);
  world.check();
}

// A character of UTF-8 is kept in whole or not at all.
void cut_at_a_character(void**) {
  static const struct {
    const char* filler;  // repeated until nothing more fits
    std::size_t size;
  } cases[] = {{"x", 1}, {"\xc3\xa4", 2}, {"\xe2\x82\xac", 3}, {"\xf0\x9f\x92\x93", 4}};
  for (const auto& each : cases) {
    for (std::size_t lead = 0; lead < 5; ++lead) {
      World world;
      std::string text(lead, '-');
      while (text.size() < 200) text += each.filler;
      world.say("a", text, text);
      std::size_t user = lead + (kUserBytes - lead) / each.size * each.size;
      std::size_t page = lead + (kPageBytes - lead) / each.size * each.size;
      assert_text_equal(world.user("a"), text.substr(0, user));
      assert_text_equal(world.page("a"), text.substr(0, page));
      // The same again is not news, nor is what differs beyond the cut.
      world.flush();
      world.say("a", text + "more", text + "less");
      assert_int_equal(world.publish(), 1);
      assert_int_equal(world.entry().flags & BatchEntry::kDetail, 0);
      world.check();
    }
  }
  World world;  // what is no UTF-8 at all
  world.say("a", std::string(100, '\x80'), std::string(100, '\xbf'));
  assert_text_equal(world.user("a"), "");
  world.say("b", std::string(kUserBytes, '\xff'), std::string(kPageBytes, '\x80'));
  assert_int_equal(world.user("b").size(), kUserBytes);
  assert_int_equal(world.page("b").size(), kPageBytes);
  world.check();
}

// Of more sessions than there is room for, some are without a name: they are counted, and do not ask for the lock.
void the_pool_runs_dry(void**) {
  World world;
  std::uint32_t most = world.most();
  for (std::uint32_t i = 0; i < most + 100; ++i) world.say("s" + std::to_string(i), "user" + std::to_string(i), "/");
  assert_int_equal(world.free_details(), 0);
  assert_int_equal(world.table.header().unnamed.load(), 100);
  assert_text_equal(world.user("s" + std::to_string(most - 1)), "user" + std::to_string(most - 1));
  assert_text_equal(world.user("s" + std::to_string(most)), "");
  world.check();
  // With the lock held by somebody else, a session that cannot be named goes on all the same, and one that is named.
  pid_t child = ::fork();
  if (child == 0) {
    world.table.header().lock.lock();
    pid_t marker = ::fork();
    if (marker == 0) {
      for (int i = 0; i < 1000; ++i) {
        world.now += 10;
        if (world.say("s" + std::to_string(most + 7), "another" + std::to_string(i), "/x") != Marked::known) ::_exit(1);
        if (world.say("s7", "user7", "/") != Marked::known) ::_exit(2);
      }
      ::_exit(0);
    }
    int status = -1;
    for (int i = 0; i < 1000 && ::waitpid(marker, &status, WNOHANG) == 0; ++i) ::usleep(2000);
    ::kill(marker, SIGKILL);
    world.table.header().lock.unlock();
    ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  assert_int_equal(WEXITSTATUS(status), 0);
  assert_int_equal(world.table.header().unnamed.load(), 100);
  assert_int_equal(world.free_details(), 0);
  world.flush();
  world.check();
}

// Whoever goes gives the room back, whoever takes the place starts without a name.
void freed_when_evicted(void**) {
  World world;
  std::uint64_t capacity = world.table.capacity();
  for (std::uint64_t i = 0; i < 500; ++i) world.say("old" + std::to_string(i), "user" + std::to_string(i), "/");
  world.flush();
  world.now += 200000;
  for (std::uint64_t i = 0; i < 3 * capacity; ++i) {
    world.mark("new" + std::to_string(i));
    if (i % 500 == 0) world.flush();
    ++world.now;
  }
  world.check();
  assert_int_equal(world.free_details(), world.most());
  for (std::uint32_t i = 0; i < world.table.slots(); ++i) assert_true(world.table.user(i).empty());
  world.now += 200000;
  for (std::uint64_t i = 0; i < 2 * capacity; ++i) {
    std::string number = std::to_string(i);
    world.say("third" + number, "user" + number, "/" + number);
    if (i % 200 == 0) {
      world.flush();
      world.check();
    }
    ++world.now;
  }
  for (std::uint32_t i = 0; i < world.table.slots(); ++i) {
    std::string_view name(world.table.name(i).bytes, world.table.name(i).size);
    if (!world.table.in_use(i) || world.table.user(i).empty()) continue;
    assert_text_equal(world.table.user(i), "user" + std::string(name.substr(5)));
    assert_text_equal(world.table.page(i), "/" + std::string(name.substr(5)));
  }
  world.check();
}

// A process died with the lock in the middle of giving or freeing: whoever takes the lock next sets the pool right.
void a_dead_holder(void**) {
  for (int how = 0; how < 7; ++how) {
    World world;
    for (int i = 0; i < 20; ++i) world.say("s" + std::to_string(i), "user" + std::to_string(i), "/");
    std::uint32_t slot = world.slot_of("s3");
    pid_t child = ::fork();
    if (child == 0) {
      Header& header = world.table.header();
      auto* details = part_of<Detail>(world.table, kDetails);
      auto* detail_of = part_of<std::uint32_t>(world.table, kDetailOf);
      header.lock.lock();
      std::uint32_t next = header.free_detail.load();
      if (how == 0) header.free_detail.store(details[next - 1].next);       // taken, and nobody's yet
      if (how == 1) details[next - 1].owner = world.slot_of("s4") + 1;      // of one who has another
      if (how == 2) detail_of[slot] = 0;                                    // taken from it, not free yet
      if (how == 3) details[detail_of[slot] - 1].owner = 0;                 // the other way round
      if (how == 4) header.free_detail.store(detail_of[slot]);              // free, and yet its own
      Detail& own = details[detail_of[slot] - 1];
      DetailPrints& prints = part_of<DetailPrints>(world.table, kDetailPrints)[detail_of[slot] - 1];
      if (how >= 5) ++own.version;
      if (how == 5) prints.user = 0, own.user[1] = '!';                     // half a name
      if (how == 6) prints.page = 0, own.page_size = 40;                    // a page that goes on as another
      ::kill(::getpid(), SIGKILL);
    }
    ::waitpid(child, nullptr, 0);
    world.check();
    std::uint32_t named = 0;
    for (int i = 0; i < 20; ++i) named += !world.user("s" + std::to_string(i)).empty();
    assert_int_equal(named, how == 2 || how == 3 || how == 5 ? 19 : 20);
    assert_int_equal(world.free_details(), world.most() - (how == 5 ? 20 : named));
    if (how == 6) assert_text_equal(world.table.page(slot), "");
    world.say("s3", "user3", "/");  // as before
    assert_text_equal(world.user("s3"), "user3");
    assert_text_equal(world.page("s3"), "/");
    world.say("s3", "again", "/");
    assert_text_equal(world.user("s3"), "again");
    world.say("new", "new", "/");
    assert_text_equal(world.user("new"), "new");
    world.check();
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(nothing_said), cmocka_unit_test(set_and_changed), cmocka_unit_test(told_apart), cmocka_unit_test(told_once),
                              cmocka_unit_test(told_again_elsewhere),
                              cmocka_unit_test(changed_on_its_way), cmocka_unit_test(cut_at_a_character),
                              cmocka_unit_test(the_pool_runs_dry), cmocka_unit_test(freed_when_evicted), cmocka_unit_test(a_dead_holder)};
  return cmocka_run_group_tests_name("details", tests, nullptr, nullptr);
}
