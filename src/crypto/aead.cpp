#include "crypto/aead.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <climits>
#include <memory>
#include <stdexcept>

#include "crypto/digest.hpp"

namespace keybearer {
namespace {

using Cipher = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

// The key serves once, so the nonce may be constant.
constexpr unsigned char kNonce[12] = {};

const unsigned char* bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}
int size_of(std::string_view text) {
  if (text.size() > INT_MAX) throw std::length_error("too long to seal");
  return static_cast<int>(text.size());
}
void require(bool good) {
  if (!good) throw std::runtime_error("OpenSSL: AES-256-GCM is not to be had");
}

}  // namespace

std::string random_bytes(std::size_t count) {
  std::string out(count, '\0');
  if (RAND_bytes(bytes(out), size_of(out)) != 1)
    throw std::runtime_error("OpenSSL: no random bytes to be had");
  return out;
}

// One block of output is all that is asked for: extract, then expand once.
Secret derive_key(std::string_view key, std::string_view salt, std::string_view info) {
  const Secret extracted = hmac_sha256(salt, key);
  return hmac_sha256(extracted.reveal(), std::string(info) + '\x01');
}

bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string aead_seal(std::string_view key, std::string_view associated,
                      std::string_view plaintext) {
  require(key.size() == kAeadKeySize);
  const Cipher cipher(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  std::string out(plaintext.size() + kAeadTagSize, '\0');
  int size = 0;
  require(cipher &&
          EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, bytes(key), kNonce) == 1);
  require(EVP_EncryptUpdate(cipher.get(), nullptr, &size, bytes(associated), size_of(associated)) ==
          1);
  require(EVP_EncryptUpdate(cipher.get(), bytes(out), &size, bytes(plaintext),
                            size_of(plaintext)) == 1);
  require(EVP_EncryptFinal_ex(cipher.get(), bytes(out) + size, &size) == 1);
  require(EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_GET_TAG, kAeadTagSize,
                              bytes(out) + plaintext.size()) == 1);
  return out;
}

std::optional<Secret> aead_open(std::string_view key, std::string_view associated,
                                std::string_view sealed) {
  require(key.size() == kAeadKeySize);
  if (sealed.size() < kAeadTagSize) return std::nullopt;
  const std::string_view body = sealed.substr(0, sealed.size() - kAeadTagSize);
  std::string tag(sealed.substr(body.size()));
  const Cipher cipher(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  std::string out(body.size(), '\0');
  int size = 0;
  require(cipher &&
          EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, bytes(key), kNonce) == 1);
  require(EVP_DecryptUpdate(cipher.get(), nullptr, &size, bytes(associated), size_of(associated)) ==
          1);
  require(EVP_DecryptUpdate(cipher.get(), bytes(out), &size, bytes(body), size_of(body)) == 1);
  require(EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_SET_TAG, kAeadTagSize, tag.data()) == 1);
  int last = 0;
  const bool good = EVP_DecryptFinal_ex(cipher.get(), bytes(out) + size, &last) == 1;
  // What was not authenticated is seen by nobody; it is wiped when it is freed.
  if (!good) return std::nullopt;
  return Secret(out);
}

}  // namespace keybearer
