// What the process that ships has open of the spool.
#include "shared/beacon/spool_keeper.h"

#include <algorithm>

namespace heartbeat {

SpoolKeeper::SpoolKeeper(Log& log, const SpoolSettings* settings, SpoolShared& shared)
    : log_(log), settings_(settings), shared_(shared) {}

bool SpoolKeeper::has(std::uint64_t instance) const {
  return std::any_of(readers_, readers_ + open_, [&](const SpoolReader& reader) { return reader.instance() == instance; });
}

void SpoolKeeper::look(Millis now) {
  if (now < next_look_) return;
  next_look_ = now + kLook;
  if (open_ == 0) {
    held_[0] = UINT64_MAX;
    readers_[open_++].open(settings_->directory, shared_);
  }
  Error error;
  std::uint64_t dead[kInstances];
  std::size_t count = find_dead(settings_->directory, shared_.instance, dead, error);
  for (std::size_t i = 0; i < count && open_ < kInstances; ++i) {
    if (has(dead[i])) continue;
    held_[open_] = UINT64_MAX;
    readers_[open_++].open_dead(settings_->directory, dead[i]);
  }
  if (error) complain(error, now);
}

void SpoolKeeper::hold(const SpoolReader& reader, std::uint64_t position) {
  std::uint64_t& held = held_[&reader - readers_];
  held = std::min(held, position);
}

// The last of the others takes its place: readers cannot be moved.
void SpoolKeeper::drop(std::size_t index) {
  std::uint64_t last = readers_[--open_].instance();
  readers_[open_].close();
  if (index == open_) return;
  readers_[index].open_dead(settings_->directory, last);
  held_[index] = held_[open_];
}

void SpoolKeeper::care(const Shipped& shipped, Millis now) {
  if (!wanted()) return;
  look(now);
  Millis keep = shared_.bytes.load() > settings_->max / 2 ? kKeepLittle : kKeep;
  for (std::size_t i = open_; i-- > 0;) {
    Error why;
    std::uint64_t below = std::min(shipped.shipped(readers_[i].instance()), held_[i]);
    SpoolReader::Left left = readers_[i].clean(below, now, keep, why);
    if (left == SpoolReader::Left::failed) complain(why, now);
    if (i != 0 && (left == SpoolReader::Left::alive || left == SpoolReader::Left::nothing)) drop(i);
  }
}

void SpoolKeeper::close() {
  while (open_ > 0) readers_[--open_].close();
  next_look_ = 0;
}

void SpoolKeeper::complain(const Error& why, Millis now) {
  if (now - logged_ < 1000) return;
  logged_ = now;
  log_.print(Level::error, "heartbeat_spool: %s", why.text());
}

}  // namespace heartbeat
