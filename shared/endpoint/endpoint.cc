// What all endpoints share: the methods, cross-origin calls, recording a session.
#include "shared/endpoint/endpoint.h"

#include "shared/http/origin.h"
#include "shared/http/query.h"
#include "shared/http/text.h"

namespace heartbeat {
namespace {

constexpr unsigned bit(Method method) { return 1U << static_cast<unsigned>(method); }
constexpr unsigned kReads = bit(Method::head) | bit(Method::get);

// What an endpoint can do: `methods` as Allow names them (RFC 9110, section 10.2.1) and as bits.
struct Ability {
  std::string_view methods;
  unsigned allowed;
};

constexpr Ability ability(Endpoint endpoint) {
  switch (endpoint) {
    case Endpoint::beat:
      return {"POST", bit(Method::post)};
    case Endpoint::beacon:
      return {"POST, GET", bit(Method::post) | bit(Method::get)};
    case Endpoint::script:
    case Endpoint::online:
    case Endpoint::audit:
    case Endpoint::view:
      return {"GET, HEAD", kReads};
    default:
      return {"HEAD, GET", kReads};
  }
}

Reply method_not_allowed(const Ability& able, const Exchange& exchange) {
  Text sentence(exchange.arena, 64);
  sentence.add("method not allowed, expected ");
  std::size_t comma = able.methods.find(", ");
  sentence.add(able.methods.substr(0, comma));
  if (comma != std::string_view::npos) sentence.add(" or ").add(able.methods.substr(comma + 2));
  Reply reply = error_reply(exchange, 405, sentence.view());
  reply.add("Allow", able.methods);
  return reply;
}

Reply preflight(const Ability& able, const Exchange& exchange) {
  Reply reply;
  reply.add("Cache-Control", "no-store");
  if (!add_cors(exchange.request, *exchange.settings.origin, reply)) return method_not_allowed(able, exchange);
  add_preflight(able.methods, reply);
  return reply;
}

Reply token_refused(const Exchange& exchange, TokenFault fault) {
  if (fault == TokenFault::memory) return retry_reply(exchange, 503, sentence(fault), 1000);
  return error_reply(exchange, 403, sentence(fault));
}

// Whatever is not to be recorded counts as known.
Marked mark(const Exchange& exchange, const Visitor& visitor, const Sign& sign, Millis* wait) {
  if (visitor.session.empty() || *exchange.settings.policy == Policy::never) return Marked::known;
  if (!exchange.table.attached() || exchange.place.index == kNone) return Marked::known;
  return exchange.table.mark(exchange.site, exchange.place, visitor.session, sign, exchange.now, exchange.recent, wait);
}

}  // namespace

Reply answer(Endpoint endpoint, const Exchange& exchange) {
  Ability able = ability(endpoint);
  Method method = exchange.request.method;
  if (method == Method::options) return preflight(able, exchange);
  if ((able.allowed & bit(method)) == 0) return method_not_allowed(able, exchange);
  switch (endpoint) {
    case Endpoint::page:
      return page(exchange);
    case Endpoint::beat:
      return beat(exchange);
    case Endpoint::ping:
      return ping(exchange);
    case Endpoint::beacon:
      return beacon(exchange);
    case Endpoint::script:
      return script(exchange);
    case Endpoint::online:
      return online(exchange);
    case Endpoint::audit:
      return audit(exchange);
    case Endpoint::view:
      return view(exchange);
    default:
      return error_reply(exchange, 404, "no such endpoint");
  }
}

Visitor visitor_of(const Exchange& exchange, const Body* body) {
  return visitor_of({exchange.request, exchange.settings, exchange.arena, exchange.verified, body, true});
}

Human human_of(std::string_view query) {
  if (query.empty()) return Human::unknown;
  std::string_view value = query_value(query, "a");
  return value == "1" ? Human::active : value == "0" ? Human::inactive : Human::unknown;
}

Sign sign_of(const Exchange& exchange, const Visitor& visitor, LifeSign source, Human human) {
  bool extends = *exchange.settings.policy == Policy::extend;
  Sign sign;
  sign.source = source;
  sign.active = extends && human == Human::active;
  sign.extends = extends && human != Human::inactive;
  sign.user = visitor.user;
  return sign;
}

bool record(const Exchange& exchange, const Visitor& visitor, const Sign& sign, Reply& reply) {
  Millis wait = 0;
  if (visitor.fault != TokenFault::none) {
    reply = token_refused(exchange, visitor.fault);
  } else if (mark(exchange, visitor, sign, &wait) == Marked::limited) {
    reply = retry_reply(exchange, 429, "too many signs of life of one session", wait);
  } else {
    return true;
  }
  return false;
}

void add_cookie(const Visitor& visitor, Reply& reply) {
  if (!visitor.cookie.empty()) reply.add("Set-Cookie", visitor.cookie);
}

void complete(const Exchange& exchange, const Visitor& visitor, Reply& reply) {
  reply.bare = *exchange.settings.trim && exchange.request.http_1_1;
  if (!reply.bare || !visitor.cookie.empty()) reply.add("Cache-Control", "no-store");
  add_cors(exchange.request, *exchange.settings.origin, reply);
  add_cookie(visitor, reply);
}

// The answer has gone: no cookie can be issued, and nobody would hear of a token that is not good.
void track(const Exchange& exchange) {
  if (!*exchange.settings.track) return;
  Visitor visitor = visitor_of({exchange.request, exchange.settings, exchange.arena, exchange.verified, nullptr, false});
  mark(exchange, visitor, sign_of(exchange, visitor, LifeSign::request, Human::active), nullptr);
}

}  // namespace heartbeat
