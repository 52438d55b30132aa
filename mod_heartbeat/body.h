// Reads the body of a request through httpd's filters.
#pragma once

#include "mod_heartbeat/module.h"

namespace heartbeat {

/// Reads the body into the request's pool. `length`: its Content-Length, null without. OK; HTTP_REQUEST_ENTITY_TOO_LARGE
/// if it has more than `limit` bytes, or says that it has more than LimitRequestBody; or what the handler returns.
int read_body(request_rec* r, const char* length, std::size_t limit, std::string_view& body);

}  // namespace heartbeat
