// Conditional requests: does the client have this answer already?
#pragma once

#include <string_view>

namespace heartbeat {

/// True where an If-None-Match header names `tag`, such as W/"abc", by weak comparison (RFC 9110, sections 8.8.3.2 and
/// 13.1.2), or is "*". A server that compresses answers may have lengthened the tag by "-gzip", "-br" or the like:
/// that is overlooked.
bool has_tag(std::string_view if_none_match, std::string_view tag);

}  // namespace heartbeat
