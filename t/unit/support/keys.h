// Keys made for a test, their files, and tokens signed without the code that is tested.
#pragma once

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sodium.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "shared/identity/keyring.h"
#include "t/unit/support/fake_arena.h"

namespace heartbeat {

using Pkey = std::shared_ptr<EVP_PKEY>;
inline Pkey rsa_key(unsigned bits = 2048) { return Pkey(EVP_RSA_gen(bits), EVP_PKEY_free); }
inline Pkey ec_key(const char* curve = "P-256") { return Pkey(EVP_EC_gen(curve), EVP_PKEY_free); }

/// `passphrase`: of the private key, none if null. `traditional`: as OpenSSL wrote it before version 1.
inline std::string pem_of(const Pkey& key, bool secret, const char* passphrase = nullptr, bool traditional = false) {
  BIO* out = BIO_new(BIO_s_mem());
  auto* word = reinterpret_cast<const unsigned char*>(passphrase);
  int size = passphrase == nullptr ? 0 : static_cast<int>(std::strlen(passphrase));
  const EVP_CIPHER* cipher = passphrase == nullptr ? nullptr : EVP_aes_128_cbc();
  if (!secret) PEM_write_bio_PUBKEY(out, key.get());
  else if (traditional) PEM_write_bio_PrivateKey_traditional(out, key.get(), cipher, word, size, nullptr, nullptr);
  else PEM_write_bio_PrivateKey(out, key.get(), cipher, word, size, nullptr, nullptr);
  char* bytes = nullptr;
  long length = BIO_get_mem_data(out, &bytes);
  std::string text(bytes, static_cast<std::size_t>(length));
  BIO_free(out);
  return text;
}

/// A folder of files that is removed in the end.
class KeyFolder {
 public:
  KeyFolder() { path_ = ::mkdtemp(name_); }
  KeyFolder(const KeyFolder&) = delete;
  KeyFolder& operator=(const KeyFolder&) = delete;
  ~KeyFolder() {
    for (const std::string& file : files_) ::unlink(file.c_str());
    ::rmdir(path_.c_str());
  }
  std::string add(std::string_view bytes) {
    files_.push_back(path_ + "/key" + std::to_string(files_.size()));
    std::FILE* file = std::fopen(files_.back().c_str(), "w");
    std::fwrite(bytes.data(), 1, bytes.size(), file);
    std::fclose(file);
    return files_.back();
  }
  const std::string& path() const { return path_; }

 private:
  char name_[32] = "/tmp/heartbeat-keys-XXXXXX";
  std::string path_;
  std::vector<std::string> files_;
};

/// The ring of files that hold these texts; nullptr and `error` where one of them is no key.
inline const Keyring* ring_of(const std::vector<std::string>& texts, Arena& arena, Error& error) {
  KeyFolder folder;
  std::vector<std::string> paths;
  for (const std::string& text : texts) paths.push_back(folder.add(text));
  return read_keyring(std::vector<std::string_view>(paths.begin(), paths.end()), arena, error);
}

inline std::string base64url(std::string_view bytes) {
  std::string out(sodium_base64_encoded_len(bytes.size(), sodium_base64_VARIANT_URLSAFE_NO_PADDING), '\0');
  sodium_bin2base64(out.data(), out.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  out.pop_back();
  return out;
}

/// The token of these two texts, without its signature.
inline std::string unsigned_token(std::string_view header, std::string_view payload) {
  return base64url(header) + "." + base64url(payload);
}

inline std::string hs256(std::string_view header, std::string_view payload, std::string_view secret) {
  std::string text = unsigned_token(header, payload);
  unsigned char mac[crypto_auth_hmacsha256_BYTES];
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, reinterpret_cast<const unsigned char*>(secret.data()), secret.size());
  crypto_auth_hmacsha256_update(&state, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  crypto_auth_hmacsha256_final(&state, mac);
  return text + "." + base64url({reinterpret_cast<char*>(mac), sizeof mac});
}

/// RS256 or ES256, as the key is.
inline std::string signed_token(std::string_view header, std::string_view payload, const Pkey& key) {
  std::string text = unsigned_token(header, payload);
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  unsigned char raw[1024];
  std::size_t size = sizeof raw;
  EVP_DigestSignInit(context, nullptr, EVP_sha256(), nullptr, key.get());
  EVP_DigestSign(context, raw, &size, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  EVP_MD_CTX_free(context);
  if (EVP_PKEY_get_base_id(key.get()) == EVP_PKEY_EC) {  // RFC 7518, section 3.4: r and s in 32 bytes each
    const unsigned char* at = raw;
    ECDSA_SIG* pair = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(size));
    unsigned char both[64];
    BN_bn2binpad(ECDSA_SIG_get0_r(pair), both, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(pair), both + 32, 32);
    ECDSA_SIG_free(pair);
    std::memcpy(raw, both, size = sizeof both);
  }
  return text + "." + base64url({reinterpret_cast<char*>(raw), size});
}

}  // namespace heartbeat
