// What lies in the shared memory: a header, the sites, the stores, and the sessions in fixed slots.
// No pointers: the parts are found by offsets from the start, so every process may map it where it likes.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "shared/beacon/spool_shared.h"
#include "shared/http/browser.h"
#include "shared/port/lock.h"
#include "shared/port/port.h"

namespace heartbeat {

/// What the last sign of life was; with kLeaving added, the visitor said goodbye with it.
enum class LifeSign : std::uint8_t { ping, page, request, beat, beacon };
inline constexpr std::uint8_t kLeaving = 0x80;

inline constexpr std::uint32_t kWays = 16;       // slots of a bucket
inline constexpr std::uint32_t kChoices = 3;     // buckets where a session may lie
inline constexpr std::uint32_t kNameBytes = 49;  // longest id that is kept as it is; longer ones as a digest
inline constexpr std::uint32_t kDigestBytes = 32;
inline constexpr std::uint32_t kMaxStores = 16;
inline constexpr std::uint32_t kBatch = 512;  // most records of a batch: a script of about two milliseconds
inline constexpr std::uint16_t kNone = 0xffff;

/// The part of a session that pings touch: one cache line. Times are Millis; of some only the low half is kept, which
/// tells a time that is at most 49 days from another that is known whole.
struct alignas(64) Slot {
  std::atomic<std::uint64_t> fingerprint[2];
  std::atomic<Millis> seen;                // last sign of life
  std::atomic<Millis> active;              // last human activity; 0: none
  std::atomic<std::uint32_t> stored_seen;  // low half: `seen` as Redis has it; 0: Redis has nothing
  std::atomic<std::uint32_t> fresh;        // low half: the first sign that was in no batch yet; 0: there is none
  std::atomic<std::uint32_t> open_from;    // low half: when the run of signs began that ends with `seen`
  std::atomic<std::uint32_t> active_from;  // low half: when the run of activity began that ends with `active`
  std::atomic<std::uint32_t> beats;        // signs of life so far; wraps
  std::atomic<std::uint32_t> stored_beats;
  std::atomic<std::uint32_t> due;          // low half: when the next sign is due by the rate that is allowed
  std::atomic<std::uint16_t> place;        // of the last sign of life
  std::atomic<std::uint8_t> source;        // LifeSign of the last one, and kLeaving
  std::atomic<std::uint8_t> pinned;        // 1: a batch on its way refers to it
};
static_assert(sizeof(Slot) == 64);

/// The id itself (size up to kNameBytes), or its digest (size 255).
struct Name {
  static constexpr std::uint8_t kDigest = 255;
  std::uint8_t size;
  char bytes[kNameBytes];
  std::uint16_t site;
};
static_assert(sizeof(Name) == 52);

inline constexpr std::uint32_t kUserBytes = 63;
inline constexpr std::uint32_t kPageBytes = 67;

/// What is known of the visitor of a session, for those sessions that say it.
struct Detail {
  std::uint8_t user_size, page_size;
  std::atomic<std::uint16_t> version;  // counts changes
  std::uint16_t stored_version;        // which one Redis has
  char page[kPageBytes];
  char user[kUserBytes];
  std::uint32_t owner;                 // 1 + its slot; 0: free
  std::uint32_t next;                  // of the free ones: 1 + the next
};
static_assert(sizeof(Detail) == 144);

/// Hashes of what a detail holds; 0: nothing is known, or it is being written. They lie apart, close together: most sessions
/// say the same again and again, and then nothing else is looked at.
struct DetailPrints {
  std::atomic<std::uint64_t> user, page;
};
static_assert(sizeof(DetailPrints) == 16);

/// A namespace of sessions: one name in one store (or in memory only).
struct SiteRecord {
  std::uint16_t store;  // kNone: memory only
  std::uint8_t plain;   // Redis shows the ids themselves
  std::uint8_t size;
  std::uint32_t grace;  // ms
  Millis retention;
  std::uint16_t shards;
  char name[255];
  std::atomic<std::uint8_t> orders[kBrowsers];  // of transports, packed (ranking.h); 0: not known
  std::atomic<bool> current;                    // of all of its name, the one that was configured last
  std::atomic<Millis> orders_wanted;            // when a page last asked for one
};

inline constexpr std::uint32_t kPlaceTouches = 4;  // of one place
inline constexpr std::uint32_t kTouchStores = 4;   // different Redis servers that hold sessions of applications

/// What the settings of some location say about the sessions of a site. Never changed once it stands.
struct PlaceRecord {
  std::uint16_t site;
  std::uint8_t touch_count;
  std::uint8_t touch_stores;  // bit i: a touch goes to the i-th of Header::touch_stores
  std::uint32_t timeout;      // ms
  std::uint32_t gap;          // ms
  std::uint16_t touches[kPlaceTouches];
};

/// A key of the application's own session. Never changed once it stands.
struct TouchRecord {
  std::uint16_t store;
  std::uint8_t size;
  char key[205];
  Millis ttl;
};
inline constexpr std::uint32_t kMaxTouches = 64;

/// A run of signs that ended before Redis knew of all of it: another one has begun in the slot.
struct PastRun {
  std::uint32_t slot;
  std::uint32_t print;    // of the session's fingerprint: the slot may be another's meanwhile
  std::uint32_t user;     // low half of the hash of its user's name: the session may be another's meanwhile
  std::uint32_t refused;  // low half: when the batch was made of which Redis did not take it
  Millis seen;            // its end
  std::uint32_t open_length;
  std::uint32_t fresh_back;   // as in BatchEntry, like the next two
  std::uint32_t active_back;
  std::uint32_t active_length;
  enum State : std::uint8_t { kFree, kWaits, kRefused } state;
  std::uint8_t source;        // of its last sign
};
static_assert(sizeof(PastRun) == 48);

/// One session of a batch: what is added to Redis when the batch is applied.
struct BatchEntry {
  static constexpr std::uint32_t kNever = UINT32_MAX;
  static constexpr std::uint8_t kKeep = 1;    // must be kept in Redis for longer than it is
  static constexpr std::uint8_t kPast = 2;    // a past run, `beats` is its number
  static constexpr std::uint8_t kDetail = 4;  // Redis does not have the detail
  static constexpr std::uint8_t kUser = 8;    // the session has a user

  Millis seen;
  std::uint32_t open_length;    // of the run that ends with `seen`
  std::uint32_t fresh_back;     // how long before `seen` the first sign was that was in no batch before
  std::uint32_t active_back;    // how long before `seen` the last activity was; kNever: none that Redis does not have
  std::uint32_t active_length;  // of the run that ends with it
  std::uint32_t slot;
  std::uint32_t beats;    // absolute, for the acknowledgement
  std::uint32_t delta;    // beats since the last acknowledgement
  std::uint16_t version;  // of the detail
  std::uint16_t place;
  std::uint8_t source;
  std::uint8_t flags;
};
static_assert(sizeof(BatchEntry) == 48);

/// A Redis and prefix, and the one batch that may be on its way there.
struct StoreRecord {
  std::uint64_t id;       // hash of the address and prefix
  std::uint64_t number;   // of the last batch made
  std::uint64_t applied;  // of the last batch acknowledged
  Millis made;            // when the batch was made
  std::uint32_t count;    // entries on their way; 0: none
  std::uint32_t forgotten;  // what Redis lost is not marked yet from here on: 1 + a word of the bitmap; 0: all is well
  unsigned char key[32];  // keys the hash of the ids; every host of this Redis has the same
  BatchEntry entries[kBatch];
};

/// What the memory is divided into, in this order, behind the header.
enum Part : std::uint8_t {
  kSites, kPlaces, kTouchKeys, kStores, kPast, kDetails, kDetailPrints, kVerified, kSnapshots, kQuotas, kTags, kDirty, kTouchBits,
  kTouched, kDetailOf, kSlots, kNames, kParts
};

struct Header {
  std::uint64_t magic;
  std::uint64_t layout;       // differs where a build would read the memory differently
  std::uint64_t size;         // bytes of the whole
  std::uint64_t incarnation;  // random; names this table to Redis
  unsigned char key[16];      // of the fingerprints
  std::uint32_t buckets;
  std::uint32_t max_sites;
  std::uint32_t sites;
  std::uint32_t stores;
  std::uint32_t max_places, max_details, max_past;
  std::atomic<std::uint32_t> places;
  std::atomic<std::uint32_t> touches;
  std::uint16_t touch_stores[kTouchStores];  // the first of them that are not kNone
  std::atomic<std::uint32_t> free_detail;    // 1 + the first free one
  std::uint64_t past_begin, past_end;        // numbers of past runs, modulo max_past
  std::uint64_t offsets[kParts + 1];         // of the parts, and of what is behind the last
  SharedMutex lock;
  std::atomic<std::uint64_t> sessions;
  std::atomic<std::uint64_t> refused;  // new sessions for which there was no room
  std::atomic<std::uint64_t> evicted;
  std::atomic<std::uint64_t> unnamed;   // sessions for whose user or page there was no room
  std::atomic<std::uint64_t> lost_runs; // past runs for which there was no room
  std::atomic<std::uint64_t> dropped;      // records whose Redis left the configuration
  std::atomic<std::uint64_t> lease_owner;  // 0: nobody flushes
  std::atomic<Millis> lease_until;
  std::atomic<std::uint64_t> passes_begun, passes_done;
  SpoolShared spool;
};

}  // namespace heartbeat
