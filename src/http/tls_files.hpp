#pragma once
// The TLS settings of ClientOptions as an SSL_CTX. Internal to http/.

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "http/client.hpp"

namespace keybearer::http {

struct FreeSslContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
using SslContext = std::unique_ptr<SSL_CTX, FreeSslContext>;

// Authorities, client certificate and versions; who is verified, and how, is up to the connection.
// Errors: tls with Reason::tls_files, beginning with the key of the configuration.
[[nodiscard]] result<SslContext> make_ssl_context(const ClientOptions& options);

// Before OpenSSL opens a file: it would wait for the writer of a pipe, and that with all of us. What
// is not there OpenSSL tells. Errors as above.
[[nodiscard]] result<> refuse_irregular(std::string_view key, const std::string& path);

// Did a call that reads `value` of that key succeed?
[[nodiscard]] result<> for_key(bool done, std::string_view key, const std::string& value);

}  // namespace keybearer::http
