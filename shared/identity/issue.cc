// The anonymous session cookie.
#include "shared/identity/issue.h"

#include <sodium.h>
#include <strings.h>
#include <sys/random.h>

#include "shared/http/origin.h"
#include "shared/http/text.h"
#include "shared/identity/token.h"

namespace heartbeat {
namespace {

std::string_view new_session(Arena& arena) {
  unsigned char random[16];
  char text[sodium_base64_ENCODED_LEN(sizeof random, sodium_base64_VARIANT_URLSAFE_NO_PADDING)];
  if (getrandom(random, sizeof random, 0) != static_cast<ssize_t>(sizeof random)) return {};
  sodium_bin2base64(text, sizeof text, random, sizeof random, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  Text session(arena, kAnonymousSession.size() + sizeof text);
  return session.add(kAnonymousSession).add(text).view();
}

// `attributes` is "; one; two=2".
bool has_attribute(std::string_view attributes, std::string_view start) {
  for (std::size_t at = 0; at + start.size() <= attributes.size(); ++at) {
    if (strncasecmp(attributes.data() + at, start.data(), start.size()) == 0) return true;
  }
  return false;
}

}  // namespace

bool may_issue(const Request& request, const Settings& settings) {
  return *settings.anonymous && *settings.policy != Policy::never && may_set_cookie(request, *settings.origin);
}

std::int64_t issued_life(const Settings& settings) {
  std::int64_t kept = *settings.retention / 1000;
  std::int64_t own = settings.cookie->max_age;
  return own != 0 && own < kept ? own : kept;
}

Issued issue(const Request& request, const Settings& settings, std::string_view session, std::int64_t now_seconds,
             Arena& arena) {
  const IssuedCookie& cookie = *settings.cookie;
  std::int64_t life = issued_life(settings);
  Claims claims;
  claims.session = session.empty() ? new_session(arena) : session;
  claims.expires = now_seconds + life;
  std::string_view token = *settings.keys == nullptr ? std::string_view() : mint_token(claims, **settings.keys, arena);
  if (token.empty()) return {};
  Text text(arena, cookie.name.size() + token.size() + cookie.attributes.size() + 80);
  text.add(cookie.name).add("=").add(token).add(cookie.attributes);
  if (!has_attribute(cookie.attributes, "; Path=")) text.add("; Path=/");
  if (cookie.max_age == 0) text.add("; Max-Age=").add(life);
  if (cookie.attributes.empty()) text.add("; HttpOnly; SameSite=Lax").add(request.https() ? "; Secure" : "");
  if (text.failed()) return {};
  return {claims.session, text.view()};
}

}  // namespace heartbeat
