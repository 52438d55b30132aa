// How a Content-Security-Policy names a script or a style that stands in the page itself.
#pragma once

#include <sodium.h>

#include "shared/http/text.h"

namespace heartbeat {

/// Writes the SHA-256 of `source` in base64 (CSP level 3, section 2.3.1).
inline void add_sha256(Text& out, std::string_view source) {
  unsigned char hash[crypto_hash_sha256_BYTES];
  char encoded[sodium_base64_ENCODED_LEN(sizeof hash, sodium_base64_VARIANT_ORIGINAL)];
  crypto_hash_sha256(hash, reinterpret_cast<const unsigned char*>(source.data()), source.size());
  sodium_bin2base64(encoded, sizeof encoded, hash, sizeof hash, sodium_base64_VARIANT_ORIGINAL);
  out.add(encoded);
}

}  // namespace heartbeat
