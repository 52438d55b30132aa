// base64url without padding (RFC 7515, section 2), as tokens are written.
#pragma once

#include <cstddef>
#include <string_view>

namespace heartbeat {

/// Bytes that so many characters stand for.
constexpr std::size_t base64url_bytes(std::size_t characters) { return characters / 4 * 3 + characters % 4 * 3 / 4; }

/// Writes the base64url_bytes(text.size()) bytes that `text` stands for. False: it is no base64url; nor is what has
/// bits that no byte uses, which would give the same bytes many forms. (libsodium's decoder takes bytes beyond ASCII for
/// digits, and is slow so as to tell nobody what it reads; what comes in a request is no such secret.)
bool decode_base64url(std::string_view text, char* out);

}  // namespace heartbeat
