// Sends a Reply through httpd.
#pragma once

#include "mod_heartbeat/module.h"
#include "shared/http/reply.h"
#include "shared/session/table.h"

namespace heartbeat {

/// Returns what a handler returns.
int send_reply(request_rec* r, const Reply& reply);

/// What is known of a connection. Whatever is answered on it but pings raises c->keepalives above `keepalives`.
struct Pinger {
  std::uint32_t pings;  // in a row
  int keepalives;
  Recent recent;
};
Pinger& pinger_of(conn_rec* c);

/// Counts a ping on its connection: the number of consecutive pings, this one included.
std::uint32_t count_ping(Pinger& pinger, const conn_rec* c);

/// A ping does not use up MaxKeepAliveRequests: takes back beforehand what httpd counts when it keeps the connection.
void spare_connection(conn_rec* c);

}  // namespace heartbeat
