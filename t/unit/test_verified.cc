// Tokens remembered in shared memory, also by many at once.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "t/unit/support/test.h"

#include "shared/identity/token.h"
#include "shared/identity/verified.h"
#include "t/unit/support/zone.h"

namespace {
using namespace heartbeat;

constexpr std::int64_t kNow = 1700000000;
constexpr std::uint64_t kRing = 77;
const unsigned char kKey[16] = {1, 2, 3};

struct Memory {
  explicit Memory(std::uint32_t entries) : zone(VerifiedTokens::bytes(entries)) { tokens.attach(zone.memory, zone.size, kKey); }
  bool find(const std::string& token, std::int64_t now = kNow, std::uint64_t ring = kRing) const {
    return tokens.find(tokens.print_of(token, ring), now);
  }
  void remember(const std::string& token, std::int64_t expires = kNow + 600, std::int64_t now = kNow) {
    tokens.remember(tokens.print_of(token, kRing), expires, now);
  }
  // Seconds from kNow on that it is believed.
  std::int64_t believed(const std::string& token) const {
    std::int64_t seconds = 0;
    while (find(token, kNow + seconds)) ++seconds;
    return seconds;
  }
  Zone zone;
  VerifiedTokens tokens;
};

std::string name(int number) { return "token number " + std::to_string(number); }

void found_again(void**) {
  Memory memory(64);
  assert_false(memory.find("a"));
  assert_false(memory.find(""));
  memory.remember("a", kNow + 600);
  memory.remember("b", kNow + 500);
  assert_int_equal(memory.believed("a"), 660);
  assert_int_equal(memory.believed("b"), 560);
  assert_false(memory.find("aa"));
  assert_false(memory.find(""));
  memory.remember("a", kNow + 700);
  assert_int_equal(memory.believed("a"), 760);
  memory.remember("a", kNow + 300);
  assert_int_equal(memory.believed("a"), 360);
}

void longest(void**) {
  Memory memory(64);
  for (std::size_t size : {0, 1, 300, 4096}) {
    memory.remember(std::string(size, 't'));
    assert_true(memory.find(std::string(size, 't')));
  }
}

void other_rings_and_keys(void**) {
  Memory memory(64);
  memory.remember("a");
  for (std::uint64_t ring : {std::uint64_t{0}, kRing + 1, kRing ^ (std::uint64_t{1} << 63)}) assert_false(memory.find("a", kNow, ring));
  VerifiedTokens other;
  const unsigned char key[16] = {1, 2, 4};
  other.attach(memory.zone.memory, memory.zone.size, key);
  assert_false(other.find(other.print_of("a", kRing), kNow));
  other.attach(memory.zone.memory, memory.zone.size, kKey);
  assert_true(other.find(other.print_of("a", kRing), kNow));
}

// As verify_token() has it: good until a leeway after it expired, and verified anew every hour.
void expiry(void**) {
  Memory memory(64);
  memory.remember("a", kNow + 10);
  assert_true(memory.find("a", kNow + 10 + kLeeway - 1));
  assert_false(memory.find("a", kNow + 10 + kLeeway));
  memory.remember("b", kNow - 60);
  assert_false(memory.find("b"));
  for (std::int64_t far : {kNow + 3600, std::int64_t{1} << 53, INT64_MAX}) {
    memory.remember("c", far);
    assert_true(memory.find("c", kNow + 3599));
    assert_false(memory.find("c", kNow + 3600));
  }
  for (std::int64_t past : {std::int64_t{0}, INT64_MIN + kLeeway}) {
    memory.remember("d", past);
    assert_false(memory.find("d"));
  }
}

void no_memory(void**) {
  Memory memory(4);
  for (std::size_t size : {std::size_t{0}, VerifiedTokens::bytes(4) - 1}) {
    memory.tokens.attach(memory.zone.memory, size, kKey);
    memory.remember("a");
    assert_false(memory.find("a"));
  }
  VerifiedTokens none;
  none.remember(none.print_of("a", kRing), kNow + 600, kNow);
  assert_false(none.find(none.print_of("a", kRing), kNow));
}

void sizes(void**) {
  assert_int_equal(VerifiedTokens::bytes(0), 0);
  assert_int_equal(VerifiedTokens::bytes(1), 128);
  assert_int_equal(VerifiedTokens::bytes(4), 128);
  assert_int_equal(VerifiedTokens::bytes(5), 256);
  assert_true(VerifiedTokens::bytes(UINT32_MAX) == (std::size_t{1} << 30) * 128);
  // Nothing is written behind the last bucket.
  Zone zone(8192);
  VerifiedTokens tokens;
  tokens.attach(zone.memory, 128 * 3 + 127, kKey);
  for (int i = 0; i < 1000; ++i) tokens.remember(tokens.print_of(name(i), kRing), kNow + 600, kNow);
  for (std::size_t i = 128 * 3; i < zone.size; ++i) assert_int_equal(zone.bytes()[i], 0);
  for (std::size_t bucket = 0; bucket < 3; ++bucket) {
    assert_true(std::any_of(zone.bytes() + 128 * bucket, zone.bytes() + 128 * (bucket + 1), [](char c) { return c != 0; }));
  }
}

// One bucket: the newcomer takes the place of what expired, then of what is believed least long.
void replacement(void**) {
  Memory memory(4);
  for (int i = 0; i < 4; ++i) memory.remember(name(i), kNow + 100 * (i + 1));
  for (int i = 0; i < 4; ++i) assert_true(memory.find(name(i)));
  memory.remember(name(2), kNow + 1000);  // its own place
  for (int i = 0; i < 4; ++i) assert_true(memory.find(name(i)));
  memory.remember(name(9), kNow + 50);
  assert_false(memory.find(name(0)));
  for (int i : {1, 2, 3, 9}) assert_true(memory.find(name(i)));
  memory.remember(name(10), kNow + 2000, kNow + 300);
  assert_false(memory.find(name(9)));
}

void most_are_kept(void**) {
  Memory memory(4096);
  for (int i = 0; i < 3072; ++i) memory.remember(name(i), kNow + i);
  int kept = 0;
  for (int i = 0; i < 3072; ++i) {
    if (!memory.find(name(i))) continue;
    assert_true(memory.find(name(i), kNow + i + 59));
    assert_false(memory.find(name(i), kNow + i + 60));
    ++kept;
  }
  assert_true(kept > 3072 * 98 / 100);
}

// What a writer that died half-way leaves, whichever words of two entries it is made of, is never believed; the place
// takes the next token.
void half_written(void**) {
  constexpr std::size_t kWords = 4;
  for (const std::string& newcomer : {std::string("a"), std::string("b")}) {
    Memory memory(4), first(4), second(4);
    first.remember("a", kNow + 600);
    second.remember(newcomer, kNow + 700);
    auto* words = static_cast<std::uint64_t*>(memory.zone.memory);
    const auto* old_words = static_cast<const std::uint64_t*>(first.zone.memory);
    const auto* new_words = static_cast<const std::uint64_t*>(second.zone.memory);
    std::vector<std::size_t> differ;
    for (std::size_t i = 0; i < kWords; ++i) {
      if (old_words[i] != new_words[i]) differ.push_back(i);
    }
    assert_int_equal(differ.size(), newcomer == "a" ? 2 : 4);
    for (std::uint32_t mix = 0; mix < 1U << differ.size(); ++mix) {
      std::memcpy(words, old_words, 8 * kWords);
      for (std::size_t i = 0; i < differ.size(); ++i) {
        if ((mix >> i & 1) != 0) words[differ[i]] = new_words[differ[i]];
      }
      const Memory* whole = mix == 0 ? &first : mix == (1U << differ.size()) - 1 ? &second : nullptr;
      for (const char* token : {"a", "b"}) assert_int_equal(memory.believed(token), whole == nullptr ? 0 : whole->believed(token));
      memory.remember("a", kNow + 100);
      assert_int_equal(memory.believed("a"), 160);
      std::memset(words, 0, memory.zone.size);
    }
  }
}

// The words of an entry in another order are none either.
void shuffled(void**) {
  Memory memory(4);
  memory.remember("a");
  auto* words = static_cast<std::uint64_t*>(memory.zone.memory);
  const std::vector<std::uint64_t> good(words, words + 4);
  std::vector<std::size_t> order = {0, 1, 2, 3};
  do {
    for (std::size_t i = 0; i < 4; ++i) words[i] = good[order[i]];
    assert_int_equal(memory.find("a"), std::is_sorted(order.begin(), order.end()));
  } while (std::next_permutation(order.begin(), order.end()));
}

// Whatever the memory holds: at worst nothing is found.
void garbage(void**) {
  Memory memory(4);
  memory.remember("a");
  auto* bytes = static_cast<unsigned char*>(memory.zone.memory);
  for (std::size_t bit = 0; bit < 8 * 128; ++bit) {
    bytes[bit / 8] ^= static_cast<unsigned char>(1 << bit % 8);
    assert_int_equal(memory.find("a"), bit >= 8 * 32);  // it stands in the first place
    bytes[bit / 8] ^= static_cast<unsigned char>(1 << bit % 8);
  }
  std::memset(bytes, 0xff, memory.zone.size);
  assert_false(memory.find("a"));
  memory.remember("a");
  memory.remember("b");
  assert_int_equal(memory.believed("b"), 660);
}

// Few places and many who write: nobody is ever taken for another, or believed for longer.
void hammer(VerifiedTokens& tokens, unsigned seed, int turns, std::atomic<int>& found, std::atomic<int>& wrong) {
  for (int turn = 0; turn < turns; ++turn) {
    seed = seed * 1664525 + 1013904223;
    int number = static_cast<int>(seed >> 16) % 24;
    std::string token = name(number);
    if ((seed >> 8 & 3) == 0) {
      tokens.remember(tokens.print_of(token, kRing), kNow + number, kNow);
    } else if (tokens.find(tokens.print_of(token, kRing), kNow + number + kLeeway - 1)) {
      ++found;
    }
    if (tokens.find(tokens.print_of(token, kRing), kNow + number + kLeeway) || tokens.find(tokens.print_of(name(number + 24), kRing), kNow)) ++wrong;
  }
}

void threads(void**) {
  Memory memory(8);
  std::atomic<int> found{0}, wrong{0};
  std::vector<std::thread> all;
  for (unsigned i = 0; i < 4; ++i) all.emplace_back([&, i] { hammer(memory.tokens, i, 50000, found, wrong); });
  for (std::thread& thread : all) thread.join();
  assert_int_equal(wrong, 0);
  assert_true(found > 1000);
}

// Processes, too, and some are killed wherever they are.
void processes(void**) {
  Memory memory(8);
  for (int round = 0; round < 40; ++round) {
    pid_t child = ::fork();
    if (child == 0) {
      std::atomic<int> found{0}, wrong{0};
      for (;;) hammer(memory.tokens, static_cast<unsigned>(round), 1000, found, wrong);
    }
    ::usleep(2000);
    std::atomic<int> found{0}, wrong{0};
    hammer(memory.tokens, static_cast<unsigned>(round) + 100, 1000, found, wrong);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    hammer(memory.tokens, static_cast<unsigned>(round) + 200, 1000, found, wrong);
    assert_int_equal(wrong, 0);
    assert_true(found > 0);
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(found_again),  cmocka_unit_test(longest),       cmocka_unit_test(other_rings_and_keys),
                              cmocka_unit_test(expiry),       cmocka_unit_test(no_memory),     cmocka_unit_test(sizes),
                              cmocka_unit_test(replacement),  cmocka_unit_test(most_are_kept), cmocka_unit_test(half_written),
                              cmocka_unit_test(shuffled),     cmocka_unit_test(garbage),       cmocka_unit_test(threads),
                              cmocka_unit_test(processes)};
  return cmocka_run_group_tests_name("verified", tests, nullptr, nullptr);
}
