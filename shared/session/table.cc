// The session table in shared memory.
#include "shared/session/table.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <sodium.h>
#include <sys/random.h>

namespace heartbeat {
namespace {

constexpr std::uint64_t kMagic = 0x7461656274726165;  // "eartbeat"
constexpr std::uint64_t kLayout = 1000000 * sizeof(Header) + 1000 * sizeof(StoreRecord) + sizeof(SiteRecord) + 1;
constexpr std::uint64_t kPage = 4096;
constexpr std::uint32_t kSlotsOfWord = 64;
constexpr std::uint32_t kBucketsOfWord = kSlotsOfWord / kWays;
constexpr std::uint64_t kWordsOfTurn = 65536;   // words of the bitmap looked at in one call
constexpr std::uint32_t kSlotsOfTurn = 4096;    // changed sessions looked at in one call
constexpr std::uint32_t kWordsForgotten = 256;  // words whose sessions are marked as changed in one call

struct Plan {
  std::uint64_t sites, stores, tags, dirty, slots, names, buckets;
  std::uint32_t max_sites;
};

constexpr std::uint64_t aligned(std::uint64_t offset) { return (offset + 63) & ~std::uint64_t{63}; }

// Where each part begins in a zone of `size` bytes.
Plan plan_of(std::uint64_t size) {
  Plan plan{};
  plan.max_sites = static_cast<std::uint32_t>(size / 64 / sizeof(SiteRecord));
  if (plan.max_sites > kNone - 1) plan.max_sites = kNone - 1;
  plan.sites = kPage;
  plan.stores = aligned(plan.sites + plan.max_sites * sizeof(SiteRecord));
  plan.tags = aligned(plan.stores + kMaxStores * sizeof(StoreRecord));
  constexpr std::uint64_t kWordBytes = kSlotsOfWord * (sizeof(Slot) + sizeof(Name) + 2) + 8;
  std::uint64_t left = size > plan.tags + 3 * 64 ? size - plan.tags - 3 * 64 : 0;
  std::uint64_t words = left / kWordBytes;
  constexpr std::uint64_t kMostWords = (std::uint64_t{1} << 31) / kSlotsOfWord;
  if (words > kMostWords) words = kMostWords;
  plan.buckets = words * kBucketsOfWord;
  plan.dirty = aligned(plan.tags + words * kSlotsOfWord * 2);
  plan.slots = aligned(plan.dirty + words * 8);
  plan.names = plan.slots + words * kSlotsOfWord * sizeof(Slot);
  return plan;
}

Name name_of(std::string_view id) {
  Name name{};
  bool whole = id.size() <= kNameBytes;
  name.size = whole ? static_cast<std::uint8_t>(id.size()) : Name::kDigest;
  if (whole) {
    std::memcpy(name.bytes, id.data(), id.size());
  } else {
    crypto_generichash(reinterpret_cast<unsigned char*>(name.bytes), kDigestBytes,
                       reinterpret_cast<const unsigned char*>(id.data()), id.size(), nullptr, 0);
  }
  return name;
}

// A session is kept in Redis for its retention and an eighth more, anew when it is seen in another eighth than before.
bool to_be_kept(const Slot& slot, Millis retention) {
  Millis stored = slot.stored_seen.load(std::memory_order_relaxed);
  return stored == 0 || slot.seen.load(std::memory_order_relaxed) / (retention / 8) != stored / (retention / 8);
}

bool random_bytes(void* out, std::size_t size) { return getrandom(out, size, 0) == static_cast<ssize_t>(size); }

}  // namespace

class Table::Guard {
 public:
  explicit Guard(Table& table) : table_(table) {
    if (table_.header_->lock.lock()) table_.recount();
  }
  ~Guard() { table_.header_->lock.unlock(); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  Table& table_;
};

void Table::place(void* memory) {
  auto* base = static_cast<char*>(memory);
  header_ = reinterpret_cast<Header*>(base);
  sites_ = reinterpret_cast<SiteRecord*>(base + header_->sites_offset);
  stores_ = reinterpret_cast<StoreRecord*>(base + header_->stores_offset);
  tags_ = reinterpret_cast<std::atomic<std::uint64_t>*>(base + header_->tags_offset);
  dirty_ = reinterpret_cast<std::atomic<std::uint64_t>*>(base + header_->dirty_offset);
  slots_ = reinterpret_cast<Slot*>(base + header_->slots_offset);
  names_ = reinterpret_cast<Name*>(base + header_->names_offset);
  words_ = header_->buckets / kBucketsOfWord;
}

bool Table::create(void* memory, std::size_t size) {
  Plan plan = plan_of(size);
  if (size < kMinimum || plan.buckets == 0) return false;
  auto* header = static_cast<Header*>(memory);
  header->layout = kLayout;
  header->size = size;
  header->buckets = static_cast<std::uint32_t>(plan.buckets);
  header->max_sites = plan.max_sites;
  header->sites_offset = plan.sites;
  header->stores_offset = plan.stores;
  header->tags_offset = plan.tags;
  header->dirty_offset = plan.dirty;
  header->slots_offset = plan.slots;
  header->names_offset = plan.names;
  if (!random_bytes(header->key, sizeof header->key)) return false;
  if (!random_bytes(&header->incarnation, sizeof header->incarnation) || !header->lock.init()) return false;
  header->magic = kMagic;
  place(memory);
  return true;
}

bool Table::attach(void* memory, std::size_t size) {
  auto* header = static_cast<Header*>(memory);
  if (size < kMinimum || header->magic != kMagic || header->layout != kLayout || header->size > size) return false;
  place(memory);
  return true;
}

std::uint64_t Table::capacity(std::size_t size) { return plan_of(size).buckets * kWays; }

std::uint16_t Table::add_store(std::string_view identity) {
  static constexpr unsigned char kKey[crypto_shorthash_KEYBYTES] = {};
  unsigned char hash[crypto_shorthash_BYTES];
  crypto_shorthash(hash, reinterpret_cast<const unsigned char*>(identity.data()), identity.size(), kKey);
  std::uint64_t id;
  std::memcpy(&id, hash, sizeof id);
  unsigned char key[32];
  bool random = random_bytes(key, sizeof key);
  Guard guard(*this);
  for (std::uint32_t i = 0; i < header_->stores; ++i) {
    if (stores_[i].id == id) return static_cast<std::uint16_t>(i);
  }
  if (header_->stores == kMaxStores || !random) return kNone;
  StoreRecord& store = stores_[header_->stores];
  store.id = id;
  std::memcpy(store.key, key, sizeof key);
  return static_cast<std::uint16_t>(header_->stores++);
}

bool Table::add_site(std::string_view name, std::uint16_t store, bool plain, Millis retention, Site& site) {
  if (name.size() > sizeof SiteRecord::name) return false;
  Guard guard(*this);
  std::uint32_t i = 0;
  while (i < header_->sites &&
         (sites_[i].store != store || std::string_view(sites_[i].name, sites_[i].size) != name)) {
    ++i;
  }
  if (i == header_->max_sites) return false;
  SiteRecord& record = sites_[i];
  if (i == header_->sites) {
    std::memcpy(record.name, name.data(), name.size());
    record.size = static_cast<std::uint8_t>(name.size());
    record.store = store;
    header_->sites = i + 1;
  }
  record.plain = plain;
  record.retention = retention;
  site.index = static_cast<std::uint16_t>(i);
  site.durable = store != kNone;
  crypto_shorthash_siphashx24(site.key, reinterpret_cast<const unsigned char*>(&i), sizeof i, header_->key);
  return true;
}

// --- finding and marking ---------------------------------------------------------------------------

Table::Print Table::print_of(const Site& site, std::string_view id) const {
  std::uint64_t hash[2];
  crypto_shorthash_siphashx24(reinterpret_cast<unsigned char*>(hash), reinterpret_cast<const unsigned char*>(id.data()),
                              id.size(), site.key);
  Print print;
  print.low = hash[0] == 0 ? 1 : hash[0];  // 0 is a slot that is being evicted
  print.high = hash[1];
  print.tag = static_cast<std::uint16_t>(hash[1] >> 48);
  if (print.tag == 0) print.tag = 1;
  print.bucket[0] = static_cast<std::uint32_t>((hash[0] >> 32) * header_->buckets >> 32);
  print.bucket[1] = static_cast<std::uint32_t>((hash[1] & 0xffffffff) * header_->buckets >> 32);
  return print;
}

bool Table::is_at(std::uint32_t index, std::uint64_t low, std::uint64_t high) const {
  const Slot& slot = slots_[index];
  return slot.fingerprint[0].load(std::memory_order_relaxed) == low &&
         slot.fingerprint[1].load(std::memory_order_relaxed) == high;
}

// Compares four tags at once: a lane of `word ^ pattern` is zero where the tag matches. The trick of "Hacker's
// Delight", section 6-1, may also name a lane above a match, so every candidate is checked in full.
std::uint32_t Table::find_in(const Print& print, std::uint32_t bucket) const {
  constexpr std::uint64_t kOnes = 0x0001000100010001;
  constexpr std::uint64_t kTops = 0x8000800080008000;
  const std::uint64_t pattern = print.tag * kOnes;
  const std::atomic<std::uint64_t>* tags = tags_ + std::size_t{bucket} * (kWays / 4);
  for (std::uint32_t word = 0; word < kWays / 4; ++word) {
    std::uint64_t lanes = tags[word].load(std::memory_order_acquire) ^ pattern;
    for (std::uint64_t hits = (lanes - kOnes) & ~lanes & kTops; hits != 0; hits &= hits - 1) {
      std::uint32_t index = bucket * kWays + word * 4 + static_cast<std::uint32_t>(std::countr_zero(hits)) / 16;
      if (is_at(index, print.low, print.high)) return index;
    }
  }
  return UINT32_MAX;
}

std::uint32_t Table::find(const Print& print) const {
  std::uint32_t index = find_in(print, print.bucket[0]);
  return index != UINT32_MAX ? index : find_in(print, print.bucket[1]);
}

// The addition is a full barrier: either the fingerprint read after it shows that the slot was evicted meanwhile,
// or evict() sees the new number of beats. In the same way the flusher, which clears the bit and then reads the
// slot, either sees this beat or leaves the bit for this function to set. It is set before as well, for a process
// that dies in between: a change that nobody knows of would keep its slot for ever.
bool Table::touch(std::uint32_t index, std::uint64_t low, const Site& site, LifeSign source, bool active,
                  Millis now) {
  Slot& slot = slots_[index];
  if (site.durable) set_changed(index);
  if (now > slot.seen.load(std::memory_order_relaxed)) slot.seen.store(now, std::memory_order_relaxed);
  if (active) slot.active.store(now, std::memory_order_relaxed);
  if (slot.source.load(std::memory_order_relaxed) != source) slot.source.store(source, std::memory_order_relaxed);
  slot.beats.fetch_add(1, std::memory_order_seq_cst);
  bool same = slot.fingerprint[0].load(std::memory_order_seq_cst) == low;
  if (site.durable) set_changed(index);
  return same;
}

bool Table::is_recent(const Recent& recent, const Site& site, std::string_view id) const {
  return recent.size == id.size() && recent.site == site.index && std::memcmp(recent.id, id.data(), id.size()) == 0 &&
         tag(recent.index) != 0 && is_at(recent.index, recent.low, recent.high);
}

Marked Table::mark(const Site& site, const Place&, std::string_view id, const Sign& sign, Millis now, Recent* recent,
                   Millis*) {
  const LifeSign source = sign.source;
  const bool active = sign.active;
  if (recent != nullptr && is_recent(*recent, site, id) &&
      touch(recent->index, recent->low, site, source, active, now)) {
    return Marked::known;
  }
  const Print print = print_of(site, id);
  std::uint32_t index = find(print);
  if (index == UINT32_MAX || !touch(index, print.low, site, source, active, now)) {
    return mark_new(print, site, id, source, active, now);
  }
  if (recent != nullptr && id.size() <= kNameBytes) {
    *recent = {print.low, print.high, index, site.index, static_cast<std::uint8_t>(id.size()), {}};
    std::memcpy(recent->id, id.data(), id.size());
  }
  return Marked::known;
}

Marked Table::mark_new(const Print& print, const Site& site, std::string_view id, LifeSign source, bool active,
                       Millis now) {
  const Name name = name_of(id);
  Guard guard(*this);
  std::uint32_t index = find(print);
  bool known = index != UINT32_MAX;
  if (!known) {
    index = room_for(print);
    if (index == UINT32_MAX) {
      header_->refused.fetch_add(1, std::memory_order_relaxed);
      return Marked::refused;
    }
    fill(index, print, site, name, now);
  }
  touch(index, print.low, site, source, active, now);
  return known ? Marked::known : Marked::inserted;
}

// --- inserting and evicting: under the lock --------------------------------------------------------

std::uint16_t Table::tag(std::uint32_t index) const {
  return static_cast<std::uint16_t>(tags_[index / 4].load(std::memory_order_acquire) >> (index % 4 * 16));
}

void Table::set_tag(std::uint32_t index, std::uint16_t tag) {
  std::atomic<std::uint64_t>& word = tags_[index / 4];
  unsigned shift = index % 4 * 16;
  std::uint64_t others = word.load(std::memory_order_relaxed) & ~(std::uint64_t{0xffff} << shift);
  word.store(others | std::uint64_t{tag} << shift, std::memory_order_seq_cst);
}

bool Table::changed(const Slot& slot) const {
  return sites_[slot.site].store != kNone &&
         (slot.seen.load(std::memory_order_seq_cst) != slot.stored_seen.load(std::memory_order_relaxed) ||
          slot.beats.load(std::memory_order_seq_cst) != slot.stored_beats.load(std::memory_order_relaxed));
}

// A session that changed is flushed first. Its bit is missing where a process died between the beat and the bit.
bool Table::evictable(std::uint32_t index) {
  const Slot& slot = slots_[index];
  if (slot.pinned.load(std::memory_order_relaxed) != 0) return false;
  if (changed(slot)) set_changed(index);
  return !changed(slot);
}

std::uint32_t Table::evict_from(std::uint32_t bucket, Millis& oldest, std::uint32_t best) {
  for (std::uint32_t index = bucket * kWays; index < (bucket + 1) * kWays; ++index) {
    Millis seen = slots_[index].seen.load(std::memory_order_relaxed);
    if (seen < oldest && evictable(index)) {
      oldest = seen;
      best = index;
    }
  }
  return best;
}

bool Table::evict(std::uint32_t index) {
  Slot& slot = slots_[index];
  std::uint16_t old_tag = tag(index);
  std::uint64_t old_low = slot.fingerprint[0].load(std::memory_order_relaxed);
  set_tag(index, 0);
  slot.fingerprint[0].store(0, std::memory_order_seq_cst);
  if (changed(slot)) {  // pinged in this very moment: it stays
    slot.fingerprint[0].store(old_low, std::memory_order_seq_cst);
    set_tag(index, old_tag);
    return false;
  }
  header_->evicted.fetch_add(1, std::memory_order_relaxed);
  header_->sessions.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

// A free slot of the emptier bucket, or the place of the session that was silent longest.
std::uint32_t Table::room_for(const Print& print) {
  std::uint32_t free_slot[2] = {UINT32_MAX, UINT32_MAX};
  std::uint32_t free_slots[2] = {0, 0};
  for (int choice = 0; choice < 2; ++choice) {
    for (std::uint32_t way = kWays; way-- > 0;) {
      std::uint32_t index = print.bucket[choice] * kWays + way;
      if (tag(index) != 0) continue;
      free_slot[choice] = index;
      ++free_slots[choice];
    }
  }
  int emptier = free_slots[1] > free_slots[0] ? 1 : 0;
  if (free_slots[emptier] != 0) return free_slot[emptier];
  for (int attempt = 0; attempt < 3; ++attempt) {
    Millis oldest = INT64_MAX;
    std::uint32_t victim = evict_from(print.bucket[0], oldest, UINT32_MAX);
    victim = evict_from(print.bucket[1], oldest, victim);
    if (victim == UINT32_MAX) break;
    if (evict(victim)) return victim;
  }
  return UINT32_MAX;
}

void Table::fill(std::uint32_t index, const Print& print, const Site& site, const Name& name, Millis now) {
  Slot& slot = slots_[index];
  names_[index] = name;
  slot.site = site.index;
  slot.first = now;
  slot.seen.store(0, std::memory_order_relaxed);
  slot.active.store(0, std::memory_order_relaxed);
  slot.stored_seen.store(0, std::memory_order_relaxed);
  slot.beats.store(0, std::memory_order_relaxed);
  slot.stored_beats.store(0, std::memory_order_relaxed);
  slot.stored_active.store(0, std::memory_order_relaxed);
  slot.pinned.store(0, std::memory_order_relaxed);
  slot.fingerprint[1].store(print.high, std::memory_order_relaxed);
  slot.fingerprint[0].store(print.low, std::memory_order_release);
  set_tag(index, print.tag);
  header_->sessions.fetch_add(1, std::memory_order_relaxed);
}

// After a holder of the lock died: the count of sessions and the pins are the only things that one insert, eviction
// or batch changes in more than one step, and a slot half evicted or half filled is a free one.
void Table::recount() {
  std::uint64_t sessions = 0;
  for (std::uint32_t index = 0; index < header_->buckets * kWays; ++index) {
    if (tag(index) != 0) ++sessions;
    std::atomic<std::uint8_t>& pinned = slots_[index].pinned;
    if (pinned.load(std::memory_order_relaxed) != 0) pinned.store(0, std::memory_order_relaxed);  // writes no fresh page
  }
  header_->sessions.store(sessions, std::memory_order_relaxed);
  for (std::uint32_t i = 0; i < header_->stores; ++i) {
    for (std::uint32_t e = 0; e < stores_[i].count; ++e) {
      slots_[stores_[i].entries[e].slot].pinned.store(1, std::memory_order_relaxed);
    }
  }
}

// --- for the flusher -------------------------------------------------------------------------------

void Table::set_changed(std::uint32_t index) {
  std::atomic<std::uint64_t>& word = dirty_[index / kSlotsOfWord];
  std::uint64_t bit = std::uint64_t{1} << index % kSlotsOfWord;
  if ((word.load(std::memory_order_seq_cst) & bit) == 0) word.fetch_or(bit, std::memory_order_seq_cst);
}

void Table::clear_changed(std::uint32_t index) {
  std::uint64_t bit = std::uint64_t{1} << index % kSlotsOfWord;
  dirty_[index / kSlotsOfWord].fetch_and(~bit, std::memory_order_seq_cst);
}

void Table::give_up(std::uint32_t index) {
  Slot& slot = slots_[index];
  clear_changed(index);
  slot.stored_seen.store(slot.seen.load(std::memory_order_seq_cst), std::memory_order_relaxed);
  slot.stored_beats.store(slot.beats.load(std::memory_order_seq_cst), std::memory_order_relaxed);
}

bool Table::take_lease(std::uint64_t owner, Millis now, Millis length) {
  Guard guard(*this);
  std::uint64_t holder = header_->lease_owner.load(std::memory_order_relaxed);
  if (holder != 0 && holder != owner && now < header_->lease_until.load(std::memory_order_relaxed)) return false;
  header_->lease_owner.store(owner, std::memory_order_relaxed);
  header_->lease_until.store(now + length, std::memory_order_relaxed);
  return true;
}

void Table::drop_lease(std::uint64_t owner) {
  Guard guard(*this);
  if (header_->lease_owner.load(std::memory_order_relaxed) == owner) {
    header_->lease_owner.store(0, std::memory_order_relaxed);
  }
}

std::uint32_t Table::publish(std::uint16_t store_index, std::uint64_t owner, std::uint32_t& cursor, Millis now) {
  StoreRecord& store = stores_[store_index];
  Guard guard(*this);
  if (header_->lease_owner.load(std::memory_order_relaxed) != owner || store.count != 0) return 0;
  std::uint32_t count = 0;
  std::uint32_t looked_at = 0;
  std::uint32_t cost = 0;  // a session that Redis must make or keep for longer takes twice the time of another
  std::uint64_t last = std::uint64_t{cursor} + kWordsOfTurn;
  for (; cursor < words_ && cursor < last && looked_at < kSlotsOfTurn && cost < kBatch; ++cursor) {
    std::uint64_t word = dirty_[cursor].load(std::memory_order_seq_cst);
    if (count + static_cast<std::uint32_t>(std::popcount(word)) > kBatch) break;
    for (; word != 0; word &= word - 1, ++looked_at) {
      std::uint32_t index = cursor * kSlotsOfWord + static_cast<std::uint32_t>(std::countr_zero(word));
      Slot& slot = slots_[index];
      const SiteRecord& site = sites_[slot.site];
      if (tag(index) == 0) {
        clear_changed(index);
        continue;
      }
      if (site.store != store_index) continue;
      if (now - slot.seen.load(std::memory_order_relaxed) > site.retention) {  // Redis would not keep it either
        give_up(index);
        continue;
      }
      BatchEntry& entry = store.entries[count++];
      entry.slot = index;
      entry.beats = slot.beats.load(std::memory_order_seq_cst);
      entry.delta = entry.beats - slot.stored_beats.load(std::memory_order_relaxed);
      entry.seen = slot.seen.load(std::memory_order_seq_cst);
      Millis active = slot.active.load(std::memory_order_relaxed);
      entry.known_active = static_cast<std::uint32_t>(active);
      entry.active = entry.known_active == slot.stored_active.load(std::memory_order_relaxed) ? 0 : active;
      entry.first = to_be_kept(slot, site.retention) ? slot.first : 0;
      cost += entry.first == 0 ? 1 : 2;
      entry.site = slot.site;
      entry.source = slot.source.load(std::memory_order_relaxed);
      slot.pinned.store(1, std::memory_order_relaxed);
    }
  }
  if (count == 0) return 0;
  std::sort(store.entries, store.entries + count,
            [](const BatchEntry& a, const BatchEntry& b) { return a.site < b.site; });
  ++store.number;
  store.made = now;
  std::atomic_thread_fence(std::memory_order_release);
  store.count = count;
  for (std::uint32_t i = 0; i < count; ++i) {
    const BatchEntry& entry = store.entries[i];
    const Slot& slot = slots_[entry.slot];
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
    Slot& slot = slots_[entry.slot];
    slot.pinned.store(0, std::memory_order_relaxed);
    if (!failed.empty() && failed.front() == i) {
      failed = failed.subspan(1);
      set_changed(entry.slot);
    } else {
      slot.stored_seen.store(entry.seen, std::memory_order_relaxed);
      slot.stored_beats.store(entry.beats, std::memory_order_relaxed);
      slot.stored_active.store(entry.known_active, std::memory_order_relaxed);
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
    if (tag(index) == 0 || sites_[slots_[index].site].store != store) continue;
    slots_[index].stored_seen.store(0, std::memory_order_relaxed);
    slots_[index].stored_active.store(0, std::memory_order_relaxed);
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
  std::uint64_t last = std::uint64_t{cursor} + kWordsOfTurn;
  std::uint32_t looked_at = 0;
  for (; cursor < words_ && cursor < last && looked_at < kSlotsOfTurn; ++cursor) {
    std::uint64_t word = dirty_[cursor].load(std::memory_order_seq_cst);
    for (; word != 0; word &= word - 1, ++looked_at) {
      std::uint32_t index = cursor * kSlotsOfWord + static_cast<std::uint32_t>(std::countr_zero(word));
      Slot& slot = slots_[index];
      std::uint16_t store = sites_[slot.site].store;
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
      std::uint16_t store = sites_[slot.site].store;
      if (tag(index) != 0 && store != kNone && (stores_in_use >> store & 1) != 0 && changed(slot)) return true;
    }
  }
  return false;
}

// --- checking --------------------------------------------------------------------------------------

bool Table::validate(Error& error) {
  Guard guard(*this);
  std::uint64_t sessions = 0;
  std::uint64_t pinned = 0;
  for (std::uint32_t index = 0; index < header_->buckets * kWays; ++index) {
    const Slot& slot = slots_[index];
    if (slot.pinned.load() != 0) ++pinned;
    if (tag(index) == 0) continue;
    ++sessions;
    std::uint64_t low = slot.fingerprint[0].load();
    std::uint64_t high = slot.fingerprint[1].load();
    auto own = static_cast<std::uint32_t>((low >> 32) * header_->buckets >> 32);
    auto other = static_cast<std::uint32_t>((high & 0xffffffff) * header_->buckets >> 32);
    Print print{low, high, tag(index), {own, other}};
    if (index / kWays != own && index / kWays != other) error.set("slot %u: in a foreign bucket", index);
    if (tag(index) != (high >> 48 == 0 ? 1 : high >> 48)) error.set("slot %u: the tag is not its own", index);
    if (find_in(print, index / kWays) != index) error.set("slot %u: its session stands twice", index);
    if (own != other && find_in(print, index / kWays == own ? other : own) != UINT32_MAX)
      error.set("slot %u: its session stands in both buckets", index);
    if (slot.site >= header_->sites) error.set("slot %u: unknown site %u", index, slot.site);
    if (names_[index].size > kNameBytes && names_[index].size != Name::kDigest)
      error.set("slot %u: a name of %u bytes", index, names_[index].size);
    bool marked = (dirty_[index / kSlotsOfWord].load() >> index % kSlotsOfWord & 1) != 0;
    if (changed(slot) && !marked && slot.pinned.load() == 0) error.set("slot %u: changed, but nobody will know", index);
  }
  std::uint64_t entries = 0;
  for (std::uint32_t i = 0; i < header_->stores; ++i) {
    entries += stores_[i].count;
    for (std::uint32_t e = 0; e < stores_[i].count; ++e) {
      std::uint32_t index = stores_[i].entries[e].slot;
      if (index >= header_->buckets * kWays) error.set("store %u: entry %u names no slot", i, e);
      else if (slots_[index].pinned.load() == 0) error.set("slot %u: in a batch, but not pinned", index);
    }
  }
  if (sessions != header_->sessions.load()) error.set("%lu sessions counted", static_cast<unsigned long>(sessions));
  if (pinned != entries) error.set("%lu pinned slots", static_cast<unsigned long>(pinned));
  return !error;
}

}  // namespace heartbeat
