// The endpoints: a Request in, a Reply out, and the session marked in the shared table.
#pragma once

#include "shared/http/body.h"
#include "shared/http/reply.h"
#include "shared/http/request.h"
#include "shared/identity/visitor.h"
#include "shared/session/table.h"
#include "shared/settings/settings.h"

namespace heartbeat {

struct Beacons;
struct Store;

/// All that an endpoint looks at.
struct Exchange {
  const Request& request;
  const Settings& settings;
  const Site& site;
  const Place& place;
  Table& table;              // not attached: nothing is recorded
  Arena& arena;              // lives as long as the request
  Millis now;
  std::uint32_t pings = 0;   // consecutive pings of this connection, this one included; 0: not counted
  Recent* recent = nullptr;  // of this connection, if it can keep one
  VerifiedTokens* verified = nullptr;  // null: every token is verified anew
  Millis keepalive = 0;      // how long the server itself keeps a connection without a request; 0: it does not
  const Store* store = nullptr;        // the Redis of these settings, if they have one
  Beacons* beacons = nullptr;          // null: no beacon can be kept
};

/// The endpoint looks at the body of a POST: the server reads it first, up to heartbeat_body.
constexpr bool reads_body(Endpoint endpoint) {
  return endpoint == Endpoint::beat || endpoint == Endpoint::beacon;
}

/// Answers a request to `endpoint` (not Endpoint::none). Where the reply is deferred, the server runs a Lookup.
Reply answer(Endpoint endpoint, const Exchange& exchange);

/// heartbeat_track: notes that an ordinary request was made. After its answer, in the log phase.
void track(const Exchange& exchange);

// --- each endpoint ---------------------------------------------------------------------------------

Reply ping(const Exchange& exchange);
Reply page(const Exchange& exchange);
Reply beat(const Exchange& exchange);
Reply beacon(const Exchange& exchange);
Reply script(const Exchange& exchange);
/// Its reply may wait for Redis.
Reply audit(const Exchange& exchange);
/// So may this one.
Reply view(const Exchange& exchange);
Reply online(const Exchange& exchange);

// --- what they share -------------------------------------------------------------------------------

/// Who asks. `body`: of a beat, else null.
Visitor visitor_of(const Exchange& exchange, const Body* body);

/// What a sign of life says of the human.
enum class Human : std::uint8_t { unknown, active, inactive };
/// Of a ping or a page: `a=1` or `a=0`.
Human human_of(std::string_view query);
Sign sign_of(const Exchange& exchange, const Visitor& visitor, LifeSign source, Human human);

/// Records a sign of the visitor, if there is a session and the policy allows. False: `reply` says why not, 403 for a
/// token that is not good, 429 for more signs than heartbeat_rate allows.
bool record(const Exchange& exchange, const Visitor& visitor, const Sign& sign, Reply& reply);

/// Adds the cookie that is due to a visitor.
void add_cookie(const Visitor& visitor, Reply& reply);

/// Makes `reply` the 204 to a sign of life that was recorded: with the headers that it needs, or, where heartbeat_trim
/// is on, with no more than the protocol demands of HTTP/1.1 (RFC 9112).
void complete(const Exchange& exchange, const Visitor& visitor, Reply& reply);

/// An error: `sentence` as a line of text, or {"error": sentence} where the request accepts application/json. Never
/// stored, and with the CORS headers of any other answer.
Reply error_reply(const Exchange& exchange, unsigned status, std::string_view sentence);

/// The same with Retry-After (RFC 9110, section 10.2.3): `wait` in whole seconds, at least one.
Reply retry_reply(const Exchange& exchange, unsigned status, std::string_view sentence, Millis wait);

/// 413 for a body, or what stands for one, of more than heartbeat_body.
Reply body_too_large(const Exchange& exchange);

/// The parts of these, for an answer that has no exchange any more or is not for other origins.
Reply plain_error(Arena& arena, bool json, unsigned status, std::string_view sentence);
void add_retry_after(Millis wait, Arena& arena, Reply& reply);
/// 503: Redis cannot be asked now, but perhaps when a lookup has had its time.
Reply unavailable(Arena& arena, bool json, std::string_view sentence);
/// True where the request accepts application/json.
bool wants_json(const Request& request);

}  // namespace heartbeat
