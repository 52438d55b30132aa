// How a session shows itself in Redis and in lists.
#pragma once

#include <cstdlib>
#include <memory>
#include <string_view>

#include "shared/session/layout.h"

namespace heartbeat {

/// Room for any shown id.
struct ShownId {
  char bytes[64];
  std::uint8_t size = 0;
  operator std::string_view() const { return {bytes, size}; }
};

/// The id itself where `plain` and short enough to be kept, else 32 hex digits: the keyed BLAKE2b hash of the site
/// and the id (RFC 7693), with the key that all hosts of a Redis share.
ShownId shown_id(const Name& name, std::string_view site, bool plain, const unsigned char (&key)[32]);

/// The shown ids of one store that were hashed before: a session that is flushed every second is hashed once. Where there
/// is no memory for them, each is hashed.
class ShownIds {
 public:
  /// As shown_id(); `slot` is that of the session, which stays in it meanwhile.
  ShownId of(const Slot& slot, const Name& name, std::string_view site, bool plain, const unsigned char (&key)[32]);
  /// Has the processor fetch what of() will look at.
  void fetch(const Slot& slot) const {
    if (known_ != nullptr) __builtin_prefetch(&known_.get()[slot.fingerprint[0].load(std::memory_order_relaxed) % kKnown]);
  }
  /// Gives the memory back.
  void release() { known_.reset(); }

 private:
  static constexpr std::uint32_t kKnown = 1U << 16;  // 3 MiB, as far as they are used
  struct Known {
    std::uint64_t fingerprint[2];
    char digits[32];
  };
  struct Free {
    void operator()(Known* known) const { std::free(known); }
  };
  void make(const unsigned char (&key)[32]);

  std::unique_ptr<Known, Free> known_;
  unsigned char key_[32] = {};
};

}  // namespace heartbeat
