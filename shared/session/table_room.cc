// Room for sessions in the table: who goes where, who has to go, and what is brought along. Under the lock.
#include "shared/session/guard.h"

namespace heartbeat {
namespace {

constexpr std::uint64_t kFewPast = 64;  // past runs that are looked through for each newcomer

}  // namespace

// A session that changed is flushed first. Its bit is missing where a process died between the beat and the bit.
bool Table::evictable(std::uint32_t index) {
  const Slot& slot = slots_[index];
  if (slot.pinned.load(std::memory_order_relaxed) != 0) return false;
  if (changed(slot)) set_changed(index);
  return !changed(slot);
}

// Who has to go first: 0 whoever is offline, 1 whoever has not stayed for an interval yet (a flood of invented ids
// pushes out its own), 2 whoever has been silent for an interval. 3: nobody, a session that is here stays.
std::uint32_t Table::worth(const Slot& slot, Millis now) const {
  const PlaceRecord& place = places_[slot.place.load(std::memory_order_relaxed)];
  Millis seen = slot.seen.load(std::memory_order_relaxed);
  if (now - seen > place.timeout) return 0;
  if (run_length(slot, seen) < place.gap / 2) return 1;
  return now - seen > place.gap ? 2 : 3;
}

// Takes a session out of its slot. False: there was a sign of life in this very moment, and it stays.
bool Table::vacate(std::uint32_t index) {
  Slot& slot = slots_[index];
  std::uint16_t old_tag = tag(index);
  std::uint64_t old_low = slot.fingerprint[0].load(std::memory_order_relaxed);
  set_tag(index, 0);
  slot.fingerprint[0].store(0, std::memory_order_seq_cst);
  if (!changed(slot)) return true;
  slot.fingerprint[0].store(old_low, std::memory_order_seq_cst);
  set_tag(index, old_tag);
  return false;
}

bool Table::evict(std::uint32_t index) {
  if (!vacate(index)) return false;
  free_detail(index);
  header_->evicted.fetch_add(1, std::memory_order_relaxed);
  header_->sessions.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

std::uint32_t Table::free_in(std::uint32_t bucket, std::uint32_t& count) const {
  std::uint32_t found = UINT32_MAX;
  count = 0;
  for (std::uint32_t index = (bucket + 1) * kWays; index-- > bucket * kWays;) {
    if (tag(index) != 0) continue;
    found = index;
    ++count;
  }
  return found;
}

// In the emptier of the buckets that are not of the front.
std::uint32_t Table::free_behind(const Print& print) const {
  std::uint32_t count[2];
  std::uint32_t slot[2] = {free_in(print.bucket[1], count[0]), free_in(print.bucket[2], count[1])};
  return count[1] > count[0] ? slot[1] : slot[0];
}

// Of the session in this slot Redis, or another's, is still to hear.
bool Table::anything_to_say(std::uint32_t index) const {
  if (touch_due(index)) return true;
  for (std::uint64_t number = header_->past_begin; number != header_->past_end; ++number) {
    if (past(number).slot == index && past(number).state != PastRun::kFree) return true;
  }
  return false;
}

// The session that is worth least, at most `most`; of these the one that was silent longest. With 0 nobody has to go yet:
// who has anything to say stays, and all do while so many runs wait that it would take long to see whose they are.
std::uint32_t Table::least_worth(std::span<const std::uint32_t> buckets, std::uint32_t most, Millis now) {
  std::uint32_t found = UINT32_MAX;
  if (most == 0 && header_->past_end - header_->past_begin > kFewPast) return found;
  std::uint32_t least = most;
  Millis oldest = INT64_MAX;
  for (std::uint32_t way = 0; way < buckets.size() * kWays; ++way) {
    std::uint32_t index = buckets[way / kWays] * kWays + way % kWays;
    std::uint32_t own = worth(slots_[index], now);
    Millis seen = slots_[index].seen.load(std::memory_order_relaxed);
    if (own > least || (own == least && seen >= oldest) || !evictable(index) || (most == 0 && anything_to_say(index))) continue;
    found = index;
    least = own;
    oldest = seen;
  }
  return found;
}

std::uint32_t Table::make_room(std::span<const std::uint32_t> buckets, std::uint32_t most, Millis now) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    std::uint32_t index = least_worth(buckets, most, now);
    if (index == UINT32_MAX) break;
    if (evict(index)) return index;
  }
  return UINT32_MAX;
}

// What a session is, in a slot.
struct Table::Contents {
  Millis seen, active;
  std::uint32_t stored_seen, fresh, open_from, active_from, beats, stored_beats, due;
  std::uint16_t place;
  std::uint8_t source;
  std::uint32_t detail;
};

Table::Contents Table::contents(std::uint32_t index) const {
  const Slot& slot = slots_[index];
  auto of = [](const auto& field) { return field.load(std::memory_order_relaxed); };
  return {of(slot.seen), of(slot.active), of(slot.stored_seen), of(slot.fresh), of(slot.open_from), of(slot.active_from),
          of(slot.beats), of(slot.stored_beats), of(slot.due), of(slot.place), of(slot.source), of(detail_of_[index])};
}

// Brings a session from the front to another of its buckets, or where nobody was offline there for longer, out of the
// table. What is brought along is what stood there before it was taken out: the sign of life that comes too late for that
// finds another fingerprint and looks for it once more. False: it stays.
bool Table::move_back(std::uint32_t index, Millis now) {
  const Slot& slot = slots_[index];
  const Print print = print_of(slot.fingerprint[0].load(std::memory_order_relaxed), slot.fingerprint[1].load(std::memory_order_relaxed));
  Contents known = contents(index);
  std::uint32_t target = free_behind(print);
  if (target == UINT32_MAX) {
    target = least_worth({print.bucket + 1, 2}, 0, now);
    if (target == UINT32_MAX || slots_[target].seen.load(std::memory_order_relaxed) >= known.seen) return evict(index);
    if (!evict(target)) return false;
  }
  if (!vacate(index)) return false;
  if (slot.beats.load(std::memory_order_relaxed) != known.beats) known = contents(index);  // a site without Redis has no changes
  detail_of_[index].store(0, std::memory_order_relaxed);
  settle(target, print, names_[index], known);
  return true;
}

// A free slot of the front, or that of somebody who is offline and has to go to the others.
std::uint32_t Table::room_in_front(const Print& print, Millis now) {
  std::uint32_t count;
  std::uint32_t index = free_in(print.bucket[0], count);
  for (int attempt = 0; index == UINT32_MAX && attempt < 3; ++attempt) {
    std::uint32_t offline = least_worth({print.bucket, 1}, 0, now);
    if (offline == UINT32_MAX) break;
    if (move_back(offline, now)) index = offline;
  }
  return index;
}

// In the front, else in the emptier of the other buckets, else in the place of whoever is worth least.
std::uint32_t Table::room_for(const Print& print, Millis now) {
  std::uint32_t index = room_in_front(print, now);
  if (index == UINT32_MAX) index = free_behind(print);
  return index != UINT32_MAX ? index : make_room(print.bucket, 2, now);
}

// Into a free slot.
void Table::settle(std::uint32_t index, const Print& print, const Name& name, const Contents& known) {
  Slot& slot = slots_[index];
  if (detail_of_[index].load(std::memory_order_relaxed) != 0) free_detail(index);
  if (known.detail != 0) details_[known.detail - 1].owner = index + 1;
  detail_of_[index].store(known.detail, std::memory_order_relaxed);
  for (Words bits : touch_bits_) clear_bit(bits, index);
  names_[index] = name;
  slot.place.store(known.place, std::memory_order_relaxed);
  slot.seen.store(known.seen, std::memory_order_relaxed);
  slot.open_from.store(known.open_from, std::memory_order_relaxed);
  slot.fresh.store(known.fresh, std::memory_order_relaxed);
  slot.source.store(known.source, std::memory_order_relaxed);
  slot.active.store(known.active, std::memory_order_relaxed);
  slot.active_from.store(known.active_from, std::memory_order_relaxed);
  slot.stored_seen.store(known.stored_seen, std::memory_order_relaxed);
  slot.beats.store(known.beats, std::memory_order_relaxed);
  slot.stored_beats.store(known.stored_beats, std::memory_order_relaxed);
  slot.due.store(known.due, std::memory_order_relaxed);
  slot.pinned.store(0, std::memory_order_relaxed);
  slot.fingerprint[1].store(print.high, std::memory_order_relaxed);
  slot.fingerprint[0].store(print.low, std::memory_order_release);
  set_tag(index, print.tag);
}

void Table::fill(std::uint32_t index, const Print& print, const Place& place, Name name, Millis now) {
  name.site = places_[place.index].site;
  Contents fresh{};
  fresh.place = place.index;
  fresh.seen = now;
  fresh.open_from = static_cast<std::uint32_t>(now);
  fresh.due = static_cast<std::uint32_t>(now + place.rate_interval);
  settle(index, print, name, fresh);
  header_->sessions.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace heartbeat
