// The names of the Redis keys that belong to no site, and how those of one begin; the rest of these is in the scripts.
#pragma once

#include <cstring>
#include <string_view>

#include "shared/session/layout.h"

namespace heartbeat {

/// A key built in place; long enough for a prefix of 64, a site of 255 and some words.
class RedisKey {
 public:
  RedisKey& add(std::string_view part) {
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

inline RedisKey node_key(std::string_view prefix, std::string_view node) { return RedisKey().add(prefix).add(":node:").add(node); }
/// What sites have sessions online: "SHARDS SITE" -> retention. The keys of a site are named in presence.lua.
inline RedisKey sites_key(std::string_view prefix) { return RedisKey().add(prefix).add(":sites"); }
/// Holds the key of the hash under which ids are shown: the same for every host of this Redis.
inline RedisKey id_key(std::string_view prefix) { return RedisKey().add(prefix).add(":idkey"); }

/// In which shard of a site `name` lies, a session, a user or a view: 0 where there is one shard only.
std::uint32_t shard_of(std::string_view name, std::uint32_t shards);
/// The start of the keys of a shard.
RedisKey tag_of_shard(std::string_view prefix, std::string_view site, std::uint32_t shards, std::uint32_t shard);
/// The start of the keys of the shard that has `name`.
RedisKey tag_of(std::string_view prefix, std::string_view site, std::uint32_t shards, std::string_view name);

}  // namespace heartbeat
