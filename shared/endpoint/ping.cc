// The keep-alive ping: 204 and nothing else. With a session it is recorded; without one it keeps the connection.
#include "shared/endpoint/endpoint.h"
#include "shared/http/origin.h"
#include "shared/http/query.h"

namespace heartbeat {

Reply ping(const Exchange& exchange) {
  const Settings& settings = exchange.settings;
  Reply reply;
  reply.bare = *settings.trim && exchange.request.http_1_1;
  if (!reply.bare) reply.add("Cache-Control", "no-store");
  add_cors(exchange.request, *settings.origin, reply);
  reply.close = *settings.keepalive_pings != 0 && exchange.pings >= *settings.keepalive_pings;
  bool active = !exchange.request.query.empty() && query_value(exchange.request.query, "a") == "1";
  record(exchange, LifeSign::ping, active);
  return reply;
}

}  // namespace heartbeat
