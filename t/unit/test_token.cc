// Tokens: which are believed, and every way in which one is refused.
#include <openssl/err.h>

#include "t/unit/support/test.h"

#include "shared/identity/token.h"
#include "t/unit/support/keys.h"

namespace {
using namespace heartbeat;

constexpr std::int64_t kNow = 1700000000;
const std::string kSecret = "0123456789abcdefghijklmnopqrstuv";
const std::string kOther = "another secret, as long as it must be";
const std::string kHs = R"({"alg":"HS256","typ":"JWT"})";
const std::string kRs = R"({"alg":"RS256","typ":"JWT"})";
const std::string kEs = R"({"alg":"ES256","typ":"JWT"})";
const std::string kGood = R"({"sub":"Ann","sid":"s1","exp":1700000600})";

const Pkey& rsa() {
  static const Pkey key = rsa_key();
  return key;
}
const Pkey& ec() {
  static const Pkey key = ec_key();
  return key;
}

struct Ring {
  FakeArena arena;
  const Keyring* ring = nullptr;
  explicit Ring(const std::vector<std::string>& texts) {
    Error error;
    ring = ring_of(texts, arena, error);
    if (ring == nullptr) fail_msg("%s", error.text());
  }
  operator const Keyring&() const { return *ring; }
};

struct Verified {
  FakeArena arena;
  Claims claims;
  TokenFault fault;
  Verified(const std::string& token, const Keyring& ring, std::int64_t now = kNow) {
    std::unique_ptr<char[]> exact(new char[token.size()]);  // the sanitizer sees each byte read beyond it
    std::memcpy(exact.get(), token.data(), token.size());
    ERR_clear_error();
    fault = verify_token({exact.get(), token.size()}, ring, now, arena, claims);
    assert_int_equal(ERR_peek_error(), 0);
    if (fault == TokenFault::none) read_again({exact.get(), token.size()}, now);
  }

 private:
  // Whoever was verified once is read without that, and says the same.
  void read_again(std::string_view token, std::int64_t now) {
    Claims again;
    assert_true(read_token(token, now, arena, again) == TokenFault::none);
    assert_text_equal(again.session, claims.session);
    assert_text_equal(again.user, claims.user);
    assert_text_equal(again.view, claims.view);
    assert_true(again.expires == claims.expires);
  }
};

#define assert_fault(token, ring, expected)                                              \
  do {                                                                                   \
    Verified verified_(token, ring);                                                     \
    if (verified_.fault != TokenFault::expected)                                         \
      fail_msg("%s: %s", std::string(token).c_str(), sentence(verified_.fault));         \
  } while (0)
#define assert_payload(payload, expected) assert_fault(hs256(kHs, payload, kSecret), Ring({kSecret}), expected)

void good(void**) {
  Ring ring({kSecret, pem_of(rsa(), false), pem_of(ec(), false)});
  for (const std::string& token :
       {hs256(kHs, kGood, kSecret), signed_token(kRs, kGood, rsa()), signed_token(kEs, kGood, ec())}) {
    Verified result(token, ring);
    assert_true(result.fault == TokenFault::none);
    assert_text_equal(result.claims.session, "s1");
    assert_text_equal(result.claims.user, "Ann");
    assert_text_equal(result.claims.view, "");
    assert_int_equal(result.claims.expires, 1700000600);
  }
}

// The example of RFC 7515, appendix A.1: neither its key nor its token was made here.
void of_the_rfc(void**) {
  std::string key(64, '\0');
  std::size_t size = 0;
  const char* text = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
  assert_int_equal(sodium_base642bin(reinterpret_cast<unsigned char*>(key.data()), key.size(), text, std::strlen(text), nullptr,
                                     &size, nullptr, sodium_base64_VARIANT_URLSAFE_NO_PADDING), 0);
  const std::string token =
      "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
      ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
      ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
  Ring ring({key});
  assert_true(Verified(token, ring, 1300819381 + kLeeway).fault == TokenFault::expired);    // so the signature is good
  assert_true(Verified(token, ring, 1300819379).fault == TokenFault::malformed);            // names nobody
}

void who(void**) {
  Ring ring({kSecret});
  auto who = [&](const std::string& members) {
    Verified result(hs256(kHs, "{" + members + R"(,"exp":1700000600})", kSecret), ring);
    if (result.fault != TokenFault::none) return std::string(sentence(result.fault));
    return std::string(result.claims.session) + "|" + std::string(result.claims.user) + "|" + std::string(result.claims.view);
  };
  assert_text_equal(who(R"("sid":"s")"), "s||");
  assert_text_equal(who(R"("sub":"u")"), "u|u|");
  assert_text_equal(who(R"("vid":"v")"), "||v");
  assert_text_equal(who(R"("sid":"s","sub":"u","vid":"v")"), "s|u|v");
  assert_text_equal(who(R"("sub":"u","vid":"v")"), "u|u|v");
  assert_text_equal(who("\"sub\":\"\\u00c5sa \xf0\x9f\x8e\x88\""), "\xc3\x85sa \xf0\x9f\x8e\x88|\xc3\x85sa \xf0\x9f\x8e\x88|");
  assert_text_equal(who(R"("sub":"u","iss":"x","aud":["y"],"roles":{"a":[1,{}]})"), "u|u|");
  assert_text_equal(who(R"("name":"u")"), "the token is malformed");
}

void names(void**) {
  for (const char* member : {"sub", "sid", "vid"}) {
    for (const char* value : {"1", "1.5", "null", "true", "[]", "{}", "[\"a\"]", "\"\"", "\"a\\u0000\"", "\"\\u0001\"",
                              "\"a\\n\"", "\"a\\u001f\"", "\"\\u007fa\"", "\"\\ud800\"", "\"a\nb\"", "\"\xff\""}) {
      assert_payload(std::string("{\"sid\":\"s\",\"sub\":\"u\",\"vid\":\"v\",\"exp\":1700000600}").replace(
                         std::string("{\"sid\":\"s\",\"sub\":\"u\",\"vid\":\"v\",\"exp\":1700000600}").find(member) + 5, 3, value),
                     malformed);
    }
  }
  assert_payload(R"({"sub":" ~","exp":1700000600})", none);
  assert_payload("{\"sub\":\"" + std::string(2900, 'x') + "\",\"exp\":1700000600}", none);
}

void shape(void**) {
  Ring ring({kSecret});
  std::string token = hs256(kHs, kGood, kSecret), unsigned_part = unsigned_token(kHs, kGood);
  std::string mac = token.substr(unsigned_part.size() + 1);
  for (const std::string& text :
       {std::string(), std::string("."), std::string(".."), std::string("..."), std::string("a.b.c"), unsigned_part,
        token + ".", token + ".x", "." + token, token + "=", token + " ", " " + token, token + "\n", token + std::string(1, '\0'),
        unsigned_part + "=." + mac, unsigned_part + "." + mac + "+", unsigned_part + ".." + mac, std::string(4096, 'A'),
        std::string(4096, '.'), "Bearer " + token, base64url(kHs) + "\n." + base64url(kGood) + "." + mac}) {
    assert_fault(text, ring, malformed);
  }
  assert_fault(unsigned_part + ".", ring, signature);
  // The last character of a MAC carries two bits that no byte uses.
  std::string other = token;
  other.back() = static_cast<char>(other.back() + 1);
  assert_fault(other, ring, malformed);
}

// Bytes that are no digits of base64url are not passed over: a token has one form.
void more_bytes(void**) {
  Ring ring({kSecret, pem_of(rsa(), false), pem_of(ec(), false)});
  for (const std::string& token :
       {hs256(kHs, kGood, kSecret), signed_token(kRs, kGood, rsa()), signed_token(kEs, kGood, ec())}) {
    for (const std::string more : {"\xe9", "\x80\x80\x80\x80", "\xff\xff", "====", "    ", "\n\n\n\n", "++++"}) {
      for (std::size_t at : {token.size(), token.size() - 1, token.rfind('.') + 1, token.rfind('.'), token.find('.'), std::size_t{4}}) {
        assert_fault(std::string(token).insert(at, more), ring, malformed);
      }
    }
  }
}

void truncated(void**) {
  Ring ring({kSecret, pem_of(rsa(), false), pem_of(ec(), false)});
  for (const std::string& token :
       {hs256(kHs, kGood, kSecret), signed_token(kRs, kGood, rsa()), signed_token(kEs, kGood, ec())}) {
    for (std::size_t size = 0; size < token.size(); ++size) {
      assert_true(Verified(token.substr(0, size), ring).fault != TokenFault::none);
      assert_true(Verified(token.substr(size + 1), ring).fault != TokenFault::none);
    }
  }
}

void flipped(void**) {
  Ring ring({kSecret, pem_of(rsa(), false), pem_of(ec(), false)});
  for (const std::string& token :
       {hs256(kHs, kGood, kSecret), signed_token(kRs, kGood, rsa()), signed_token(kEs, kGood, ec())}) {
    for (std::size_t bit = 0; bit < 8 * token.size(); ++bit) {
      std::string other = token;
      other[bit / 8] = static_cast<char>(other[bit / 8] ^ (1 << bit % 8));
      if (Verified(other, ring).fault == TokenFault::none) fail_msg("bit %zu of %s", bit, token.c_str());
    }
  }
}

void oversized(void**) {
  Ring ring({kSecret});
  auto of_size = [](std::size_t size) {
    return hs256(kHs, "{\"sub\":\"" + std::string(size, 'x') + "\",\"exp\":1700000600}", kSecret);
  };
  std::size_t most = 0;
  for (std::size_t size = 2950; size < 3100; ++size) {
    std::string token = of_size(size);
    bool fits = token.size() <= kMaxToken;
    if (fits) most = token.size();
    assert_true(Verified(token, ring).fault == (fits ? TokenFault::none : TokenFault::malformed));
  }
  assert_true(most > 4090);
  assert_true(Verified(of_size(1 << 20), ring).fault == TokenFault::malformed);
}

void algorithms(void**) {
  Ring ring({kSecret});
  std::string mac = hs256(kHs, kGood, kSecret);
  for (const char* alg : {"\"none\"", "\"None\"", "\"NONE\"", "\"nOnE\"", "\"hs256\"", "\"Hs256\"", "\"HS256 \"", "\" HS256\"",
                          "\"HS384\"", "\"HS512\"", "\"RS256\"", "\"ES256\"", "\"PS256\"", "\"EdDSA\"", "\"\"", "null", "1",
                          "[\"HS256\"]", "{}", "true"}) {
    std::string header = std::string("{\"alg\":") + alg + ",\"typ\":\"JWT\"}";
    assert_fault(hs256(header, kGood, kSecret), ring, algorithm);
    assert_fault(unsigned_token(header, kGood) + ".", ring, algorithm);
    assert_fault(unsigned_token(header, kGood) + "." + mac.substr(mac.rfind('.') + 1), ring, algorithm);
  }
  assert_fault(hs256(R"({"typ":"JWT"})", kGood, kSecret), ring, algorithm);
  assert_fault(hs256(R"({"Alg":"HS256"})", kGood, kSecret), ring, algorithm);
  assert_fault(hs256(R"({"alg":"HS256"})", kGood, kSecret), ring, none);
  assert_fault(hs256(R"({"alg":"HS256","kid":"7","jku":"https://evil.example/"})", kGood, kSecret), ring, none);
  assert_fault(hs256(kHs, kGood, kSecret), Keyring{}, algorithm);
}

// The public key is known to all: as the secret of an HMAC it would let all sign.
void confusion(void**) {
  for (const Pkey& key : {rsa(), ec()}) {
    std::string pem = pem_of(key, false), cut = pem.substr(0, pem.size() - 1);
    Ring alone({pem}), mixed({pem, kSecret});
    const std::string& own = key == rsa() ? kRs : kEs;
    for (const std::string& secret : {pem, cut}) {
      assert_fault(hs256(kHs, kGood, secret), alone, algorithm);
      assert_fault(hs256(kHs, kGood, secret), mixed, signature);
      assert_fault(hs256(own, kGood, secret), alone, signature);
    }
    assert_fault(signed_token(kHs, kGood, key), alone, algorithm);
    assert_fault(signed_token(kHs, kGood, key), mixed, signature);
    assert_fault(hs256(kHs, kGood, kSecret), mixed, none);
  }
  Ring both({pem_of(rsa(), false), pem_of(ec(), false)});
  assert_fault(signed_token(kRs, kGood, ec()), both, signature);
  assert_fault(signed_token(kEs, kGood, rsa()), both, signature);
}

void wrong_key(void**) {
  assert_fault(hs256(kHs, kGood, kOther), Ring({kSecret}), signature);
  assert_fault(hs256(kHs, kGood, ""), Ring({kSecret}), signature);
  assert_fault(hs256(kHs, kGood, kSecret + "\n"), Ring({kSecret + "\n"}), signature);
  assert_fault(signed_token(kRs, kGood, rsa_key()), Ring({pem_of(rsa(), false)}), signature);
  assert_fault(signed_token(kEs, kGood, ec_key()), Ring({pem_of(ec(), false)}), signature);
  // r = s = 0, which careless verifiers have taken.
  assert_fault(unsigned_token(kEs, kGood) + "." + base64url(std::string(64, '\0')), Ring({pem_of(ec(), false)}), signature);
}

// In the order of docs/tokens.md: added second, then first, then the old one goes.
void rotation(void**) {
  std::string old = hs256(kHs, kGood, kSecret), fresh = hs256(kHs, kGood, kOther);
  Ring before({kSecret}), added({kSecret, kOther}), turned({kOther, kSecret}), after({kOther});
  assert_fault(old, before, none);
  assert_fault(fresh, before, signature);
  for (const Ring* ring : {&added, &turned}) {
    assert_fault(old, *ring, none);
    assert_fault(fresh, *ring, none);
  }
  assert_fault(old, after, signature);
  assert_fault(fresh, after, none);
  // Also from one algorithm to another, and the first key signs.
  Ring mixed({pem_of(ec(), true), kSecret});
  assert_fault(old, mixed, none);
  FakeArena arena;
  std::string minted(mint_token({"s", "", "", kNow + 600}, mixed, arena));
  assert_fault(minted, Ring({pem_of(ec(), false)}), none);
  assert_fault(minted, Ring({kSecret}), algorithm);
}

void duplicates(void**) {
  for (const char* payload : {R"({"sub":"a","sub":"b","exp":1700000600})", R"({"sub":"a","sub":"a","exp":1700000600})",
                              R"({"sub":"a","exp":1700000600,"exp":1800000000})", R"({"sub":"a","s\u0075b":"b","exp":1700000600})",
                              R"({"sub":"a","exp":1700000600,"x":1,"x":1})", R"({"sub":"a","exp":1700000600,"x":{"y":1,"y":1}})"}) {
    assert_payload(payload, malformed);
  }
  Ring ring({kSecret});
  for (const char* header : {R"({"alg":"HS256","alg":"HS256"})", R"({"alg":"none","alg":"HS256"})", R"({"alg":"HS256","alg":"none"})",
                             R"({"alg":"HS256","al\u0067":"none"})", R"({"alg":"HS256","typ":"JWT","typ":"JWT"})"}) {
    assert_fault(hs256(header, kGood, kSecret), ring, malformed);
  }
}

void headers(void**) {
  Ring ring({kSecret});
  for (const char* header : {R"({"alg":"HS256","crit":["exp"]})", R"({"alg":"HS256","crit":[]})", R"({"alg":"HS256","crit":null})",
                             R"({"alg":"HS256","crit":["b64"],"b64":false})"}) {
    assert_fault(hs256(header, kGood, kSecret), ring, critical);
  }
  for (const char* header : {"", "{", "[]", "\"HS256\"", "null", "{\"alg\":\"HS256\"} x", "{\"alg\":\"HS256\",}", "{'alg':'HS256'}",
                             "\xef\xbb\xbf{\"alg\":\"HS256\"}", R"({"alg":"HS256","typ":"at+jwt"})", R"({"alg":"HS256","typ":1})"}) {
    assert_fault(hs256(header, kGood, kSecret), ring, malformed);
  }
  assert_fault(hs256(std::string(kHs).append(1, '\0') + "x", kGood, kSecret), ring, malformed);
  assert_fault(hs256(R"({"alg":"HS256","typ":"jwt"})", kGood, kSecret), ring, none);
  std::string deep = "{\"alg\":\"HS256\",\"x\":" + std::string(1200, '[') + std::string(1200, ']') + "}";
  assert_true(Verified(hs256(deep, kGood, kSecret), ring).fault != TokenFault::memory);
}

void payloads(void**) {
  for (const std::string& payload : {std::string(), std::string("{"), std::string("[]"), std::string("null"), std::string("\"x\""),
                                     kGood + kGood, kGood + "x", kGood + std::string(1, '\0'), std::string(2000, '[')}) {
    assert_payload(payload, malformed);
  }
  assert_payload("{}", no_expiry);
}

void expiry(void**) {
  Ring ring({kSecret});
  auto fault = [&](const std::string& exp, std::int64_t now) {
    return Verified(hs256(kHs, R"({"sub":"u","exp":)" + exp + "}", kSecret), ring, now).fault;
  };
  assert_true(fault("1000", 1000 + 59) == TokenFault::none);
  assert_true(fault("1000", 1000 + 60) == TokenFault::expired);
  assert_true(fault("1000.5", 1000 + 60) == TokenFault::none);
  assert_true(fault("1000.5", 1000 + 61) == TokenFault::expired);
  assert_true(fault("1.0e3", 1000 + 59) == TokenFault::none);
  assert_true(fault("0", 59) == TokenFault::none);
  assert_true(fault("0", 60) == TokenFault::expired);
  for (const char* past : {"-1", "-9223372036854775808", "-1e300", "-0.5", "1", "1e-300"}) {
    assert_true(fault(past, kNow) == TokenFault::expired);
  }
  for (const char* far : {"9223372036854775807", "1e300", "1e18", "9007199254740993"}) {
    assert_true(fault(far, kNow) == TokenFault::none);
  }
  for (const char* bad : {"\"1700000600\"", "null", "true", "[]", "{}", "9223372036854775808", "1e999", "NaN", "Infinity", "0x7fffffff",
                          "01700000600", "+1700000600", ""}) {
    assert_true(fault(bad, kNow) == TokenFault::malformed);
  }
  assert_payload(R"({"sub":"u"})", no_expiry);
  assert_payload(R"({"sub":"u","nbf":1,"iat":1})", no_expiry);
  assert_payload(R"({"sub":"u","Exp":1700000600})", no_expiry);
}

void not_before(void**) {
  Ring ring({kSecret});
  auto fault = [&](const std::string& nbf, std::int64_t now) {
    return Verified(hs256(kHs, R"({"sub":"u","exp":1e300,"nbf":)" + nbf + "}", kSecret), ring, now).fault;
  };
  assert_true(fault("1000", 940) == TokenFault::none);
  assert_true(fault("1000", 939) == TokenFault::not_yet);
  assert_true(fault("1000.5", 941) == TokenFault::none);
  assert_true(fault("1000.5", 940) == TokenFault::not_yet);
  assert_true(fault("-1e300", kNow) == TokenFault::none);
  for (const char* far : {"9223372036854775807", "1e300"}) assert_true(fault(far, kNow) == TokenFault::not_yet);
  for (const char* bad : {"\"1\"", "null", "[]", "9223372036854775808"}) assert_true(fault(bad, kNow) == TokenFault::malformed);
}

void round_trip(void**) {
  const Claims cases[] = {{"s", "", "", kNow + 600},
                          {"", "u", "", kNow + 600},
                          {"", "", "v", kNow + 600},
                          {"s \"\\/", "\xc3\x85sa", "v", kNow + 600},
                          {std::string_view("session, more").substr(0, 7), "u", "", std::int64_t{1} << 50}};
  for (const std::string& key : {kSecret, pem_of(rsa(), true), pem_of(ec(), true)}) {
    Ring ring({key, kOther});
    for (const Claims& claims : cases) {
      FakeArena arena;
      std::string token(mint_token(claims, ring, arena));
      Verified result(token, ring);
      if (result.fault != TokenFault::none) fail_msg("%s: %s", token.c_str(), sentence(result.fault));
      assert_text_equal(result.claims.session, claims.session.empty() ? claims.user : claims.session);
      assert_text_equal(result.claims.user, claims.user);
      assert_text_equal(result.claims.view, claims.view);
      assert_int_equal(result.claims.expires, claims.expires);
    }
  }
}

// Only what would be believed is minted.
void not_minted(void**) {
  FakeArena arena;
  Ring ring({kSecret});
  const std::string large(4097, 'x'), most(4096, 'x');
  const Claims cases[] = {{"", "", "", kNow},      {"s", "", "", 0},        {"s", "", "", -1},   {"a\nb", "", "", kNow}, {"s", "\x7f", "", kNow},
                          {"s", "", {"v\0", 2}, kNow}, {"\xff", "", "", kNow}, {large, "", "", kNow}, {most, "", "", kNow}};
  for (const Claims& claims : cases) assert_text_equal(mint_token(claims, ring, arena), "");
  assert_text_equal(mint_token({"s", "", "", kNow}, Keyring{}, arena), "");
  assert_text_equal(mint_token({"s", "", "", kNow}, Ring({pem_of(rsa(), false), kSecret}), arena), "");
  assert_int_equal(ERR_peek_error(), 0);
}

void without_memory(void**) {
  Ring ring({kSecret});
  std::string token = hs256(kHs, R"({"sub":"u","sid":"s","vid":"v","exp":1700000600})", kSecret);
  for (std::size_t left = 0; left < 4; ++left) {
    FakeArena arena;
    arena.left = left;
    Claims claims;
    assert_true(verify_token(token, ring, kNow, arena, claims) == (left < 3 ? TokenFault::memory : TokenFault::none));
    arena.left = left;
    assert_int_equal(mint_token({"s", "u", "v", kNow}, ring, arena).empty(), left < 4);
  }
}

// Of what is signed well, both say the same, good or bad, but for what libjwt cannot read itself.
void read_as_verified(void**) {
  Ring ring({kSecret});
  FakeArena arena;
  auto compare = [&](const std::string& payload) {
    std::string token = hs256(kHs, payload, kSecret);
    Claims verified, read;
    TokenFault fault = verify_token(token, ring, kNow, arena, verified);
    TokenFault fault_of_reading = read_token(token, kNow, arena, read);
    if (fault != fault_of_reading && fault != TokenFault::signature) fail_msg("%s: %s, %s", payload.c_str(), sentence(fault), sentence(fault_of_reading));
    if (fault != TokenFault::none) return;
    assert_text_equal(read.session, verified.session);
    assert_text_equal(read.user, verified.user);
    assert_text_equal(read.view, verified.view);
    assert_true(read.expires == verified.expires);
  };
  for (const char* value : {"\"x\"", "\"\"", "\" ~\"", "\"\\u00e9\"", "\"\xc3\xa9\"", "\"\x7f\"", "\"\\n\"", "\"\n\"", "\"\xff\"", "1", "-1", "0", "-0", "1700000600",
                            "1699999940", "1699999941", "1700000060", "1700000061", "999999999999999", "9007199254740993", "-999999999999999", "9223372036854775807",
                            "9223372036854775808", "1.5", "1699999940.5", "1e3", "1e300", "true", "false", "null", "[]", "{}", "01", ""}) {
    for (const char* member : {"sid", "sub", "vid", "exp", "nbf", "iss", "si", "sidx", ""}) {
      std::string claim = std::string("\"") + member + "\":" + value;
      compare("{" + claim + "}");
      for (const char* others : {R"("exp":1700000600)", R"("exp":1700000600,"sub":"Ann")", R"("sid":"s","sub":"u","nbf":1)", R"("vid":"v","exp":1700000600)"}) {
        compare("{" + claim + "," + others + "}");
        compare("{" + std::string(others) + " ,\n" + claim + " }");
      }
    }
  }
  for (std::size_t at = 0; at < kGood.size(); ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string payload = kGood;
      payload[at] = static_cast<char>(byte);
      compare(payload);
    }
    compare(kGood.substr(0, at));
    compare(kGood.substr(at));
  }
}

// A token that is not of base64url, or too long, does no harm even where it is taken for one that was verified.
void read_whatever(void**) {
  FakeArena arena;
  Claims claims;
  std::string payload = base64url(kGood);
  for (const std::string& text : {std::string(), std::string("."), std::string(".."), "." + payload, payload + ".", std::string(4096, '.'), "." + payload + "=.",
                                  "." + payload + "A.", std::string("..x"), "." + std::string(4094, 'A') + ".", "." + std::string(4095, 'A') + "."}) {
    std::unique_ptr<char[]> exact(new char[text.size()]);
    std::memcpy(exact.get(), text.data(), text.size());
    assert_true(read_token({exact.get(), text.size()}, kNow, arena, claims) == TokenFault::malformed);
  }
  std::string token = "." + payload + ".";
  arena.left = 0;
  assert_true(read_token(token, kNow, arena, claims) == TokenFault::memory);
  token = "." + base64url(R"({"sub":"u","exp":1700000600,"x":[]})") + ".";
  for (std::size_t left = 0; left < 3; ++left) {
    arena.left = left;
    assert_true(read_token(token, kNow, arena, claims) == TokenFault::memory);
  }
}

void sentences(void**) {
  std::set<std::string> all;
  for (int fault = 0; fault <= static_cast<int>(TokenFault::memory); ++fault) {
    const char* text = sentence(static_cast<TokenFault>(fault));
    assert_true(text[0] != '\0' && text[std::strlen(text) - 1] != '.');
    all.insert(text);
  }
  assert_int_equal(all.size(), static_cast<int>(TokenFault::memory) + 1);
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(good),       cmocka_unit_test(of_the_rfc), cmocka_unit_test(who),        cmocka_unit_test(names),
      cmocka_unit_test(shape),      cmocka_unit_test(more_bytes), cmocka_unit_test(truncated),  cmocka_unit_test(flipped),    cmocka_unit_test(oversized),
      cmocka_unit_test(algorithms), cmocka_unit_test(confusion),  cmocka_unit_test(wrong_key),  cmocka_unit_test(rotation),
      cmocka_unit_test(duplicates), cmocka_unit_test(headers),    cmocka_unit_test(payloads),   cmocka_unit_test(expiry),
      cmocka_unit_test(not_before), cmocka_unit_test(round_trip), cmocka_unit_test(not_minted), cmocka_unit_test(without_memory),
      cmocka_unit_test(read_as_verified), cmocka_unit_test(read_whatever), cmocka_unit_test(sentences)};
  return cmocka_run_group_tests_name("token", tests, nullptr, nullptr);
}
