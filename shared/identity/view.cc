// The page view: its name and its token.
#include "shared/identity/view.h"

#include <sodium.h>
#include <sys/random.h>

namespace heartbeat {

bool is_view_name(std::string_view text) {
  for (char c : text) {
    bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (!good) return false;
  }
  return !text.empty() && text.size() <= 64;
}

IssuedView issue_view(const Keyring& ring, Millis life, std::int64_t now_seconds, Arena& arena) {
  unsigned char random[16];
  char name[kViewName + 1];
  static_assert(sizeof name == sodium_base64_ENCODED_LEN(sizeof random, sodium_base64_VARIANT_URLSAFE_NO_PADDING));
  if (getrandom(random, sizeof random, 0) != static_cast<ssize_t>(sizeof random)) return {};
  sodium_bin2base64(name, sizeof name, random, sizeof random, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  Claims claims;
  claims.view = arena.copy(name);
  claims.expires = now_seconds + life / 1000;
  return {claims.view, mint_token(claims, ring, arena)};
}

}  // namespace heartbeat
