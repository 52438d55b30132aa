// One pass of the flush through the changed sessions of a store: portion by portion, each in the order in which its
// sessions were seen. So what Redis is told in one command lies close together in its sorted sets, and what came together
// in its memory, which is most of what a sign of life costs there.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>

namespace heartbeat {

class Pass {
 public:
  static constexpr std::uint32_t kPortion = 16384;  // most sessions that are put in order at a time

  void begin() { word_ = next_ = count_ = 0, done_ = false; }
  /// Gives its memory back.
  void release() {
    begin();
    order_.reset();
  }
  /// All changed sessions have been looked at.
  bool done() const { return done_; }

 private:
  friend class Table;
  struct Free {
    void operator()(std::uint64_t* order) const { std::free(order); }
  };
  std::uint32_t word_ = 0;           // of the bitmap of changed sessions: the first one that no portion has yet
  std::uint32_t next_ = 0, count_ = 0;  // of the portion: whose turn it is, and how many there are
  bool done_ = false;
  std::unique_ptr<std::uint64_t, Free> order_;  // the slot of each, below what says when it was seen
};

}  // namespace heartbeat
