// The parts of a site, and the start of their keys.
#include "shared/redis/keys.h"

#include <charconv>
#include <openssl/sha.h>

namespace heartbeat {

std::uint32_t shard_of(std::uint32_t shards, std::string_view name) {
  if (shards <= 1) return 0;
  unsigned char hash[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(name.data()), name.size(), hash);
  return (std::uint32_t{hash[0]} << 24 | std::uint32_t{hash[1]} << 16 | std::uint32_t{hash[2]} << 8 | hash[3]) % shards;
}

Key tag_of(std::string_view prefix, std::string_view site, std::uint32_t shards, std::uint32_t shard) {
  Key key;
  key.add(prefix).add(":{").add(site);
  if (shards > 1) {
    char digits[12];
    char* end = std::to_chars(digits, digits + sizeof digits, shard).ptr;
    key.add("/").add({digits, static_cast<std::size_t>(end - digits)});
  }
  return key.add("}:");
}

}  // namespace heartbeat
