// Tokens remembered in shared memory, also by many at once.
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "t/unit/support/test.h"

#include "shared/identity/verified.h"
#include "t/unit/support/zone.h"

namespace {
using namespace heartbeat;

constexpr std::int64_t kNow = 1700000000;
constexpr std::uint64_t kRing = 77;
const unsigned char kKey[16] = {1, 2, 3};

struct Memory {
  explicit Memory(std::uint32_t entries) : zone(VerifiedTokens::bytes(entries)) { tokens.attach(zone.memory, zone.size, kKey); }
  std::string find(const std::string& token, std::int64_t now = kNow, std::uint64_t ring = kRing) const {
    Remembered out;
    if (!tokens.find(token, ring, now, out)) return "none";
    return std::string(out.session()) + "|" + std::string(out.user()) + "|" + std::to_string(out.expires);
  }
  void remember(const std::string& token, const std::string& session, const std::string& user, std::int64_t expires = kNow + 600,
                std::int64_t now = kNow) {
    tokens.remember(token, kRing, {session, user, "", expires}, now);
  }
  Zone zone;
  VerifiedTokens tokens;
};

std::string name(int number) { return "token number " + std::to_string(number); }

void found_again(void**) {
  Memory memory(64);
  assert_text_equal(memory.find("a"), "none");
  assert_text_equal(memory.find(""), "none");
  memory.remember("a", "s", "u", 1700000600);
  memory.remember("b", "s2", "", 1700000500);
  assert_text_equal(memory.find("a"), "s|u|1700000600");
  assert_text_equal(memory.find("b"), "s2||1700000500");
  assert_text_equal(memory.find("aa"), "none");
  assert_text_equal(memory.find(""), "none");
  memory.remember("a", "other", "one");
  assert_text_equal(memory.find("a"), "other|one|1700000600");
}

void bounds(void**) {
  Memory memory(64);
  for (std::size_t session = 0; session <= 60; ++session) {
    for (std::size_t user = 0; user <= 70; ++user) {
      std::string token = "t" + std::to_string(session) + "," + std::to_string(user), s(session, 's'), u(user, 'u');
      memory.remember(token, s, u);
      bool fits = session >= 1 && session <= 55 && user <= 63;
      assert_text_equal(memory.find(token), fits ? s + "|" + u + "|1700000600" : "none");
    }
  }
  for (std::size_t size : {1, 300, 4096, 4097}) {
    memory.remember(std::string(size, 't'), "s", "u");
    assert_int_equal(memory.find(std::string(size, 't')) != "none", size <= 4096);
  }
  memory.tokens.remember("v", kRing, {"s", "u", "v", kNow + 600}, kNow);
  assert_text_equal(memory.find("v"), "none");
}

void other_rings_and_keys(void**) {
  Memory memory(64);
  memory.remember("a", "s", "u");
  for (std::uint64_t ring : {std::uint64_t{0}, kRing + 1, kRing ^ (std::uint64_t{1} << 63)}) {
    assert_text_equal(memory.find("a", kNow, ring), "none");
  }
  VerifiedTokens other;
  const unsigned char key[16] = {1, 2, 4};
  other.attach(memory.zone.memory, memory.zone.size, key);
  Remembered out;
  assert_false(other.find("a", kRing, kNow, out));
  other.attach(memory.zone.memory, memory.zone.size, kKey);
  assert_true(other.find("a", kRing, kNow, out));
}

// As verify_token() has it: good until a leeway after it expired, and verified anew every hour.
void expiry(void**) {
  Memory memory(64);
  memory.remember("a", "s", "u", kNow + 10);
  assert_true(memory.find("a", kNow + 10 + kLeeway - 1) != "none");
  assert_text_equal(memory.find("a", kNow + 10 + kLeeway), "none");
  memory.remember("b", "s", "u", kNow - 60);
  assert_text_equal(memory.find("b"), "none");
  for (std::int64_t far : {kNow + 3600, std::int64_t{1} << 53, INT64_MAX}) {
    memory.remember("c", "s", "u", far);
    assert_true(memory.find("c", kNow + 3599) != "none");
    assert_text_equal(memory.find("c", kNow + 3600), "none");
  }
  for (std::int64_t past : {std::int64_t{0}, INT64_MIN + kLeeway}) {
    memory.remember("d", "s", "u", past);
    assert_text_equal(memory.find("d"), "none");
  }
}

void no_memory(void**) {
  Memory memory(4);
  for (std::size_t size : {std::size_t{0}, VerifiedTokens::bytes(4) - 1}) {
    memory.tokens.attach(memory.zone.memory, size, kKey);
    memory.remember("a", "s", "u");
    assert_text_equal(memory.find("a"), "none");
  }
  VerifiedTokens none;
  Remembered out;
  none.remember("a", kRing, {"s", "", "", kNow + 600}, kNow);
  assert_false(none.find("a", kRing, kNow, out));
}

void sizes(void**) {
  assert_int_equal(VerifiedTokens::bytes(0), 0);
  assert_int_equal(VerifiedTokens::bytes(1), 640);
  assert_int_equal(VerifiedTokens::bytes(4), 640);
  assert_int_equal(VerifiedTokens::bytes(5), 1280);
  assert_true(VerifiedTokens::bytes(UINT32_MAX) == (std::size_t{1} << 30) * 640);
  // Nothing is written behind the last bucket.
  Zone zone(8192);
  VerifiedTokens tokens;
  tokens.attach(zone.memory, 640 * 3 + 639, kKey);
  for (int i = 0; i < 1000; ++i) tokens.remember(name(i), kRing, {"s", "u", "", kNow + 600}, kNow);
  for (std::size_t i = 640 * 3; i < zone.size; ++i) assert_int_equal(zone.bytes()[i], 0);
  for (std::size_t bucket = 0; bucket < 3; ++bucket) {
    assert_true(std::any_of(zone.bytes() + 640 * bucket, zone.bytes() + 640 * (bucket + 1), [](char c) { return c != 0; }));
  }
}

// One bucket: the newcomer takes the place of what expired, then of what is believed least long.
void replacement(void**) {
  Memory memory(4);
  for (int i = 0; i < 4; ++i) memory.remember(name(i), "s", "u", kNow + 100 * (i + 1));
  for (int i = 0; i < 4; ++i) assert_true(memory.find(name(i)) != "none");
  memory.remember(name(2), "s", "u", kNow + 1000);  // its own place
  for (int i = 0; i < 4; ++i) assert_true(memory.find(name(i)) != "none");
  memory.remember(name(9), "s", "u", kNow + 50);
  assert_text_equal(memory.find(name(0)), "none");
  for (int i : {1, 2, 3, 9}) assert_true(memory.find(name(i)) != "none");
  memory.remember(name(10), "s", "u", kNow + 2000, kNow + 300);
  assert_text_equal(memory.find(name(9)), "none");
}

void most_are_kept(void**) {
  Memory memory(4096);
  for (int i = 0; i < 2048; ++i) memory.remember(name(i), name(i), "u");
  int kept = 0;
  for (int i = 0; i < 2048; ++i) {
    std::string found = memory.find(name(i));
    if (found == "none") continue;
    assert_text_equal(found, name(i) + "|u|1700000600");
    ++kept;
  }
  assert_true(kept > 1900);
}

// What a writer that died half-way leaves, whichever words of two entries it is made of, is never believed; the place
// takes the next token.
void half_written(void**) {
  Memory memory(4), first(4), second(4);
  first.remember("a", "session of a", "user", kNow + 600);
  second.remember("a", "another one!", "evil", kNow + 700);
  constexpr std::size_t kWords = 20;
  auto* words = static_cast<std::uint64_t*>(memory.zone.memory);
  const auto* old_words = static_cast<const std::uint64_t*>(first.zone.memory);
  const auto* new_words = static_cast<const std::uint64_t*>(second.zone.memory);
  std::vector<std::size_t> differ;
  for (std::size_t i = 0; i < kWords; ++i) {
    if (old_words[i] != new_words[i]) differ.push_back(i);
  }
  assert_true(differ.size() >= 5);
  for (std::uint32_t mix = 0; mix < 1U << differ.size(); ++mix) {
    std::memcpy(words, old_words, 8 * kWords);
    for (std::size_t i = 0; i < differ.size(); ++i) {
      if ((mix >> i & 1) != 0) words[differ[i]] = new_words[differ[i]];
    }
    std::string expected = mix == 0 ? first.find("a") : mix == (1U << differ.size()) - 1 ? second.find("a") : "none";
    assert_text_equal(memory.find("a"), expected);
    memory.remember("a", "s", "u");
    assert_text_equal(memory.find("a"), "s|u|1700000600");
  }
}

// Whatever the memory holds: at worst nothing is found.
void garbage(void**) {
  Memory memory(4);
  memory.remember("a", "s", "u");
  auto* bytes = static_cast<unsigned char*>(memory.zone.memory);
  for (std::size_t bit = 0; bit < 8 * 160; ++bit) {
    bytes[bit / 8] ^= static_cast<unsigned char>(1 << bit % 8);
    std::string found = memory.find("a");
    assert_true(found == "none" || found == "s|u|1700000600");
    bytes[bit / 8] ^= static_cast<unsigned char>(1 << bit % 8);
  }
  std::memset(bytes, 0xff, memory.zone.size);
  assert_text_equal(memory.find("a"), "none");
  memory.remember("a", "s", "u");
  memory.remember("b", "s", "u");
  assert_text_equal(memory.find("b"), "s|u|1700000600");
}

// Few places and many who write: nobody is ever taken for another.
void hammer(VerifiedTokens& tokens, unsigned seed, int turns, std::atomic<int>& found, std::atomic<int>& wrong) {
  for (int turn = 0; turn < turns; ++turn) {
    seed = seed * 1664525 + 1013904223;
    int number = static_cast<int>(seed >> 16) % 24;
    std::string token = name(number), session = "session " + std::string(static_cast<std::size_t>(number), 'x'), user = name(number);
    Remembered out;
    if ((seed >> 8 & 3) == 0) {
      tokens.remember(token, kRing, {session, user, "", kNow + number}, kNow);
    } else if (tokens.find(token, kRing, kNow, out)) {
      ++found;
      if (out.session() != session || out.user() != user || out.expires != kNow + number) ++wrong;
    }
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
  const CMUnitTest tests[] = {cmocka_unit_test(found_again),  cmocka_unit_test(bounds),        cmocka_unit_test(other_rings_and_keys),
                              cmocka_unit_test(expiry),       cmocka_unit_test(no_memory),     cmocka_unit_test(sizes),
                              cmocka_unit_test(replacement),  cmocka_unit_test(most_are_kept), cmocka_unit_test(half_written),
                              cmocka_unit_test(garbage),      cmocka_unit_test(threads),       cmocka_unit_test(processes)};
  return cmocka_run_group_tests_name("verified", tests, nullptr, nullptr);
}
