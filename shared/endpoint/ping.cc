// The keep-alive ping: 204 and nothing else. With a session it is recorded; without one it keeps the connection.
#include "shared/endpoint/endpoint.h"
#include "shared/http/origin.h"

namespace heartbeat {
Reply ping(const Exchange& exchange) {
  const Settings& settings = exchange.settings;
  VisitorScratch scratch;
  Visitor visitor = visitor_of(exchange, nullptr, scratch);
  Reply reply;
  Sign sign = sign_of(exchange, visitor, LifeSign::ping, human_of(exchange.request.query));
  bool recorded = record(exchange, visitor, sign, reply);
  reply.close = *settings.keepalive_pings != 0 && exchange.pings >= *settings.keepalive_pings;
  if (!recorded) return reply;
  reply.bare = *settings.trim && exchange.request.http_1_1;
  if (!reply.bare || !visitor.cookie.empty()) reply.add("Cache-Control", "no-store");
  add_cors(exchange.request, *settings.origin, reply);
  add_cookie(visitor, reply);
  return reply;
}

}  // namespace heartbeat
