// The session table in shared memory: who was seen when. Marking a known session takes no lock: one look-up,
// one atomic store for the time, one atomic addition. The lock is taken only to insert and evict, and by the
// flusher to publish and acknowledge a batch; it is never held across a system call.
//
// A session may lie in either of two buckets of 16 slots (two-choice hashing), so nothing is linked and
// nothing needs mending when a process dies: a slot is in use exactly if its tag is not zero.
#pragma once

#include <span>
#include <string_view>

#include "shared/port/error.h"
#include "shared/session/layout.h"

namespace heartbeat {

/// What the ping path needs to know of a site; made once for each process.
struct Site {
  std::uint16_t index = kNone;  // kNone: not recorded
  bool durable = false;         // has a store: its changes are flushed
  unsigned char key[16] = {};   // of its fingerprints
};

/// What the settings of a location say about the sessions of a site there; found once for each process.
struct Place {
  std::uint16_t index = kNone;
  std::uint32_t timeout = 90000;    // ms of silence after which a session is offline
  std::uint32_t gap = 45000;        // longest time, in ms, between two signs of one stretch of activity
  std::uint32_t rate_interval = 0;  // ms between two signs of one session, on average; 0: no limit
  std::uint32_t rate_burst = 0;     // how many may come ahead of that
  bool touches = false;             // keeps sessions of the application alive
};

/// One sign of life.
struct Sign {
  LifeSign source = LifeSign::ping;
  bool active = false;    // of a human
  bool extends = false;   // keeps the application's session alive too
  bool leaving = false;   // the last one for now
  std::string_view user;  // empty: not said; at most kUserBytes count
  std::string_view page;  // empty: not said; at most kPageBytes count
};

/// The session that a connection marked last. Most connections belong to one visitor: when the next ping is of the
/// same session, it needs neither the hash nor the look-up. All zero: none yet.
struct Recent {
  std::uint64_t low, high;  // its fingerprint
  std::uint32_t index;
  std::uint16_t site;
  std::uint8_t size;
  char id[kNameBytes];
};

enum class Marked : std::uint8_t { known, inserted, refused, limited };

class Table {
 public:
  /// Bytes below which no table is made: a zone of 1 MiB, less what a server's own allocator takes of it.
  static constexpr std::size_t kMinimum = (std::size_t{1} << 20) / 16 * 15;

  /// Makes an empty table in `size` bytes of zeroed memory, aligned to 64. False: no robust mutex, no random bytes.
  bool create(void* memory, std::size_t size);
  /// Uses a table that another process or an earlier configuration made. False: made by a build with another layout.
  bool attach(void* memory, std::size_t size);
  bool attached() const { return header_ != nullptr; }

  /// How many sessions a zone of `size` bytes holds: (size - fixed parts) / 122.125, in whole buckets.
  static std::uint64_t capacity(std::size_t size);
  std::uint64_t capacity() const { return std::uint64_t{header_->buckets} * kWays; }

  /// Finds or adds a store. kNone: there are kMaxStores already.
  std::uint16_t add_store(std::string_view identity);
  /// Finds or adds a site and sets its retention and ids. False: the table of sites is full.
  bool add_site(std::string_view name, std::uint16_t store, bool plain, Millis retention, Site& site);

  /// Records a sign of life. `id` is not empty. `recent`, if given, is the connection's own.
  /// `limited`: more than the place's rate allows; nothing was recorded, and `now + wait` is when to try again.
  Marked mark(const Site& site, const Place& place, std::string_view id, const Sign& sign, Millis now,
              Recent* recent = nullptr, Millis* wait = nullptr);

  /// --- for the flusher ---
  Header& header() { return *header_; }
  StoreRecord& store(std::uint16_t index) { return stores_[index]; }
  const SiteRecord& site(std::uint16_t index) const { return sites_[index]; }
  const Slot& slot(std::uint32_t index) const { return slots_[index]; }
  const Name& name(std::uint32_t index) const { return names_[index]; }

  /// Takes or renews the lease for `owner` (random, not 0) until `now + length`. False: another holds it.
  bool take_lease(std::uint64_t owner, Millis now, Millis length);
  void drop_lease(std::uint64_t owner);

  /// Gathers up to kBatch changed sessions of `store`, from `cursor` on, and publishes them as its next batch.
  /// Looks at a bounded number of sessions; `cursor` moves on, and to end() when all have been seen.
  /// Returns the size of the batch; 0 also if the lease was lost or a batch is on its way.
  std::uint32_t publish(std::uint16_t store, std::uint64_t owner, std::uint32_t& cursor, Millis now);
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

  /// Any session whose last sign of life is not in Redis yet, a batch on its way included.
  bool anything_to_flush(std::uint32_t stores_in_use) const;

  /// Checks every invariant. For tests and tools: takes the lock and looks at the whole table.
  bool validate(Error& error);

 private:
  struct Print {
    std::uint64_t low, high;
    std::uint16_t tag;
    std::uint32_t bucket[2];
  };
  class Guard;

  Print print_of(const Site& site, std::string_view id) const;
  std::uint32_t find(const Print& print) const;
  std::uint32_t find_in(const Print& print, std::uint32_t bucket) const;
  bool is_at(std::uint32_t index, std::uint64_t low, std::uint64_t high) const;
  bool touch(std::uint32_t index, std::uint64_t low, const Site& site, LifeSign source, bool active, Millis now);
  bool is_recent(const Recent& recent, const Site& site, std::string_view id) const;
  Marked mark_new(const Print& print, const Site& site, std::string_view id, LifeSign source, bool active, Millis now);
  std::uint32_t room_for(const Print& print);
  std::uint32_t evict_from(std::uint32_t bucket, Millis& oldest, std::uint32_t best);
  bool evict(std::uint32_t index);
  void fill(std::uint32_t index, const Print& print, const Site& site, const Name& name, Millis now);
  bool changed(const Slot& slot) const;
  bool evictable(std::uint32_t index);
  std::uint16_t tag(std::uint32_t index) const;
  void set_tag(std::uint32_t index, std::uint16_t tag);
  void set_changed(std::uint32_t index);
  void clear_changed(std::uint32_t index);
  void give_up(std::uint32_t index);
  void recount();
  void place(void* memory);

  Header* header_ = nullptr;
  SiteRecord* sites_ = nullptr;
  StoreRecord* stores_ = nullptr;
  std::atomic<std::uint64_t>* tags_ = nullptr;   // four tags of 16 bits each; 0: the slot is free
  std::atomic<std::uint64_t>* dirty_ = nullptr;  // one bit for each slot: perhaps changed
  Slot* slots_ = nullptr;
  Name* names_ = nullptr;
  std::uint32_t words_ = 0;  // of dirty_
};

}  // namespace heartbeat
