#include "crypto/library.hpp"

#include <openssl/crypto.h>

namespace keybearer::crypto {

std::string openssl_version() {
  return OpenSSL_version(OPENSSL_VERSION_STRING);
}

}  // namespace keybearer::crypto
