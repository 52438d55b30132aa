// Cross-origin calls: which headers an answer carries for whom (Fetch standard, section 3.3, "CORS protocol").
#pragma once

#include "shared/http/reply.h"
#include "shared/http/request.h"
#include "shared/settings/settings.h"

namespace heartbeat {

/// True where `origin`, as a request names it, may call.
bool origin_allowed(const Origins& allowed, std::string_view origin);

/// Adds the CORS headers that the request's origin gets. True: it is an origin that may call.
bool add_cors(const Request& request, const Origins& allowed, Reply& reply);

/// True where an answer may set a cookie: the request is not from another origin, or from one that may send cookies.
/// Only what names its origin is known to be from another.
bool may_set_cookie(const Request& request, const Origins& allowed);

/// The answer to a preflight from an allowed origin: 204, the methods, the headers, how long to remember them.
void add_preflight(std::string_view methods, Reply& reply);

}  // namespace heartbeat
