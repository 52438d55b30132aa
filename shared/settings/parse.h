// Words of the configuration into values: times, sizes and numbers in nginx's notation, which Apache accepts too.
#pragma once

#include <cstdint>
#include <string_view>

#include "shared/port/port.h"

namespace heartbeat {

/// "30s", "1m30s", "500ms", "1h", "7d", "2w"; a bare number means seconds. False: not a time, or over 10 years.
bool parse_time(std::string_view text, Millis& result);

/// "16m", "64k", "1g", or bytes. False: not a size, or over 1 TiB.
bool parse_size(std::string_view text, std::size_t& result);

/// A decimal number of at most `max`.
bool parse_number(std::string_view text, std::uint64_t max, std::uint64_t& result);

/// scheme://host[:port] in lower case, without a path (RFC 6454, section 6.2).
bool is_origin(std::string_view text);

}  // namespace heartbeat
