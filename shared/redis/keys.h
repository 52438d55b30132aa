// The names of Redis keys: those that belong to no site, and what those of a site begin with. The others are made in the
// scripts.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "shared/session/layout.h"

namespace heartbeat {

/// A key built in place; long enough for a prefix of 64, a site of 255 and a word.
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
  char bytes_[384];
  std::size_t size_ = 0;
};

inline Key node_key(std::string_view prefix, std::string_view node) { return Key().add(prefix).add(":node:").add(node); }
/// The part of a site with so many shards in which `name` lies: as tag_of() in presence.lua has it.
std::uint32_t shard_of(std::uint32_t shards, std::string_view name);
/// The start of the keys of a part of a site.
Key tag_of(std::string_view prefix, std::string_view site, std::uint32_t shards, std::uint32_t shard);

/// What sites have sessions online: "SHARDS SITE" -> retention. The keys of a site are named in presence.lua.
inline Key sites_key(std::string_view prefix) { return Key().add(prefix).add(":sites"); }
/// Holds the key of the hash under which ids are shown: the same for every host of this Redis.
inline Key id_key(std::string_view prefix) { return Key().add(prefix).add(":idkey"); }

}  // namespace heartbeat
