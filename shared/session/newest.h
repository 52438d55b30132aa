// Of many, the few with the latest `last`, in memory that is bounded.
#pragma once

#include <algorithm>
#include <cstdint>

#include "shared/session/snapshot.h"

namespace heartbeat {

template <class T>
class Newest {
 public:
  void clear() { count_ = 0; }
  void add(const T& item) {
    if (count_ == kListed && item.last <= items_[0].last) return;
    if (count_ == kListed) std::pop_heap(items_, items_ + count_--, later);
    items_[count_++] = item;
    std::push_heap(items_, items_ + count_, later);
  }
  /// All of them, the latest first. Nothing may be added after that.
  std::span<const T> sorted() {
    std::sort(items_, items_ + count_, later);
    return {items_, count_};
  }

 private:
  static bool later(const T& a, const T& b) { return a.last > b.last; }  // on top of the heap: the earliest

  T items_[kListed];
  std::uint32_t count_ = 0;
};

}  // namespace heartbeat
