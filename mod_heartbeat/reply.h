// Sends a Reply through httpd.
#pragma once

#include "mod_heartbeat/module.h"
#include "shared/http/reply.h"

namespace heartbeat {

/// Returns what a handler returns.
int send_reply(request_rec* r, const Reply& reply);

/// Counts a ping on its connection: the number of consecutive pings, this one included.
std::uint32_t count_ping(conn_rec* c);

/// A ping does not use up MaxKeepAliveRequests: takes back beforehand what httpd counts when it keeps the connection.
void spare_connection(conn_rec* c);

}  // namespace heartbeat
