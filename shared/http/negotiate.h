// Which of several formats a request gets (RFC 9110, section 12.5.1).
#pragma once

#include <span>
#include <string_view>

namespace heartbeat {

/// The index in `offered` (such as "text/html", in lower case, the favourite first) of the media type that the Accept
/// header wants most; the favourite where it is empty, -1 where it wants none of them. Parameters other than q are
/// not looked at, and a range that is no media range counts for nothing.
int negotiate(std::string_view accept, std::span<const std::string_view> offered);

/// True where an Accept-Encoding header wants `coding` (such as "br"), or anything (RFC 9110, section 12.5.3).
bool takes_coding(std::string_view accept_encoding, std::string_view coding);

}  // namespace heartbeat
