// What lies in the shared memory: a header, the sites, the stores, and the sessions in fixed slots.
// No pointers: the parts are found by offsets from the start, so every process may map it where it likes.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "shared/port/lock.h"
#include "shared/port/port.h"

namespace heartbeat {

/// What the last sign of life was; with kLeaving added, the visitor said goodbye with it.
enum class LifeSign : std::uint8_t { ping, page, request, beat, beacon };
inline constexpr std::uint8_t kLeaving = 0x80;

inline constexpr std::uint32_t kWays = 16;       // slots of a bucket
inline constexpr std::uint32_t kNameBytes = 55;  // longest id that is kept as it is; longer ones as a digest
inline constexpr std::uint32_t kDigestBytes = 32;
inline constexpr std::uint32_t kMaxStores = 16;
inline constexpr std::uint32_t kBatch = 512;  // most records of a batch: a script of about two milliseconds
inline constexpr std::uint16_t kNone = 0xffff;

/// The part of a session that pings touch: one cache line. Times are Millis.
struct alignas(64) Slot {
  std::atomic<std::uint64_t> fingerprint[2];
  std::atomic<Millis> seen;          // last sign of life
  std::atomic<Millis> active;        // last human activity; 0: none
  Millis first;                      // when it was inserted
  std::atomic<Millis> stored_seen;   // `seen` as Redis has it
  std::atomic<std::uint32_t> beats;  // signs of life so far; wraps
  std::atomic<std::uint32_t> stored_beats;
  std::atomic<std::uint32_t> stored_active;  // low half of `active` as Redis has it
  std::uint16_t site;
  std::atomic<LifeSign> source;      // of the last sign of life
  std::atomic<std::uint8_t> pinned;  // 1: a batch on its way refers to it
};
static_assert(sizeof(Slot) == 64);

/// The id itself (size up to kNameBytes), or its digest (size 255).
struct Name {
  static constexpr std::uint8_t kDigest = 255;
  std::uint8_t size;
  char bytes[kNameBytes];
};
static_assert(sizeof(Name) == 56);

/// A namespace of sessions: one name in one store (or in memory only).
struct SiteRecord {
  std::uint16_t store;  // kNone: memory only
  std::uint8_t plain;   // Redis shows the ids themselves
  std::uint8_t size;
  Millis retention;
  char name[255];
};

/// One session of a batch: what is added to Redis when the batch is applied.
struct BatchEntry {
  Millis seen;
  Millis first;                // 0: Redis has it, and keeps the session for long enough
  Millis active;               // 0: never, or Redis has it
  std::uint32_t known_active;  // for the acknowledgement
  std::uint32_t slot;
  std::uint32_t beats;  // absolute, for the acknowledgement
  std::uint32_t delta;  // beats since the last acknowledgement
  std::uint16_t site;
  LifeSign source;
};

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
  std::uint64_t sites_offset, stores_offset, tags_offset, dirty_offset, slots_offset, names_offset;
  SharedMutex lock;
  std::atomic<std::uint64_t> sessions;
  std::atomic<std::uint64_t> refused;  // new sessions for which there was no room
  std::atomic<std::uint64_t> evicted;
  std::atomic<std::uint64_t> dropped;      // records whose Redis left the configuration
  std::atomic<std::uint64_t> lease_owner;  // 0: nobody flushes
  std::atomic<Millis> lease_until;
  std::atomic<std::uint64_t> passes_begun, passes_done;
};

}  // namespace heartbeat
