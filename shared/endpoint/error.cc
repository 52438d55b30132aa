// What an endpoint says where it does not do what was asked for.
#include "shared/endpoint/endpoint.h"
#include "shared/http/escape.h"
#include "shared/http/origin.h"

namespace heartbeat {
namespace {

std::string_view as_json(std::string_view sentence, Arena& arena) {
  Text text(arena, 160);
  text.add("{\"error\":");
  add_json(text, sentence);
  return text.add("}\n").view();
}

std::string_view as_text(std::string_view sentence, Arena& arena) {
  Text text(arena, 160);
  return text.add(sentence).add("\n").view();
}

}  // namespace

Reply error_reply(const Exchange& exchange, unsigned status, std::string_view sentence) {
  bool json = exchange.request.header("Accept").find("application/json") != std::string_view::npos;
  Reply reply;
  reply.status = status;
  reply.add("Cache-Control", "no-store");
  add_cors(exchange.request, *exchange.settings.origin, reply);
  reply.content_type = json ? "application/json" : "text/plain";
  reply.body = json ? as_json(sentence, exchange.arena) : as_text(sentence, exchange.arena);
  return reply;
}

// A script of another origin sees Retry-After only if it is told so (Fetch standard, section 3.3.3).
Reply retry_reply(const Exchange& exchange, unsigned status, std::string_view sentence, Millis wait) {
  Reply reply = error_reply(exchange, status, sentence);
  Text seconds(exchange.arena, 24);
  reply.add("Retry-After", seconds.add(std::int64_t{wait <= 1000 ? 1 : (wait + 999) / 1000}).view());
  if (origin_allowed(*exchange.settings.origin, exchange.request.header("Origin"))) {
    reply.add("Access-Control-Expose-Headers", "Retry-After");
  }
  return reply;
}

}  // namespace heartbeat
