// Tokens that were verified lately, in shared memory.
#include "shared/identity/verified.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <sodium.h>

namespace heartbeat {

std::size_t VerifiedTokens::bytes(std::uint32_t entries) {
  return (std::size_t{entries} + kWays - 1) / kWays * kWays * kWords * sizeof(Word);
}

void VerifiedTokens::attach(void* memory, std::size_t size, const unsigned char (&key)[16]) {
  words_ = static_cast<Word*>(memory);
  buckets_ = static_cast<std::uint32_t>(std::min<std::size_t>(size / (kWays * kWords * sizeof(Word)), UINT32_MAX));
  std::memcpy(key_, key, sizeof key_);
}

// The same token is another under another ring.
void VerifiedTokens::print_of(std::string_view token, std::uint64_t ring, std::uint64_t (&print)[2]) const {
  crypto_shorthash_siphashx24(reinterpret_cast<unsigned char*>(print),
                              reinterpret_cast<const unsigned char*>(token.data()), token.size(), key_);
  print[0] ^= ring;
}

VerifiedTokens::Word* VerifiedTokens::bucket_of(const std::uint64_t (&print)[2]) const {
  return words_ + (print[1] >> 32) * buckets_ / (std::uint64_t{1} << 32) * (kWays * kWords);
}

// Of as much as is used.
std::uint64_t VerifiedTokens::checksum(const Entry& entry) const {
  std::size_t used = offsetof(Entry, token.bytes) + 2 + entry.token.session_size() + entry.token.user_size();
  std::uint64_t sum;
  crypto_shorthash_siphash24(reinterpret_cast<unsigned char*>(&sum), reinterpret_cast<const unsigned char*>(&entry),
                             used, key_);
  return sum;
}

bool VerifiedTokens::read(const Word* words, Entry& entry) const {
  std::uint64_t copy[kEntryWords];
  for (std::size_t i = 0; i < kEntryWords; ++i) copy[i] = words[i].load(std::memory_order_relaxed);
  std::memcpy(static_cast<void*>(&entry), copy, sizeof entry);
  return entry.token.session_size() <= Remembered::kSession && entry.token.user_size() <= Remembered::kUser &&
         words[kEntryWords].load(std::memory_order_relaxed) == checksum(entry);
}

void VerifiedTokens::write(Word* words, const Entry& entry) {
  std::uint64_t copy[kEntryWords];
  std::memcpy(copy, &entry, sizeof entry);
  for (std::size_t i = 0; i < kEntryWords; ++i) words[i].store(copy[i], std::memory_order_relaxed);
  words[kEntryWords].store(checksum(entry), std::memory_order_relaxed);
}

bool VerifiedTokens::find(std::string_view token, std::uint64_t ring, std::int64_t now_seconds, Remembered& out) const {
  if (buckets_ == 0 || token.size() > kMaxToken) return false;
  std::uint64_t print[2];
  print_of(token, ring, print);
  const Word* words = bucket_of(print);
  for (unsigned way = 0; way < kWays; ++way, words += kWords) {
    if (words[0].load(std::memory_order_relaxed) != print[0]) continue;
    Entry entry;
    if (!read(words, entry) || entry.print[0] != print[0] || entry.print[1] != print[1]) continue;
    if (now_seconds >= entry.believed) continue;
    out = entry.token;
    return true;
  }
  return false;
}

void VerifiedTokens::remember(std::string_view token, std::uint64_t ring, const Claims& claims,
                              std::int64_t now_seconds) {
  std::size_t session = claims.session.size(), user = claims.user.size();
  if (buckets_ == 0 || token.size() > kMaxToken || !claims.view.empty()) return;
  if (session == 0 || session > Remembered::kSession || user > Remembered::kUser) return;
  Entry entry{};
  print_of(token, ring, entry.print);
  entry.believed = std::min(claims.expires, now_seconds + kBelieved - kLeeway) + kLeeway;
  entry.token.expires = claims.expires;
  entry.token.bytes[0] = static_cast<char>(session);
  entry.token.bytes[1] = static_cast<char>(user);
  std::memcpy(entry.token.bytes + 2, claims.session.data(), session);
  if (user != 0) std::memcpy(entry.token.bytes + 2 + session, claims.user.data(), user);

  // In its own old place, else in that of the entry that is believed least long: free and expired ones come first.
  auto believed = [](const Word* way) {
    return static_cast<std::int64_t>(way[kBelievedWord].load(std::memory_order_relaxed));
  };
  Word* words = bucket_of(entry.print);
  Word* best = words;
  for (unsigned way = 0; way < kWays; ++way, words += kWords) {
    if (words[0].load(std::memory_order_relaxed) == entry.print[0]) {
      best = words;
      break;
    }
    if (believed(words) < believed(best)) best = words;
  }
  write(best, entry);
}

}  // namespace heartbeat
