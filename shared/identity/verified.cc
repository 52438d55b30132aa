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
VerifiedTokens::Print VerifiedTokens::print_of(std::string_view token, std::uint64_t ring) const {
  Print print;
  crypto_shorthash_siphashx24(reinterpret_cast<unsigned char*>(print.words),
                              reinterpret_cast<const unsigned char*>(token.data()), token.size(), key_);
  print.words[0] ^= ring;
  for (unsigned bucket = 0; bucket < kBuckets && buckets_ != 0; ++bucket) __builtin_prefetch(way_of(print, bucket * kWays));
  return print;
}

VerifiedTokens::Word* VerifiedTokens::way_of(const Print& print, unsigned way) const {
  std::uint64_t half = way < kWays ? print.words[1] >> 32 : print.words[1] & 0xffffffff;
  return words_ + (half * buckets_ >> 32) * (kWays * kWords) + way % kWays * kWords;
}

// Prints are random to whoever lacks the key, so that a plain mix will do. Each step can be undone: entries that differ
// in one word never have the same sum.
std::uint64_t VerifiedTokens::checksum(const Print& print, std::int64_t believed) const {
  std::uint64_t sum;
  std::memcpy(&sum, key_, sizeof sum);
  for (std::uint64_t word : {print.words[0], print.words[1], static_cast<std::uint64_t>(believed)}) {
    sum = (sum ^ word) * 0x9e3779b97f4a7c15;  // odd, and as many bits set as not
    sum ^= sum >> 32;
  }
  return sum;
}

bool VerifiedTokens::find(const Print& print, std::int64_t now_seconds) const {
  if (buckets_ == 0) return false;
  for (unsigned way = 0; way < kBuckets * kWays; ++way) {
    const Word* words = way_of(print, way);
    auto word = [&](unsigned i) { return words[i].load(std::memory_order_relaxed); };
    if (word(0) != print.words[0] || word(1) != print.words[1]) continue;
    auto believed = static_cast<std::int64_t>(word(2));
    if (now_seconds < believed && word(3) == checksum(print, believed)) return true;
  }
  return false;
}

// Its own old place, else that of the entry that is believed least long: free and expired ones come first, of these one
// in the emptier bucket.
VerifiedTokens::Word* VerifiedTokens::place_for(const Print& print, std::int64_t now_seconds) const {
  auto believed_of = [&](unsigned way) {
    return static_cast<std::int64_t>(way_of(print, way)[2].load(std::memory_order_relaxed));
  };
  unsigned taken[kBuckets] = {};
  for (unsigned way = 0; way < kBuckets * kWays; ++way) {
    if (way_of(print, way)[0].load(std::memory_order_relaxed) == print.words[0]) return way_of(print, way);
    if (believed_of(way) > now_seconds) ++taken[way / kWays];
  }
  unsigned first = taken[1] < taken[0] ? kWays : 0;
  unsigned best = first;
  for (unsigned i = 1; i < kBuckets * kWays; ++i) {
    unsigned way = (first + i) % (kBuckets * kWays);
    if (believed_of(way) < believed_of(best)) best = way;
  }
  return way_of(print, best);
}

void VerifiedTokens::remember(const Print& print, std::int64_t expires, std::int64_t now_seconds) {
  if (buckets_ == 0) return;
  std::int64_t believed = std::min(expires, now_seconds + kBelieved - kLeeway) + kLeeway;

  Word* best = place_for(print, now_seconds);
  best[0].store(print.words[0], std::memory_order_relaxed);
  best[1].store(print.words[1], std::memory_order_relaxed);
  best[2].store(static_cast<std::uint64_t>(believed), std::memory_order_relaxed);
  best[3].store(checksum(print, believed), std::memory_order_relaxed);
}

// A token is read while its entry comes from memory.
TokenFault check_token(std::string_view token, const Keyring& ring, VerifiedTokens* verified, std::int64_t now_seconds,
                       Arena& arena, Claims& claims) {
  if (verified == nullptr || token.size() > kMaxToken) return verify_token(token, ring, now_seconds, arena, claims);
  const VerifiedTokens::Print print = verified->print_of(token, ring.id);
  TokenFault fault = read_token(token, now_seconds, arena, claims);
  if (!verified->find(print, now_seconds)) {
    fault = verify_token(token, ring, now_seconds, arena, claims);
    if (fault == TokenFault::none) verified->remember(print, claims.expires, now_seconds);
  }
  if (fault != TokenFault::none) claims = {};
  return fault;
}

}  // namespace heartbeat
