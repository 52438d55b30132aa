// How many different names there are among many, in memory that is bounded: exact up to kCapacity, beyond that within
// about two percent (adaptive sampling: Flajolet, "On adaptive sampling", Computing 43, 1990).
#pragma once

#include <cstdint>

namespace heartbeat {

class Distinct {
 public:
  static constexpr std::uint32_t kCapacity = 3072;

  /// `hash` of the name: evenly spread over 64 bits.
  void add(std::uint64_t hash) {
    if (hash == 0) hash = 1;
    if ((hash & mask()) != 0 || !insert(hash)) return;
    while (count_ > kCapacity) halve();
  }
  std::uint64_t count() const { return std::uint64_t{count_} << level_; }

 private:
  static constexpr std::uint32_t kPlaces = 4096;

  std::uint64_t mask() const { return (std::uint64_t{1} << level_) - 1; }
  bool insert(std::uint64_t hash) {
    std::uint32_t place = static_cast<std::uint32_t>(hash >> 52);
    while (hashes_[place] != 0 && hashes_[place] != hash) place = (place + 1) % kPlaces;
    if (hashes_[place] == hash) return false;
    hashes_[place] = hash;
    ++count_;
    return true;
  }
  // From here on only every other name counts. What leaves tears holes that a search would end at, so all move.
  void halve() {
    ++level_;
    std::uint64_t old[kPlaces];
    for (std::uint32_t i = 0; i < kPlaces; ++i) old[i] = hashes_[i];
    for (std::uint64_t& hash : hashes_) hash = 0;
    count_ = 0;
    for (std::uint64_t hash : old) {
      if (hash != 0 && (hash & mask()) == 0) insert(hash);
    }
  }

  std::uint64_t hashes_[kPlaces] = {};
  std::uint32_t count_ = 0;
  std::uint32_t level_ = 0;
};

}  // namespace heartbeat
