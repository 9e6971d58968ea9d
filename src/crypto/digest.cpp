#include "crypto/digest.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include <array>
#include <span>
#include <stdexcept>

namespace keybearer {
namespace {

using Bytes = std::array<unsigned char, EVP_MAX_MD_SIZE>;

std::string hex(const Bytes& bytes, unsigned size) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const unsigned char byte : std::span(bytes).first(size))
    out += {kHex[byte >> 4], kHex[byte & 15]};
  return out;
}

// The size of the digest.
unsigned digest(const EVP_MD* algorithm, std::string_view text, Bytes& out) {
  unsigned size = 0;
  if (EVP_Digest(text.data(), text.size(), out.data(), &size, algorithm, nullptr) != 1)
    throw std::runtime_error("OpenSSL: no digest to be had");
  return size;
}

std::string digest(const EVP_MD* algorithm, std::string_view text) {
  Bytes out{};
  return hex(out, digest(algorithm, text, out));
}

// The size of the code.
unsigned hmac(std::string_view key, std::string_view message, Bytes& out) {
  unsigned size = 0;
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(message.data()), message.size(), out.data(),
           &size) == nullptr)
    throw std::runtime_error("OpenSSL: no HMAC to be had");
  return size;
}

}  // namespace

std::string md5_hex(std::string_view text) {
  return digest(EVP_md5(), text);
}
std::string sha1_hex(std::string_view text) {
  return digest(EVP_sha1(), text);
}
std::string sha256_hex(std::string_view text) {
  return digest(EVP_sha256(), text);
}
std::string sha256_base64(std::string_view text) {
  Bytes out{};
  const unsigned size = digest(EVP_sha256(), text, out);
  std::string encoded(4 * ((size + 2) / 3) + 1, '\0');  // EVP_EncodeBlock(3) ends it with a NUL
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(encoded.data()), out.data(),
                  static_cast<int>(size));
  encoded.pop_back();
  return encoded;
}
std::string sha512_hex(std::string_view text) {
  return digest(EVP_sha512(), text);
}

std::string hmac_sha256_hex(std::string_view key, std::string_view message) {
  Bytes out{};
  return hex(out, hmac(key, message, out));
}

Secret hmac_sha256(std::string_view key, std::string_view message) {
  Bytes out{};
  const unsigned size = hmac(key, message, out);
  Secret bytes(std::string_view(reinterpret_cast<const char*>(out.data()), size));
  explicit_bzero(out.data(), out.size());
  return bytes;
}

}  // namespace keybearer
