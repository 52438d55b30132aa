// What all endpoints share: the method, cross-origin calls, recording a session.
#include "shared/endpoint/endpoint.h"

#include "shared/http/origin.h"
#include "shared/identity/source.h"

namespace heartbeat {
namespace {

constexpr std::string_view kMethods = "HEAD, GET";

Reply preflight(const Exchange& exchange) {
  Reply reply;
  reply.add("Cache-Control", "no-store");
  if (add_cors(exchange.request, *exchange.settings.origin, reply)) add_preflight(kMethods, reply);
  else reply.status = 405;
  return reply;
}

Reply method_not_allowed(const Exchange& exchange) {
  Reply reply;
  reply.status = 405;
  reply.add("Cache-Control", "no-store");
  reply.add("Allow", kMethods);
  bool json = exchange.request.header("Accept").find("application/json") != std::string_view::npos;
  reply.content_type = json ? "application/json" : "text/plain";
  reply.body = json ? "{\"error\":\"method not allowed, expected HEAD or GET\"}\n"
                    : "Method not allowed: expected HEAD or GET.\n";
  return reply;
}

}  // namespace

Reply answer(Endpoint endpoint, const Exchange& exchange) {
  Method method = exchange.request.method;
  if (method == Method::options) {
    Reply reply = preflight(exchange);
    return reply.status == 204 ? reply : method_not_allowed(exchange);
  }
  if (method == Method::other) return method_not_allowed(exchange);
  if (endpoint == Endpoint::online) return online(exchange);
  return endpoint == Endpoint::page ? page(exchange) : ping(exchange);
}

bool record(const Exchange& exchange, LifeSign source, bool active) {
  IdScratch scratch;
  std::string_view id = session_id(exchange.request, *exchange.settings.session, scratch);
  if (id.empty() || *exchange.settings.policy == Policy::never) return !id.empty();
  if (!exchange.table.attached() || exchange.place.index == kNone) return true;
  active = active && *exchange.settings.policy == Policy::extend;
  Sign sign;
  sign.source = source;
  sign.active = active;
  sign.extends = *exchange.settings.policy == Policy::extend;
  exchange.table.mark(exchange.site, exchange.place, id, sign, exchange.now, exchange.recent);
  return true;
}

void track(const Exchange& exchange) {
  if (*exchange.settings.track) record(exchange, LifeSign::request, true);
}

}  // namespace heartbeat
