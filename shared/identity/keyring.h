// The keys of tokens.
#pragma once

#include <span>
#include <string_view>

#include "shared/port/error.h"
#include "shared/port/port.h"

namespace heartbeat {

class Keyring {
 public:
  bool can_sign() const { return false; }
};

inline const Keyring* read_keyring(std::span<const std::string_view> paths, Arena&, Error& error) {
  error.set("%.*s: no key files yet", HEARTBEAT_VIEW(paths[0]));
  return nullptr;
}

}  // namespace heartbeat
