// Tokens. libjwt signs and checks signatures. What a token says is read here once more, more strictly than libjwt reads
// it, and before libjwt sees it: libjwt takes the algorithm from the token.
#include "shared/identity/token.h"

#include <cstdlib>
#include <cstring>
#include <jansson.h>
#include <jwt.h>
#include <memory>
#include <strings.h>

#include "shared/http/base64url.h"
#include "shared/http/plain_json.h"
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
  bool decode(std::string_view segment) {
    size = base64url_bytes(segment.size());
    return size <= sizeof bytes && decode_base64url(segment, bytes);
  }

  char bytes[kMaxToken / 4 * 3];
  std::size_t size;
};

// Members that occur twice are refused: readers differ in which of them they believe (RFC 7519, section 4; RFC 8725,
// section 2.4).
Json object_of(std::string_view text) {
  Json json(json_loadb(text.data(), text.size(), JSON_REJECT_DUPLICATES, nullptr));
  if (!json_is_object(json.get())) json.reset();
  return json;
}

Json object_in(std::string_view segment) {
  Decoded text;
  return text.decode(segment) ? object_of({text.bytes, text.size}) : nullptr;
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

// A claim, whoever reads it.
struct Claim {
  enum class Kind : std::uint8_t { missing, name, time, other };

  std::string_view name;
  std::int64_t time = 0;
  Kind kind = Kind::missing;
};

// The claims that count.
struct Payload {
  Claim sid, sub, vid, exp, nbf;
};

// NumericDate (RFC 7519, section 2): seconds since 1970, perhaps with a fraction, which is rounded up. Beyond 2^53
// it is cut, so that nothing overflows.
constexpr std::int64_t kMostSeconds = std::int64_t{1} << 53;

template <class Number>
std::int64_t seconds_of(Number value) {
  constexpr auto kMost = static_cast<Number>(kMostSeconds);
  auto seconds = static_cast<std::int64_t>(value > kMost ? kMost : value < -kMost ? -kMost : value);
  return static_cast<Number>(seconds) < value && seconds < kMostSeconds ? seconds + 1 : seconds;
}

Claim name_claim(std::string_view name, bool good) {
  return {name, 0, good ? Claim::Kind::name : Claim::Kind::other};
}

Claim time_claim(std::int64_t seconds) { return {{}, seconds, Claim::Kind::time}; }

Claim claim_of(const json_t* value) {
  if (value == nullptr) return {};
  if (json_is_string(value)) {
    std::string_view name(json_string_value(value), json_string_length(value));
    return name_claim(name, is_name(name));
  }
  if (json_is_integer(value)) return time_claim(seconds_of(json_integer_value(value)));
  if (json_is_real(value)) return time_claim(seconds_of(json_real_value(value)));
  return name_claim({}, false);
}

Payload payload_of(const json_t* object) {
  auto claim = [&](const char* name) { return claim_of(json_object_get(object, name)); };
  return {claim("sid"), claim("sub"), claim("vid"), claim("exp"), claim("nbf")};
}

// Its strings have no control characters.
Claim claim_of(const PlainObject::Member& member) {
  if (member.kind == PlainObject::Kind::number) return time_claim(seconds_of(member.number()));
  std::string_view name = member.text;
  return name_claim(name, member.kind == PlainObject::Kind::text && !name.empty() && name.size() <= kMaxClaim);
}

Payload payload_of(const PlainObject& object) {
  Payload payload;
  for (const PlainObject::Member& member : object.members()) {
    if (member.name == "sid") payload.sid = claim_of(member);
    else if (member.name == "sub") payload.sub = claim_of(member);
    else if (member.name == "vid") payload.vid = claim_of(member);
    else if (member.name == "exp") payload.exp = claim_of(member);
    else if (member.name == "nbf") payload.nbf = claim_of(member);
  }
  return payload;
}

bool missing_or(Claim::Kind kind, const Claim& claim) {
  return claim.kind == Claim::Kind::missing || claim.kind == kind;
}

TokenFault check_times(const Payload& payload, std::int64_t now) {
  if (payload.exp.kind == Claim::Kind::missing) return TokenFault::no_expiry;
  if (payload.exp.kind != Claim::Kind::time || !missing_or(Claim::Kind::time, payload.nbf)) return TokenFault::malformed;
  if (now >= payload.exp.time + kLeeway) return TokenFault::expired;
  bool later = payload.nbf.kind == Claim::Kind::time && now < payload.nbf.time - kLeeway;
  return later ? TokenFault::not_yet : TokenFault::none;
}

TokenFault read_claims(const Payload& payload, std::int64_t now, Claims& claims) {
  TokenFault fault = check_times(payload, now);
  if (fault != TokenFault::none) return fault;
  for (const Claim* claim : {&payload.sid, &payload.sub, &payload.vid}) {
    if (!missing_or(Claim::Kind::name, *claim)) return TokenFault::malformed;
  }
  std::string_view session = payload.sid.name.empty() ? payload.sub.name : payload.sid.name;
  claims = {session, payload.sub.name, payload.vid.name, payload.exp.time};
  return session.empty() && claims.view.empty() ? TokenFault::malformed : TokenFault::none;
}

// Here the names are copies: those of `object` end with it.
TokenFault read_claims(const json_t* object, std::int64_t now, Arena& arena, Claims& claims) {
  TokenFault fault = read_claims(payload_of(object), now, claims);
  if (fault != TokenFault::none) return fault;
  for (std::string_view* name : {&claims.session, &claims.user, &claims.view}) {
    if (name->empty()) continue;
    *name = arena.copy(*name);
    if (name->empty()) return TokenFault::memory;
  }
  return TokenFault::none;
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

TokenFault read_token(std::string_view token, std::int64_t now_seconds, Arena& arena, Claims& claims) {
  Segments segments;
  if (!split(token, segments)) return TokenFault::malformed;
  std::size_t size = base64url_bytes(segments.payload.size());
  auto* bytes = static_cast<char*>(arena.allocate(size, 1));
  if (bytes == nullptr) return TokenFault::memory;
  if (!decode_base64url(segments.payload, bytes)) return TokenFault::malformed;
  PlainObject object;
  if (object.read({bytes, size})) return read_claims(payload_of(object), now_seconds, claims);
  Json payload = object_of({bytes, size});
  return payload ? read_claims(payload.get(), now_seconds, arena, claims) : TokenFault::malformed;
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
