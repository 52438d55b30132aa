// The anonymous session cookie: a token that this server signs for visitors who have none (heartbeat_cookie).
#pragma once

#include <cstdint>

#include "shared/http/request.h"
#include "shared/settings/settings.h"

namespace heartbeat {

/// How the sessions of issued cookies begin: they say nothing of who it is.
inline constexpr std::string_view kAnonymousSession = "anon.";

struct Issued {
  std::string_view session;
  std::string_view cookie;  // the value of Set-Cookie (RFC 6265, section 4.1); empty: none could be made
};

/// Whether this request may get one: not a call from another origin that may not send cookies, and not where the
/// settings record nobody who is anonymous.
bool may_issue(const Request& request, const Settings& settings);

/// How long an issued session lives, in seconds: heartbeat_retention, or the Max-Age of the operator if that is shorter.
std::int64_t issued_life(const Settings& settings);

/// A token for `session`, or for a new random one of 128 bits where that is empty. It lives for issued_life().
Issued issue(const Request& request, const Settings& settings, std::string_view session, std::int64_t now_seconds,
             Arena& arena);

}  // namespace heartbeat
