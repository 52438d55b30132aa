// How a session shows itself in Redis.
#include "t/unit/support/test.h"

#include "shared/identity/shown.h"

namespace {
using namespace heartbeat;

const unsigned char kKey[32] = {1, 2, 3};
const unsigned char kOtherKey[32] = {1, 2, 4};

Name name(std::string_view id, bool digest = false) {
  Name result{};
  result.size = digest ? Name::kDigest : static_cast<std::uint8_t>(id.size());
  std::memcpy(result.bytes, id.data(), id.size());
  return result;
}

std::string shown(const Name& name, std::string_view site = "site", bool plain = false,
                  const unsigned char (&key)[32] = kKey) {
  return std::string(shown_id(name, site, plain, key));
}

void plain(void**) {
  for (std::size_t size = 1; size <= kNameBytes; ++size) {
    std::string id(size, '\xfe');
    assert_true(shown(name(id), "site", true) == id);
  }
  assert_true(shown(name(std::string("a\0b", 3)), "site", true) == std::string("a\0b", 3));
}

void hashed(void**) {
  std::string hash = shown(name("abc"));
  assert_int_equal(hash.size(), 32);
  assert_int_equal(hash.find_first_not_of("0123456789abcdef"), std::string::npos);
  assert_text_equal(hash, shown(name("abc")));
}

void long_ids_are_hashed_even_where_plain(void**) {
  std::string digest(kDigestBytes, 'd');
  assert_int_equal(shown(name(digest, true), "site", true).size(), 32);
  assert_text_equal(shown(name(digest, true), "site", true), shown(name(digest, true)));
}

// Whatever differs shows another hash, also where the same bytes are cut in another place.
void nothing_collides(void**) {
  std::set<std::string> all;
  std::string digest(kDigestBytes, 'd');
  all.insert(shown(name("abc")));
  all.insert(shown(name("abd")));
  all.insert(shown(name("abc"), "other"));
  all.insert(shown(name("abc"), "site", false, kOtherKey));
  all.insert(shown(name("abcsite"), ""));
  all.insert(shown(name("abcs"), "ite"));
  all.insert(shown(name("ab"), "csite"));
  all.insert(shown(name(digest)));
  all.insert(shown(name(digest, true)));
  all.insert(shown(name("abc"), std::string(255, 'x')));
  all.insert(shown(name(std::string(kNameBytes, 'x')), std::string(255, 'x')));
  assert_int_equal(all.size(), 11);
}

// As Python makes it (hashlib.blake2b(b"\x03abcsite", digest_size=16, key=...)):
// the ids in Redis must not change with a later version of this software.
void known_value(void**) { assert_text_equal(shown(name("abc")), "904d3ba84176894f0242c1f5ce687b81"); }

std::string of(ShownIds& ids, std::string_view id, std::uint64_t low, std::uint64_t high, const unsigned char (&key)[32] = kKey,
               bool plain = false) {
  Slot slot{};
  slot.fingerprint[0] = low;
  slot.fingerprint[1] = high;
  return std::string(ids.of(slot, name(id), "site", plain, key));
}

// Sessions that share a place there, a key that changes, and a slot that is just being given up.
void kept_ones(void**) {
  ShownIds ids;
  constexpr std::uint64_t kSamePlace = std::uint64_t{1} << 32;
  for (int again = 0; again < 3; ++again) {
    assert_text_equal(of(ids, "abc", 7, 8), shown(name("abc")));
    assert_text_equal(of(ids, "abc", 7, 8), shown(name("abc")));
    assert_text_equal(of(ids, "abe", 7, 9), shown(name("abe")));
    assert_text_equal(of(ids, "abd", 7 + kSamePlace, 9), shown(name("abd")));
    assert_text_equal(of(ids, "abf", 0, 0), shown(name("abf")));
    assert_text_equal(of(ids, "abc", 7, 8, kOtherKey), shown(name("abc"), "site", false, kOtherKey));
    assert_text_equal(of(ids, "abc", 7, 8, kKey, true), "abc");
    if (again == 1) ids.release();
  }
  assert_text_equal(of(ids, "abc", 7, 8), of(ids, "not hashed", 7, 8));
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(plain), cmocka_unit_test(hashed),
                              cmocka_unit_test(long_ids_are_hashed_even_where_plain),
                              cmocka_unit_test(nothing_collides), cmocka_unit_test(known_value),
                              cmocka_unit_test(kept_ones)};
  return cmocka_run_group_tests_name("shown", tests, nullptr, nullptr);
}
