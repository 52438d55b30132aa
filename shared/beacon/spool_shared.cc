// The lock of the spool, and what is done where somebody died holding it.
#include "shared/beacon/spool_shared.h"

#include <algorithm>
#include <sodium.h>
#include <sys/stat.h>

#include "shared/beacon/spool_files.h"

namespace heartbeat {

bool SpoolShared::init() {
  randombytes_buf(&instance, sizeof instance);
  return lock.init();
}

// The dead may have written a record, or half of one, without saying so. Where that cannot be seen, the new segment begins
// behind all that could be there: two records at one position would be taken for one, a hole does no harm.
SpoolGuard::SpoolGuard(SpoolShared& shared, std::string_view directory) : shared_(shared) {
  bool died = shared.lock.lock();
  std::uint64_t segment = shared.segment.load(std::memory_order_relaxed);
  if (!died || segment == 0) return;
  std::uint64_t start = segment - 1;
  struct stat status {};
  bool seen = ::stat(SpoolPath(directory, shared.instance, start).text(), &status) == 0;
  std::uint64_t end = start + (seen ? static_cast<std::uint64_t>(status.st_size) : kSegmentBytes);
  shared.end.store(std::max(end, shared.end.load(std::memory_order_relaxed)), std::memory_order_release);
  shared.segment.store(0, std::memory_order_release);
}

}  // namespace heartbeat
