// How much page views and sessions may send to this host: counted in shared memory, so that whoever has one good token
// cannot fill the spool.
//
// No locks. An entry belongs to whoever's print stands in it; where two write at once, or one takes the place of another,
// some counts begin anew, which lets a little more pass.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "shared/port/port.h"

namespace heartbeat {

class Quota {
 public:
  static constexpr std::uint32_t kBeacons = 2000;       // of one page view in an hour, those sent again included
  static constexpr std::uint32_t kBytes = 1U << 20;     // of all its payloads in an hour
  static constexpr std::uint32_t kViews = 600;          // of one session in an hour
  static constexpr Millis kHour = 3600 * 1000;

  /// Bytes of shared memory for so many page views and sessions at a time.
  static constexpr std::size_t bytes(std::size_t entries) { return entries * sizeof(Entry); }
  /// Uses memory that is aligned to 8 and zeroed before its first use. `key`: random, the same for all who share it.
  /// Without memory everything is allowed.
  void attach(void* memory, std::size_t size, const unsigned char (&key)[16]);

  /// One more beacon of `size` bytes of a page view. `session` may be empty: not known. 0: it may be taken; else after how
  /// many ms it may be tried again.
  Millis take(std::string_view view, std::string_view session, std::size_t size, Millis now);
  /// What take() allowed was not kept: it will be sent again, and does not count.
  void give_back(std::string_view view, std::size_t size);

 private:
  struct Entry {
    std::atomic<std::uint64_t> print;   // 0: free
    std::atomic<Millis> since, used;    // when its counts began, and last grew
    std::atomic<std::uint32_t> count;
    std::atomic<std::uint32_t> bytes;
  };
  static constexpr unsigned kWays = 8;

  std::uint64_t print_of(char kind, std::string_view name) const;
  Entry& find(std::uint64_t print, Millis now, bool& fresh);
  static Millis left_of_hour(Entry& entry, Millis now);

  Entry* entries_ = nullptr;
  std::uint64_t buckets_ = 0;
  unsigned char key_[16] = {};
};

}  // namespace heartbeat
