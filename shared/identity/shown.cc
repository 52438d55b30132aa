// How a session shows itself in Redis and in lists.
#include "shared/identity/shown.h"

#include <cstring>
#include <sodium.h>

namespace heartbeat {

ShownId shown_id(const Name& name, std::string_view site, bool plain, const unsigned char (&key)[32]) {
  ShownId shown;
  if (plain && name.size <= kNameBytes) {
    std::memcpy(shown.bytes, name.bytes, name.size);
    shown.size = name.size;
    return shown;
  }
  // The size in front tells an id from a digest, and where the site begins.
  unsigned char text[1 + kNameBytes + 255];
  std::size_t name_size = name.size == Name::kDigest ? kDigestBytes : name.size;
  text[0] = name.size;
  std::memcpy(text + 1, name.bytes, name_size);
  std::memcpy(text + 1 + name_size, site.data(), site.size());
  unsigned char hash[16];
  crypto_generichash(hash, sizeof hash, text, 1 + name_size + site.size(), key, sizeof key);
  sodium_bin2hex(shown.bytes, sizeof shown.bytes, hash, sizeof hash);
  shown.size = 2 * sizeof hash;
  return shown;
}

}  // namespace heartbeat
