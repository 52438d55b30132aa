// Where a Redis is and how to log in there, as an operator writes it in one URL.
#pragma once

#include <cstdint>
#include <string_view>

#include "shared/port/error.h"
#include "shared/port/port.h"

namespace heartbeat {

/// redis://[user[:password]@]host[:port][/db] or unix:/path[?db=N]. The views are NUL-terminated copies.
struct RedisUrl {
  std::string_view host;  // empty for a socket path; without the brackets of an IPv6 address
  std::uint16_t port = 6379;
  std::string_view path;
  std::string_view user;
  std::string_view password;
  std::uint32_t database = 0;
  std::string_view shown;  // the URL with its password hidden: the only form that may be logged
};

/// Reads `text` into memory of `arena`. User and password may be percent-encoded (RFC 3986, section 2.1).
/// Error: a sentence that never holds the password.
const RedisUrl* parse_redis_url(std::string_view text, Arena& arena, Error& error);

}  // namespace heartbeat
