// The page view: a random name that this server signs, so that what comes under it is of a page that it gave out.
#pragma once

#include "shared/identity/verified.h"

namespace heartbeat {

/// Characters of a page view's name: 128 random bits as base64url.
inline constexpr std::size_t kViewName = 22;
/// True for what can be the name of a page view: one that an application's token gives may be another than ours.
bool is_view_name(std::string_view text);

struct IssuedView {
  std::string_view name;
  std::string_view token;  // empty: none could be made
};

/// A new page view, whose token is good for `life` ms.
IssuedView issue_view(const Keyring& ring, Millis life, std::int64_t now_seconds, Arena& arena);

}  // namespace heartbeat
