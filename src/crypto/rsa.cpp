#include "crypto/rsa.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <climits>
#include <memory>

namespace keybearer {
namespace {

constexpr int kLeastBits = 2048;  // RFC 7518 section 3.3

template <auto Free>
struct Freed {
  void operator()(auto* object) const { Free(object); }
};
using Bio = std::unique_ptr<BIO, Freed<BIO_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Context = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;

// Called for a key with a pass phrase: there is none, and nobody to ask.
int no_pass_phrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

std::unexpected<Error> refuse(std::string text) {
  ERR_clear_error();
  return fail(ErrorKind::config, std::move(text));
}

result<Key> read_key(std::string_view pem) {
  if (pem.size() > INT_MAX) return refuse("not a private key in PEM");
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  bool asked = false;
  Key key(bio ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_pass_phrase, &asked) : nullptr);
  if (asked) return refuse("the private key has a pass phrase; a program needs one without");
  if (!key) return refuse("not a private key in PEM");
  if (EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_RSA) return refuse("not an RSA key");
  if (EVP_PKEY_get_bits(key.get()) < kLeastBits)
    return refuse("the RSA key has less than 2048 bits");
  return key;
}

}  // namespace

result<std::string> sign_rs256(std::string_view pem, std::string_view message) {
  const auto key = read_key(pem);
  if (!key) return std::unexpected(key.error());
  const Context context(EVP_MD_CTX_new());
  std::size_t size = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(message.data());
  if (!context ||
      EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key->get()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, bytes, message.size()) != 1)
    return refuse("can't sign with the private key");
  std::string out(size, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size, bytes,
                     message.size()) != 1)
    return refuse("can't sign with the private key");
  out.resize(size);
  return out;
}

}  // namespace keybearer
