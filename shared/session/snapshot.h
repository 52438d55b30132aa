// Who is online at each site, as the holder of the lease found it out, in shared memory: every process shows it without
// asking anybody and without a lock.
//
// A list has two halves. The writer fills the one that nobody reads and then says which one counts. Each half carries
// its own number and a sum of its bytes, so a reader knows a half that was written in the meantime, by a writer that
// died or by two of them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "shared/port/port.h"

namespace heartbeat {

inline constexpr std::uint32_t kListed = 500;  // most sessions of a list
inline constexpr std::uint32_t kWithin = 60;   // seconds

/// One session that is online. Times are those of the list's clock.
struct OnlineSession {
  std::string_view id;    // as it is shown
  std::string_view user;  // empty: not known
  Millis since = 0;       // when it came
  Millis last = 0;        // when it was seen last
  Millis active = 0;      // when a human did something last; 0: never
};

/// What is known of a list as a whole.
struct SnapshotHead {
  std::uint64_t sum;     // of all that follows
  std::uint64_t number;  // counts the lists of this site
  Millis at;             // what the list's clock said: the clock of Redis, in milliseconds since 1970
  Millis taken;          // what the host's clock said
  std::uint32_t site;
  std::uint32_t online;  // sessions, whether listed or not
  std::uint32_t users;   // different ones
  std::uint32_t listed;  // sessions that follow
  std::uint32_t bytes;   // of these
  std::uint32_t within[kWithin];  // how many were seen within 1, 2, ... seconds; those not listed too
};

/// Counts a session that was seen `age` ms ago.
inline void count_within(SnapshotHead& head, Millis age) {
  for (Millis second = age <= 0 ? 0 : (age - 1) / 1000; second < kWithin; ++second) ++head.within[second];
}

/// A list in the memory of one process: made there to be shown, or read to be written out.
class Snapshot {
 public:
  /// `room` is that of the area. Out of memory: not usable().
  explicit Snapshot(std::size_t room);
  ~Snapshot();
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  bool usable() const { return words_ != nullptr; }
  SnapshotHead& head() { return *reinterpret_cast<SnapshotHead*>(words_); }
  const SnapshotHead& head() const { return *reinterpret_cast<const SnapshotHead*>(words_); }

  /// Adds a session at the end. False: there is no room for more; a list has at most kListed.
  bool add(const OnlineSession& session);
  /// The session at `at`, which then moves on; it begins with 0. False: there are no more.
  bool next(std::size_t& at, OnlineSession& session) const;

 private:
  friend class SnapshotArea;
  char* bytes() const { return reinterpret_cast<char*>(words_) + sizeof(SnapshotHead); }

  std::uint64_t* words_;
  std::size_t room_;
};

/// The lists of all sites that have one, in a part of the table's memory.
class SnapshotArea {
 public:
  static constexpr Millis kForgotten = 60000;  // a list that nobody asks for is kept up to date for so long

  SnapshotArea() = default;
  /// `memory` is zeroed when it is made, and aligned to 64. Too little of it: no list fits.
  SnapshotArea(void* memory, std::size_t size);

  /// How many lists there are at most, and what each has in bytes.
  std::uint32_t capacity() const { return capacity_; }
  std::size_t room() const { return room_; }

  /// Finds the list of `site`, or makes an empty one, in the place of one that nobody asks for if need be, and notes
  /// that it was asked for. False: there is no room.
  bool want(std::uint16_t site, Millis now);
  /// The site of the i-th list; kNone: there is none.
  std::uint16_t site(std::uint32_t i) const;
  bool asked_for(std::uint32_t i, Millis now) const;

  /// The number of the site's list; 0: there is none yet.
  std::uint64_t number(std::uint16_t site) const;
  /// Shows `snapshot` from now on. False: its site has no list, or another process was faster.
  bool write(Snapshot& snapshot);
  /// False: there is none yet.
  bool read(std::uint16_t site, Snapshot& snapshot) const;

  /// When Redis told who is online there, by the host's clock, 0: never; and how far its clock is ahead of the host's.
  Millis answered(std::uint32_t i) const;
  Millis ahead(std::uint32_t i) const;
  void set_answered(std::uint16_t site, Millis now, Millis ahead);

 private:
  struct List;
  List* list(std::uint32_t i) const;
  List* find(std::uint16_t site) const;
  std::atomic<std::uint64_t>* half(List* list, std::uint64_t number) const;

  char* memory_ = nullptr;
  std::size_t each_ = 0;
  std::size_t room_ = 0;
  std::uint32_t capacity_ = 0;
};

/// The sites of one configuration that have a list.
class ListedSites {
 public:
  static constexpr std::uint32_t kMost = 1024;
  void add(std::uint16_t site) {
    if (!has(site) && count_ < kMost) sites_[count_++] = site;
  }
  bool has(std::uint16_t site) const {
    for (std::uint16_t each : all()) {
      if (each == site) return true;
    }
    return false;
  }
  std::span<const std::uint16_t> all() const { return {sites_, count_}; }

 private:
  std::uint16_t sites_[kMost];
  std::uint32_t count_ = 0;
};

}  // namespace heartbeat
