// The query of a URL: application/x-www-form-urlencoded pairs (WHATWG URL, section 5.1), looked up without copying.
#pragma once

#include <cstddef>
#include <string_view>

namespace heartbeat {

/// The raw, still encoded value of the first pair named `name` whose value is not empty; empty if there is none.
/// Names are compared as they stand, not decoded.
std::string_view query_value(std::string_view query, std::string_view name);

/// Decodes %XX into `out` of `capacity` bytes; a % without two hex digits stays as it is.
/// Returns the number of bytes written, cut at `capacity`.
std::size_t percent_decode(std::string_view text, char* out, std::size_t capacity);

/// The same for a value of a form, where a plus sign stands for a blank.
std::size_t form_decode(std::string_view text, char* out, std::size_t capacity);

}  // namespace heartbeat
