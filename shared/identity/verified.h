// Tokens that were verified lately, in shared memory: a ping whose token is here needs no signature. What a token says
// is not kept: it is in the token.
//
// No locks. Every entry carries a keyed checksum of itself, so whoever reads while another writes, or where a writer
// died half-way, or where two wrote at once, sees an entry that is no entry; and any entry can be written over at any
// time, so there is nothing to mend.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "shared/identity/token.h"

namespace heartbeat {

class VerifiedTokens {
 public:
  /// Seconds after which a token is verified anew, so that tokens that live for years do not fill the place.
  static constexpr std::int64_t kBelieved = 3600;

  /// Bytes of shared memory for at least so many tokens.
  static std::size_t bytes(std::uint32_t entries);
  /// Uses `size` bytes of memory, aligned to 8 (better 64) and zeroed before its first use. `key`: random bytes, the
  /// same for all who share the memory. Less than a bucket of memory remembers nothing.
  void attach(void* memory, std::size_t size, const unsigned char (&key)[16]);

  /// Stands for a token under the keys of a ring.
  struct Print {
    std::uint64_t words[2];
  };

  /// That of `token` under `ring` (Keyring::id). Has the processor fetch what find() will look at.
  Print print_of(std::string_view token, std::uint64_t ring) const;

  /// True: the token was verified with these keys and has not expired; read_token() tells what it says. Allocates nothing.
  bool find(const Print& print, std::int64_t now_seconds) const;

  /// Notes that verify_token() found the token good until `expires`.
  void remember(const Print& print, std::int64_t expires, std::int64_t now_seconds);

 private:
  using Word = std::atomic<std::uint64_t>;
  static_assert(Word::is_always_lock_free && sizeof(Word) == 8);

  // An entry: two words of print, of token and ring; until when it is believed; the checksum of these three. It lies in
  // either of two buckets: then hardly any is pushed out before three quarters of the
  // places are taken.
  static constexpr unsigned kWays = 4, kBuckets = 2, kWords = 4;

  Word* way_of(const Print& print, unsigned way) const;
  Word* place_for(const Print& print, std::int64_t now_seconds) const;
  std::uint64_t checksum(const Print& print, std::int64_t believed) const;

  Word* words_ = nullptr;
  std::uint32_t buckets_ = 0;
  unsigned char key_[16] = {};
};

/// verify_token(), which is spared where `verified` (may be null) knows the token; it is told of those that are good. Of
/// those that are not, `claims` are empty.
TokenFault check_token(std::string_view token, const Keyring& ring, VerifiedTokens* verified, std::int64_t now_seconds,
                       Arena& arena, Claims& claims);

}  // namespace heartbeat
