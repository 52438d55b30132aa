// Bodies of answers that many ask for, as they were last written: within one process, and bounded.
#pragma once

#include <cstdint>
#include <pthread.h>
#include <string_view>

#include "shared/port/port.h"

namespace heartbeat {

/// What a body depends on.
struct BodyKey {
  std::uint64_t table;   // which session table; Header::incarnation
  std::uint64_t number;  // of the list
  std::uint64_t within;  // seconds; 0: all
  std::uint32_t limit, gap;
  std::uint16_t site;
  std::uint8_t format;
  bool operator==(const BodyKey&) const = default;
};

/// The validator of a body, in quotes.
struct Tag {
  char text[40] = {};
  std::uint8_t size = 0;
  operator std::string_view() const { return {text, size}; }
};

class Bodies {
 public:
  static constexpr std::size_t kMost = 32;
  static constexpr std::size_t kBytes = std::size_t{1} << 20;  // of all bodies together

  enum class Found : std::uint8_t { none, body, same };

  /// `same`: `if_none_match` names its tag, so the body is not needed. The body is a copy in `arena`.
  Found find(const BodyKey& key, std::string_view if_none_match, Arena& arena, Tag& tag, std::string_view& body);
  void keep(const BodyKey& key, const Tag& tag, std::string_view body);
  /// Gives all memory back, unless another thread is at it: for a process that ends.
  void forget();

 private:
  struct Kept {
    BodyKey key;
    Tag tag;
    char* bytes;  // null: free
    std::size_t size;
    std::uint64_t used;
  };
  Kept* oldest();
  Kept* free_place();
  void drop(Kept& kept);

  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  Kept kept_[kMost] = {};
  std::size_t bytes_ = 0;
  std::uint64_t uses_ = 0;
};

}  // namespace heartbeat
