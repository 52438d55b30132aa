// What an endpoint says where it does not do what was asked for.
#include "shared/endpoint/endpoint.h"
#include "shared/http/escape.h"
#include "shared/http/origin.h"
#include "shared/redis/lookup.h"

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

Reply plain_error(Arena& arena, bool json, unsigned status, std::string_view sentence) {
  Reply reply;
  reply.status = status;
  reply.add("Cache-Control", "no-store");
  reply.content_type = json ? "application/json" : "text/plain";
  reply.body = json ? as_json(sentence, arena) : as_text(sentence, arena);
  return reply;
}

void add_retry_after(Millis wait, Arena& arena, Reply& reply) {
  Text seconds(arena, 24);
  reply.add("Retry-After", seconds.add(std::int64_t{wait <= 1000 ? 1 : (wait + 999) / 1000}).view());
}

Reply unavailable(Arena& arena, bool json, std::string_view sentence) {
  Reply reply = plain_error(arena, json, 503, sentence);
  add_retry_after(Lookup::kDeadline, arena, reply);
  return reply;
}

bool wants_json(const Request& request) {
  return request.header("Accept").find("application/json") != std::string_view::npos;
}

Reply error_reply(const Exchange& exchange, unsigned status, std::string_view sentence) {
  Reply reply = plain_error(exchange.arena, wants_json(exchange.request), status, sentence);
  add_cors(exchange.request, *exchange.settings.origin, reply);
  return reply;
}

// A script of another origin sees Retry-After only if it is told so (Fetch standard, section 3.3.3).
Reply retry_reply(const Exchange& exchange, unsigned status, std::string_view sentence, Millis wait) {
  Reply reply = error_reply(exchange, status, sentence);
  add_retry_after(wait, exchange.arena, reply);
  if (origin_allowed(*exchange.settings.origin, exchange.request.header("Origin"))) {
    reply.add("Access-Control-Expose-Headers", "Retry-After");
  }
  return reply;
}

Reply body_too_large(const Exchange& exchange) {
  Text sentence(exchange.arena, 64);
  sentence.add("body: expected at most ").add(static_cast<std::int64_t>(*exchange.settings.body)).add(" bytes");
  return error_reply(exchange, 413, sentence.view());
}

}  // namespace heartbeat
