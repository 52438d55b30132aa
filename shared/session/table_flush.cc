// What the flusher does with the session table: gathers what changed into batches, and takes note of what Redis has.
#include <algorithm>
#include <bit>

#include "shared/session/guard.h"

namespace heartbeat {
namespace {

constexpr std::uint32_t kWordsForgotten = 256;  // words whose sessions are marked as changed in one call
constexpr Millis kRetry = 1000;                 // until what Redis refused of a past run is sent again
constexpr std::uint32_t kAhead = 4;             // sessions whose memory comes while others are taken
constexpr std::uint32_t kCostOfMore = 2;        // a session that Redis must make or keep for longer, against another

// A session is kept in Redis for its retention and an eighth more, anew when it is seen in another eighth than before.
bool to_be_kept(const Slot& slot, Millis seen, Millis retention) {
  std::uint32_t stored = slot.stored_seen.load(std::memory_order_relaxed);
  return stored == 0 || seen / (retention / 8) != (seen - before(seen, stored)) / (retention / 8);
}

bool comes_first(const BatchEntry& a, const BatchEntry& b) {
  if (a.slot != b.slot) return a.slot < b.slot;
  bool a_past = (a.flags & BatchEntry::kPast) != 0;
  bool b_past = (b.flags & BatchEntry::kPast) != 0;
  return a_past != b_past ? a_past : a.seen < b.seen;
}

// By place, and in the order of time. A session may come to another place while its entries are made, because that takes
// no lock: all of them go to the place of the last.
void sort_entries(std::span<BatchEntry> entries) {
  std::sort(entries.begin(), entries.end(), comes_first);
  for (std::size_t i = entries.size() - 1; i > 0; --i) {
    if (entries[i - 1].slot == entries[i].slot) entries[i - 1].place = entries[i].place;
  }
  std::sort(entries.begin(), entries.end(), [](const BatchEntry& a, const BatchEntry& b) {
    if (a.place != b.place) return a.place < b.place;
    return a.seen != b.seen ? a.seen < b.seen : comes_first(a, b);
  });
}

// Of both halves: each alone says much of the bucket, and those who may be mistaken share that.
std::uint32_t past_print(const Slot& slot) {
  return static_cast<std::uint32_t>(slot.fingerprint[0].load(std::memory_order_relaxed) ^ slot.fingerprint[1].load(std::memory_order_relaxed) >> 32);
}

std::uint32_t shortened(Millis length) { return length > INT32_MAX ? INT32_MAX : static_cast<std::uint32_t>(length); }

}  // namespace

// --- past runs -------------------------------------------------------------------------------------

// The ends of the runs of a session as an entry says them. The activity is read before the last sign: so it is never
// later than that.
void Table::describe(std::uint32_t index, BatchEntry& entry) const {
  const Slot& slot = slots_[index];
  Millis active = slot.active.load(std::memory_order_acquire);
  std::uint32_t active_length = static_cast<std::uint32_t>(active) - slot.active_from.load(std::memory_order_relaxed);
  entry.seen = slot.seen.load(std::memory_order_seq_cst);
  entry.open_length = shortened(run_length(slot, entry.seen));
  std::uint32_t stored = slot.stored_seen.load(std::memory_order_relaxed);
  std::uint32_t fresh = slot.fresh.load(std::memory_order_relaxed);
  Millis fresh_back = fresh == 0 ? entry.open_length : static_cast<std::int32_t>(low_half(entry.seen) - fresh);
  entry.fresh_back = fresh_back < 0 ? 0 : static_cast<std::uint32_t>(fresh_back);
  bool news = active != 0 && active <= entry.seen && (stored == 0 || entry.seen - active <= before(entry.seen, stored));
  entry.active_back = news ? shortened(entry.seen - active) : BatchEntry::kNever;
  entry.active_length = news ? active_length : 0;
}

void Table::forget_past() {
  while (header_->past_begin != header_->past_end && past(header_->past_begin).state == PastRun::kFree) ++header_->past_begin;
}

// A run of `user` ends of which Redis may not know everything. Under the lock. It counts from the last step on, so that
// a process that dies before leaves nothing behind.
void Table::keep_past(std::uint32_t index, std::uint32_t user) {
  Slot& slot = slots_[index];
  if (low_half(slot.seen.load(std::memory_order_relaxed)) == slot.stored_seen.load(std::memory_order_relaxed)) return;
  forget_past();
  if (header_->past_end - header_->past_begin == header_->max_past) {  // the oldest has waited for longest
    past(header_->past_begin++).state = PastRun::kFree;
    header_->lost_runs.fetch_add(1, std::memory_order_relaxed);
  }
  BatchEntry entry{};
  describe(index, entry);
  PastRun& run = past(header_->past_end);
  run.slot = index;
  run.print = past_print(slot);
  run.user = user;
  run.source = slot.source.load(std::memory_order_relaxed);
  run.fresh_back = entry.fresh_back;
  run.seen = entry.seen;
  run.open_length = entry.open_length;
  run.active_back = entry.active_back;
  run.active_length = entry.active_length;
  run.state = PastRun::kWaits;
  std::atomic_thread_fence(std::memory_order_release);
  ++header_->past_end;
  slot.fresh.store(0, std::memory_order_relaxed);
}

// False: nothing to say of it any more, it was freed.
bool Table::take_past(const PastRun& run, std::uint64_t number, Millis now, BatchEntry& entry) {
  const Slot& slot = slots_[run.slot];
  bool same = tag(run.slot) != 0 && past_print(slot) == run.print;
  std::uint16_t place = same ? place_of(run.slot) : std::uint16_t{0};
  if (!same || now - run.seen > sites_[places_[place].site].retention) {
    past(number).state = PastRun::kFree;
    return false;
  }
  const Detail* own = detail(run.slot);
  bool told = own == nullptr || run.user != user_print(run.slot) || own->version == own->stored_version;
  entry = BatchEntry{};
  entry.seen = run.seen;
  entry.open_length = run.open_length;
  entry.fresh_back = run.fresh_back;
  entry.active_back = run.active_back;
  entry.active_length = run.active_length;
  entry.slot = run.slot;
  entry.beats = static_cast<std::uint32_t>(number % header_->max_past);
  entry.place = place;
  entry.version = own == nullptr ? std::uint16_t{0} : own->version.load(std::memory_order_relaxed);
  entry.source = run.source;
  entry.flags = static_cast<std::uint8_t>(BatchEntry::kPast | (told ? 0 : BatchEntry::kDetail) |
                                          (own != nullptr && own->user_size != 0 ? BatchEntry::kUser : 0));
  return true;
}

std::uint32_t Table::publish_past(std::uint16_t store_index, Millis now) {
  StoreRecord& store = stores_[store_index];
  forget_past();
  std::uint32_t count = 0;
  for (std::uint64_t number = header_->past_begin; number != header_->past_end && count < kBatch / kCostOfMore; ++number) {
    const PastRun& run = past(number);
    bool waits = run.state == PastRun::kRefused ? before(now, run.refused) >= kRetry : run.state == PastRun::kWaits;
    if (!waits) continue;
    const PlaceRecord& place = places_[slots_[run.slot].place.load(std::memory_order_relaxed)];
    if (sites_[place.site].store != store_index) continue;
    if (take_past(run, number, now, store.entries[count])) ++count;
  }
  return count;
}

// --- batches ---------------------------------------------------------------------------------------

void Table::give_up(std::uint32_t index) {
  Slot& slot = slots_[index];
  clear_changed(index);
  slot.stored_seen.store(low_half(slot.seen.load(std::memory_order_seq_cst)), std::memory_order_relaxed);
  slot.stored_beats.store(slot.beats.load(std::memory_order_seq_cst), std::memory_order_relaxed);
}

// A process that stood still between finding a slot and touching it may have left a place of its own session's site in
// a slot that is another's meanwhile.
std::uint16_t Table::place_of(std::uint32_t index) {
  Slot& slot = slots_[index];
  std::uint16_t place = slot.place.load(std::memory_order_relaxed);
  for (std::uint32_t i = 0; places_[place].site != names_[index].site && i < header_->places.load(); ++i) {
    if (places_[i].site != names_[index].site) continue;
    place = static_cast<std::uint16_t>(i);
    slot.place.store(place, std::memory_order_relaxed);
  }
  return place;
}

bool Table::marked_as_changed(std::uint32_t index) const {
  return (dirty_[index / kSlotsOfWord].load(std::memory_order_seq_cst) >> index % kSlotsOfWord & 1) != 0;
}

// Takes no lock: what is not true any more when the turn of a session comes is found then.
void Table::next_portion(Pass& pass, Millis now) const {
  if (pass.order_ == nullptr) pass.order_.reset(static_cast<std::uint64_t*>(std::malloc(Pass::kPortion * sizeof(std::uint64_t))));
  std::uint64_t* order = pass.order_.get();
  if (order == nullptr) return;
  pass.next_ = pass.count_ = 0;
  std::uint64_t last = std::uint64_t{pass.word_} + kWordsOfTurn;
  for (; pass.word_ < words_ && pass.word_ < last && pass.count_ + kSlotsOfWord <= Pass::kPortion; ++pass.word_) {
    for (std::uint64_t word = dirty_[pass.word_].load(std::memory_order_seq_cst); word != 0; word &= word - 1) {
      std::uint32_t index = pass.word_ * kSlotsOfWord + static_cast<std::uint32_t>(std::countr_zero(word));
      auto age = static_cast<std::uint32_t>(now - slots_[index].seen.load(std::memory_order_relaxed));
      order[pass.count_++] = std::uint64_t{~age} << 32 | index;
    }
  }
  std::sort(order, order + pass.count_);
}

// What take_changed() looks at, but for the detail.
void Table::fetch_changed(std::uint32_t index) const {
  fetch(index);
  __builtin_prefetch(&names_[index]);
  __builtin_prefetch(reinterpret_cast<const char*>(&names_[index]) + sizeof(Name) - 1);
}

// False: there is nothing to say of it.
bool Table::take_changed(std::uint32_t index, std::uint16_t store, BatchEntry& entry, Millis now) {
  if (!marked_as_changed(index)) return false;
  if (tag(index) == 0) {
    clear_changed(index);
    return false;
  }
  Slot& slot = slots_[index];
  std::uint16_t place = place_of(index);
  const SiteRecord& site = sites_[places_[place].site];
  if (site.store != store) return false;
  if (now - slot.seen.load(std::memory_order_relaxed) > site.retention) {  // Redis would not keep it either
    give_up(index);
    return false;
  }
  entry.slot = index;
  entry.beats = slot.beats.load(std::memory_order_seq_cst);
  entry.delta = entry.beats - slot.stored_beats.load(std::memory_order_relaxed);
  describe(index, entry);
  bool keep = to_be_kept(slot, entry.seen, site.retention);
  const Detail* own = detail(index);
  bool news = own != nullptr && (own->version != own->stored_version || slot.stored_seen.load() == 0);
  bool named = own != nullptr && own->user_size != 0;
  entry.version = own == nullptr ? std::uint16_t{0} : own->version.load(std::memory_order_relaxed);
  entry.flags = static_cast<std::uint8_t>((keep ? BatchEntry::kKeep : 0) | (news ? BatchEntry::kDetail : 0) |
                                          (named ? BatchEntry::kUser : 0));
  entry.place = place;
  entry.source = slot.source.load(std::memory_order_relaxed);
  slot.fresh.store(0, std::memory_order_relaxed);
  return true;
}

// Adds changed sessions behind the `count` entries that the batch has already.
std::uint32_t Table::publish_changed(std::uint16_t store_index, Pass& pass, std::uint32_t count, Millis now) {
  StoreRecord& store = stores_[store_index];
  std::uint32_t looked_at = 0;
  std::uint32_t cost = count * kCostOfMore;
  auto at = [&](std::uint32_t next) { return static_cast<std::uint32_t>(pass.order_.get()[next]); };
  for (; pass.next_ < pass.count_ && looked_at < kSlotsOfTurn && cost < kBatch; ++pass.next_, ++looked_at) {
    if (pass.next_ + 2 * kAhead < pass.count_) fetch_changed(at(pass.next_ + 2 * kAhead));
    if (pass.next_ + kAhead < pass.count_) __builtin_prefetch(detail(at(pass.next_ + kAhead)));
    BatchEntry& entry = store.entries[count];
    if (!take_changed(at(pass.next_), store_index, entry, now)) continue;
    ++count;
    cost += (entry.flags & (BatchEntry::kKeep | BatchEntry::kDetail)) != 0 ? kCostOfMore : 1;
  }
  return count;
}

std::uint32_t Table::publish(std::uint16_t store_index, std::uint64_t owner, Pass& pass, Millis now) {
  StoreRecord& store = stores_[store_index];
  if (pass.next_ == pass.count_ && pass.word_ < words_) next_portion(pass, now);
  Guard guard(*this);
  if (header_->lease_owner.load(std::memory_order_relaxed) != owner || store.count != 0) return 0;
  std::uint32_t count = publish_changed(store_index, pass, publish_past(store_index, now), now);
  pass.done_ = pass.next_ == pass.count_ && pass.word_ >= words_;
  if (count == 0) return 0;
  sort_entries({store.entries, count});
  for (std::uint32_t i = 0; i < count; ++i) slots_[store.entries[i].slot].pinned.store(1, std::memory_order_relaxed);
  ++store.number;
  store.made = now;
  std::atomic_thread_fence(std::memory_order_release);
  store.count = count;
  for (std::uint32_t i = 0; i < count; ++i) {
    const BatchEntry& entry = store.entries[i];
    const Slot& slot = slots_[entry.slot];
    if ((entry.flags & BatchEntry::kPast) != 0) continue;
    clear_changed(entry.slot);
    bool moved = slot.beats.load(std::memory_order_seq_cst) != entry.beats;
    if (moved || slot.seen.load(std::memory_order_seq_cst) != entry.seen) set_changed(entry.slot);
  }
  return count;
}

bool Table::acknowledge(std::uint16_t store_index, std::uint64_t owner, std::uint64_t number,
                        std::span<const std::uint16_t> failed) {
  StoreRecord& store = stores_[store_index];
  Guard guard(*this);
  if (header_->lease_owner.load(std::memory_order_relaxed) != owner) return false;
  if (store.count == 0 || store.number != number) return false;
  for (std::uint32_t i = 0; i < store.count; ++i) {
    const BatchEntry& entry = store.entries[i];
    if (i + kAhead < store.count) __builtin_prefetch(&slots_[store.entries[i + kAhead].slot], 1);
    Slot& slot = slots_[entry.slot];
    slot.pinned.store(0, std::memory_order_relaxed);
    bool refused = !failed.empty() && failed.front() == i;
    if (refused) failed = failed.subspan(1);
    if ((entry.flags & BatchEntry::kPast) != 0) {
      PastRun& run = past_[entry.beats];
      if (run.slot != entry.slot || run.seen != entry.seen) continue;  // another's, since there was no room
      run.state = refused ? PastRun::kRefused : PastRun::kFree;
      run.refused = static_cast<std::uint32_t>(store.made);
    } else if (refused) {
      slot.fresh.store(low_half(entry.seen - entry.fresh_back), std::memory_order_relaxed);
      set_changed(entry.slot);
    } else {
      slot.stored_seen.store(low_half(entry.seen), std::memory_order_relaxed);
      slot.stored_beats.store(entry.beats, std::memory_order_relaxed);
      Detail* own = detail(entry.slot);
      if (own != nullptr && (entry.flags & BatchEntry::kDetail) != 0) own->stored_version = entry.version;
    }
  }
  store.applied = number;
  store.count = 0;
  return true;
}

void Table::forget_stored(std::uint16_t store) {
  Guard guard(*this);
  stores_[store].forgotten = 1;
}

bool Table::mark_forgotten(std::uint16_t store) {
  Guard guard(*this);
  std::uint32_t& forgotten = stores_[store].forgotten;
  if (forgotten == 0) return false;
  std::uint32_t cursor = forgotten - 1;
  std::uint32_t last = words_ - cursor < kWordsForgotten ? words_ : cursor + kWordsForgotten;
  for (std::uint32_t index = cursor * kSlotsOfWord; index < last * kSlotsOfWord; ++index) {
    if (tag(index) == 0 || sites_[places_[slots_[index].place.load(std::memory_order_relaxed)].site].store != store) continue;
    slots_[index].stored_seen.store(0, std::memory_order_relaxed);
    set_changed(index);
  }
  forgotten = last == words_ ? 0 : last + 1;
  return true;
}

void Table::drop_orphans(std::uint32_t stores_in_use, std::uint32_t& cursor, Millis now, Millis patience) {
  Guard guard(*this);
  for (std::uint32_t i = 0; i < header_->stores; ++i) {
    StoreRecord& store = stores_[i];
    if ((stores_in_use >> i & 1) != 0 || store.count == 0 || now - store.made < patience) continue;
    for (std::uint32_t e = 0; e < store.count; ++e) {
      slots_[store.entries[e].slot].pinned.store(0, std::memory_order_relaxed);
      set_changed(store.entries[e].slot);
    }
    store.count = 0;
  }
  for (std::uint64_t number = header_->past_begin; number != header_->past_end; ++number) {
    PastRun& run = past(number);
    std::uint16_t store = sites_[places_[slots_[run.slot].place.load(std::memory_order_relaxed)].site].store;
    bool wanted = store != kNone && (stores_in_use >> store & 1) != 0;
    if (!wanted && now - run.seen > patience) run.state = PastRun::kFree;
  }
  std::uint64_t last = std::uint64_t{cursor} + kWordsOfTurn;
  std::uint32_t looked_at = 0;
  for (; cursor < words_ && cursor < last && looked_at < kSlotsOfTurn; ++cursor) {
    std::uint64_t word = dirty_[cursor].load(std::memory_order_seq_cst);
    for (; word != 0; word &= word - 1, ++looked_at) {
      std::uint32_t index = cursor * kSlotsOfWord + static_cast<std::uint32_t>(std::countr_zero(word));
      Slot& slot = slots_[index];
      std::uint16_t store = sites_[places_[slot.place.load(std::memory_order_relaxed)].site].store;
      if (tag(index) == 0 || store == kNone || (stores_in_use >> store & 1) != 0) continue;
      if (now - slot.seen.load(std::memory_order_relaxed) < patience) continue;
      give_up(index);
      header_->dropped.fetch_add(1, std::memory_order_relaxed);
    }
  }
}

bool Table::anything_to_flush(std::uint32_t stores_in_use) const {
  for (std::uint32_t i = 0; i < header_->stores; ++i) {
    if ((stores_in_use >> i & 1) != 0 && stores_[i].count != 0) return true;
  }
  for (std::uint32_t cursor = 0; cursor < words_; ++cursor) {
    for (std::uint64_t word = dirty_[cursor].load(std::memory_order_seq_cst); word != 0; word &= word - 1) {
      std::uint32_t index = cursor * kSlotsOfWord + static_cast<std::uint32_t>(std::countr_zero(word));
      const Slot& slot = slots_[index];
      std::uint16_t store = sites_[places_[slot.place.load(std::memory_order_relaxed)].site].store;
      if (tag(index) != 0 && store != kNone && (stores_in_use >> store & 1) != 0 && changed(slot)) return true;
    }
  }
  return false;
}

// --- touches ---------------------------------------------------------------------------------------

// The last sign of life may be one that touches nothing.
Millis Table::touched(std::uint32_t index) const {
  Millis seen = slots_[index].seen.load(std::memory_order_relaxed);
  auto low = static_cast<std::uint32_t>(seen);
  return seen - static_cast<std::int32_t>(low - touched_[index].load(std::memory_order_relaxed));
}

std::uint32_t Table::take_touches(std::uint16_t store, std::uint32_t& cursor, std::span<DueTouch> out) {
  Guard guard(*this);
  int bitmap = touch_store(store);
  if (bitmap < 0) cursor = words_;
  std::uint32_t count = 0;
  std::uint64_t last = std::uint64_t{cursor} + kWordsOfTurn;
  for (; cursor < words_ && cursor < last; ++cursor) {
    std::uint64_t word = touch_bits_[bitmap][cursor].load(std::memory_order_seq_cst);
    if (word == 0) continue;
    if (out.size() - count < kSlotsOfWord * kPlaceTouches) break;
    touch_bits_[bitmap][cursor].fetch_and(~word, std::memory_order_seq_cst);
    for (; word != 0; word &= word - 1) {
      std::uint32_t index = cursor * kSlotsOfWord + static_cast<std::uint32_t>(std::countr_zero(word));
      if (tag(index) == 0) continue;
      const PlaceRecord& place = places_[slots_[index].place.load(std::memory_order_relaxed)];
      for (std::uint16_t touch : std::span(place.touches, place.touch_count)) {
        if (touches_[touch].store != store) continue;
        const Slot& slot = slots_[index];
        out[count++] = {slot.fingerprint[0].load(std::memory_order_relaxed), slot.fingerprint[1].load(std::memory_order_relaxed), index, touch, touched(index)};
      }
    }
  }
  return count;
}

std::uint32_t Table::slot_of(const DueTouch& due) const {
  if (tag(due.slot) != 0 && is_at(due.slot, due.low, due.high)) return due.slot;
  return find(print_of(due.low, due.high));
}

void Table::give_back_touches(std::uint16_t store, std::span<const DueTouch> touches) {
  Guard guard(*this);
  int bitmap = touch_store(store);
  if (bitmap < 0) return;
  for (const DueTouch& each : touches) {
    std::uint32_t index = slot_of(each);
    if (index == UINT32_MAX) continue;
    bool later = (touch_bits_[bitmap][index / kSlotsOfWord].load() >> index % kSlotsOfWord & 1) != 0;
    if (index != each.slot && !later) touched_[index].store(static_cast<std::uint32_t>(each.seen), std::memory_order_relaxed);
    set_bit(touch_bits_[bitmap], index);
  }
}

bool Table::any_touch_due(std::uint32_t stores_in_use) const {
  for (std::uint32_t i = 0; i < kTouchStores; ++i) {
    std::uint16_t store = header_->touch_stores[i];
    if (store == kNone || (stores_in_use >> store & 1) == 0) continue;
    for (std::uint32_t cursor = 0; cursor < words_; ++cursor) {
      if (touch_bits_[i][cursor].load(std::memory_order_relaxed) != 0) return true;
    }
  }
  return false;
}

}  // namespace heartbeat
