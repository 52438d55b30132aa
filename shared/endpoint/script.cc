// The client script, in parts. The address that stands in the page answers with a small loader, made for each page view
// with the settings of its place and never stored. That loads the client itself, which is the same for all: its address
// names its content, so browsers keep it for good.
#include <algorithm>

#include "client_js.h"
#include "client_js_br.h"
#include "client_js_gz.h"
#include "loader_js.h"
#include "shared/endpoint/script_view.h"
#include "shared/http/etag.h"
#include "shared/http/negotiate.h"
#include "shared/http/origin.h"
#include "shared/http/query.h"
#include "shared/http/text.h"

namespace heartbeat {
namespace {

constexpr std::string_view kContent = kClientJsSha1.substr(0, 16);
constexpr std::string_view kType = "text/javascript; charset=utf-8";  // RFC 9239

// The next ping must come while the connection still waits for it.
Millis interval_of(const Exchange& exchange) {
  Millis interval = *exchange.settings.interval;
  Millis keepalive = *exchange.settings.keepalive_timeout;
  if (keepalive == 0) keepalive = exchange.keepalive;
  return keepalive == 0 ? interval : std::min(interval, keepalive * 4 / 5);
}

void add_settings(const Exchange& exchange, Text& out) {
  Millis interval = interval_of(exchange);
  Millis idle = *exchange.settings.idle;
  out.add("{interval:").add(interval).add(",idle:").add(idle);
  out.add(",budget:").add(std::max<Millis>(1, idle / interval));
  add_view(exchange, out);
  out.add("}");
}

Reply loader(const Exchange& exchange) {
  Text text(exchange.arena, kLoaderJs.size() + 600);
  fill(text, kLoaderJs, [&](std::string_view name) {
    if (name == "CONTENT") text.add(kContent);
    else add_settings(exchange, text);
  });
  Reply reply;
  reply.add("Cache-Control", "no-store");
  reply.body = text.view();
  return reply;
}

// The codings are those of RFC 7932 and RFC 1952.
std::string_view compressed(std::string_view accepted, Reply& reply) {
  bool brotli = takes_coding(accepted, "br");
  if (!brotli && !takes_coding(accepted, "gzip")) return kClientJs;
  reply.add("Content-Encoding", brotli ? "br" : "gzip");
  return brotli ? kClientJsBr : kClientJsGz;
}

// While some servers are still of another version, a page may ask for a content that is not here: what is here does as
// well, but not under that name.
Reply client(const Exchange& exchange, std::string_view wanted) {
  static constexpr std::string_view kForGood = "public, max-age=31536000, immutable";  // RFC 8246
  Text tag(exchange.arena, kContent.size() + 4);
  tag.add("W/\"").add(kContent).add("\"");
  Reply reply;
  reply.add("Cache-Control", wanted == kContent ? kForGood : "no-cache");
  reply.add("ETag", tag.view());
  reply.add("Vary", "Accept-Encoding");
  if (has_tag(exchange.request.header("If-None-Match"), tag.view())) reply.status = 304;
  else reply.body = compressed(exchange.request.header("Accept-Encoding"), reply);
  return reply;
}

}  // namespace

Reply script(const Exchange& exchange) {
  std::string_view wanted = query_value(exchange.request.query, "c");
  Reply reply = wanted.empty() ? loader(exchange) : client(exchange, wanted);
  add_cors(exchange.request, *exchange.settings.origin, reply);
  if (reply.status == 304) return reply;
  reply.status = 200;
  reply.content_type = kType;
  reply.add("X-Content-Type-Options", "nosniff");
  return reply;
}

}  // namespace heartbeat
