// How a session shows itself in Redis and in lists.
#pragma once

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

}  // namespace heartbeat
