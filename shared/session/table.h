// The session table in shared memory: who was seen when. Marking a known session takes no lock: one look-up,
// one atomic store for the time, one atomic addition. The lock is taken only to insert and evict, where a run of signs
// begins anew or a visitor says another name or page, and by the flusher to publish and acknowledge a batch; it is
// never held across a system call.
//
// A session may lie in any of three buckets of 16 slots, so nothing is linked and nothing needs mending when a process
// dies: a slot is in use exactly if its tag is not zero. The first of the three is one of the front, a small part of the
// table for those who are here, so that what is looked at all the time lies together, however large the table: it is
// filled first, and who is offline makes room there. Of the other two the emptier one is taken (two-choice hashing).
#pragma once

#include <span>
#include <string_view>

#include "shared/port/error.h"
#include "shared/session/layout.h"
#include "shared/session/pass.h"

namespace heartbeat {

/// What the ping path needs to know of a site; made once for each process.
struct Site {
  std::uint16_t index = kNone;  // kNone: not recorded
  bool durable = false;         // has a store: its changes are flushed
  unsigned char key[16] = {};   // of its fingerprints
};

/// What the settings of a location say about the sessions of a site there.
struct Place {
  std::uint16_t index = kNone;
  std::uint8_t touch_stores = 0;    // bit i: keeps sessions alive in the i-th of Header::touch_stores
  std::uint32_t timeout = 90000;    // ms of silence after which a session is offline
  std::uint32_t gap = 45000;        // longest time, in ms, between two signs of one stretch of activity
  std::uint32_t rate_interval = 0;  // ms between two signs of one session, on average; 0: no limit
  std::uint32_t rate_burst = 0;     // how many may come ahead of that
};

/// One sign of life.
struct Sign {
  LifeSign source = LifeSign::ping;
  bool active = false;    // of a human
  bool extends = false;   // keeps the application's session alive too
  bool leaving = false;   // the last one for now
  std::string_view user;  // empty: not said; longer than kUserBytes: cut
  std::string_view page;  // empty: not said; longer than kPageBytes: cut
};

/// The session that a connection marked last. Most connections belong to one visitor: when the next sign is of the
/// same session, it needs neither the hash nor the look-up. All zero: none yet.
struct Recent {
  static constexpr std::uint8_t kShared = 8;

  std::uint64_t low, high;  // its fingerprint
  std::uint32_t index;
  std::uint16_t site;
  std::uint8_t size;
  std::uint8_t others;  // how often another one came; from kShared on the connection is a proxy's, and remembers nothing
  char id[kNameBytes];
};

enum class Marked : std::uint8_t { known, inserted, refused, limited };

/// A touch that a session's sign of life made due.
struct DueTouch {
  std::uint64_t low, high;  // the session's fingerprint: it may go to another slot before its touch is done
  std::uint32_t slot;
  std::uint16_t touch;
  Millis seen;  // that sign's time
};

/// A part of the shared memory that another class looks after.
struct Block {
  void* memory = nullptr;
  std::size_t size = 0;
};

/// What is kept of a session's id: all of it, or the digest of a long one.
Name kept_name(std::string_view id);

class Table {
 public:
  /// Bytes below which no table is made: a zone of 1 MiB, less what a server's own allocator takes of it.
  static constexpr std::size_t kMinimum = (std::size_t{1} << 20) / 16 * 15;

  /// Makes an empty table in `size` bytes of zeroed memory, aligned to 64. False: no robust mutex, no random bytes.
  bool create(void* memory, std::size_t size);
  /// Uses a table that another process or an earlier configuration made. False: made by a build with another layout.
  bool attach(void* memory, std::size_t size);
  bool attached() const { return header_ != nullptr; }

  /// How many sessions a zone of `size` bytes holds: (size - other parts) / 126.625, in whole buckets.
  static std::uint64_t capacity(std::size_t size);
  std::uint64_t capacity() const { return std::uint64_t{header_->buckets} * kWays; }

  /// Finds or adds a store. kNone: there are kMaxStores already.
  std::uint16_t add_store(std::string_view identity);
  /// What Redis is told about a site.
  struct SiteTerms {
    bool plain = false;
    Millis retention = 0;
    std::uint32_t grace = 0;  // ms
    std::uint16_t shards = 1;
  };
  /// Finds or adds a site, with these terms if it is new. False: the table of sites is full.
  bool add_site(std::string_view name, std::uint16_t store, const SiteTerms& terms, Site& site);
  /// These are its terms from now on, and its store is that of its name.
  void set_terms(const Site& site, const SiteTerms& terms);
  /// Finds or adds a key to be touched in `store`. Takes no lock if it is known. kNone: no room.
  std::uint16_t add_touch(std::uint16_t store, std::string_view key, Millis ttl);
  /// Finds or adds a place of `site`; its times and touches are given in `place`. Takes no lock if it is known.
  /// False: no room.
  bool add_place(const Site& site, std::span<const std::uint16_t> touches, Place& place);

  /// Records a sign of life. `id` is not empty. `recent`, if given, is the connection's own.
  /// `limited`: more than the place's rate allows; nothing was recorded, and after `wait` it may be tried again.
  Marked mark(const Site& site, const Place& place, std::string_view id, const Sign& sign, Millis now,
              Recent* recent = nullptr, Millis* wait = nullptr);

  /// Shared memory for what is no session: zeroed when the table is made.
  Block verified_tokens() const { return verified_; }
  Block snapshots() const { return snapshots_; }
  Block quotas() const { return quotas_; }
  const unsigned char (&key() const)[16] { return header_->key; }

  /// --- for the flusher ---
  Header& header() { return *header_; }
  StoreRecord& store(std::uint16_t index) { return stores_[index]; }
  const SiteRecord& site(std::uint16_t index) const { return sites_[index]; }
  SiteRecord& site(std::uint16_t index) { return sites_[index]; }
  const PlaceRecord& place(std::uint16_t index) const { return places_[index]; }
  const TouchRecord& touch(std::uint16_t index) const { return touches_[index]; }
  const SiteRecord& site_of(const BatchEntry& entry) const { return sites_[places_[entry.place].site]; }
  std::uint32_t slots() const { return header_->buckets * kWays; }
  const Slot& slot(std::uint32_t index) const { return slots_[index]; }
  bool in_use(std::uint32_t index) const { return tag(index) != 0; }
  const Name& name(std::uint32_t index) const { return names_[index]; }
  /// The user and page of a session; may be cut in the middle of a change.
  std::string_view user(std::uint32_t index) const;
  std::string_view page(std::uint32_t index) const;
  /// What a batch has to tell of a session.
  struct Said {
    char bytes[kUserBytes + kPageBytes];
    std::string_view user, page;
  };
  /// The user and page that an entry of a batch on its way tells. Both empty: nothing new; or they changed since the
  /// batch was made, and then one of the next batches tells.
  void said(const BatchEntry& entry, Said& out) const;
  /// When the run of signs began that ends with the last one.
  Millis run_start(std::uint32_t index) const;

  /// Takes or renews the lease for `owner` (random, not 0) until `now + length`. False: another holds it.
  bool take_lease(std::uint64_t owner, Millis now, Millis length);
  void drop_lease(std::uint64_t owner);

  /// Gathers up to kBatch past runs and changed sessions of `store`, where `pass` has come to, and publishes them as its
  /// next batch: of each session in the order of time.
  /// Looks at a bounded number of sessions; `pass` moves on, and is done when all have been seen.
  /// Returns the size of the batch; 0 also if the lease was lost or a batch is on its way.
  std::uint32_t publish(std::uint16_t store, std::uint64_t owner, Pass& pass, Millis now);
  std::uint32_t end() const { return words_; }

  /// Redis has batch `number`, but for the entries named in `failed` (in ascending order), which stay changed.
  /// False: not ours any more.
  bool acknowledge(std::uint16_t store, std::uint64_t owner, std::uint64_t number, std::span<const std::uint16_t> failed);

  /// Redis lost what it had: all sessions of `store` count as changed again. This is only noted;
  /// mark_forgotten(), called until it says false, marks them in bounded steps, whichever process calls it.
  void forget_stored(std::uint16_t store);
  bool mark_forgotten(std::uint16_t store);

  /// Changes for stores that the configuration no longer has and that waited for `patience`: given up and counted.
  /// `stores_in_use` has bit i set for every store i of the configuration. Bounded like publish().
  void drop_orphans(std::uint32_t stores_in_use, std::uint32_t& cursor, Millis now, Millis patience);

  /// Names and pages of sessions that are offline make room for those of others. Bounded; `cursor` goes round.
  void free_silent_details(std::uint32_t& cursor, Millis now);

  /// Any session whose last sign of life is not in Redis yet, a batch on its way included.
  bool anything_to_flush(std::uint32_t stores_in_use) const;

  /// Takes up to out.size() due touches of `store`, from `cursor` on, which moves on, and to end() when all have been seen.
  std::uint32_t take_touches(std::uint16_t store, std::uint32_t& cursor, std::span<DueTouch> out);
  /// Where the session is now. UINT32_MAX: it is not in the table any more.
  std::uint32_t slot_of(const DueTouch& due) const;
  /// These were not answered: they are due again.
  void give_back_touches(std::uint16_t store, std::span<const DueTouch> touches);
  /// Any touch that is due in one of these stores.
  bool any_touch_due(std::uint32_t stores_in_use) const;

  /// Checks every invariant. For tests and tools: takes the lock and looks at the whole table.
  bool validate(Error& error);

 private:
  struct Print {
    std::uint64_t low, high;
    std::uint16_t tag;
    std::uint32_t bucket[kChoices];
  };
  struct Contents;
  class Guard;
  using Words = std::atomic<std::uint64_t>*;

  Print print_of(const Site& site, std::string_view id) const;
  Print print_of(std::uint64_t low, std::uint64_t high) const;
  std::uint32_t find(const Print& print) const;
  void fetch(std::uint32_t index) const;
  std::uint32_t find_in(const Print& print, std::uint32_t bucket) const;
  bool is_at(std::uint32_t index, std::uint64_t low, std::uint64_t high) const;
  bool is_recent(const Recent& recent, const Site& site, std::string_view id) const;
  static void remember(Recent& recent, const Print& print, std::uint32_t index, const Site& site, std::string_view id);

  bool allowed(Slot& slot, const Place& place, const Sign& sign, Millis now, Millis* wait);
  bool after_goodbye(std::uint32_t index, const Sign& sign, Millis now) const;
  bool continues(std::uint32_t index, const Place& place, const Sign& sign, Millis now) const;
  bool touch_due(std::uint32_t index) const;
  Millis touched(std::uint32_t index) const;
  bool touch(std::uint32_t index, std::uint64_t low, const Site& site, const Place& place, const Sign& sign,
             Millis now);
  Marked mark_locked(const Print& print, const Site& site, const Place& place, std::string_view id, const Sign& sign,
                     Millis now);
  void turn(std::uint32_t index, const Site& site, const Place& place, const Sign& sign, Millis now);
  void keep_past(std::uint32_t index, std::uint32_t user);

  std::uint32_t room_for(const Print& print, Millis now);
  std::uint32_t room_in_front(const Print& print, Millis now);
  std::uint32_t free_in(std::uint32_t bucket, std::uint32_t& count) const;
  std::uint32_t free_behind(const Print& print) const;
  std::uint32_t least_worth(std::span<const std::uint32_t> buckets, std::uint32_t most, Millis now);
  std::uint32_t make_room(std::span<const std::uint32_t> buckets, std::uint32_t most, Millis now);
  bool anything_to_say(std::uint32_t index) const;
  bool vacate(std::uint32_t index);
  bool evict(std::uint32_t index);
  bool move_back(std::uint32_t index, Millis now);
  void settle(std::uint32_t index, const Print& print, const Name& name, const Contents& known);
  void fill(std::uint32_t index, const Print& print, const Place& place, Name name, Millis now);
  Contents contents(std::uint32_t index) const;
  std::uint32_t worth(const Slot& slot, Millis now) const;
  bool changed(const Slot& slot) const;
  bool evictable(std::uint32_t index);
  std::uint16_t tag(std::uint32_t index) const;
  void set_tag(std::uint32_t index, std::uint16_t tag);
  static void set_bit(Words words, std::uint32_t index);
  static void clear_bit(Words words, std::uint32_t index);
  void set_changed(std::uint32_t index) { set_bit(dirty_, index); }
  void clear_changed(std::uint32_t index) { clear_bit(dirty_, index); }
  Millis run_length(const Slot& slot, Millis seen) const;

  Detail* detail(std::uint32_t index) const;
  bool other_user(const DetailPrints& prints, const Sign& sign) const;
  bool other_page(const DetailPrints& prints, const Sign& sign) const;
  bool says_something_new(std::uint32_t index, const Sign& sign) const;
  bool set_detail(std::uint32_t index, const Sign& sign);
  Detail* give_detail(std::uint32_t index);
  void free_detail(std::uint32_t index);
  void recount_details();
  void say_again(std::uint16_t site);
  bool details_good(Error& error) const;

  std::uint32_t user_print(std::uint32_t index) const;

  PastRun& past(std::uint64_t number) const { return past_[number % header_->max_past]; }
  void forget_past();
  std::uint16_t place_of(std::uint32_t index);
  bool take_past(const PastRun& run, std::uint64_t number, Millis now, BatchEntry& entry);
  std::uint32_t publish_past(std::uint16_t store, Millis now);
  void describe(std::uint32_t index, BatchEntry& entry) const;
  bool marked_as_changed(std::uint32_t index) const;
  void next_portion(Pass& pass, Millis now) const;
  void fetch_changed(std::uint32_t index) const;
  bool take_changed(std::uint32_t index, std::uint16_t store, BatchEntry& entry, Millis now);
  std::uint32_t publish_changed(std::uint16_t store, Pass& pass, std::uint32_t count, Millis now);
  void give_up(std::uint32_t index);
  void recount();
  int touch_store(std::uint16_t store) const;
  void place_parts(void* memory);

  Header* header_ = nullptr;
  SiteRecord* sites_ = nullptr;
  PlaceRecord* places_ = nullptr;
  TouchRecord* touches_ = nullptr;
  StoreRecord* stores_ = nullptr;
  PastRun* past_ = nullptr;
  Detail* details_ = nullptr;
  DetailPrints* prints_ = nullptr;  // of each detail
  Words tags_ = nullptr;   // four tags of 16 bits each; 0: the slot is free
  Words dirty_ = nullptr;  // one bit for each slot: perhaps changed
  Words touch_bits_[kTouchStores] = {};  // one bit for each slot: a touch is due
  std::atomic<std::uint32_t>* touched_ = nullptr;  // low half: the last sign of life that made a touch due
  std::atomic<std::uint32_t>* detail_of_ = nullptr;  // 1 + its detail; 0: none
  Slot* slots_ = nullptr;
  Name* names_ = nullptr;
  std::uint32_t words_ = 0;  // of dirty_
  std::uint32_t front_ = 0;  // how many buckets are of the front
  Block verified_, snapshots_, quotas_;
};

}  // namespace heartbeat
