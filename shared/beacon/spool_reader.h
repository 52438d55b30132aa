// Reading the spool, in the process that ships it: its own instance while others append to it, and what dead servers left.
#pragma once

#include <cstdlib>
#include <memory>
#include <span>
#include <string_view>

#include "shared/beacon/spool_files.h"
#include "shared/beacon/spool_shared.h"
#include "shared/port/error.h"
#include "shared/port/port.h"

namespace heartbeat {

struct SpoolRecord {
  std::uint64_t end;  // position behind it
  std::string_view bytes;
};

/// Records that were read together, with the memory they lie in.
class SpoolWindow {
 public:
  static constexpr std::size_t kRecords = 1024;  // most at a time

  std::span<const SpoolRecord> records() const { return {records_, count_}; }
  /// Gives the memory back.
  void release();

 private:
  friend class SpoolReader;
  struct Free {
    void operator()(char* bytes) const { std::free(bytes); }
  };
  bool reserve(std::size_t size);

  std::unique_ptr<char, Free> bytes_;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
  std::size_t count_ = 0;
  SpoolRecord records_[kRecords];
};

/// One instance. Positions are the caller's: each Redis has its own.
class SpoolReader {
 public:
  enum class Found {
    records,  // the window has some
    nothing,  // there are none, for now
    alive,    // the instance was taken for dead, but lives: leave it alone
    failed,   // `why`: try again later
  };
  enum class Left { some, nothing, alive, failed };

  SpoolReader() = default;
  SpoolReader(const SpoolReader&) = delete;
  SpoolReader& operator=(const SpoolReader&) = delete;
  ~SpoolReader() { close(); }

  /// The instance of this server. `directory` is absolute, and its memory is the caller's.
  void open(std::string_view directory, SpoolShared& shared);
  /// One of find_dead().
  void open_dead(std::string_view directory, std::uint64_t instance);
  void close();
  std::uint64_t instance() const { return instance_; }
  /// It was opened as that of a dead server.
  bool dead() const { return shared_ == nullptr; }

  /// Where the oldest record kept begins; where the stream ends if there is none. False: `why`.
  bool oldest(std::uint64_t& position, Error& why) const;
  /// Fills `window` with whole records from `position` on: about `most` bytes, one record at least, and moves `position`
  /// behind them. What is no record is skipped.
  Found next(std::uint64_t& position, std::size_t most, SpoolWindow& window, Error& why);

  /// Every Redis has what lies below `shipped`: deletes the segments that have been so for `keep` ms (at the most twice
  /// that), and for this server corrects SpoolShared::bytes. Call it with each pass, with 0 where there is no Redis.
  /// nothing: of a dead instance there is no file any more.
  Left clean(std::uint64_t shipped, Millis now, Millis keep, Error& why);

  /// Runs of bytes that were skipped, each counted once.
  std::uint64_t damaged() const { return damaged_; }

 private:
  class Hold;

  Found locate(std::uint64_t& position, std::uint64_t limit, std::uint64_t& stop, Error& why);
  Found open_segment(std::uint64_t start, Error& why);
  bool stop_of_segment(std::uint64_t limit, std::uint64_t& stop, Error& why) const;
  bool fill(SpoolWindow& window, std::uint64_t position, std::size_t size, Error& why);
  std::size_t parse(SpoolWindow& window, std::uint64_t position, bool last);
  void skipped(std::uint64_t begin, std::uint64_t end);
  std::uint64_t ripe(std::uint64_t shipped, Millis now, Millis keep);
  std::uint64_t close_current(std::uint64_t below, std::uint64_t& end);
  bool delete_below(std::uint64_t below, std::uint64_t current, std::uint64_t& all, std::uint64_t& own, Error& why);
  void close_file();

  std::string_view directory_;
  std::uint64_t instance_ = 0;
  SpoolShared* shared_ = nullptr;  // null: a dead instance
  SpoolLock lock_;
  int file_ = -1;                  // the segment that was read last
  std::uint64_t start_ = 0;        // where it begins
  std::uint64_t damaged_ = 0, damaged_below_ = 0;
  std::uint64_t marked_ = 0;       // was shipped at `marked_at_`; what lies below may go after a while
  Millis marked_at_ = -1;          // none yet
};

/// The instances in `directory` but `own` of which no process lives, as many as `dead` has room for. How many.
/// Error: the directory cannot be read, or the lock of one of them not be opened; the others are found all the same.
std::size_t find_dead(std::string_view directory, std::uint64_t own, std::span<std::uint64_t> dead, Error& error);

}  // namespace heartbeat
