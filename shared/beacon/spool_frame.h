// How a record lies in a segment of the spool: a header that proves itself, then the record. Whatever a torn write or a
// bad disk leaves behind is told from records, and so is a record that holds the bytes of another one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <sodium.h>
#include <string_view>

namespace heartbeat {

inline constexpr std::size_t kMostSpoolRecord = (std::size_t{2} << 20) + (std::size_t{64} << 10);
inline constexpr std::string_view kFrameMagic = "\xF5hb1";  // its first byte is in no text in UTF-8

/// In the byte order of this host: segments do not travel.
struct FrameHeader {
  char magic[4];
  std::uint32_t length;  // of the record, which follows
  std::uint64_t sum;     // of the record
  std::uint64_t check;   // of all above, and of where in the stream of which instance this is
};
static_assert(sizeof(FrameHeader) == 24);

// Keyed with the instance, which no client knows: so nobody can send a beacon that holds a frame for a damaged segment.
inline std::uint64_t spool_hash(const void* bytes, std::size_t size, std::uint64_t instance, std::uint64_t position) {
  unsigned char key[crypto_shorthash_KEYBYTES];
  static_assert(sizeof key == 2 * sizeof(std::uint64_t) && crypto_shorthash_BYTES == sizeof(std::uint64_t));
  std::memcpy(key, &instance, sizeof instance);
  std::memcpy(key + sizeof instance, &position, sizeof position);
  std::uint64_t hash = 0;
  crypto_shorthash(reinterpret_cast<unsigned char*>(&hash), static_cast<const unsigned char*>(bytes), size, key);
  return hash;
}

inline std::uint64_t sum_of(std::string_view record, std::uint64_t instance) {
  return spool_hash(record.data(), record.size(), instance, UINT64_MAX);
}
inline std::uint64_t check_of(const FrameHeader& header, std::uint64_t instance, std::uint64_t position) {
  return spool_hash(&header, offsetof(FrameHeader, check), instance, position);
}

/// The header of `record`, but for its check: where it will lie is known late, under the lock.
inline FrameHeader header_of(std::string_view record, std::uint64_t instance) {
  FrameHeader header{};
  std::memcpy(header.magic, kFrameMagic.data(), sizeof header.magic);
  header.length = static_cast<std::uint32_t>(record.size());
  header.sum = sum_of(record, instance);
  return header;
}

}  // namespace heartbeat
