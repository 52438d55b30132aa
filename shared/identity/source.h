// Where the session id comes from: the sources of the settings, tried in their order.
#pragma once

#include "shared/http/request.h"
#include "shared/settings/settings.h"

namespace heartbeat {

/// Longest session id, in bytes. A longer one is no session.
inline constexpr std::size_t kMaxId = 4096;

/// Room for an id that must be decoded, and for one byte more: then it is too long.
struct IdScratch {
  char bytes[kMaxId + 1];
};

/// The id of the request's session: the bytes as they came, but for an argument of the query, which is
/// percent-decoded into `scratch`. Empty: the request has none.
std::string_view session_id(const Request& request, std::span<const Source> sources, IdScratch& scratch);

}  // namespace heartbeat
