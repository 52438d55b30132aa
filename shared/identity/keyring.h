// The keys that sign and verify tokens, read from the files of heartbeat_key_file when the configuration is made.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "shared/port/error.h"
#include "shared/port/port.h"

namespace heartbeat {

/// The one algorithm that a key is for (RFC 7518, section 3.1). It follows from the key alone: a token that could
/// choose how it is checked could choose a check that it passes (RFC 8725, section 3.1).
enum class Algorithm : std::uint8_t { hs256, rs256, es256 };

/// One key in the form that libjwt takes: the bytes of a secret, or PEM.
struct Key {
  Algorithm algorithm = Algorithm::hs256;
  std::string_view verifying;
  std::string_view signing;  // empty: a public key
};

/// All keys of one heartbeat_key_file: the first signs, all verify.
struct Keyring {
  std::span<const Key> keys;
  std::uint64_t id = 0;  // a hash of what verifies: another ring has another, so that its caches are not believed

  bool can_sign() const { return !keys.empty() && !keys.front().signing.empty(); }
};

/// Size of a secret in bytes: RFC 7518, section 3.2, asks for as many as the hash has.
inline constexpr std::size_t kMinSecret = 32, kMaxSecret = 4096;
/// Smallest RSA key in bits (RFC 7518, section 3.3).
inline constexpr int kMinRsaBits = 2048;

/// Reads key files into memory of `arena`. The paths are absolute and NUL-terminated. A file holds a key in PEM (RSA
/// for RS256, EC on P-256 for ES256, public or private without a passphrase), or anything else: then its bytes, but
/// for one line end behind them, are the secret of HS256.
/// nullptr: an error that names the file and what is expected, never what the file holds.
const Keyring* read_keyring(std::span<const std::string_view> paths, Arena& arena, Error& error);

}  // namespace heartbeat
