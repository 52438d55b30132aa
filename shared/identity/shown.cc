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

// What was hashed under another key is forgotten.
void ShownIds::make(const unsigned char (&key)[32]) {
  std::memcpy(key_, key, sizeof key_);
  known_.reset(static_cast<Known*>(std::calloc(kKnown, sizeof(Known))));
}

// A fingerprint is a keyed hash of the site and the id, and its low half is never 0 where a session is.
ShownId ShownIds::of(const Slot& slot, const Name& name, std::string_view site, bool plain, const unsigned char (&key)[32]) {
  if (plain) return shown_id(name, site, plain, key);
  if (known_ == nullptr || std::memcmp(key_, key, sizeof key_) != 0) make(key);
  if (known_ == nullptr) return shown_id(name, site, plain, key);
  const std::uint64_t low = slot.fingerprint[0].load(std::memory_order_relaxed);
  const std::uint64_t high = slot.fingerprint[1].load(std::memory_order_relaxed);
  Known& known = known_.get()[low % kKnown];
  if (low == 0 || known.fingerprint[0] != low || known.fingerprint[1] != high) {
    const ShownId shown = shown_id(name, site, plain, key);
    known = {{low, high}, {}};
    std::memcpy(known.digits, shown.bytes, sizeof known.digits);
  }
  ShownId shown;
  std::memcpy(shown.bytes, known.digits, sizeof known.digits);
  shown.size = sizeof known.digits;
  return shown;
}

}  // namespace heartbeat
