// The keys that sign and verify tokens. OpenSSL reads PEM in all its forms and writes the one form that libjwt reads.
#include "shared/identity/keyring.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/identity/quiet_openssl.h"

namespace heartbeat {
namespace {

struct FreePkey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using Pkey = std::unique_ptr<EVP_PKEY, FreePkey>;
using Bio = std::unique_ptr<BIO, FreeBio>;  // one in memory is wiped when it is freed

// The bytes of one file, wiped when they have been read.
struct FileBytes {
  static constexpr std::size_t kMost = 16384;  // a private RSA key of 16,384 bits in PEM has 12,700

  ~FileBytes() { sodium_memzero(bytes, sizeof bytes); }
  std::string_view view() const { return {bytes, size}; }

  char bytes[kMost + 1];
  std::size_t size = 0;
};

// Not blocking: a FIFO without a writer must not hold up the configuration test.
bool read_file(std::string_view path, FileBytes& out, Error& error) {
  int file = ::open(path.data(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) {
    error.set("\"%.*s\": %s, expected a key file", HEARTBEAT_VIEW(path), std::strerror(errno));
    return false;
  }
  struct stat status {};
  bool regular = ::fstat(file, &status) == 0 && S_ISREG(status.st_mode);
  ssize_t count = regular ? 1 : -1;
  while (count > 0 && out.size < sizeof out.bytes) {
    count = ::read(file, out.bytes + out.size, sizeof out.bytes - out.size);
    if (count > 0) out.size += static_cast<std::size_t>(count);
  }
  ::close(file);
  bool good = count >= 0 && out.size <= FileBytes::kMost;
  if (!good) {
    error.set("\"%.*s\" is no regular file of at most %zu bytes, expected a key file", HEARTBEAT_VIEW(path),
              FileBytes::kMost);
  }
  return good;
}

Bio reader(std::string_view bytes) { return Bio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size()))); }

int no_passphrase(char*, int, int, void*) { return -1; }

bool looks_like_pem(std::string_view bytes) {
  return bytes.find("--BEGIN ") != std::string_view::npos || bytes.find("-- BEGIN ") != std::string_view::npos;
}

// Keys in formats that are not read. As a secret of HS256 a public key would let anybody sign who knows it.
bool looks_like_another_key(std::string_view bytes) {
  const auto* begin = reinterpret_cast<const unsigned char*>(bytes.data());
  const unsigned char* at = begin;
  if (Pkey(d2i_PUBKEY(nullptr, &at, static_cast<long>(bytes.size())))) return true;
  at = begin;
  if (Pkey(d2i_AutoPrivateKey(nullptr, &at, static_cast<long>(bytes.size())))) return true;
  for (std::string_view prefix : {"ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"}) {
    if (bytes.starts_with(prefix)) return true;
  }
  std::size_t first = bytes.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && (bytes[first] == '{' || bytes[first] == '[') &&
         bytes.find("\"kty\"") != std::string_view::npos;
}

bool algorithm_of(EVP_PKEY* pkey, Algorithm& algorithm) {
  char group[32] = {};
  switch (EVP_PKEY_get_base_id(pkey)) {
    case EVP_PKEY_RSA:
      algorithm = Algorithm::rs256;
      return EVP_PKEY_get_bits(pkey) >= kMinRsaBits;
    case EVP_PKEY_EC:
      algorithm = Algorithm::es256;
      return EVP_PKEY_get_group_name(pkey, group, sizeof group, nullptr) == 1 && std::strcmp(group, "prime256v1") == 0;
  }
  return false;
}

std::string_view written(EVP_PKEY* pkey, bool secret, Arena& arena) {
  Bio out(BIO_new(BIO_s_mem()));
  if (!out) return {};
  int good = secret ? PEM_write_bio_PrivateKey(out.get(), pkey, nullptr, nullptr, 0, nullptr, nullptr)
                    : PEM_write_bio_PUBKEY(out.get(), pkey);
  char* bytes = nullptr;
  long size = BIO_get_mem_data(out.get(), &bytes);
  return good == 1 && size > 0 ? arena.copy({bytes, static_cast<std::size_t>(size)}) : std::string_view();
}

bool read_pem(std::string_view bytes, std::string_view path, Arena& arena, Key& key, Error& error) {
  Bio in = reader(bytes);
  Pkey pkey(in ? PEM_read_bio_PrivateKey(in.get(), nullptr, no_passphrase, nullptr) : nullptr);
  bool secret = static_cast<bool>(pkey);
  if (!pkey) {
    in = reader(bytes);
    pkey.reset(in ? PEM_read_bio_PUBKEY(in.get(), nullptr, no_passphrase, nullptr) : nullptr);
  }
  if (!pkey || !algorithm_of(pkey.get(), key.algorithm)) {
    error.set("\"%.*s\" holds another PEM, expected an RSA key of at least %d bits or an EC key on P-256, public or "
              "private, without a passphrase",
              HEARTBEAT_VIEW(path), kMinRsaBits);
    return false;
  }
  key.verifying = written(pkey.get(), false, arena);
  if (secret) key.signing = written(pkey.get(), true, arena);
  bool good = !key.verifying.empty() && secret == !key.signing.empty();
  if (!good) error.set("\"%.*s\": out of memory, expected a key that fits", HEARTBEAT_VIEW(path));
  return good;
}

bool read_secret(std::string_view bytes, std::string_view path, Arena& arena, Key& key, Error& error) {
  if (bytes.ends_with('\n')) {
    bytes.remove_suffix(1);
    if (bytes.ends_with('\r')) bytes.remove_suffix(1);
  }
  if (bytes.size() < kMinSecret || bytes.size() > kMaxSecret) {
    error.set("\"%.*s\" holds %zu bytes, expected a secret of %zu to %zu bytes, or a key in PEM", HEARTBEAT_VIEW(path),
              bytes.size(), kMinSecret, kMaxSecret);
    return false;
  }
  if (looks_like_another_key(bytes)) {
    error.set("\"%.*s\" holds a key in a format that is not read, expected PEM, or a secret", HEARTBEAT_VIEW(path));
    return false;
  }
  key.algorithm = Algorithm::hs256;
  key.verifying = key.signing = arena.copy(bytes);
  if (key.signing.empty()) error.set("\"%.*s\": out of memory, expected a key that fits", HEARTBEAT_VIEW(path));
  return !key.signing.empty();
}

bool read_key(std::string_view path, Arena& arena, Key& key, Error& error) {
  FileBytes file;
  if (!read_file(path, file, error)) return false;
  return looks_like_pem(file.view()) ? read_pem(file.view(), path, arena, key, error)
                                     : read_secret(file.view(), path, arena, key, error);
}

// Of what verifies: a private key verifies as its public key does. The sizes tell where a key begins.
std::uint64_t id_of(std::span<const Key> keys) {
  crypto_generichash_state state;
  unsigned char hash[crypto_generichash_BYTES];
  crypto_generichash_init(&state, nullptr, 0, sizeof hash);
  for (const Key& key : keys) {
    std::uint64_t head[2] = {static_cast<std::uint64_t>(key.algorithm), key.verifying.size()};
    crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(head), sizeof head);
    crypto_generichash_update(&state, reinterpret_cast<const unsigned char*>(key.verifying.data()),
                              key.verifying.size());
  }
  crypto_generichash_final(&state, hash, sizeof hash);
  std::uint64_t id;
  std::memcpy(&id, hash, sizeof id);
  sodium_memzero(&state, sizeof state);
  return id;
}

}  // namespace

const Keyring* read_keyring(std::span<const std::string_view> paths, Arena& arena, Error& error) {
  QuietOpenssl quiet;
  Keyring* ring = arena.make<Keyring>();
  Key* keys = arena.make<Key>(paths.size());
  if (ring == nullptr || keys == nullptr) {
    error.set("out of memory, expected keys that fit");
    return nullptr;
  }
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (!read_key(paths[i], arena, keys[i], error)) return nullptr;
  }
  ring->keys = {keys, paths.size()};
  ring->id = id_of(ring->keys);
  return ring;
}

}  // namespace heartbeat
