// Tokens. libjwt signs and checks signatures. What a token says is read here once more, more strictly than libjwt reads
// it, and before libjwt sees it: libjwt takes the algorithm from the token.
#include "shared/identity/token.h"

#include <cstdlib>
#include <cstring>
#include <jansson.h>
#include <jwt.h>
#include <memory>
#include <sodium.h>
#include <strings.h>

#include "shared/identity/quiet_openssl.h"

namespace heartbeat {
namespace {

struct FreeJson {
  void operator()(json_t* json) const { json_decref(json); }
};
struct FreeJwt {
  void operator()(jwt_t* jwt) const { jwt_free(jwt); }
};
struct FreeText {
  void operator()(char* text) const { std::free(text); }
};
using Json = std::unique_ptr<json_t, FreeJson>;
using Jwt = std::unique_ptr<jwt_t, FreeJwt>;
using Text = std::unique_ptr<char, FreeText>;

struct Named {
  const char* name;
  jwt_alg_t value;
};
Named named(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::hs256:
      return {"HS256", JWT_ALG_HS256};
    case Algorithm::rs256:
      return {"RS256", JWT_ALG_RS256};
    case Algorithm::es256:
      return {"ES256", JWT_ALG_ES256};
  }
  return {"", JWT_ALG_INVAL};
}

// One segment, decoded.
struct Decoded {
  // base64url without padding (RFC 7515, section 2); libsodium refuses bits that no byte uses, which otherwise would
  // give one token many forms.
  bool decode(std::string_view segment) {
    return sodium_base642bin(reinterpret_cast<unsigned char*>(bytes), sizeof bytes, segment.data(), segment.size(),
                             nullptr, &size, nullptr, sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0;
  }

  char bytes[kMaxToken / 4 * 3];
  std::size_t size = 0;
};

// The object in a segment. Members that occur twice are refused: readers differ in which of them they believe
// (RFC 7519, section 4; RFC 8725, section 2.4).
Json object_in(std::string_view segment) {
  Decoded text;
  if (!text.decode(segment)) return nullptr;
  Json json(json_loadb(text.bytes, text.size, JSON_REJECT_DUPLICATES, nullptr));
  if (!json_is_object(json.get())) json.reset();
  return json;
}

struct Segments {
  std::string_view header, payload, signature;
};

bool split(std::string_view token, Segments& out) {
  if (token.size() > kMaxToken) return false;
  std::size_t first = token.find('.');
  std::size_t second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos) return false;
  out = {token.substr(0, first), token.substr(first + 1, second - first - 1), token.substr(second + 1)};
  return true;  // a third dot is not of base64url
}

TokenFault check_header(const json_t* header, std::string_view& algorithm) {
  // RFC 7515, section 4.1.11: who does not know an extension that is critical must refuse. None is known here.
  if (json_object_get(header, "crit") != nullptr) return TokenFault::critical;
  const json_t* type = json_object_get(header, "typ");
  if (type != nullptr && (!json_is_string(type) || strcasecmp(json_string_value(type), "JWT") != 0)) {
    return TokenFault::malformed;
  }
  const json_t* name = json_object_get(header, "alg");
  if (!json_is_string(name)) return TokenFault::algorithm;
  algorithm = {json_string_value(name), json_string_length(name)};
  return TokenFault::none;
}

TokenFault check_signature(std::string_view token, std::string_view algorithm, const Keyring& ring) {
  QuietOpenssl quiet;
  char text[kMaxToken + 1];
  std::memcpy(text, token.data(), token.size());
  text[token.size()] = '\0';
  TokenFault fault = TokenFault::algorithm;
  for (const Key& key : ring.keys) {
    Named own = named(key.algorithm);
    if (algorithm != own.name) continue;
    fault = TokenFault::signature;
    jwt_t* read = nullptr;
    int result = jwt_decode(&read, text, reinterpret_cast<const unsigned char*>(key.verifying.data()),
                            static_cast<int>(key.verifying.size()));
    Jwt jwt(read);
    if (result == 0 && jwt_get_alg(jwt.get()) == own.value) return TokenFault::none;
  }
  return fault;
}

bool is_name(std::string_view text) {
  for (char c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == 127) return false;
  }
  return !text.empty() && text.size() <= kMaxClaim;
}

TokenFault read_name(const json_t* payload, const char* member, Arena& arena, std::string_view& out) {
  const json_t* claim = json_object_get(payload, member);
  if (claim == nullptr) return TokenFault::none;
  if (!json_is_string(claim)) return TokenFault::malformed;
  std::string_view text(json_string_value(claim), json_string_length(claim));
  if (!is_name(text)) return TokenFault::malformed;
  out = arena.copy(text);
  return out.empty() ? TokenFault::memory : TokenFault::none;
}

// NumericDate (RFC 7519, section 2): seconds since 1970, perhaps with a fraction, which is rounded up. Beyond 2^53
// it is cut, so that nothing overflows.
bool read_time(const json_t* claim, std::int64_t& out) {
  constexpr std::int64_t kMost = std::int64_t{1} << 53;
  if (json_is_integer(claim)) {
    json_int_t value = json_integer_value(claim);
    out = value > kMost ? kMost : value < -kMost ? -kMost : value;
    return true;
  }
  if (!json_is_real(claim)) return false;
  double value = json_real_value(claim);
  out = value > kMost ? kMost : value < -kMost ? -kMost : static_cast<std::int64_t>(value);
  if (static_cast<double>(out) < value && out < kMost) ++out;
  return true;
}

TokenFault check_times(const json_t* payload, std::int64_t now, Claims& claims) {
  const json_t* expires = json_object_get(payload, "exp");
  if (expires == nullptr) return TokenFault::no_expiry;
  if (!read_time(expires, claims.expires)) return TokenFault::malformed;
  const json_t* not_before = json_object_get(payload, "nbf");
  std::int64_t begins = -1;
  if (not_before != nullptr && !read_time(not_before, begins)) return TokenFault::malformed;
  if (now >= claims.expires + kLeeway) return TokenFault::expired;
  if (not_before != nullptr && now < begins - kLeeway) return TokenFault::not_yet;
  return TokenFault::none;
}

TokenFault read_claims(const json_t* payload, std::int64_t now, Arena& arena, Claims& claims) {
  claims = Claims();
  TokenFault fault = check_times(payload, now, claims);
  if (fault == TokenFault::none) fault = read_name(payload, "sid", arena, claims.session);
  if (fault == TokenFault::none) fault = read_name(payload, "sub", arena, claims.user);
  if (fault == TokenFault::none) fault = read_name(payload, "vid", arena, claims.view);
  if (fault != TokenFault::none) return fault;
  if (claims.session.empty()) claims.session = claims.user;
  return claims.session.empty() && claims.view.empty() ? TokenFault::malformed : TokenFault::none;
}

bool add_name(jwt_t* jwt, const char* member, std::string_view name, Arena& arena) {
  if (name.empty()) return true;
  std::string_view text = is_name(name) ? arena.copy(name) : std::string_view();
  return !text.empty() && jwt_add_grant(jwt, member, text.data()) == 0;
}

}  // namespace

const char* sentence(TokenFault fault) {
  switch (fault) {
    case TokenFault::none:
      return "the token is good";
    case TokenFault::malformed:
      return "the token is malformed";
    case TokenFault::critical:
      return "the token needs an extension that is not known here";
    case TokenFault::algorithm:
      return "the token is of an algorithm that no key is for";
    case TokenFault::signature:
      return "the token has a wrong signature";
    case TokenFault::no_expiry:
      return "the token does not say when it expires";
    case TokenFault::expired:
      return "the token has expired";
    case TokenFault::not_yet:
      return "the token is not valid yet";
    case TokenFault::memory:
      return "out of memory";
  }
  return "";
}

TokenFault verify_token(std::string_view token, const Keyring& ring, std::int64_t now_seconds, Arena& arena,
                        Claims& claims) {
  Segments segments;
  if (!split(token, segments)) return TokenFault::malformed;
  Json header = object_in(segments.header), payload = object_in(segments.payload);
  if (!header || !payload || !Decoded().decode(segments.signature)) return TokenFault::malformed;
  std::string_view algorithm;
  TokenFault fault = check_header(header.get(), algorithm);
  if (fault == TokenFault::none) fault = check_signature(token, algorithm, ring);
  return fault == TokenFault::none ? read_claims(payload.get(), now_seconds, arena, claims) : fault;
}

std::string_view mint_token(const Claims& claims, const Keyring& ring, Arena& arena) {
  bool says_something = !claims.session.empty() || !claims.user.empty() || !claims.view.empty();
  if (!ring.can_sign() || !says_something || claims.expires <= 0) return {};
  QuietOpenssl quiet;
  jwt_t* made = nullptr;
  if (jwt_new(&made) != 0) return {};
  Jwt jwt(made);
  const Key& key = ring.keys.front();
  bool good = add_name(made, "sid", claims.session, arena) && add_name(made, "sub", claims.user, arena) &&
              add_name(made, "vid", claims.view, arena) && jwt_add_grant_int(made, "exp", claims.expires) == 0 &&
              jwt_set_alg(made, named(key.algorithm).value, reinterpret_cast<const unsigned char*>(key.signing.data()),
                          static_cast<int>(key.signing.size())) == 0;
  Text text(good ? jwt_encode_str(made) : nullptr);
  if (!text || std::strlen(text.get()) > kMaxToken) return {};
  return arena.copy(text.get());
}

}  // namespace heartbeat
