// Who is online at this host.
#include "shared/session/census.h"

#include <cstdlib>
#include <ctime>
#include <new>
#include <sodium.h>

#include "shared/identity/shown.h"
#include "shared/session/distinct.h"
#include "shared/session/newest.h"

namespace heartbeat {
namespace {

std::int64_t nanoseconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::int64_t{time.tv_sec} * 1000000000 + time.tv_nsec;
}

// A site without a Redis shows ids hashed under a key that only this table has.
ShownId shown(Table& table, std::uint32_t slot, const SiteRecord& site) {
  std::string_view name(site.name, site.size);
  if (site.store != kNone) return shown_id(table.name(slot), name, site.plain != 0, table.store(site.store).key);
  unsigned char key[32];
  crypto_generichash(key, sizeof key, table.key(), sizeof table.key(), nullptr, 0);
  return shown_id(table.name(slot), name, site.plain != 0, key);
}

// Until when a session is online unless it is seen again.
Millis online_until(const Table& table, const Slot& slot, const PlaceRecord& place) {
  const Millis seen = slot.seen.load(std::memory_order_relaxed);
  const Millis grace = table.site(place.site).grace;
  const bool left = (slot.source.load(std::memory_order_relaxed) & kLeaving) != 0;
  return seen + (left && grace < place.timeout ? grace : place.timeout);
}

struct Found {
  Millis last;
  std::uint64_t print;
  std::uint32_t slot;
};

}  // namespace

struct Census::Count {
  std::uint16_t site;
  SnapshotHead head{};
  Newest<Found> newest;
  Distinct users;
};

Census::Census(Reactor& reactor, Table& table, SnapshotArea& area, std::uint64_t owner, Millis interval, Millis period)
    : reactor_(reactor),
      table_(table),
      area_(area),
      owner_(owner),
      patience_(kPatience + interval),
      period_(period),
      begun_(-period) {}

void Census::stop() {
  reactor_.cancel_timer(*this);
  for (std::uint32_t i = 0; i < sites_; ++i) std::free(counts_[i]);
  std::free(counts_);
  counts_ = nullptr;
  sites_ = 0;
  held_since_ = -1;
}

// Whoever takes the lease over gives Redis its time anew, unless there is nothing to show meanwhile.
bool Census::needed(std::uint32_t i, Millis now) const {
  std::uint16_t site = area_.site(i);
  if (site == kNone || !area_.asked_for(i, now)) return false;
  if (table_.site(site).store == kNone) return true;
  Millis answered = area_.answered(i);
  return answered == 0 || now - (answered > held_since_ ? answered : held_since_) > patience_;
}

void Census::go_on() {
  Millis now = reactor_.now();
  if (held_since_ < 0) held_since_ = now;
  if (counts_ != nullptr || now - begun_ < period_ - period_ / 4) return;
  if (begin(now)) walk();
}

bool Census::begin(Millis now) {
  begun_ = now_ = now;
  slot_ = 0;
  for (std::uint32_t i = 0; i < area_.capacity(); ++i) {
    if (!needed(i, now)) continue;
    if (counts_ == nullptr) {
      counts_ = static_cast<Count**>(std::calloc(table_.header().sites, sizeof(Count*)));
      if (counts_ == nullptr) return false;
      sites_ = table_.header().sites;
    }
    std::uint16_t site = area_.site(i);
    void* memory = site < sites_ && counts_[site] == nullptr ? std::malloc(sizeof(Count)) : nullptr;
    if (memory == nullptr) continue;
    counts_[site] = ::new (memory) Count{};
    counts_[site]->site = site;
  }
  return counts_ != nullptr;
}

void Census::on_timer() {
  if (table_.header().lease_owner.load() == owner_) walk();
}

// First the slots, then the lists, one in a step.
void Census::walk() {
  const std::int64_t until = nanoseconds(CLOCK_MONOTONIC) + kStep;
  const std::uint32_t end = table_.slots();
  while (slot_ < end && nanoseconds(CLOCK_MONOTONIC) < until) {
    for (std::uint32_t stop = end - slot_ < kSlotsOfLook ? end : slot_ + kSlotsOfLook; slot_ < stop; ++slot_) {
      if (table_.in_use(slot_)) visit(slot_);
    }
  }
  std::uint32_t next = sites_;
  for (std::uint32_t i = 0; slot_ == end && i < sites_ && next == sites_; ++i) {
    if (counts_[i] != nullptr) next = i;
  }
  if (next != sites_) {
    show(*counts_[next]);
    std::free(counts_[next]);
    counts_[next] = nullptr;
  } else if (slot_ == end) {
    std::free(counts_);
    counts_ = nullptr;
    sites_ = 0;
    return;
  }
  reactor_.set_timer(*this, slot_ == end ? 1 : kPause);
}

// Without the lock: a session that makes way for another meanwhile may be counted once too often, for a second.
void Census::visit(std::uint32_t index) {
  const Slot& slot = table_.slot(index);
  const PlaceRecord& place = table_.place(slot.place.load(std::memory_order_relaxed));
  Count* count = place.site < sites_ ? counts_[place.site] : nullptr;
  Millis last = slot.seen.load(std::memory_order_relaxed);
  if (count == nullptr || now_ > online_until(table_, slot, place)) return;
  ++count->head.online;
  Millis second = now_ <= last ? 0 : (now_ - last - 1) / 1000;
  if (second < kWithin) ++count->head.within[second];
  std::string_view user = table_.user(index);
  if (!user.empty()) {
    std::uint64_t hash;
    crypto_shorthash(reinterpret_cast<unsigned char*>(&hash), reinterpret_cast<const unsigned char*>(user.data()),
                     user.size(), table_.key());
    count->users.add(hash);
  }
  count->newest.add({last, slot.fingerprint[0].load(std::memory_order_relaxed), index});
}

// How far the list's clock is ahead of the host's: as Redis said last, or else by the host's idea of the time of day.
Millis Census::ahead(const Count& count) const {
  for (std::uint32_t i = 0; i < area_.capacity(); ++i) {
    if (area_.site(i) == count.site && area_.answered(i) != 0) return area_.ahead(i);
  }
  return (nanoseconds(CLOCK_REALTIME) - nanoseconds(CLOCK_MONOTONIC)) / 1000000;
}

void Census::show(Count& count) {
  bool wanted = false;
  for (std::uint32_t i = 0; i < area_.capacity(); ++i) {
    wanted = wanted || (area_.site(i) == count.site && needed(i, reactor_.now()));
  }
  Snapshot snapshot(area_.room());
  if (!wanted || !snapshot.usable()) return;
  const Millis ahead = this->ahead(count);
  SnapshotHead& head = snapshot.head();
  head = count.head;
  head.site = count.site;
  head.taken = now_;
  head.at = now_ + ahead;
  head.users = static_cast<std::uint32_t>(count.users.count());
  for (std::uint32_t second = 1; second < kWithin; ++second) head.within[second] += head.within[second - 1];
  const SiteRecord& site = table_.site(count.site);
  for (const Found& found : count.newest.sorted()) {
    const Slot& slot = table_.slot(found.slot);
    char user_bytes[255];
    std::string_view user = table_.user(found.slot);
    user = {user_bytes, user.copy(user_bytes, sizeof user_bytes)};
    ShownId id = shown(table_, found.slot, site);
    Millis active = slot.active.load(std::memory_order_relaxed);
    Millis since = table_.run_start(found.slot);
    if (slot.fingerprint[0].load(std::memory_order_acquire) != found.print) continue;  // another's by now
    if (!snapshot.add({id, user, since + ahead, found.last + ahead, active == 0 ? 0 : active + ahead})) break;
  }
  area_.write(snapshot);
}

}  // namespace heartbeat
