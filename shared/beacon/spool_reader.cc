// Reading the spool. Below SpoolShared::end every record is whole, so what is no record there was left by somebody who
// died or by a bad disk, and is skipped; of a dead instance nothing is written any more, and all of its bytes count.
#include "shared/beacon/spool_reader.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/beacon/spool_frame.h"

namespace heartbeat {
namespace {

constexpr std::uint64_t kNoEnd = UINT64_MAX;

enum class Frame { whole, cut, none };

// What begins at the front of `bytes`, which lie at `position`.
Frame look(std::string_view bytes, std::uint64_t instance, std::uint64_t position, std::string_view& record) {
  FrameHeader header;
  if (bytes.size() < sizeof header) return Frame::cut;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (!bytes.starts_with(kFrameMagic) || header.check != check_of(header, instance, position)) return Frame::none;
  record = bytes.substr(sizeof header, header.length);
  if (record.size() < header.length) return Frame::cut;
  return header.sum == sum_of(record, instance) ? Frame::whole : Frame::none;
}

// Of a frame that is known to begin there.
std::size_t frame_size(std::string_view bytes) {
  FrameHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  return sizeof header + header.length;
}

}  // namespace

// --- the window ------------------------------------------------------------------------------------

bool SpoolWindow::reserve(std::size_t size) {
  count_ = size_ = 0;
  if (size <= capacity_) return true;
  bytes_.reset(static_cast<char*>(std::malloc(size)));
  capacity_ = bytes_ ? size : 0;
  return capacity_ != 0;
}

void SpoolWindow::release() {
  bytes_.reset();
  capacity_ = size_ = count_ = 0;
}

// --- whose it is -----------------------------------------------------------------------------------

// While a dead instance is looked at, nobody may come to life in it: a record that is just being written would be taken
// for a torn one.
class SpoolReader::Hold {
 public:
  Hold(SpoolReader& reader, Error& why) : reader_(reader) {
    if (reader.shared_ == nullptr) {
      taken = reader.lock_.take(reader.directory_, reader.instance_, why);
    } else if (!reader.lock_.share(reader.directory_, reader.instance_, why)) {
      taken = SpoolLock::Taken::failed;
    }
  }
  ~Hold() {
    if (reader_.shared_ == nullptr) reader_.lock_.release();
  }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

  SpoolLock::Taken taken = SpoolLock::Taken::yes;

 private:
  SpoolReader& reader_;
};

void SpoolReader::open(std::string_view directory, SpoolShared& shared) {
  open_dead(directory, shared.instance);
  shared_ = &shared;
}

void SpoolReader::open_dead(std::string_view directory, std::uint64_t instance) {
  close();
  directory_ = directory;
  instance_ = instance;
  shared_ = nullptr;
  damaged_ = damaged_below_ = marked_ = 0;
  marked_at_ = -1;
}

void SpoolReader::close() {
  close_file();
  lock_.release();
}

void SpoolReader::close_file() {
  if (file_ >= 0) ::close(file_);
  file_ = -1;
}

// --- finding the segment ---------------------------------------------------------------------------

bool SpoolReader::oldest(std::uint64_t& position, Error& why) const {
  std::uint64_t first = shared_ == nullptr ? kNoEnd : shared_->end.load(std::memory_order_acquire);
  Error error;
  SpoolListing listing(directory_, error);
  for (SpoolName name; listing.next(name);) {
    if (name.instance == instance_ && !name.lock) first = std::min(first, name.start);
  }
  if (error) why = error;
  position = first == kNoEnd ? 0 : first;
  return !error;
}

SpoolReader::Found SpoolReader::open_segment(std::uint64_t start, Error& why) {
  close_file();
  SpoolPath path(directory_, instance_, start);
  file_ = ::open(path.text(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  start_ = start;
  if (file_ >= 0) return Found::records;
  if (errno == ENOENT) return Found::nothing;  // another one who ships has just deleted it
  why.set("\"%s\": %s", path.text(), std::strerror(errno));
  return Found::failed;
}

// False: its size cannot be seen, which is not to be taken for none.
bool SpoolReader::stop_of_segment(std::uint64_t limit, std::uint64_t& stop, Error& why) const {
  struct stat status {};
  bool seen = ::fstat(file_, &status) == 0;
  if (!seen) why.set("\"%s\": %s", SpoolPath(directory_, instance_, start_).text(), std::strerror(errno));
  stop = std::min(start_ + static_cast<std::uint64_t>(status.st_size), limit);
  return seen;
}

// Opens the segment in which `position` lies, or the next one, where it is moved to. Found where it is not behind `stop`,
// the end of the segment.
SpoolReader::Found SpoolReader::locate(std::uint64_t& position, std::uint64_t limit, std::uint64_t& stop, Error& why) {
  if (file_ >= 0 && start_ <= position) {
    if (!stop_of_segment(limit, stop, why)) return Found::failed;
    if (stop > position) return Found::records;
  }
  bool before = false, behind = false;
  std::uint64_t start = 0, next = kNoEnd;
  Error error;
  SpoolListing listing(directory_, error);
  for (SpoolName name; listing.next(name);) {
    if (name.instance != instance_ || name.lock) continue;
    if (name.start <= position) {
      start = std::max(start, name.start);
      before = true;
    } else {
      next = std::min(next, name.start);
      behind = true;
    }
  }
  if (error) {
    why = error;
    return Found::failed;
  }
  if (before) {
    if (Found found = open_segment(start, why); found != Found::records) return found;
    if (!stop_of_segment(limit, stop, why)) return Found::failed;
    if (stop > position) return Found::records;
  }
  if (!behind || next >= limit) {
    if (shared_ != nullptr) position = limit;  // what lay here is gone
    return Found::nothing;
  }
  position = stop = next;
  return Found::records;
}

// --- reading it ------------------------------------------------------------------------------------

bool SpoolReader::fill(SpoolWindow& window, std::uint64_t position, std::size_t size, Error& why) {
  if (!window.reserve(size)) {
    why.set("no memory for %zu bytes of the spool", size);
    return false;
  }
  while (window.size_ < size) {
    ssize_t count = ::pread(file_, window.bytes_.get() + window.size_, size - window.size_,
                            static_cast<off_t>(position - start_ + window.size_));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      const char* what = count < 0 ? std::strerror(errno) : "cut short";
      why.set("\"%s\": %s", SpoolPath(directory_, instance_, start_).text(), what);
      return false;
    }
    window.size_ += static_cast<std::size_t>(count);
  }
  return true;
}

void SpoolReader::skipped(std::uint64_t begin, std::uint64_t end) {
  if (damaged_below_ == 0 || begin > damaged_below_) {
    ++damaged_;
    if (shared_ != nullptr) shared_->damaged.fetch_add(1, std::memory_order_relaxed);
  }
  damaged_below_ = std::max(damaged_below_, end);
}

// Takes the records of the window, which lies at `position`; `last`: behind it there is nothing in this segment. How many
// bytes are done with; none: the window is too small for the first record.
std::size_t SpoolReader::parse(SpoolWindow& window, std::uint64_t position, bool last) {
  std::size_t at = 0;
  while (at < window.size_ && window.count_ < SpoolWindow::kRecords) {
    std::string_view rest(window.bytes_.get() + at, window.size_ - at);
    std::string_view record;
    Frame frame = look(rest, instance_, position + at, record);
    if (frame == Frame::cut && !last) break;
    std::size_t step = sizeof(FrameHeader) + record.size();
    if (frame == Frame::whole) {
      window.records_[window.count_++] = {position + at + step, record};
    } else {  // on at the next byte that could begin one, which may lie in the record that this one says it has
      step = rest.find(kFrameMagic, 1);
      if (step == std::string_view::npos) step = last ? rest.size() : rest.size() - kFrameMagic.size() + 1;
      skipped(position + at, position + at + step);
    }
    at += step;
  }
  return at;
}

SpoolReader::Found SpoolReader::next(std::uint64_t& position, std::size_t most, SpoolWindow& window, Error& why) {
  window.count_ = 0;
  std::uint64_t limit = shared_ == nullptr ? kNoEnd : shared_->end.load(std::memory_order_acquire);
  if (position >= limit) return Found::nothing;
  Hold hold(*this, why);
  if (hold.taken == SpoolLock::Taken::alive) return Found::alive;
  if (hold.taken == SpoolLock::Taken::failed) return Found::failed;
  while (position < limit) {
    std::uint64_t stop = 0;
    if (Found found = locate(position, limit, stop, why); found != Found::records) return found;
    std::uint64_t size = std::min<std::uint64_t>(stop - position, std::max(most, sizeof(FrameHeader)));
    while (size != 0) {
      if (!fill(window, position, size, why)) return Found::failed;
      std::size_t done = parse(window, position, position + size == stop);
      position += done;
      if (done != 0) break;
      size = std::min<std::uint64_t>(stop - position, frame_size({window.bytes_.get(), window.size_}));
    }
    if (window.count_ != 0) return Found::records;
  }
  return Found::nothing;
}

// --- deleting --------------------------------------------------------------------------------------

// All below may go: it was shipped at least `keep` ago, and no Redis wants it again.
std::uint64_t SpoolReader::ripe(std::uint64_t shipped, Millis now, Millis keep) {
  marked_ = std::min(marked_, shipped);
  if (marked_at_ >= 0 && now - marked_at_ < keep) return 0;
  std::uint64_t below = marked_at_ < 0 ? 0 : marked_;
  marked_ = shipped;
  marked_at_ = now;
  return below;
}

// Ends the current segment where all of it lies below `below`. The position from which on no segment may be deleted;
// `end`: where the stream ends.
std::uint64_t SpoolReader::close_current(std::uint64_t below, std::uint64_t& end) {
  SpoolGuard guard(*shared_, directory_);
  std::uint64_t segment = shared_->segment.load(std::memory_order_relaxed);
  end = shared_->end.load(std::memory_order_relaxed);
  if (segment == 0) return end;
  if (segment - 1 == end || end > below) return segment - 1;
  shared_->segment.store(0, std::memory_order_release);
  return end;
}

// Deletes, and adds up what stays: the bytes of all, and the segments of this instance. Emptied first: a process that has
// not appended for a while still has it open, and would keep its blocks.
bool SpoolReader::delete_below(std::uint64_t below, std::uint64_t current, std::uint64_t& all, std::uint64_t& own,
                               Error& why) {
  Error error;
  SpoolListing listing(directory_, error);
  for (SpoolName name; listing.next(name);) {
    if (name.lock) continue;
    std::uint64_t size = listing.size();
    if (name.instance == instance_ && name.start < current && name.start + size <= below) {
      SpoolPath path(directory_, instance_, name.start);
      if (::truncate(path.text(), 0) == 0 && ::unlink(path.text()) == 0) continue;
      if (errno != ENOENT) error.set("\"%s\": %s", path.text(), std::strerror(errno));
    }
    all += size;
    own += name.instance == instance_;
  }
  if (error) why = error;
  return !error;
}

SpoolReader::Left SpoolReader::clean(std::uint64_t shipped, Millis now, Millis keep, Error& why) {
  Hold hold(*this, why);
  if (hold.taken == SpoolLock::Taken::alive) return Left::alive;
  if (hold.taken == SpoolLock::Taken::failed) return Left::failed;
  std::uint64_t below = ripe(shipped, now, keep);
  std::uint64_t current = kNoEnd, end = 0, all = 0, own = 0;
  if (shared_ != nullptr) {
    shared_->shipped.store(shipped, std::memory_order_relaxed);
    current = close_current(below, end);
  }
  if (!delete_below(below, current, all, own, why)) return Left::failed;
  if (shared_ != nullptr) {  // what was appended meanwhile may not have been seen, and may count twice until the next pass
    SpoolGuard guard(*shared_, directory_);
    shared_->bytes.store(all + shared_->end.load(std::memory_order_relaxed) - end, std::memory_order_relaxed);
  } else if (own == 0) {
    ::unlink(SpoolPath(directory_, instance_).text());
    return Left::nothing;
  }
  return Left::some;
}

// Its lock file stands for an instance; its segments do where somebody deleted that.
std::size_t find_dead(std::string_view directory, std::uint64_t own, std::span<std::uint64_t> dead, Error& error) {
  std::size_t count = 0;
  SpoolListing listing(directory, error);
  for (SpoolName name; count < dead.size() && listing.next(name);) {
    auto found = dead.first(count);
    if (name.instance == own || std::find(found.begin(), found.end(), name.instance) != found.end()) continue;
    if (!name.lock && ::access(SpoolPath(directory, name.instance).text(), F_OK) == 0) continue;
    SpoolLock lock;
    if (lock.take(directory, name.instance, error) == SpoolLock::Taken::yes) dead[count++] = name.instance;
  }
  return count;
}

}  // namespace heartbeat
