// Appending to the spool: one writev(2) under the lock, so that records lie one behind the other, and a record that did
// not find room is taken back before anybody else writes.
#include "shared/beacon/spool.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

namespace heartbeat {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kRelease = std::memory_order_release;

bool no_room(int error) { return error == ENOSPC || error == EDQUOT || error == EFBIG; }

// A new file outlives the system only with its name.
bool sync_directory(std::string_view directory) {
  char path[4096];
  std::snprintf(path, sizeof path, "%.*s", HEARTBEAT_VIEW(directory));
  int file = ::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (file < 0) return false;
  bool good = ::fsync(file) == 0;
  int error = errno;
  ::close(file);
  errno = error;
  return good;
}

}  // namespace

bool Spool::open(const SpoolSettings& settings, SpoolShared& shared, Error& why) {
  close();
  settings_ = settings;
  shared_ = &shared;
  return lock_.share(settings.directory, shared.instance, why);
}

void Spool::close() {
  close_file();
  lock_.release();
}

void Spool::close_file() {
  if (file_ >= 0) ::close(file_);
  file_ = -1;
  segment_ = 0;
}

Spool::Kept Spool::append(std::string_view record, Error& why, Care care) {
  Kept kept = Kept::failed;
  const bool syncs = settings_.sync && care == Care::promised;
  int copy = -1;
  std::uint64_t segment = 0;
  if (record.size() > kMostSpoolRecord) {
    why.set("%zu bytes, expected a record of at most %zu", record.size(), kMostSpoolRecord);
  } else {
    FrameHeader header = header_of(record, shared_->instance);
    SpoolGuard guard(*shared_, settings_.directory);
    kept = write(header, record, care == Care::promised ? settings_.max : settings_.max / 4 * 3, why);
    segment = segment_;
    // The next thread may close the file while this one still waits for the disk.
    if (kept == Kept::yes && syncs) copy = ::fcntl(file_, F_DUPFD_CLOEXEC, 0);
  }
  if (kept == Kept::yes && syncs) kept = sync(copy, segment, why);
  auto& counter = kept == Kept::yes ? shared_->kept : kept == Kept::full ? shared_->full : shared_->failed;
  counter.fetch_add(1, kRelaxed);
  return kept;
}

// --- under the lock --------------------------------------------------------------------------------

Spool::Kept Spool::no(int error, const char* path, Error& why) const {
  why.set("\"%s\": %s", path, std::strerror(error));
  return no_room(error) ? Kept::full : Kept::failed;
}

Spool::Kept Spool::write(FrameHeader& header, std::string_view record, std::uint64_t most, Error& why) {
  std::size_t size = sizeof header + record.size();
  if (shared_->bytes.load(kRelaxed) + size > most) {
    why.set("\"%.*s\" holds all that it may", HEARTBEAT_VIEW(settings_.directory));
    return Kept::full;
  }
  if (Kept kept = ready(size, why); kept != Kept::yes) return kept;
  header.check = check_of(header, shared_->instance, shared_->end.load(kRelaxed));
  iovec parts[2] = {{&header, sizeof header}, {const_cast<char*>(record.data()), record.size()}};
  ssize_t written = -1;
  do {
    written = ::writev(file_, parts, 2);
  } while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(size)) {
    shared_->end.fetch_add(size, kRelease);
    shared_->bytes.fetch_add(size, kRelaxed);
    return Kept::yes;
  }
  int error = written < 0 ? errno : ENOSPC;
  SpoolPath path(settings_.directory, shared_->instance, segment_ - 1);
  take_back(written < 0 ? 0 : static_cast<std::size_t>(written), error);
  return no(error, path.text(), why);
}

// The segment ends where it ended before; if that cannot be, or something is wrong with this file alone, the next record
// goes to another one.
void Spool::take_back(std::size_t written, int error) {
  std::uint64_t end = shared_->end.load(kRelaxed);
  bool sound = written == 0 || ::ftruncate(file_, static_cast<off_t>(end - (segment_ - 1))) == 0;
  if (sound && (error == ENOSPC || error == EDQUOT)) return;
  if (!sound) shared_->end.store(end + written, kRelease);
  shared_->segment.store(0, kRelease);
}

// `file_` becomes the current segment, with room for `size` bytes. A file that somebody deleted, or wrote to, is left
// alone: what goes there would be lost.
Spool::Kept Spool::ready(std::size_t size, Error& why) {
  std::uint64_t segment = shared_->segment.load(kRelaxed);
  if (segment == 0 || (segment != segment_ && !reopen(segment))) return begin(why);
  std::uint64_t end = shared_->end.load(kRelaxed);
  std::uint64_t start = segment - 1;
  struct stat status {};
  if (::fstat(file_, &status) != 0) return begin(why);
  auto used = static_cast<std::uint64_t>(status.st_size);
  bool sound = status.st_nlink != 0 && used == end - start;
  if (sound && (used == 0 || used + size <= kSegmentBytes)) return Kept::yes;
  shared_->end.store(std::max(end, start + used), kRelease);
  return begin(why);
}

bool Spool::reopen(std::uint64_t segment) {
  close_file();
  Error why;
  if (!lock_.share(settings_.directory, shared_->instance, why)) return false;
  SpoolPath path(settings_.directory, shared_->instance, segment - 1);
  file_ = ::open(path.text(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
  if (file_ >= 0) segment_ = segment;
  return file_ >= 0;
}

// Begins a segment. Its file may be there already, empty, by somebody who died before he could say so.
Spool::Kept Spool::begin(Error& why) {
  close_file();
  shared_->segment.store(0, kRelease);
  if (!lock_.share(settings_.directory, shared_->instance, why)) return Kept::failed;
  for (;;) {
    std::uint64_t start = shared_->end.load(kRelaxed);
    SpoolPath path(settings_.directory, shared_->instance, start);
    file_ = ::open(path.text(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat status {};
    bool good = file_ >= 0 && ::fstat(file_, &status) == 0;
    if (good && status.st_size != 0) {
      shared_->end.store(start + static_cast<std::uint64_t>(status.st_size), kRelease);
      close_file();
      continue;
    }
    if (!good || (settings_.sync && !sync_directory(settings_.directory))) {
      int error = errno;
      close_file();
      return no(error, path.text(), why);
    }
    segment_ = start + 1;
    shared_->segment.store(segment_, kRelease);
    return Kept::yes;
  }
}

// --- after it --------------------------------------------------------------------------------------

// Closes `file`. What the disk refused once is not asked for again by the kernel: nobody goes on in that segment.
Spool::Kept Spool::sync(int file, std::uint64_t segment, Error& why) {
  bool good = file >= 0 && ::fdatasync(file) == 0;
  int error = errno;
  if (file >= 0) ::close(file);
  if (good) return Kept::yes;
  SpoolGuard guard(*shared_, settings_.directory);
  if (shared_->segment.load(kRelaxed) == segment) shared_->segment.store(0, kRelease);
  return no(error, SpoolPath(settings_.directory, shared_->instance, segment - 1).text(), why);
}

}  // namespace heartbeat
