// Who makes a request: the session, the user, and whether a token vouches for them.
#pragma once

#include "shared/identity/source.h"
#include "shared/identity/token.h"
#include "shared/identity/verified.h"

namespace heartbeat {

/// Where to look, and what may be done about it.
struct VisitorQuery {
  const Request& request;
  const Settings& settings;
  Arena& arena;                        // lives as long as the request
  VerifiedTokens* verified = nullptr;  // those verified lately; null: none
  const Body* body = nullptr;          // of a beat
  bool may_issue = false;              // the answer can carry a cookie
  bool of_view = false;                // `v` of the query is the token of a page view, and nobody's
};

struct Visitor {
  std::string_view session;  // empty: none, or none that may be recorded
  std::string_view user;     // empty: not known
  std::string_view cookie;   // the value of a Set-Cookie that is due; empty: none is
  TokenFault fault = TokenFault::none;  // of the token that was presented: then nothing else is said here
  bool verified = false;                // a good token was presented, or one is issued
};

/// A token is looked for in `Authorization: Bearer`, in the cookie (heartbeat_cookie's, or "hb"), in `t` and `v` of the
/// query and in the body; the first that is there decides. A cookie that heartbeat_cookie issues comes last, so that a
/// visitor who logs in is known by the application's token; and where it is not good, a new one is issued.
Visitor visitor_of(const VisitorQuery& query);

}  // namespace heartbeat
