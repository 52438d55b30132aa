// Key files: what is a key, of which algorithm, and what errors say.
#include <openssl/err.h>
#include <sys/stat.h>

#include "t/unit/support/test.h"

#include "shared/identity/keyring.h"
#include "t/unit/support/keys.h"

namespace {
using namespace heartbeat;

const std::string kSecret = "0123456789abcdefghijklmnopqrstuv";  // 32 bytes
const Pkey& rsa() {
  static const Pkey key = rsa_key();
  return key;
}
const Pkey& ec() {
  static const Pkey key = ec_key();
  return key;
}

// "" where `text` is a key.
std::string wrong(const std::string& text) {
  FakeArena arena;
  Error error;
  ERR_clear_error();  // of making the key
  const Keyring* ring = ring_of({text}, arena, error);
  assert_true((ring == nullptr) == static_cast<bool>(error));
  assert_int_equal(ERR_peek_error(), 0);
  return error.text();
}

struct Ring {
  FakeArena arena;
  const Keyring* ring = nullptr;
  explicit Ring(const std::vector<std::string>& texts) {
    Error error;
    ring = ring_of(texts, arena, error);
    if (ring == nullptr) fail_msg("%s", error.text());
  }
  const Keyring* operator->() const { return ring; }
};

void secrets(void**) {
  assert_text_equal(wrong(kSecret), "");
  assert_text_equal(wrong(std::string(4096, 'x')), "");
  assert_text_equal(wrong(std::string(4096, 'x') + "\r\n"), "");
  for (std::size_t size : {0, 1, 31, 4097, 16384, 16385}) assert_holds(wrong(std::string(size, 'x')), "expected ");
  assert_holds(wrong(std::string(31, 'x') + "\n"), "holds 31 bytes, expected a secret of 32 to 4096 bytes");
  assert_holds(wrong(std::string(31, 'x') + "\r\n"), "holds 31 bytes");
}

// One line end is stripped, whatever else there is belongs to the secret.
void line_ends(void**) {
  const std::pair<std::string, std::string> cases[] = {
      {kSecret, kSecret},           {kSecret + "\n", kSecret},          {kSecret + "\r\n", kSecret},
      {kSecret + "\r", kSecret + "\r"}, {kSecret + "\n\n", kSecret + "\n"}, {kSecret + " ", kSecret + " "},
      {"\n" + kSecret, "\n" + kSecret}, {std::string(40, '\0'), std::string(40, '\0')},
  };
  for (const auto& [text, secret] : cases) {
    Ring ring({text});
    assert_true(ring->keys[0].verifying == secret && ring->keys[0].signing == secret);
    assert_true(ring->keys[0].algorithm == Algorithm::hs256 && ring->can_sign());
  }
}

void pem(void**) {
  for (const std::string& text : {pem_of(rsa(), true), pem_of(rsa(), true, nullptr, true), pem_of(rsa(), false)}) {
    Ring ring({text});
    assert_true(ring->keys[0].algorithm == Algorithm::rs256);
    assert_text_equal(ring->keys[0].verifying, pem_of(rsa(), false));
    assert_int_equal(ring->can_sign(), text.find("PRIVATE") != std::string::npos);
  }
  for (const std::string& text : {pem_of(ec(), true), pem_of(ec(), true, nullptr, true), pem_of(ec(), false)}) {
    Ring ring({"# ours\r\n\n" + text + "\n\n"});
    assert_true(ring->keys[0].algorithm == Algorithm::es256);
    assert_text_equal(ring->keys[0].verifying, pem_of(ec(), false));
    assert_int_equal(ring->can_sign(), text.find("PRIVATE") != std::string::npos);
  }
  assert_int_equal(Ring({pem_of(rsa(), true)})->keys[0].signing.find("-----BEGIN PRIVATE KEY-----"), 0);
}

// As `openssl ecparam -genkey` writes it: the curve first, then the key.
void pem_with_parameters(void**) {
  std::string text = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
  Ring ring({text + pem_of(ec(), true, nullptr, true)});
  assert_true(ring->keys[0].algorithm == Algorithm::es256 && ring->can_sign());
}

void other_pem(void**) {
  const char* expected = "expected an RSA key of at least 2048 bits or an EC key on P-256";
  assert_holds(wrong(pem_of(rsa_key(1024), true)), expected);
  assert_holds(wrong(pem_of(rsa_key(2047), false)), expected);
  assert_holds(wrong(pem_of(ec_key("P-384"), false)), expected);
  assert_holds(wrong(pem_of(ec_key("secp256k1"), true)), expected);
  Pkey ed(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), EVP_PKEY_free);
  assert_holds(wrong(pem_of(ed, true)), expected);
  Pkey pss(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA-PSS", std::size_t{2048}), EVP_PKEY_free);
  if (pss) assert_holds(wrong(pem_of(pss, false)), expected);
  // Nobody is asked for a passphrase, also where there is a terminal.
  assert_holds(wrong(pem_of(rsa(), true, "word")), expected);
  assert_holds(wrong(pem_of(ec(), true, "word", true)), expected);
  std::string cut = pem_of(rsa(), false);
  assert_holds(wrong(cut.substr(0, cut.size() / 2)), expected);
  assert_holds(wrong("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), expected);
  assert_holds(wrong("---- BEGIN SSH2 PUBLIC KEY ----\nAAAAB3NzaC1yc2EAAAADAQABAAAB\n---- END SSH2 PUBLIC KEY ----\n"), expected);
}

// A public key that served as a secret would let everybody sign.
void other_formats_are_no_secrets(void**) {
  const char* expected = "format that is not read, expected PEM";
  for (const Pkey& key : {rsa(), ec()}) {
    unsigned char* der = nullptr;
    int size = i2d_PUBKEY(key.get(), &der);
    assert_holds(wrong(std::string(reinterpret_cast<char*>(der), static_cast<std::size_t>(size))), expected);
    OPENSSL_free(der);
    der = nullptr;
    size = i2d_PrivateKey(key.get(), &der);
    assert_holds(wrong(std::string(reinterpret_cast<char*>(der), static_cast<std::size_t>(size))), expected);
    OPENSSL_free(der);
  }
  assert_holds(wrong("ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC someone@host\n"), expected);
  assert_holds(wrong(" { \"kty\": \"RSA\", \"n\": \"AAAAAAAAAAAAAAAAAAAAAAAAA\", \"e\": \"AQAB\" }\n"), expected);
}

void files(void**) {
  FakeArena arena;
  KeyFolder folder;
  std::string good = folder.add(kSecret), fifo = folder.path() + "/fifo";
  assert_int_equal(::mkfifo(fifo.c_str(), 0600), 0);
  const std::pair<std::string, std::string> cases[] = {
      {folder.path() + "/none", "No such file or directory, expected a key file"},
      {folder.path(), "no regular file"},
      {fifo, "no regular file"},
      {"/dev/zero", "no regular file"},
  };
  for (const auto& [path, said] : cases) {
    Error error;
    std::string_view paths[] = {good, path};
    assert_null(read_keyring(paths, arena, error));
    assert_holds(error.text(), "\"" + path + "\"");
    assert_holds(error.text(), said);
  }
  ::unlink(fifo.c_str());
}

void errors_never_show_a_key(void**) {
  std::string body = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0";
  for (const std::string& text : {body.substr(0, 31), "-----BEGIN PRIVATE KEY-----\n" + body + "\n-----END PRIVATE KEY-----\n",
                                  "{\"kty\":\"oct\",\"k\":\"" + body + "\"}", "ssh-rsa " + body}) {
    assert_lacks(wrong(text), body.substr(0, 8));
    assert_holds(wrong(text), "/tmp/heartbeat-keys-");
  }
}

void order(void**) {
  Ring ring({pem_of(rsa(), false), kSecret, pem_of(ec(), true)});
  assert_int_equal(ring->keys.size(), 3);
  assert_true(ring->keys[0].algorithm == Algorithm::rs256 && ring->keys[1].algorithm == Algorithm::hs256 &&
              ring->keys[2].algorithm == Algorithm::es256);
  assert_false(ring->can_sign());
  assert_true(Ring({kSecret, pem_of(rsa(), false)})->can_sign());
  assert_false(Keyring{}.can_sign());
}

// The same for what verifies the same, else another.
void ids(void**) {
  assert_true(Ring({kSecret})->id == Ring({kSecret + "\n"})->id);
  assert_true(Ring({pem_of(rsa(), true)})->id == Ring({pem_of(rsa(), false)})->id);
  std::string other(32, 'o');
  std::set<std::uint64_t> all{Keyring{}.id,           Ring({kSecret})->id,          Ring({other})->id,
                              Ring({kSecret, other})->id, Ring({other, kSecret})->id,   Ring({kSecret + other})->id,
                              Ring({pem_of(rsa(), true)})->id, Ring({pem_of(ec(), true)})->id, Ring({pem_of(ec_key(), true)})->id};
  assert_int_equal(all.size(), 9);
}

void without_memory(void**) {
  for (const std::string& text : {kSecret, pem_of(rsa(), true)}) {
    for (std::size_t left = 0; left < 4; ++left) {
      FakeArena arena;
      arena.left = left;
      Error error;
      const Keyring* ring = ring_of({text}, arena, error);
      assert_true((ring == nullptr) == static_cast<bool>(error));
      assert_int_equal(ring != nullptr, left >= (text == kSecret ? 3U : 4U));
    }
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {cmocka_unit_test(secrets),
                              cmocka_unit_test(line_ends),
                              cmocka_unit_test(pem),
                              cmocka_unit_test(pem_with_parameters),
                              cmocka_unit_test(other_pem),
                              cmocka_unit_test(other_formats_are_no_secrets),
                              cmocka_unit_test(files),
                              cmocka_unit_test(errors_never_show_a_key),
                              cmocka_unit_test(order),
                              cmocka_unit_test(ids),
                              cmocka_unit_test(without_memory)};
  return cmocka_run_group_tests_name("keyring", tests, nullptr, nullptr);
}
