// What the processes of one server share of their spool, in shared memory.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "shared/port/lock.h"

namespace heartbeat {

inline constexpr std::size_t kSpoolPath = 200;  // bytes of the longest directory

/// Lies in zeroed memory. A position counts the bytes that were ever appended to the spool of this instance.
struct SpoolShared {
  SharedMutex lock;
  std::uint64_t instance;               // random; names the files
  std::atomic<std::uint64_t> segment;   // 1 + the position where the current segment begins; 0: the next append begins one
  std::atomic<std::uint64_t> end;       // all records below are whole, and on disk
  std::atomic<std::uint64_t> bytes;     // of all segments in the directory, those of other instances too
  std::atomic<std::uint64_t> shipped;   // every Redis has what lies below
  std::atomic<std::uint64_t> kept, full, failed;  // answers of append()
  char directory[kSpoolPath + 1];       // where the spool of this table is; empty: nowhere yet
  std::atomic<std::uint64_t> damaged;   // runs of bytes that are no record, as the reader met them

  /// Call once, before any other process uses the memory. False: the system has no robust mutex.
  bool init();
};

/// Holds the lock. Where the former holder died inside, its segment ends where it ended: a new one begins.
class SpoolGuard {
 public:
  SpoolGuard(SpoolShared& shared, std::string_view directory);
  ~SpoolGuard() { shared_.lock.unlock(); }
  SpoolGuard(const SpoolGuard&) = delete;
  SpoolGuard& operator=(const SpoolGuard&) = delete;

 private:
  SpoolShared& shared_;
};

}  // namespace heartbeat
