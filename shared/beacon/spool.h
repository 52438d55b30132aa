// The spool: where accepted beacons wait on disk until Redis has them. All processes and threads of a server append to one
// segment; what append() said yes to outlives them.
#pragma once

#include <string_view>

#include "shared/beacon/spool_files.h"
#include "shared/beacon/spool_frame.h"
#include "shared/beacon/spool_shared.h"
#include "shared/port/error.h"
#include "shared/settings/settings.h"

namespace heartbeat {

/// One in each process, for all of its threads.
class Spool {
 public:
  enum class Kept { yes, full, failed };
  /// promised: somebody is told that it is kept. noted: nobody is, so no disk is waited for, and a quarter of the room is
  /// left to the others.
  enum class Care { promised, noted };

  Spool() = default;
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;
  ~Spool() { close(); }

  /// False: nothing could be kept now, because of `why`. append() tries again each time.
  bool open(const SpoolSettings& settings, SpoolShared& shared, Error& why);
  /// Keeps a record of at most kMostSpoolRecord bytes. Not yes: nothing was kept, `why` says what stands against it; full
  /// is the disk, a quota, or `max`. Where only the sync failed, the record may be read all the same.
  Kept append(std::string_view record, Error& why, Care care = Care::promised);
  void close();

 private:
  Kept write(FrameHeader& header, std::string_view record, std::uint64_t most, Error& why);
  Kept ready(std::size_t size, Error& why);
  Kept begin(Error& why);
  Kept no(int error, const char* path, Error& why) const;
  Kept sync(int file, std::uint64_t segment, Error& why);
  bool reopen(std::uint64_t segment);
  void take_back(std::size_t written, int error);
  void close_file();

  SpoolSettings settings_;
  SpoolShared* shared_ = nullptr;
  SpoolLock lock_;              // these three are used under the shared lock
  int file_ = -1;
  std::uint64_t segment_ = 0;   // that `file_` is, as SpoolShared::segment says it
};

}  // namespace heartbeat
