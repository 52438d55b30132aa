// The keep-alive page for a hidden iframe: it keeps the session of its own origin alive by being loaded, refreshes
// itself, and tells the page around it whether there is a session. Of a refusal that page could not see the status, so it
// is told that, too.
#include <algorithm>

#include "page_html.h"
#include "page_js.h"
#include "shared/endpoint/endpoint.h"
#include "shared/http/origin.h"
#include "shared/http/query.h"
#include "shared/http/sha256.h"
#include "shared/http/text.h"

namespace heartbeat {
namespace {

std::string_view origins_of(const Origins& origins, Arena& arena) {
  if (origins.any) return "*";
  std::size_t size = 0;
  for (std::string_view each : origins.list) size += each.size() + 1;
  Text text(arena, size);
  for (std::string_view each : origins.list) text.add(each).add(" ");
  return text.view();
}

// Nothing but this page's own script may run in it, and only allowed origins may embed it (CSP level 3, sections
// 6.1.11 and 6.4.2).
std::string_view security_policy(std::string_view origins, Arena& arena) {
  Text text(arena, 200 + origins.size());
  add_sha256(text.add("default-src 'none'; script-src 'sha256-"), kPageJs);
  text.add("'; frame-ancestors ");
  if (origins != "*") text.add("'self' ");
  return text.add(origins).view();
}

// What the page says of itself.
struct Facts {
  std::string_view state;    // "alive", "none", "refused" or "wait"
  std::string_view wait;     // of Retry-After, in seconds
  std::string_view origins;
  Millis status;
  Millis refresh;            // 0: never
};

std::string_view state_of(unsigned status, const Visitor& visitor) {
  if (status == 200) return visitor.session.empty() ? "none" : "alive";
  return status == 403 ? "refused" : "wait";
}

std::string_view wait_of(const Reply& reply) {
  for (unsigned i = 0; i < reply.header_count; ++i) {
    if (reply.headers[i].name == "Retry-After") return reply.headers[i].value;
  }
  return "0";
}

// A refused one would be refused again. The script loads the page anew itself, and says so with its count of pings left.
Millis refresh_of(const Exchange& exchange, unsigned status) {
  if (status == 403 || !query_value(exchange.request.query, "b").empty()) return 0;
  return std::max<Millis>(1, *exchange.settings.timeout / 3000);
}

void add_value(std::string_view name, const Facts& facts, Text& out) {
  if (name == "STATE") out.add(facts.state);
  else if (name == "STATUS") out.add(facts.status);
  else if (name == "WAIT") out.add(facts.wait);
  else if (name == "ORIGINS") out.add(facts.origins);
  else if (name == "SCRIPT") out.add(kPageJs);
  else if (facts.refresh != 0) out.add("<meta http-equiv=\"refresh\" content=\"").add(facts.refresh).add("\">\n");
}

std::string_view html(const Facts& facts, Arena& arena) {
  Text text(arena, kPageHtml.size() + kPageJs.size() + facts.origins.size() + 80);
  fill(text, kPageHtml, [&](std::string_view name) { add_value(name, facts, text); });
  return text.view();
}

// A frame is told in its own language; the others get the line that every endpoint has for them.
bool in_frame(const Request& request) {
  return !wants_json(request) && request.header("Accept").find("text/html") != std::string_view::npos;
}

}  // namespace

Reply page(const Exchange& exchange) {
  Visitor visitor = visitor_of(exchange, nullptr);
  Human human = human_of(exchange.request.query);
  Reply reply;
  if (record(exchange, visitor, sign_of(exchange, visitor, LifeSign::page, human), reply)) {
    reply.status = 200;
    reply.add("Cache-Control", "no-store, no-cache");
    add_cors(exchange.request, *exchange.settings.origin, reply);
    add_cookie(visitor, reply);
  } else if (!in_frame(exchange.request)) {
    return reply;
  }
  std::string_view origins = origins_of(*exchange.settings.origin, exchange.arena);
  reply.add("Content-Security-Policy", security_policy(origins, exchange.arena));
  reply.add("Referrer-Policy", "no-referrer");
  reply.content_type = "text/html; charset=utf-8";
  reply.body = html({state_of(reply.status, visitor), wait_of(reply), origins, reply.status, refresh_of(exchange, reply.status)},
                    exchange.arena);
  return reply;
}

}  // namespace heartbeat
