// Tokens. Input: a token as it comes, or a line with a header and a payload behind it, which are signed here so that
// the search gets past the signature. What verifies has been signed and says something that may be believed.
#include <sodium.h>

#include "shared/identity/token.h"
#include "shared/identity/verified.h"
#include "t/fuzz/check.h"
#include "t/unit/support/fake_arena.h"

using namespace heartbeat;

namespace {

constexpr std::int64_t kNow = 1700000000;
constexpr std::string_view kSecret = "the fuzzer's secret, which has 36 b.";
// RFC 7517, appendix A.1, as PEM: a key that verifies and that nobody here can sign with.
constexpr std::string_view kPublic =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEMKBCTNIcKUSDii11ySs3526iDZ8A\n"
    "iTo7Tu6KPAqv7D7gS2XpJFbZiItSs3m9+9Ue6GnvHw/GW2ZZaVtszggXIw==\n"
    "-----END PUBLIC KEY-----\n";
const Key kKeys[] = {{Algorithm::hs256, kSecret, kSecret}, {Algorithm::es256, kPublic, {}}};
const Keyring kRing = {kKeys, 1};

std::string base64url(std::string_view bytes) {
  std::string out(sodium_base64_encoded_len(bytes.size(), sodium_base64_VARIANT_URLSAFE_NO_PADDING), '\0');
  sodium_bin2base64(out.data(), out.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  out.pop_back();
  return out;
}

std::string mac_of(std::string_view text) {
  unsigned char mac[crypto_auth_hmacsha256_BYTES];
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, reinterpret_cast<const unsigned char*>(kSecret.data()), kSecret.size());
  crypto_auth_hmacsha256_update(&state, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  crypto_auth_hmacsha256_final(&state, mac);
  return base64url({reinterpret_cast<char*>(mac), sizeof mac});
}

bool is_text(std::string_view name) {
  for (char c : name) {
    if (static_cast<unsigned char>(c) < ' ' || c == 127) return false;
  }
  return name.size() <= kMaxClaim;
}

void check(std::string_view token) {
  FakeArena arena;
  Claims claims;
  Exact exact(token);
  Claims read;
  TokenFault fault_of_reading = read_token(exact, kNow, arena, read);  // memory-safe whatever it gets
  TokenFault fault = verify_token(exact, kRing, kNow, arena, claims);
  CHECK(sentence(fault)[0] != '\0' && fault != TokenFault::memory);
  if (fault != TokenFault::none) return;
  CHECK(token.size() <= kMaxToken);
  CHECK(token.substr(token.rfind('.') + 1) == mac_of(token.substr(0, token.rfind('.'))));
  CHECK(is_text(claims.session) && is_text(claims.user) && is_text(claims.view));
  CHECK(!claims.session.empty() || !claims.view.empty());
  CHECK(kNow < claims.expires + kLeeway);

  // What it says can be said again, and is understood the same.
  std::string_view minted = mint_token(claims, kRing, arena);
  Claims again;
  if (!minted.empty()) {
    CHECK(verify_token(minted, kRing, kNow, arena, again) == TokenFault::none);
    CHECK(again.session == claims.session && again.user == claims.user && again.view == claims.view);
    CHECK(again.expires == claims.expires);
  } else {
    CHECK(claims.expires <= 0 || claims.session.size() + claims.user.size() + claims.view.size() > 1000);
  }

  const unsigned char key[16] = {};
  alignas(64) char memory[128] = {};
  VerifiedTokens tokens;
  tokens.attach(memory, sizeof memory, key);
  const VerifiedTokens::Print print = tokens.print_of(exact, kRing.id);
  CHECK(!tokens.find(print, kNow));
  tokens.remember(print, claims.expires, kNow);
  CHECK(tokens.find(print, kNow));
  CHECK(fault_of_reading == TokenFault::none);
  CHECK(read.session == claims.session && read.user == claims.user && read.view == claims.view);
  CHECK(read.expires == claims.expires);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view input = INPUT;
  check(input);
  if (input.find('\n') == std::string_view::npos) return 0;
  std::string_view header = take_line(input);
  for (std::string_view head : {header, std::string_view(R"({"alg":"HS256"})")}) {
    std::string text = base64url(head) + "." + base64url(input);
    check(text + "." + mac_of(text));
  }
  return 0;
}
