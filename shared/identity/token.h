// Tokens: JSON Web Tokens (RFC 7519) that say who a visitor is, signed by the application or by this server.
#pragma once

#include <cstdint>
#include <string_view>

#include "shared/identity/keyring.h"
#include "shared/port/port.h"

namespace heartbeat {

/// What a token says. Names are UTF-8 without control characters, at most kMaxClaim bytes; empty: not said.
struct Claims {
  std::string_view session;  // "sid", or "sub" where there is none
  std::string_view user;     // "sub"
  std::string_view view;     // "vid"
  std::int64_t expires = 0;  // "exp": seconds since 1970
};

inline constexpr std::size_t kMaxToken = 4096;  // bytes
inline constexpr std::size_t kMaxClaim = 4096;  // bytes
/// Seconds that the clocks of who signs and who verifies may differ (RFC 7519, sections 4.1.4 and 4.1.5).
inline constexpr std::int64_t kLeeway = 60;

enum class TokenFault : std::uint8_t {
  none,
  malformed,  // not three segments of base64url with JSON in them, or a claim of the wrong kind
  critical,   // needs extensions ("crit")
  algorithm,  // none of the keys is for its algorithm
  signature,
  no_expiry,
  expired,
  not_yet,
  memory,
};

/// For a person: what is wrong, without a full stop.
const char* sentence(TokenFault fault);

/// Checks `token` with the keys of the ring whose algorithm it names; the names of `claims` are copies in `arena`.
/// `claims` counts only after TokenFault::none. Allocates, and takes some 15 microseconds (HS256) or 500 (RS256, ES256:
/// libjwt reads the PEM each time).
TokenFault verify_token(std::string_view token, const Keyring& ring, std::int64_t now_seconds, Arena& arena,
                        Claims& claims);

/// What a token says that verify_token() found good before, and whether its time still is: the same as that says, in 0.4
/// microseconds, or in 2 to 6 where its payload is not plain (plain_json.h). The names of `claims` live as long as
/// `arena`.
TokenFault read_token(std::string_view token, std::int64_t now_seconds, Arena& arena, Claims& claims);

/// A token that says `claims`, signed with the first key. Empty: that key cannot sign, `claims` says nothing or
/// what no token can say, the token would be too long, or memory is out.
std::string_view mint_token(const Claims& claims, const Keyring& ring, Arena& arena);

}  // namespace heartbeat
