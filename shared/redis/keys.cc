// How the keys of a part of a site begin, as presence.lua makes them.
#include "shared/redis/keys.h"

#include <openssl/sha.h>

#include <charconv>

namespace heartbeat {

std::uint32_t shard_of(std::string_view name, std::uint32_t shards) {
  if (shards <= 1) return 0;
  unsigned char hash[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(name.data()), name.size(), hash);
  return (std::uint32_t{hash[0]} << 24 | std::uint32_t{hash[1]} << 16 | std::uint32_t{hash[2]} << 8 | hash[3]) % shards;
}

RedisKey tag_of_shard(std::string_view prefix, std::string_view site, std::uint32_t shards, std::uint32_t shard) {
  RedisKey tag = RedisKey().add(prefix).add(":{").add(site);
  if (shards > 1) {
    char digits[12];
    tag.add("/").add({digits, static_cast<std::size_t>(std::to_chars(digits, digits + sizeof digits, shard).ptr - digits)});
  }
  return tag.add("}:");
}

RedisKey tag_of(std::string_view prefix, std::string_view site, std::uint32_t shards, std::string_view name) {
  return tag_of_shard(prefix, site, shards, shard_of(name, shards));
}

}  // namespace heartbeat
