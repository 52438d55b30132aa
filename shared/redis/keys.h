// The names of the Redis keys, in the one place where they are made.
#pragma once

#include <cstring>
#include <string_view>

#include "shared/session/layout.h"

namespace heartbeat {

/// A key built in place; long enough for a prefix of 64, a site of 255 and an id of 64 bytes.
class Key {
 public:
  Key& add(std::string_view part) {
    if (part.size() > sizeof bytes_ - size_) part = part.substr(0, sizeof bytes_ - size_);
    std::memcpy(bytes_ + size_, part.data(), part.size());
    size_ += part.size();
    return *this;
  }
  operator std::string_view() const { return {bytes_, size_}; }

 private:
  char bytes_[448];
  std::size_t size_ = 0;
};

/// prefix:{site}: in front of a site's own keys; the braces keep them in one slot of a cluster.
inline Key site_key(std::string_view prefix, const SiteRecord& site, std::string_view rest) {
  return Key().add(prefix).add(":{").add({site.name, site.size}).add("}:").add(rest);
}
inline Key seen_key(std::string_view prefix, const SiteRecord& site) { return site_key(prefix, site, "seen"); }
inline Key session_prefix(std::string_view prefix, const SiteRecord& site) { return site_key(prefix, site, "session:"); }
inline Key node_key(std::string_view prefix, std::string_view node) { return Key().add(prefix).add(":node:").add(node); }
/// Holds the key of the hash under which ids are shown: the same for every host of this Redis.
inline Key id_key(std::string_view prefix) { return Key().add(prefix).add(":idkey"); }

}  // namespace heartbeat
