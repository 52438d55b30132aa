// Tokens that were verified lately, in shared memory: a ping whose token is here needs neither JSON nor a signature.
//
// No locks. Every entry carries a keyed checksum of itself, so whoever reads while another writes, or where a writer
// died half-way, or where two wrote at once, sees an entry that is no entry; and any entry can be written over at any
// time, so there is nothing to mend.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "shared/identity/token.h"

namespace heartbeat {

/// What is remembered of a token: its session and user.
struct Remembered {
  static constexpr std::size_t kSession = 55, kUser = 63;  // longest, in bytes

  std::string_view session() const { return {bytes + 2, session_size()}; }
  std::string_view user() const { return {bytes + 2 + session_size(), user_size()}; }

  std::uint8_t session_size() const { return static_cast<std::uint8_t>(bytes[0]); }
  std::uint8_t user_size() const { return static_cast<std::uint8_t>(bytes[1]); }

  std::int64_t expires = 0;  // seconds since 1970
  char bytes[2 + kSession + kUser] = {};
};

class VerifiedTokens {
 public:
  /// Seconds after which a token is verified anew, so that tokens that live for years do not fill the place.
  static constexpr std::int64_t kBelieved = 3600;

  /// Bytes of shared memory for at least so many tokens.
  static std::size_t bytes(std::uint32_t entries);
  /// Uses `size` bytes of memory, aligned to 8 (better 64) and zeroed before its first use. `key`: random bytes, the
  /// same for all who share the memory. Less than a bucket of memory remembers nothing.
  void attach(void* memory, std::size_t size, const unsigned char (&key)[16]);

  /// True: `token` was verified with the keys of `ring` (Keyring::id) and has not expired. Allocates nothing.
  bool find(std::string_view token, std::uint64_t ring, std::int64_t now_seconds, Remembered& out) const;

  /// Notes what verify_token() found. Tokens with a view or with longer names are not remembered.
  void remember(std::string_view token, std::uint64_t ring, const Claims& claims, std::int64_t now_seconds);

 private:
  using Word = std::atomic<std::uint64_t>;
  static_assert(Word::is_always_lock_free && sizeof(Word) == 8);

  static constexpr unsigned kWays = 4;
  // An entry as its reader and its writer have it; in shared memory each word is atomic and the checksum follows.
  struct Entry {
    std::uint64_t print[2];  // of token and ring
    std::int64_t believed;   // until then
    Remembered token;
  };
  static constexpr std::size_t kEntryWords = sizeof(Entry) / 8;
  static_assert(sizeof(Entry) == 8 * kEntryWords && sizeof(Entry) == 152);
  static constexpr std::size_t kWords = kEntryWords + 1;
  static constexpr std::size_t kBelievedWord = 2;

  void print_of(std::string_view token, std::uint64_t ring, std::uint64_t (&print)[2]) const;
  Word* bucket_of(const std::uint64_t (&print)[2]) const;
  std::uint64_t checksum(const Entry& entry) const;
  bool read(const Word* words, Entry& entry) const;
  void write(Word* words, const Entry& entry);

  Word* words_ = nullptr;
  std::uint32_t buckets_ = 0;
  unsigned char key_[16] = {};
};

}  // namespace heartbeat
