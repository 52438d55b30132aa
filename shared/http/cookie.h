// The Cookie header (RFC 6265, section 5.4), searched in place: no copy, no decoding.
#pragma once

#include <string_view>

namespace heartbeat {

/// The value of the first cookie named `name` in the header that is not empty. Quotes are part of it, as they are for
/// browsers (section 5.2) and for both servers.
std::string_view cookie_value(std::string_view header, std::string_view name);

}  // namespace heartbeat
