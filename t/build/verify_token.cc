// verify_token KEY_FILE...: reads a token, as the servers do, and prints what it says: session, user, seconds until it
// expires. With --mint in front it makes one instead, for the session "s" of the user "u".
#include <cstdio>
#include <ctime>
#include <string_view>
#include <vector>

#include "shared/identity/token.h"
#include "t/unit/support/fake_arena.h"

using namespace heartbeat;

int main(int count, char** arguments) {
  bool mint = count > 1 && std::string_view(arguments[1]) == "--mint";
  FakeArena arena;
  Error error;
  const Keyring* ring =
      read_keyring(std::vector<std::string_view>(arguments + (mint ? 2 : 1), arguments + count), arena, error);
  if (ring == nullptr) {
    std::printf("%s\n", error.text());
    return 1;
  }
  std::int64_t now = std::time(nullptr);
  if (mint) {
    std::string_view token = mint_token({"s", "u", "", now + 600}, *ring, arena);
    std::printf("%.*s\n", HEARTBEAT_VIEW(token));
    return token.empty();
  }
  char line[2 * kMaxToken];
  if (std::fgets(line, sizeof line, stdin) == nullptr) return 1;
  std::string_view token(line);
  if (token.ends_with('\n')) token.remove_suffix(1);
  Claims claims;
  TokenFault fault = verify_token(token, *ring, now, arena, claims);
  if (fault != TokenFault::none) {
    std::printf("%s\n", sentence(fault));
    return 1;
  }
  std::printf("%.*s|%.*s|%lld\n", HEARTBEAT_VIEW(claims.session), HEARTBEAT_VIEW(claims.user),
              static_cast<long long>(claims.expires - now));
  return 0;
}
