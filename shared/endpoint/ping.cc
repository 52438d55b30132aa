// The keep-alive ping: 204 and nothing else. With a session it is recorded; without one it keeps the connection.
#include "shared/endpoint/endpoint.h"

namespace heartbeat {

Reply ping(const Exchange& exchange) {
  const Settings& settings = exchange.settings;
  Visitor visitor = visitor_of(exchange, nullptr);
  Reply reply;
  Sign sign = sign_of(exchange, visitor, LifeSign::ping, human_of(exchange.request.query));
  bool recorded = record(exchange, visitor, sign, reply);
  reply.close = *settings.keepalive_pings != 0 && exchange.pings >= *settings.keepalive_pings;
  if (recorded) complete(exchange, visitor, reply);
  return reply;
}

}  // namespace heartbeat
