// The lock of the table, as the files that implement it take it.
#pragma once

#include "shared/session/table.h"

namespace heartbeat {

class Table::Guard {
 public:
  explicit Guard(Table& table) : table_(table) {
    if (table_.header_->lock.lock()) table_.recount();
  }
  ~Guard() { table_.header_->lock.unlock(); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  Table& table_;
};

inline constexpr std::uint32_t kSlotsOfWord = 64;
inline constexpr std::uint32_t kBucketsOfWord = kSlotsOfWord / kWays;
inline constexpr std::uint64_t kWordsOfTurn = 65536;  // words of a bitmap looked at in one call
inline constexpr std::uint32_t kSlotsOfTurn = 4096;   // sessions looked at in one call

/// The low half of a time; never 0, which says that there is none.
inline std::uint32_t low_half(Millis time) {
  auto half = static_cast<std::uint32_t>(time);
  return half == 0 ? 1 : half;
}
/// How long before `time` the time was of which `low` is the low half.
inline Millis before(Millis time, std::uint32_t low) { return static_cast<std::uint32_t>(time) - low; }

}  // namespace heartbeat
