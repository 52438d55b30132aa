// How much page views and sessions may send to this host.
#include "shared/beacon/quota.h"

#include <cstring>
#include <sodium.h>

namespace heartbeat {

void Quota::attach(void* memory, std::size_t size, const unsigned char (&key)[16]) {
  entries_ = static_cast<Entry*>(memory);
  buckets_ = size / (kWays * sizeof(Entry));
  std::memcpy(key_, key, sizeof key_);
}

std::uint64_t Quota::print_of(char kind, std::string_view name) const {
  static_assert(sizeof key_ == crypto_shorthash_KEYBYTES);
  unsigned char text[256];
  std::uint64_t print = 0;
  std::size_t size = name.size() < sizeof text ? name.size() : sizeof text - 1;
  text[0] = static_cast<unsigned char>(kind);
  std::memcpy(text + 1, name.data(), size);
  crypto_shorthash(reinterpret_cast<unsigned char*>(&print), text, size + 1, key_);
  return print | 1;
}

// Its entry; where it has none, it takes a free one of its bucket, or that of whoever was silent for longest.
Quota::Entry& Quota::find(std::uint64_t print, Millis now, bool& fresh) {
  Entry* bucket = entries_ + print % buckets_ * kWays;
  Entry* chosen = bucket;
  fresh = false;
  for (Entry* entry = bucket; entry != bucket + kWays; ++entry) {
    std::uint64_t owner = entry->print.load(std::memory_order_relaxed);
    if (owner == print) {
      entry->used.store(now, std::memory_order_relaxed);
      return *entry;
    }
    bool better = owner == 0 || (chosen->print.load(std::memory_order_relaxed) != 0 &&
                                 entry->used.load(std::memory_order_relaxed) < chosen->used.load(std::memory_order_relaxed));
    if (better) chosen = entry;
  }
  chosen->print.store(print, std::memory_order_relaxed);
  chosen->since.store(now, std::memory_order_relaxed);
  chosen->used.store(now, std::memory_order_relaxed);
  chosen->count.store(0, std::memory_order_relaxed);
  chosen->bytes.store(0, std::memory_order_relaxed);
  fresh = true;
  return *chosen;
}

// An hour after they began, its counts begin anew.
Millis Quota::left_of_hour(Entry& entry, Millis now) {
  const Millis age = now - entry.since.load(std::memory_order_relaxed);
  if (age < kHour) return kHour - age;
  entry.since.store(now, std::memory_order_relaxed);
  entry.count.store(0, std::memory_order_relaxed);
  entry.bytes.store(0, std::memory_order_relaxed);
  return kHour;
}

Millis Quota::take(std::string_view view, std::string_view session, std::size_t size, Millis now) {
  if (buckets_ == 0) return 0;
  bool fresh = false;
  Entry& own = find(print_of('v', view), now, fresh);
  if (fresh && !session.empty()) {
    bool first = false;
    Entry& all = find(print_of('s', session), now, first);
    const Millis left = left_of_hour(all, now);
    if (all.count.load(std::memory_order_relaxed) >= kViews) {
      own.print.store(0, std::memory_order_relaxed);  // it was never begun
      return left;
    }
    all.count.fetch_add(1, std::memory_order_relaxed);
  }
  const Millis left = left_of_hour(own, now);
  std::uint32_t bytes = own.bytes.load(std::memory_order_relaxed);
  if (own.count.load(std::memory_order_relaxed) >= kBeacons || size > kBytes - (bytes < kBytes ? bytes : kBytes)) return left;
  own.count.fetch_add(1, std::memory_order_relaxed);
  own.bytes.fetch_add(static_cast<std::uint32_t>(size), std::memory_order_relaxed);
  return 0;
}

// Where the entry was lost meanwhile there is less to take back, or nothing.
void Quota::give_back(std::string_view view, std::size_t size) {
  if (buckets_ == 0) return;
  std::uint64_t print = print_of('v', view);
  Entry* bucket = entries_ + print % buckets_ * kWays;
  for (Entry* entry = bucket; entry != bucket + kWays; ++entry) {
    if (entry->print.load(std::memory_order_relaxed) != print) continue;
    std::uint32_t count = entry->count.load(std::memory_order_relaxed), bytes = entry->bytes.load(std::memory_order_relaxed);
    entry->count.store(count - (count != 0), std::memory_order_relaxed);
    entry->bytes.store(bytes - (size < bytes ? static_cast<std::uint32_t>(size) : bytes), std::memory_order_relaxed);
    return;
  }
}

}  // namespace heartbeat
