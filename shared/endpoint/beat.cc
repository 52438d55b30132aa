// The beat: a sign of life with a body that says who is there, where, and whether a human does something.
#include "shared/endpoint/endpoint.h"

namespace heartbeat {
namespace {

// A beat that cannot be recorded is a mistake of whoever sends it, and should be told.
Reply nobody(const Exchange& exchange) {
  if (!*exchange.settings.anonymous) return error_reply(exchange, 403, "no token, and none but its bearers are recorded here");
  return error_reply(exchange, 400, "no session");
}

// Where nothing is said of the human, somebody is there: a script beats only then. A goodbye says only that the page goes.
Sign sign_of(const Exchange& exchange, const Visitor& visitor, const Body& body) {
  Human human = body.active.value_or(!body.leave) ? Human::active : Human::inactive;
  Sign sign = sign_of(exchange, visitor, LifeSign::beat, human);
  sign.leaving = body.leave;
  return sign;
}

}  // namespace

// One `reply`, so that none is copied.
Reply beat(const Exchange& exchange) {
  Reply reply;
  Body body(exchange.arena);
  Error error;
  if (exchange.request.body_too_large) {
    reply = body_too_large(exchange);
  } else if (!body.read(exchange.request, error)) {
    reply = error_reply(exchange, 400, exchange.arena.copy(error.text()));
  } else {
    Visitor visitor = visitor_of(exchange, &body);
    Sign sign = sign_of(exchange, visitor, body);
    sign.page = clean_text(body.page, kMaxPage, exchange.arena);
    if (!record(exchange, visitor, sign, reply)) return reply;
    if (visitor.session.empty()) reply = nobody(exchange);
    else complete(exchange, visitor, reply);
  }
  return reply;
}

}  // namespace heartbeat
