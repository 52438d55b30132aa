// How much page views and sessions may send.
#include <string>
#include <vector>

#include "t/unit/support/test.h"

#include "shared/beacon/quota.h"

namespace {
using namespace heartbeat;

constexpr unsigned char kKey[16] = {1, 2, 3};

struct Counted {
  explicit Counted(std::size_t entries = 1024) : memory(Quota::bytes(entries) / 8) {
    quota.attach(memory.data(), memory.size() * 8, kKey);
  }
  std::vector<std::uint64_t> memory;
  Quota quota;
};

void beacons_of_a_view(void**) {
  Counted counted;
  for (std::uint32_t i = 0; i < Quota::kBeacons; ++i) assert_int_equal(counted.quota.take("view", "", 1, 1000), 0);
  assert_true(counted.quota.take("view", "", 1, 1000) > 0);
  assert_int_equal(counted.quota.take("another", "", 1, 1000), 0);
}

void bytes_of_a_view(void**) {
  Counted counted;
  assert_int_equal(counted.quota.take("view", "", Quota::kBytes - 10, 1000), 0);
  assert_true(counted.quota.take("view", "", 11, 1000) > 0);
  assert_int_equal(counted.quota.take("view", "", 10, 1000), 0);
  assert_true(counted.quota.take("view", "", 1, 1000) > 0);
  assert_true(counted.quota.take("huge", "", Quota::kBytes + 1, 1000) > 0);
}

void after_an_hour(void**) {
  Counted counted;
  assert_int_equal(counted.quota.take("view", "", Quota::kBytes, 1000), 0);
  assert_int_equal(counted.quota.take("view", "", 1, 61000), Quota::kHour - 60000);
  assert_int_equal(counted.quota.take("view", "", Quota::kBytes, 1000 + Quota::kHour), 0);
  assert_int_equal(counted.quota.take("view", "", 1, 1000 + Quota::kHour), Quota::kHour);
}

// A page tries again for as long as the spool is full.
void what_was_not_kept(void**) {
  Counted counted;
  for (std::uint32_t i = 0; i < 2 * Quota::kBeacons; ++i) {
    assert_int_equal(counted.quota.take("view", "", 5000, 1000), 0);
    counted.quota.give_back("view", 5000);
  }
  assert_int_equal(counted.quota.take("view", "", Quota::kBytes, 1000), 0);
  counted.quota.give_back("unknown", 1);
  counted.quota.take("small", "", 1, 1000);
  counted.quota.give_back("small", 2);
  assert_int_equal(counted.quota.take("small", "", 1, 1000), 0);
}

void views_of_a_session(void**) {
  Counted counted(16384);
  auto name = [](std::uint32_t i) { return "view" + std::to_string(i); };
  for (std::uint32_t i = 0; i < Quota::kViews; ++i) assert_int_equal(counted.quota.take(name(i), "s", 1, 1000), 0);
  assert_int_equal(counted.quota.take("late", "s", 1, 2000), Quota::kHour - 1000);
  assert_true(counted.quota.take("late", "s", 1, 2000) > 0);
  assert_int_equal(counted.quota.take(name(Quota::kViews - 1), "s", 1, 2000), 0);
  assert_int_equal(counted.quota.take("late", "another", 1, 2000), 0);
  assert_int_equal(counted.quota.take("later", "s", 1, 1000 + Quota::kHour), 0);
}

// Who comes where all places are taken gets that of the oldest, and nobody is refused for want of memory.
void more_than_there_is_room_for(void**) {
  Counted counted(16);
  for (int i = 0; i < 1000; ++i) assert_int_equal(counted.quota.take("view" + std::to_string(i), "", 1, i), 0);
  Quota none;
  assert_int_equal(none.take("view", "session", 1, 1000), 0);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(beacons_of_a_view),
      cmocka_unit_test(bytes_of_a_view),
      cmocka_unit_test(after_an_hour),
      cmocka_unit_test(what_was_not_kept),
      cmocka_unit_test(views_of_a_session),
      cmocka_unit_test(more_than_there_is_room_for),
  };
  return cmocka_run_group_tests_name("quota", tests, nullptr, nullptr);
}
