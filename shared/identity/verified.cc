// Tokens that were verified lately, in shared memory.
#include "shared/identity/verified.h"

#include <algorithm>
#include <cstring>
#include <sodium.h>

#include "shared/identity/token.h"

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

// Prints are random to whoever lacks the key, so that a plain mix will do. Each step can be undone: entries that differ
// in one word never have the same sum.
std::uint64_t VerifiedTokens::checksum(const std::uint64_t (&print)[2], std::int64_t believed) const {
  std::uint64_t sum;
  std::memcpy(&sum, key_, sizeof sum);
  for (std::uint64_t word : {print[0], print[1], static_cast<std::uint64_t>(believed)}) {
    sum = (sum ^ word) * 0x9e3779b97f4a7c15;  // odd, and as many bits set as not
    sum ^= sum >> 32;
  }
  return sum;
}

bool VerifiedTokens::find(std::string_view token, std::uint64_t ring, std::int64_t now_seconds) const {
  if (buckets_ == 0 || token.size() > kMaxToken) return false;
  std::uint64_t print[2];
  print_of(token, ring, print);
  const Word* words = bucket_of(print);
  for (unsigned way = 0; way < kWays; ++way, words += kWords) {
    auto word = [&](unsigned i) { return words[i].load(std::memory_order_relaxed); };
    if (word(0) != print[0] || word(1) != print[1]) continue;
    auto believed = static_cast<std::int64_t>(word(2));
    if (now_seconds < believed && word(3) == checksum(print, believed)) return true;
  }
  return false;
}

void VerifiedTokens::remember(std::string_view token, std::uint64_t ring, std::int64_t expires,
                              std::int64_t now_seconds) {
  if (buckets_ == 0 || token.size() > kMaxToken) return;
  std::uint64_t print[2];
  print_of(token, ring, print);
  std::int64_t believed = std::min(expires, now_seconds + kBelieved - kLeeway) + kLeeway;

  // In its own old place, else in that of the entry that is believed least long: free and expired ones come first.
  auto believed_of = [](const Word* way) { return static_cast<std::int64_t>(way[2].load(std::memory_order_relaxed)); };
  Word* words = bucket_of(print);
  Word* best = words;
  for (unsigned way = 0; way < kWays; ++way, words += kWords) {
    if (words[0].load(std::memory_order_relaxed) == print[0]) {
      best = words;
      break;
    }
    if (believed_of(words) < believed_of(best)) best = words;
  }
  best[0].store(print[0], std::memory_order_relaxed);
  best[1].store(print[1], std::memory_order_relaxed);
  best[2].store(static_cast<std::uint64_t>(believed), std::memory_order_relaxed);
  best[3].store(checksum(print, believed), std::memory_order_relaxed);
}

}  // namespace heartbeat
