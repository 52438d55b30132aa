// Cross-origin calls.
#include "shared/http/origin.h"

#include <strings.h>

namespace heartbeat {
namespace {

// Where TLS ends in front of this server, an https origin asks over http.
bool is_own(const Request& request, std::string_view origin) {
  std::string_view scheme = origin.starts_with("https://") || request.https() ? "https://" : "http://";
  std::string_view host = request.header("Host");
  if (!origin.starts_with(scheme) || origin.size() - scheme.size() != host.size()) return false;
  return strncasecmp(origin.data() + scheme.size(), host.data(), host.size()) == 0;
}

}  // namespace

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

bool may_set_cookie(const Request& request, const Origins& allowed) {
  std::string_view origin = request.header("Origin");
  if (origin.empty() || is_own(request, origin)) return true;
  return !allowed.any && origin_allowed(allowed, origin);
}

void add_preflight(std::string_view methods, Reply& reply) {
  reply.status = 204;
  reply.add("Access-Control-Allow-Methods", methods);
  reply.add("Access-Control-Allow-Headers", "Authorization, Content-Type");
  reply.add("Access-Control-Max-Age", "86400");
}

}  // namespace heartbeat
