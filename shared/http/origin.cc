// Cross-origin calls.
#include "shared/http/origin.h"

namespace heartbeat {

bool origin_allowed(const Origins& allowed, std::string_view origin) {
  if (origin.empty()) return false;
  if (allowed.any) return true;
  for (std::string_view each : allowed.list) {
    if (each == origin) return true;
  }
  return false;
}

// "*" never goes with credentials: a browser would refuse it, and echoing any origin would hand every site the
// visitor's cookies.
bool add_cors(const Request& request, const Origins& allowed, Reply& reply) {
  if (!allowed.any && allowed.list.empty()) return false;
  if (!allowed.any && !reply.bare) reply.add("Vary", "Origin");
  std::string_view origin = request.header("Origin");
  if (!origin_allowed(allowed, origin)) return false;
  reply.add("Access-Control-Allow-Origin", allowed.any ? std::string_view("*") : origin);
  if (!allowed.any) reply.add("Access-Control-Allow-Credentials", "true");
  return true;
}

void add_preflight(std::string_view methods, Reply& reply) {
  reply.status = 204;
  reply.add("Access-Control-Allow-Methods", methods);
  reply.add("Access-Control-Allow-Headers", "Authorization, Content-Type");
  reply.add("Access-Control-Max-Age", "86400");
}

}  // namespace heartbeat
