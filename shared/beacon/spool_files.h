// The files of the spool: what they are called, and who may use them. The segments of an instance are used by the
// processes of one server, which all hold its lock file shared; a lock that can be had exclusively is that of a dead one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <dirent.h>
#include <memory>
#include <string_view>
#include <sys/types.h>

#include "shared/port/error.h"

namespace heartbeat {

inline constexpr std::uint64_t kSegmentBytes = std::uint64_t{4} << 20;  // most that a segment holds

/// DIR/INSTANCE.lock, or DIR/INSTANCE-START.spool. Empty where that is too long for a path.
class SpoolPath {
 public:
  SpoolPath(std::string_view directory, std::uint64_t instance);
  SpoolPath(std::string_view directory, std::uint64_t instance, std::uint64_t start);
  const char* text() const { return text_; }

 private:
  char text_[4096];
};

struct SpoolName {
  std::uint64_t instance = 0;
  std::uint64_t start = 0;  // of a segment: the position of its first byte
  bool lock = false;        // it is the lock file
};
/// False: no name of a file of the spool.
bool parse_spool_name(std::string_view text, SpoolName& name);

/// The files of the spool in a directory, one after the other.
class SpoolListing {
 public:
  /// Error: the directory cannot be read.
  SpoolListing(std::string_view directory, Error& error);
  bool next(SpoolName& name);
  /// The size in bytes of the file that next() gave last; 0 where it is gone.
  std::uint64_t size() const;

 private:
  struct Close {
    void operator()(DIR* directory) const { ::closedir(directory); }
  };
  std::unique_ptr<DIR, Close> directory_;
  const char* last_ = nullptr;
};

class SpoolLock {
 public:
  enum class Taken { yes, alive, failed };

  SpoolLock() = default;
  SpoolLock(const SpoolLock&) = delete;
  SpoolLock& operator=(const SpoolLock&) = delete;
  ~SpoolLock() { release(); }

  /// Says that a process of this instance lives, until release(). Call it again at any time: it costs little, and a lock
  /// file that somebody deleted is made again. False: `why`.
  bool share(std::string_view directory, std::uint64_t instance, Error& why);
  /// Takes the lock of a dead instance, never waiting for it. To be released soon: who comes to life waits 20 ms at most.
  Taken take(std::string_view directory, std::uint64_t instance, Error& why);
  void release();

 private:
  Taken lock(const char* path, int operation, Error& why);
  int file_ = -1;
};

/// Makes sure that `directory` can hold a spool of `uid` and `gid`: it is made (mode 0700) if it is not there, and given
/// to them by root. Error: what is wrong, and what is expected. For the configuration test and the start.
bool prepare_spool(const char* directory, uid_t uid, gid_t gid, Error& error);

}  // namespace heartbeat
