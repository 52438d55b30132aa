// The session table in shared memory: its parts, finding and marking.
#include "shared/session/table.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <sodium.h>
#include <sys/random.h>

#include "shared/session/guard.h"

namespace heartbeat {
namespace {

constexpr std::uint64_t kMagic = 0x7461656274726165;  // "eartbeat"
constexpr std::uint64_t kVersion = 5;                 // of what the bytes mean
constexpr std::uint64_t mixed(std::initializer_list<std::uint64_t> sizes) {
  std::uint64_t sum = kVersion;
  for (std::uint64_t size : sizes) sum = sum * 1099511628211 + size;
  return sum;
}
constexpr std::uint64_t kLayout =
    mixed({sizeof(Header), sizeof(StoreRecord), sizeof(SiteRecord), sizeof(PlaceRecord), sizeof(TouchRecord),
           sizeof(PastRun), sizeof(Detail), sizeof(DetailPrints), sizeof(BatchEntry), sizeof(Slot), sizeof(Name), kParts});
constexpr std::uint64_t kPage = 4096;
constexpr std::int64_t kLongestDebt = 1001LL * 60000;  // ms: a burst of 1000 at one a minute
constexpr std::uint64_t kLeastLists = 32768;  // room for two small lists
constexpr std::uint32_t kMostFront = 1024;    // buckets: what is looked at of so many sessions, a processor's caches hold

struct Plan {
  std::uint64_t offset[kParts + 1];
  std::uint64_t buckets;
  std::uint32_t max_sites, max_places, max_details, max_past;
};

constexpr std::uint64_t aligned(std::uint64_t offset) { return (offset + 63) & ~std::uint64_t{63}; }

std::uint32_t share(std::uint64_t bytes, std::uint64_t each, std::uint32_t most) {
  return bytes / each > most ? most : static_cast<std::uint32_t>(bytes / each);
}

// Where each part begins in a zone of `size` bytes: a sixty-fourth for the sites, and so on; the sessions get what is
// left.
Plan plan_of(std::uint64_t size) {
  Plan plan{};
  plan.max_sites = share(size / 64, sizeof(SiteRecord), kNone - 1);
  plan.max_places = share(size / 256, sizeof(PlaceRecord), kNone - 1);
  plan.max_past = share(size / 128, sizeof(PastRun), 1U << 24);
  plan.max_details = share(size / 16, sizeof(Detail) + sizeof(DetailPrints), 1U << 28);
  std::uint64_t bytes[kParts] = {};
  bytes[kSites] = plan.max_sites * sizeof(SiteRecord);
  bytes[kPlaces] = plan.max_places * sizeof(PlaceRecord);
  bytes[kTouchKeys] = kMaxTouches * sizeof(TouchRecord);
  bytes[kStores] = kMaxStores * sizeof(StoreRecord);
  bytes[kPast] = plan.max_past * sizeof(PastRun);
  bytes[kDetails] = plan.max_details * sizeof(Detail);
  bytes[kDetailPrints] = plan.max_details * sizeof(DetailPrints);
  bytes[kVerified] = size / 128;
  bytes[kSnapshots] = size / 64 < kLeastLists ? kLeastLists : size / 64;
  bytes[kQuotas] = size / 128;
  std::uint64_t fixed = kPage;
  for (std::uint64_t each : bytes) fixed += aligned(each);
  constexpr std::uint64_t kWordBytes = kSlotsOfWord * (sizeof(Slot) + sizeof(Name) + 2 + 4 + 4) + 8 + kTouchStores * 8;
  constexpr std::uint64_t kMostWords = (std::uint64_t{1} << 31) / kSlotsOfWord;
  std::uint64_t words = size > fixed + kParts * 64 ? (size - fixed - kParts * 64) / kWordBytes : 0;
  if (words > kMostWords) words = kMostWords;
  plan.buckets = words * kBucketsOfWord;
  bytes[kTags] = words * kSlotsOfWord * 2;
  bytes[kDirty] = words * 8;
  bytes[kTouchBits] = words * 8 * kTouchStores;
  bytes[kTouched] = words * kSlotsOfWord * 4;
  bytes[kDetailOf] = words * kSlotsOfWord * 4;
  bytes[kSlots] = words * kSlotsOfWord * sizeof(Slot);
  bytes[kNames] = words * kSlotsOfWord * sizeof(Name);
  plan.offset[0] = kPage;
  for (int part = 0; part < kParts; ++part) plan.offset[part + 1] = aligned(plan.offset[part] + bytes[part]);
  return plan;
}

void write_terms(SiteRecord& record, const Table::SiteTerms& terms) {
  record.plain = terms.plain;
  record.retention = terms.retention;
  record.grace = terms.grace;
  record.shards = terms.shards;
}

bool random_bytes(void* out, std::size_t size) { return getrandom(out, size, 0) == static_cast<ssize_t>(size); }

}  // namespace

Name kept_name(std::string_view id) {
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

void Table::place_parts(void* memory) {
  auto* base = static_cast<char*>(memory);
  header_ = reinterpret_cast<Header*>(base);
  auto part = [&](Part which) { return base + header_->offsets[which]; };
  auto words = [&](Part which) { return reinterpret_cast<Words>(part(which)); };
  sites_ = reinterpret_cast<SiteRecord*>(part(kSites));
  places_ = reinterpret_cast<PlaceRecord*>(part(kPlaces));
  touches_ = reinterpret_cast<TouchRecord*>(part(kTouchKeys));
  stores_ = reinterpret_cast<StoreRecord*>(part(kStores));
  past_ = reinterpret_cast<PastRun*>(part(kPast));
  details_ = reinterpret_cast<Detail*>(part(kDetails));
  prints_ = reinterpret_cast<DetailPrints*>(part(kDetailPrints));
  verified_ = {part(kVerified), header_->offsets[kVerified + 1] - header_->offsets[kVerified]};
  snapshots_ = {part(kSnapshots), header_->offsets[kSnapshots + 1] - header_->offsets[kSnapshots]};
  quotas_ = {part(kQuotas), header_->offsets[kQuotas + 1] - header_->offsets[kQuotas]};
  tags_ = words(kTags);
  dirty_ = words(kDirty);
  words_ = header_->buckets / kBucketsOfWord;
  front_ = std::clamp(header_->buckets / 8, 1U, kMostFront);
  for (std::uint32_t i = 0; i < kTouchStores; ++i) touch_bits_[i] = words(kTouchBits) + std::size_t{i} * words_;
  touched_ = reinterpret_cast<std::atomic<std::uint32_t>*>(part(kTouched));
  detail_of_ = reinterpret_cast<std::atomic<std::uint32_t>*>(part(kDetailOf));
  slots_ = reinterpret_cast<Slot*>(part(kSlots));
  names_ = reinterpret_cast<Name*>(part(kNames));
}

bool Table::create(void* memory, std::size_t size) {
  Plan plan = plan_of(size);
  if (size < kMinimum || plan.buckets == 0) return false;
  auto* header = static_cast<Header*>(memory);
  header->layout = kLayout;
  header->size = size;
  header->buckets = static_cast<std::uint32_t>(plan.buckets);
  header->max_sites = plan.max_sites;
  header->max_places = plan.max_places;
  header->max_details = plan.max_details;
  header->max_past = plan.max_past;
  for (int part = 0; part <= kParts; ++part) header->offsets[part] = plan.offset[part];
  for (std::uint16_t& store : header->touch_stores) store = kNone;
  if (!random_bytes(header->key, sizeof header->key)) return false;
  if (!random_bytes(&header->incarnation, sizeof header->incarnation) || !header->lock.init()) return false;
  if (!header->spool.init()) return false;
  header->magic = kMagic;
  place_parts(memory);
  recount_details();
  return true;
}

bool Table::attach(void* memory, std::size_t size) {
  auto* header = static_cast<Header*>(memory);
  if (size < kMinimum || header->magic != kMagic || header->layout != kLayout || header->size > size) return false;
  place_parts(memory);
  return true;
}

std::uint64_t Table::capacity(std::size_t size) { return plan_of(size).buckets * kWays; }

// --- sites, stores, places -------------------------------------------------------------------------

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

bool Table::add_site(std::string_view name, std::uint16_t store, const SiteTerms& terms, Site& site) {
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
    write_terms(record, terms);
    header_->sites = i + 1;
  }
  site.index = static_cast<std::uint16_t>(i);
  site.durable = store != kNone;
  crypto_shorthash_siphashx24(site.key, reinterpret_cast<const unsigned char*>(&i), sizeof i, header_->key);
  return true;
}

void Table::set_terms(const Site& site, const SiteTerms& terms) {
  Guard guard(*this);
  SiteRecord& record = sites_[site.index];
  if (record.plain != terms.plain || record.shards != terms.shards) say_again(site.index);
  write_terms(record, terms);
  for (std::uint32_t i = 0; i < header_->sites; ++i) {
    SiteRecord& other = sites_[i];
    if (other.size == record.size && std::memcmp(other.name, record.name, record.size) == 0) other.current = false;
  }
  record.current = true;
}

// The bitmap of the touches that go to `store`; -1: none.
int Table::touch_store(std::uint16_t store) const {
  for (std::uint32_t i = 0; i < kTouchStores; ++i) {
    if (header_->touch_stores[i] == store) return static_cast<int>(i);
  }
  return -1;
}

std::uint16_t Table::add_touch(std::uint16_t store, std::string_view key, Millis ttl) {
  if (key.empty() || key.size() > sizeof TouchRecord::key) return kNone;
  std::uint32_t i = 0;
  auto find = [&] {
    for (std::uint32_t count = header_->touches.load(std::memory_order_acquire); i < count; ++i) {
      const TouchRecord& each = touches_[i];
      if (each.store == store && each.ttl == ttl && std::string_view(each.key, each.size) == key) return true;
    }
    return false;
  };
  if (find()) return static_cast<std::uint16_t>(i);
  if (i == kMaxTouches) return kNone;  // no lock for each request that finds no room
  Guard guard(*this);
  if (find()) return static_cast<std::uint16_t>(i);
  int bitmap = touch_store(store);
  if (bitmap < 0) bitmap = touch_store(kNone);
  if (i == kMaxTouches || bitmap < 0) return kNone;
  header_->touch_stores[bitmap] = store;
  TouchRecord& touch = touches_[i];
  touch.store = store;
  touch.ttl = ttl;
  touch.size = static_cast<std::uint8_t>(key.size());
  std::memcpy(touch.key, key.data(), key.size());
  header_->touches.store(i + 1, std::memory_order_release);
  return static_cast<std::uint16_t>(i);
}

bool Table::add_place(const Site& site, std::span<const std::uint16_t> touches, Place& place) {
  PlaceRecord wanted{};
  wanted.site = site.index;
  wanted.timeout = place.timeout;
  wanted.gap = place.gap;
  for (std::uint16_t touch : touches) {
    if (touch == kNone || wanted.touch_count == kPlaceTouches) continue;
    wanted.touches[wanted.touch_count++] = touch;
    int bitmap = touch_store(touches_[touch].store);
    if (bitmap >= 0) wanted.touch_stores = static_cast<std::uint8_t>(wanted.touch_stores | 1U << bitmap);
  }
  place.touch_stores = wanted.touch_stores;
  std::uint32_t i = 0;
  auto find = [&] {
    for (std::uint32_t count = header_->places.load(std::memory_order_acquire); i < count; ++i) {
      if (std::memcmp(&places_[i], &wanted, sizeof wanted) == 0) return true;
    }
    return false;
  };
  if (!find()) {
    if (i == header_->max_places) return false;
    Guard guard(*this);
    if (!find()) {
      if (i == header_->max_places) return false;
      places_[i] = wanted;
      header_->places.store(i + 1, std::memory_order_release);
    }
  }
  place.index = static_cast<std::uint16_t>(i);
  return true;
}

// --- finding and marking ---------------------------------------------------------------------------

Table::Print Table::print_of(const Site& site, std::string_view id) const {
  std::uint64_t hash[2];
  crypto_shorthash_siphashx24(reinterpret_cast<unsigned char*>(hash), reinterpret_cast<const unsigned char*>(id.data()),
                              id.size(), site.key);
  return print_of(hash[0] == 0 ? 1 : hash[0], hash[1]);  // 0 is a slot that is being evicted
}

Table::Print Table::print_of(std::uint64_t low, std::uint64_t high) const {
  auto one_of = [](std::uint64_t half, std::uint32_t buckets) { return static_cast<std::uint32_t>(half * buckets >> 32); };
  std::uint32_t others = header_->buckets - front_;
  auto tag = static_cast<std::uint16_t>(high >> 48);
  return {low, high, tag == 0 ? std::uint16_t{1} : tag,
          {one_of(low & 0xffffffff, front_), front_ + one_of(low >> 32, others), front_ + one_of(high & 0xffffffff, others)}};
}

bool Table::is_at(std::uint32_t index, std::uint64_t low, std::uint64_t high) const {
  const Slot& slot = slots_[index];
  return slot.fingerprint[0].load(std::memory_order_relaxed) == low &&
         slot.fingerprint[1].load(std::memory_order_relaxed) == high;
}

// A mark looks at all of these, and in a large table each is a miss of the cache: better all at once.
void Table::fetch(std::uint32_t index) const {
  __builtin_prefetch(&slots_[index], 1);
  __builtin_prefetch(&dirty_[index / kSlotsOfWord], 1);
  __builtin_prefetch(&detail_of_[index]);
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
      fetch(index);
      if (is_at(index, print.low, print.high)) return index;
    }
  }
  return UINT32_MAX;
}

std::uint32_t Table::find(const Print& print) const {
  std::uint32_t index = find_in(print, print.bucket[0]);
  if (index != UINT32_MAX) return index;
  __builtin_prefetch(tags_ + std::size_t{print.bucket[2]} * (kWays / 4));
  index = find_in(print, print.bucket[1]);
  return index != UINT32_MAX ? index : find_in(print, print.bucket[2]);
}

bool Table::is_recent(const Recent& recent, const Site& site, std::string_view id) const {
  return recent.size == id.size() && recent.site == site.index && recent.others < Recent::kShared &&
         std::memcmp(recent.id, id.data(), id.size()) == 0 && tag(recent.index) != 0 &&
         is_at(recent.index, recent.low, recent.high);
}

void Table::remember(Recent& recent, const Print& print, std::uint32_t index, const Site& site, std::string_view id) {
  if (recent.others == Recent::kShared || id.size() > kNameBytes) return;
  bool another = recent.size != 0 && (recent.site != site.index || std::string_view(recent.id, recent.size) != id);
  auto others = static_cast<std::uint8_t>(recent.others + (another ? 1 : 0));
  recent = {print.low, print.high, index, site.index, static_cast<std::uint8_t>(id.size()), others, {}};
  std::memcpy(recent.id, id.data(), id.size());
}

// The generic cell rate algorithm (ITU-T I.371, annex A), by the session's own theoretical arrival time.
bool Table::allowed(Slot& slot, const Place& place, const Sign& sign, Millis now, Millis* wait) {
  if (place.rate_interval == 0 || sign.source == LifeSign::request || sign.source == LifeSign::beacon) return true;
  const std::int64_t ahead = std::int64_t{place.rate_interval} * place.rate_burst;
  std::uint32_t due = slot.due.load(std::memory_order_relaxed);
  for (;;) {
    std::int64_t early = static_cast<std::int32_t>(due - static_cast<std::uint32_t>(now));
    if (early < 0 || early > kLongestDebt) early = 0;  // long ago
    if (early > ahead) {
      if (wait != nullptr) *wait = early - ahead;
      return false;
    }
    auto next = static_cast<std::uint32_t>(now + early + place.rate_interval);
    if (slot.due.compare_exchange_weak(due, next, std::memory_order_relaxed)) return true;
  }
}

Millis Table::run_length(const Slot& slot, Millis seen) const {
  return before(seen, slot.open_from.load(std::memory_order_relaxed));
}

Millis Table::run_start(std::uint32_t index) const {
  Millis seen = slots_[index].seen.load(std::memory_order_relaxed);
  return seen - run_length(slots_[index], seen);
}

// What a page had on its way when its visitor said goodbye is no sign that he stays.
bool Table::after_goodbye(std::uint32_t index, const Sign& sign, Millis now) const {
  if (sign.source != LifeSign::beacon) return false;
  const Slot& slot = slots_[index];
  if ((slot.source.load(std::memory_order_relaxed) & kLeaving) == 0) return false;
  const SiteRecord& site = sites_[places_[slot.place.load(std::memory_order_relaxed)].site];
  return now - slot.seen.load(std::memory_order_relaxed) < site.grace;
}

// True where a sign does no more than move the ends of the runs that it belongs to: no lock is needed. What silence is,
// the place of the sign before says. A run is cut after 24 days, before the low half of a time says too little.
bool Table::continues(std::uint32_t index, const Place& place, const Sign& sign, Millis now) const {
  const Slot& slot = slots_[index];
  Millis seen = slot.seen.load(std::memory_order_relaxed);
  std::uint16_t at = slot.place.load(std::memory_order_relaxed);
  std::uint32_t timeout = at == place.index ? place.timeout : places_[at].timeout;
  if (now - seen > timeout || now - seen + run_length(slot, seen) > INT32_MAX) return false;
  if ((slot.source.load(std::memory_order_relaxed) & kLeaving) != 0) return false;
  if (sign.active) {
    Millis active = slot.active.load(std::memory_order_relaxed);
    if (active == 0 || now - active > place.gap) return false;
  }
  return sign.user.empty() && sign.page.empty() ? true : !says_something_new(index, sign);
}

// Which touches are due, the place says: it stays until they are on their way.
bool Table::touch_due(std::uint32_t index) const {
  std::uint64_t bits = 0;
  for (Words words : touch_bits_) bits |= words[index / kSlotsOfWord].load(std::memory_order_relaxed);
  return (bits >> index % kSlotsOfWord & 1) != 0;
}

// The addition is a full barrier: either the fingerprint read after it shows that the slot was evicted meanwhile,
// or evict() sees the new number of beats. In the same way the flusher, which clears the bit and then reads the
// slot, either sees this beat or leaves the bit for this function to set. It is set before as well, for a process
// that dies in between: a change that nobody knows of would keep its slot for ever.
bool Table::touch(std::uint32_t index, std::uint64_t low, const Site& site, const Place& place, const Sign& sign,
                  Millis now) {
  Slot& slot = slots_[index];
  if (slot.fingerprint[0].load(std::memory_order_relaxed) != low) return false;
  if (site.durable) set_changed(index);
  bool touches = sign.extends && place.touch_stores != 0;
  if (slot.place.load(std::memory_order_relaxed) != place.index && (touches || !touch_due(index))) {
    slot.place.store(place.index, std::memory_order_relaxed);
  }
  if (now > slot.seen.load(std::memory_order_relaxed)) slot.seen.store(now, std::memory_order_relaxed);
  if (slot.fresh.load(std::memory_order_relaxed) == 0) slot.fresh.store(low_half(now), std::memory_order_relaxed);
  if (sign.active && now > slot.active.load(std::memory_order_relaxed)) {
    slot.active.store(now, std::memory_order_release);
  }
  auto source = static_cast<std::uint8_t>(static_cast<std::uint8_t>(sign.source) | (sign.leaving ? kLeaving : 0));
  if (slot.source.load(std::memory_order_relaxed) != source) slot.source.store(source, std::memory_order_relaxed);
  if (touches) touched_[index].store(static_cast<std::uint32_t>(now), std::memory_order_relaxed);
  slot.beats.fetch_add(1, std::memory_order_seq_cst);
  bool same = slot.fingerprint[0].load(std::memory_order_seq_cst) == low;
  if (site.durable) set_changed(index);
  if (touches && same) {
    for (unsigned left = place.touch_stores; left != 0; left &= left - 1) {
      set_bit(touch_bits_[std::countr_zero(left)], index);
    }
  }
  return same;
}

Marked Table::mark(const Site& site, const Place& place, std::string_view id, const Sign& sign, Millis now,
                   Recent* recent, Millis* wait) {
  if (recent != nullptr && is_recent(*recent, site, id) && continues(recent->index, place, sign, now)) {
    if (!allowed(slots_[recent->index], place, sign, now, wait)) return Marked::limited;
    if (touch(recent->index, recent->low, site, place, sign, now)) return Marked::known;
  }
  const Print print = print_of(site, id);
  std::uint32_t index = find(print);
  if (index != UINT32_MAX && after_goodbye(index, sign, now)) return Marked::known;
  if (index != UINT32_MAX && !allowed(slots_[index], place, sign, now, wait)) return Marked::limited;
  if (index == UINT32_MAX || !continues(index, place, sign, now) ||
      !touch(index, print.low, site, place, sign, now)) {
    return mark_locked(print, site, place, id, sign, now);
  }
  if (recent != nullptr) remember(*recent, print, index, site, id);
  return Marked::known;
}

Marked Table::mark_locked(const Print& print, const Site& site, const Place& place, std::string_view id,
                          const Sign& sign, Millis now) {
  const Name name = kept_name(id);
  Guard guard(*this);
  std::uint32_t index = find(print);
  bool known = index != UINT32_MAX;
  if (!known) {
    index = room_for(print, now);
    if (index == UINT32_MAX) {
      header_->refused.fetch_add(1, std::memory_order_relaxed);
      return Marked::refused;
    }
    fill(index, print, place, name, now);
  }
  turn(index, site, place, sign, now);
  touch(index, print.low, site, place, sign, now);
  return known ? Marked::known : Marked::inserted;
}

// --- under the lock --------------------------------------------------------------------------------

// A sign that does more than move the ends of the runs: one that comes after silence, that is the first of activity
// for a while, that says another name or page. What Redis does not know yet of a run that ends here is kept.
void Table::turn(std::uint32_t index, const Site& site, const Place& place, const Sign& sign, Millis now) {
  Slot& slot = slots_[index];
  bool fresh = slot.beats.load(std::memory_order_relaxed) == 0;
  if (!fresh && continues(index, place, sign, now)) return;
  Millis seen = slot.seen.load(std::memory_order_relaxed);
  Millis active = slot.active.load(std::memory_order_relaxed);
  bool silent = now - seen > places_[slot.place.load(std::memory_order_relaxed)].timeout ||
                now - seen + run_length(slot, seen) > INT32_MAX;
  bool first = slot.beats.load(std::memory_order_relaxed) == 0;
  std::uint32_t user = user_print(index);
  bool other_user = set_detail(index, sign) && !first;
  bool active_ends = active != 0 && sign.active && now - active > place.gap;
  bool had_left = (slot.source.load(std::memory_order_relaxed) & kLeaving) != 0 && now - seen >= sites_[site.index].grace;
  if (site.durable && !first && (silent || other_user || active_ends || had_left)) keep_past(index, user);
  if (silent || other_user) {
    slot.seen.store(now > seen ? now : seen, std::memory_order_relaxed);
    slot.open_from.store(static_cast<std::uint32_t>(slot.seen.load(std::memory_order_relaxed)), std::memory_order_relaxed);
  }
  if (other_user) slot.active.store(active = 0, std::memory_order_relaxed);
  if (sign.active && (active == 0 || now - active > place.gap)) {
    slot.active_from.store(static_cast<std::uint32_t>(now), std::memory_order_relaxed);
    slot.active.store(now, std::memory_order_release);
  }
}

void Table::set_bit(Words words, std::uint32_t index) {
  std::atomic<std::uint64_t>& word = words[index / kSlotsOfWord];
  std::uint64_t bit = std::uint64_t{1} << index % kSlotsOfWord;
  if ((word.load(std::memory_order_seq_cst) & bit) == 0) word.fetch_or(bit, std::memory_order_seq_cst);
}

void Table::clear_bit(Words words, std::uint32_t index) {
  std::uint64_t bit = std::uint64_t{1} << index % kSlotsOfWord;
  words[index / kSlotsOfWord].fetch_and(~bit, std::memory_order_seq_cst);
}

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
  return sites_[places_[slot.place.load(std::memory_order_relaxed)].site].store != kNone &&
         (low_half(slot.seen.load(std::memory_order_seq_cst)) != slot.stored_seen.load(std::memory_order_relaxed) ||
          slot.beats.load(std::memory_order_seq_cst) != slot.stored_beats.load(std::memory_order_relaxed));
}

// After a holder of the lock died: the count of sessions, the pins and the list of free details are the only things
// that one insert, eviction or batch changes in more than one step, and a slot half evicted or half filled is a free
// one.
void Table::recount() {
  std::uint64_t sessions = 0;
  for (std::uint32_t index = 0; index < slots(); ++index) {
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
  recount_details();
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

}  // namespace heartbeat
