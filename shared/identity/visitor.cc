// Who makes a request.
#include "shared/identity/visitor.h"

#include <ctime>
#include <strings.h>

#include "shared/http/query.h"
#include "shared/identity/issue.h"

namespace heartbeat {
namespace {

constexpr std::string_view kTokenCookie = "hb";

std::string_view bearer(const Request& request) {
  static constexpr std::string_view kScheme = "Bearer ";  // RFC 6750, section 2.1
  std::string_view value = request.header("Authorization");
  if (value.size() < kScheme.size() || strncasecmp(value.data(), kScheme.data(), kScheme.size()) != 0) return {};
  value.remove_prefix(kScheme.size());
  while (value.starts_with(' ')) value.remove_prefix(1);
  return value;
}

// The same names in the query and the cookie carry other things, too: only what looks like a token is one.
std::string_view if_token(std::string_view text) { return token_shaped(text) ? text : std::string_view(); }

std::string_view presented(const VisitorQuery& query, const Evidence& evidence) {
  const Request& request = query.request;
  std::string_view token = bearer(request);
  if (token.empty() && !evidence.issued) token = if_token(cookie_of(request, evidence.token_cookie));
  if (token.empty()) token = if_token(query_value(request.query, "t"));
  if (token.empty() && !query.of_view) token = if_token(query_value(request.query, "v"));
  if (token.empty() && query.body != nullptr) token = query.body->token;
  return token;
}

// What is known of the request's token.
struct Held {
  bool of_cookie = false;  // issued by heartbeat_cookie
  std::int64_t now = 0;    // seconds since 1970
  std::int64_t expires = 0;
};

TokenFault check(const VisitorQuery& query, std::string_view token, Evidence& evidence, Held& held) {
  Claims claims;
  TokenFault fault = check_token(token, **query.settings.keys, query.verified, held.now, query.arena, claims);
  if (fault != TokenFault::none) return fault;
  evidence.token = token;
  evidence.session = claims.session;
  evidence.user = claims.user;
  held.expires = claims.expires;
  return TokenFault::none;
}

TokenFault look_for_token(const VisitorQuery& query, Evidence& evidence, Held& held) {
  const IssuedCookie& cookie = *query.settings.cookie;
  evidence.issued = !cookie.name.empty();
  evidence.token_cookie = evidence.issued ? cookie.name : kTokenCookie;
  held.now = std::time(nullptr);
  std::string_view token = presented(query, evidence);
  if (!token.empty()) return check(query, token, evidence, held);
  if (evidence.issued) token = if_token(cookie_of(query.request, cookie.name));
  if (!token.empty()) held.of_cookie = check(query, token, evidence, held) == TokenFault::none;
  return TokenFault::none;
}

// Only what this server has issued: a token of the application ends when the application said it would.
bool to_be_renewed(const VisitorQuery& query, const Visitor& visitor, const Evidence& evidence, const Held& held) {
  return held.of_cookie && evidence.user.empty() && evidence.session.starts_with(kAnonymousSession) &&
         visitor.session.data() == evidence.session.data() && held.expires - held.now < issued_life(query.settings) / 2;
}

// Gives the visitor a session if there is none, and the cookie that is due.
void care_for_cookie(const VisitorQuery& query, const Evidence& evidence, const Held& held, Visitor& visitor) {
  if (visitor.session.empty() && held.of_cookie) visitor.session = evidence.session;
  bool renewed = to_be_renewed(query, visitor, evidence, held);
  if ((!visitor.session.empty() && !renewed) || !query.may_issue || !may_issue(query.request, query.settings)) return;
  Issued issued = issue(query.request, query.settings, renewed ? visitor.session : std::string_view(), held.now, query.arena);
  if (issued.cookie.empty()) return;
  visitor.session = issued.session;
  visitor.cookie = issued.cookie;
  visitor.verified = true;
}

// Where nobody is anonymous, the session is that of the token, whatever else the request names; and the cookie that
// another virtual host with the same keys gives to anybody is no token of the application.
void take_none_but_bearers(const Evidence& evidence, Visitor& visitor) {
  bool good = visitor.verified && !evidence.session.starts_with(kAnonymousSession);
  visitor.session = good ? evidence.session : std::string_view();
  visitor.verified = good;
}

}  // namespace

Visitor visitor_of(const VisitorQuery& query) {
  const Settings& settings = query.settings;
  Visitor visitor;
  Evidence evidence;
  Held held;
  evidence.body = query.body;
  if (*settings.keys != nullptr) {
    visitor.fault = look_for_token(query, evidence, held);
    if (visitor.fault != TokenFault::none) return visitor;
    visitor.verified = !evidence.token.empty() && !evidence.session.empty();
  }
  visitor.session = session_id(query.request, *settings.session, query.arena, evidence);
  if (visitor.session.empty() && query.body != nullptr && query.body->session.size() <= kMaxId) {
    visitor.session = query.body->session;
  }
  if (evidence.issued) care_for_cookie(query, evidence, held, visitor);
  visitor.user = user_name(query.request, *settings.user, query.arena, evidence);
  if (visitor.user.empty() && query.body != nullptr && !query.body->user.empty() && *settings.keys == nullptr &&
      !settings.user.set) {
    visitor.user = clean_text(query.body->user, kMaxUser, query.arena);
  }
  if (!*settings.anonymous) take_none_but_bearers(evidence, visitor);
  return visitor;
}

}  // namespace heartbeat
