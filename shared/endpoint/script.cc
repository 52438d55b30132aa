// The client script, in parts. The address that stands in the page answers with a small loader, made for each page view
// with the settings of its place and never stored. That loads the client itself, which loads the part for frames where a
// page has one. These two are the same for all: their addresses name their content, so browsers keep them for good.
#include <algorithm>

#include "client_js.h"
#include "client_js_br.h"
#include "client_js_gz.h"
#include "frame_js.h"
#include "frame_js_br.h"
#include "frame_js_gz.h"
#include "loader_js.h"
#include "shared/endpoint/script_view.h"
#include "shared/http/etag.h"
#include "shared/http/negotiate.h"
#include "shared/http/origin.h"
#include "shared/http/query.h"
#include "shared/http/text.h"

namespace heartbeat {
namespace {

// What is the same for all, with the names of RFC 7932 and RFC 1952.
struct Part {
  std::string_view content, plain, brotli, gzip;
};
constexpr Part kClient = {kClientJsSha1.substr(0, 16), kClientJs, kClientJsBr, kClientJsGz};
constexpr Part kFrame = {kFrameJsSha1.substr(0, 16), kFrameJs, kFrameJsBr, kFrameJsGz};
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
    if (name == "CONTENT") text.add(kClient.content);
    else add_settings(exchange, text);
  });
  Reply reply;
  reply.add("Cache-Control", "no-store");
  reply.body = text.view();
  return reply;
}

std::string_view compressed(const Part& part, std::string_view accepted, Reply& reply) {
  bool brotli = takes_coding(accepted, "br");
  if (!brotli && !takes_coding(accepted, "gzip")) return part.plain;
  reply.add("Content-Encoding", brotli ? "br" : "gzip");
  return brotli ? part.brotli : part.gzip;
}

// While some servers are still of another version, a page may ask for a content that is not here: what is here does as
// well, but not under that name.
Reply constant(const Exchange& exchange, const Part& part, std::string_view wanted) {
  static constexpr std::string_view kForGood = "public, max-age=31536000, immutable";  // RFC 8246
  Text tag(exchange.arena, part.content.size() + 4);
  tag.add("W/\"").add(part.content).add("\"");
  Reply reply;
  reply.add("Cache-Control", wanted == part.content ? kForGood : "no-cache");
  reply.add("ETag", tag.view());
  reply.add("Vary", "Accept-Encoding");
  if (has_tag(exchange.request.header("If-None-Match"), tag.view())) reply.status = 304;
  else reply.body = compressed(part, exchange.request.header("Accept-Encoding"), reply);
  return reply;
}

Reply part_of(const Exchange& exchange) {
  std::string_view client = query_value(exchange.request.query, "c");
  std::string_view frame = query_value(exchange.request.query, "f");
  if (!client.empty()) return constant(exchange, kClient, client);
  return frame.empty() ? loader(exchange) : constant(exchange, kFrame, frame);
}

}  // namespace

Reply script(const Exchange& exchange) {
  Reply reply = part_of(exchange);
  add_cors(exchange.request, *exchange.settings.origin, reply);
  if (reply.status == 304) return reply;
  reply.status = 200;
  reply.content_type = kType;
  reply.add("X-Content-Type-Options", "nosniff");
  return reply;
}

}  // namespace heartbeat
