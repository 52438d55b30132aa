// The keep-alive page for a hidden iframe: it keeps the session of its own origin alive by being loaded, refreshes
// itself, and tells the page around it whether there is a session.
#include <charconv>

#include "page_html.h"
#include "page_js.h"
#include "shared/endpoint/endpoint.h"
#include "shared/http/origin.h"
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

std::string_view value_of(std::string_view name, std::string_view state, std::string_view origins,
                          std::string_view seconds) {
  if (name == "STATE") return state;
  if (name == "ORIGINS") return origins;
  if (name == "SECONDS") return seconds;
  return kPageJs;
}

std::string_view html(std::string_view state, std::string_view origins, Millis refresh, Arena& arena) {
  char digits[24];
  std::string_view seconds(digits, static_cast<std::size_t>(
                                       std::to_chars(digits, digits + sizeof digits, refresh / 1000).ptr - digits));
  Text text(arena, kPageHtml.size() + kPageJs.size() + state.size() + origins.size() + seconds.size());
  fill(text, kPageHtml, [&](std::string_view name) { text.add(value_of(name, state, origins, seconds)); });
  return text.view();
}

}  // namespace

Reply page(const Exchange& exchange) {
  const Settings& settings = exchange.settings;
  Millis refresh = *settings.timeout / 3 < 1000 ? 1000 : *settings.timeout / 3;
  std::string_view origins = origins_of(*settings.origin, exchange.arena);
  VisitorScratch scratch;
  Visitor visitor = visitor_of(exchange, nullptr, scratch);
  Reply reply;
  if (!record(exchange, visitor, sign_of(exchange, visitor, LifeSign::page, Human::unknown), reply)) return reply;
  reply.status = 200;
  reply.content_type = "text/html; charset=utf-8";
  reply.add("Cache-Control", "no-store, no-cache");
  reply.add("Content-Security-Policy", security_policy(origins, exchange.arena));
  reply.add("Referrer-Policy", "no-referrer");
  add_cors(exchange.request, *settings.origin, reply);
  add_cookie(visitor, reply);
  reply.body = html(!visitor.session.empty() ? "alive" : "none", origins, refresh, exchange.arena);
  return reply;
}

}  // namespace heartbeat
