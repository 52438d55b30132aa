// Who is online at each site, in shared memory.
#include "shared/session/snapshot.h"

#include <cstdlib>
#include <new>

#include "shared/session/layout.h"

namespace heartbeat {
namespace {

constexpr std::size_t kSmallest = std::size_t{14} << 10;  // bytes of a list in a small zone
constexpr std::size_t kLargest = std::size_t{96} << 10;
constexpr std::size_t kWord = sizeof(std::uint64_t);
constexpr std::uint64_t kSeed = 0x68656172 + sizeof(SnapshotHead);  // another build's lists are none
constexpr std::uint32_t kNever = UINT32_MAX;

// What stands in front of a session's id and user. Ages count back from SnapshotHead::at.
struct __attribute__((packed)) Packed {
  Millis since;
  std::uint32_t last_age, active_age;
  std::uint8_t id_size, user_size;
};

constexpr std::size_t words_of(std::size_t bytes) { return (bytes + kWord - 1) / kWord; }

std::uint32_t age(Millis at, Millis time) {
  if (time >= at) return 0;
  std::uint64_t age = static_cast<std::uint64_t>(at) - static_cast<std::uint64_t>(time);
  return age >= kNever ? kNever - 1 : static_cast<std::uint32_t>(age);
}

// Not for an enemy, who has no way to write there: for halves written by two processes at once.
std::uint64_t sum_of(const std::uint64_t* words, std::size_t count) {
  std::uint64_t sum = kSeed;
  for (std::size_t i = 1; i < count; ++i) {  // the first word is the sum itself
    sum = (sum ^ words[i]) * 0x9e3779b97f4a7c15;
    sum ^= sum >> 32;
  }
  return sum;
}

}  // namespace

// --- in one process --------------------------------------------------------------------------------

Snapshot::Snapshot(std::size_t room)
    : words_(room < sizeof(SnapshotHead) ? nullptr : static_cast<std::uint64_t*>(std::calloc(words_of(room), kWord))),
      room_(room) {}

Snapshot::~Snapshot() { std::free(words_); }

bool Snapshot::add(const OnlineSession& session) {
  SnapshotHead& head = this->head();
  std::string_view id = session.id.substr(0, 255);
  std::string_view user = session.user.substr(0, 255);
  std::size_t size = sizeof(Packed) + id.size() + user.size();
  if (head.listed == kListed || size > room_ - sizeof(SnapshotHead) - head.bytes) return false;
  Packed packed{};
  packed.since = session.since;
  packed.last_age = age(head.at, session.last);
  packed.active_age = session.active == 0 ? kNever : age(head.at, session.active);
  packed.id_size = static_cast<std::uint8_t>(id.size());
  packed.user_size = static_cast<std::uint8_t>(user.size());
  char* at = bytes() + head.bytes;
  std::memcpy(at, &packed, sizeof packed);
  id.copy(at + sizeof packed, id.size());
  user.copy(at + sizeof packed + id.size(), user.size());
  head.bytes += static_cast<std::uint32_t>(size);
  ++head.listed;
  return true;
}

bool Snapshot::next(std::size_t& at, OnlineSession& session) const {
  const SnapshotHead& head = this->head();
  Packed packed;
  if (at > head.bytes || head.bytes - at < sizeof packed) return false;
  std::memcpy(&packed, bytes() + at, sizeof packed);
  at += sizeof packed;
  if (head.bytes - at < std::size_t{packed.id_size} + packed.user_size) return false;
  session.id = {bytes() + at, packed.id_size};
  session.user = {bytes() + at + packed.id_size, packed.user_size};
  session.since = packed.since;
  session.last = head.at - packed.last_age;
  session.active = packed.active_age == kNever ? 0 : head.at - packed.active_age;
  at += std::size_t{packed.id_size} + packed.user_size;
  return true;
}

// --- in shared memory ------------------------------------------------------------------------------

struct alignas(64) SnapshotArea::List {
  std::atomic<std::uint32_t> site;     // 1 + its index; 0: free
  std::atomic<std::uint64_t> number;   // of the list that counts; its half is the one of this parity
  std::atomic<Millis> asked;           // when anybody wanted to see it
  std::atomic<Millis> answered, ahead;  // see answered()
};

SnapshotArea::SnapshotArea(void* memory, std::size_t size) : memory_(static_cast<char*>(memory)) {
  static_assert(std::atomic<std::uint64_t>::is_always_lock_free && sizeof(List) == 64);
  each_ = size / 4 < kSmallest ? kSmallest : size / 4 < kLargest ? size / 4 : kLargest;
  each_ = each_ / 128 * 128;
  capacity_ = static_cast<std::uint32_t>(size / each_ < ListedSites::kMost ? size / each_ : ListedSites::kMost);
  room_ = (each_ - sizeof(List)) / 2 / kWord * kWord;
}

SnapshotArea::List* SnapshotArea::list(std::uint32_t i) const {
  return reinterpret_cast<List*>(memory_ + i * each_);
}

SnapshotArea::List* SnapshotArea::find(std::uint16_t site) const {
  for (std::uint32_t i = 0; i < capacity_; ++i) {
    if (list(i)->site.load(std::memory_order_acquire) == site + 1U) return list(i);
  }
  return nullptr;
}

std::atomic<std::uint64_t>* SnapshotArea::half(List* list, std::uint64_t number) const {
  return reinterpret_cast<std::atomic<std::uint64_t>*>(reinterpret_cast<char*>(list + 1) + (number & 1) * room_);
}

// Two processes that want the same list at once may each make one; both are refreshed and all read the first.
bool SnapshotArea::want(std::uint16_t site, Millis now) {
  List* found = find(site);
  for (std::uint32_t i = 0; found == nullptr && i < capacity_; ++i) {
    std::uint32_t owner = list(i)->site.load(std::memory_order_acquire);
    if (owner != 0 && asked_for(i, now)) continue;
    list(i)->asked.store(now, std::memory_order_relaxed);
    if (!list(i)->site.compare_exchange_strong(owner, site + 1U)) continue;
    found = list(i);
    found->answered.store(0, std::memory_order_relaxed);
  }
  if (found == nullptr) return false;
  if (now - found->asked.load(std::memory_order_relaxed) >= 1000) found->asked.store(now, std::memory_order_relaxed);
  return true;
}

std::uint16_t SnapshotArea::site(std::uint32_t i) const {
  std::uint32_t site = list(i)->site.load(std::memory_order_acquire);
  return site == 0 ? kNone : static_cast<std::uint16_t>(site - 1);
}

bool SnapshotArea::asked_for(std::uint32_t i, Millis now) const {
  return now - list(i)->asked.load(std::memory_order_relaxed) < kForgotten;
}

std::uint64_t SnapshotArea::number(std::uint16_t site) const {
  const List* found = find(site);
  return found == nullptr ? 0 : found->number.load(std::memory_order_acquire);
}

Millis SnapshotArea::answered(std::uint32_t i) const { return list(i)->answered.load(std::memory_order_relaxed); }
Millis SnapshotArea::ahead(std::uint32_t i) const { return list(i)->ahead.load(std::memory_order_relaxed); }

void SnapshotArea::set_answered(std::uint16_t site, Millis now, Millis ahead) {
  List* found = find(site);
  if (found == nullptr) return;
  found->ahead.store(ahead, std::memory_order_relaxed);
  found->answered.store(now, std::memory_order_relaxed);
}

bool SnapshotArea::write(Snapshot& snapshot) {
  SnapshotHead& head = snapshot.head();
  List* found = find(static_cast<std::uint16_t>(head.site));
  if (found == nullptr) return false;
  std::uint64_t number = found->number.load(std::memory_order_acquire);
  head.number = number + 1;
  std::size_t count = words_of(sizeof head + head.bytes);
  std::memset(snapshot.bytes() + head.bytes, 0, count * kWord - sizeof head - head.bytes);
  head.sum = sum_of(snapshot.words_, count);
  std::atomic<std::uint64_t>* words = half(found, head.number);
  for (std::size_t i = 0; i < count; ++i) words[i].store(snapshot.words_[i], std::memory_order_relaxed);
  return found->number.compare_exchange_strong(number, head.number, std::memory_order_release);
}

// Fails only if two lists are written while it reads one, or by a writer that woke up late.
bool SnapshotArea::read(std::uint16_t site, Snapshot& snapshot) const {
  List* found = find(site);
  constexpr std::size_t kHead = words_of(sizeof(SnapshotHead));
  for (int attempt = 0; found != nullptr && attempt < 4; ++attempt) {
    std::uint64_t number = found->number.load(std::memory_order_acquire);
    if (number == 0) return false;
    const std::atomic<std::uint64_t>* words = half(found, number);
    for (std::size_t i = 0; i < kHead; ++i) snapshot.words_[i] = words[i].load(std::memory_order_relaxed);
    const SnapshotHead& head = snapshot.head();
    if (head.bytes > room_ - sizeof head) continue;
    std::size_t count = words_of(sizeof head + head.bytes);
    for (std::size_t i = kHead; i < count; ++i) snapshot.words_[i] = words[i].load(std::memory_order_relaxed);
    if (head.number == number && head.sum == sum_of(snapshot.words_, count)) return head.site == site;
  }
  return false;
}

}  // namespace heartbeat
