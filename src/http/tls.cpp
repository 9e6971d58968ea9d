#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "base/log.hpp"
#include "http/deadline.hpp"
#include "http/stream.hpp"

namespace keybearer::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using TlsSocket = asio::ssl::stream<asio::ip::tcp::socket>;

// Where distributions keep the system's CAs: a hashed folder, of which only the issuer that is
// needed is read; else one file.
constexpr std::array kSystemFolders = {"/etc/ssl/certs", "/etc/pki/tls/certs"};
constexpr std::array kSystemFiles = {"/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
                                     "/etc/ssl/cert.pem"};

std::string openssl_reason() {
  std::string text;
  while (const unsigned long code = ERR_get_error()) {
    const char* reason = ERR_reason_error_string(code);
    if (text.empty() && reason != nullptr) text = reason;
  }
  return text.empty() ? "unknown TLS error" : text;
}

bool is_address(const std::string& host) {
  error_code error;
  asio::ip::make_address(host, error);
  return !error;
}

class TlsStream final : public Stream {
 public:
  TlsStream(std::shared_ptr<asio::ssl::context> context, TlsSocket socket)
      : context_(std::move(context)), socket_(std::move(socket)) {}

  asio::awaitable<result<std::size_t>> read_some(char* data, std::size_t size) override {
    error_code error;
    const std::size_t n = co_await socket_.async_read_some(
        asio::buffer(data, size), asio::redirect_error(asio::use_awaitable, error));
    if (error == asio::error::eof) co_return 0;
    if (error) co_return broken(error);
    co_return n;
  }
  asio::awaitable<result<>> write(std::string_view bytes, std::size_t& written) override {
    error_code error;
    written = co_await asio::async_write(socket_, asio::buffer(bytes),
                                         asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return broken(error);
    co_return result<>{};
  }
  void close() noexcept override {
    error_code ignored;
    socket_.next_layer().close(ignored);
  }
  [[nodiscard]] int fd() noexcept override {
    return socket_.next_layer().is_open() ? socket_.next_layer().native_handle() : -1;
  }

 private:
  static std::unexpected<Error> broken(const error_code& error) {
    return fail(ErrorKind::network, "the TLS connection broke: " + error.message());
  }

  std::shared_ptr<asio::ssl::context> context_;  // outlives the socket
  TlsSocket socket_;
};

// Where a connection keeps which names its server's certificate is for, when ours was not one of
// them.
int names_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

// "vault.internal, 10.0.0.5": the subject alternative names.
std::string names_of(const X509* certificate) {
  std::string names;
  auto* const list = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(list) && names.size() < 200; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(list, i);
    const ASN1_STRING* text =
        name->type == GEN_DNS || name->type == GEN_IPADD ? name->d.ia5 : nullptr;
    if (text == nullptr) continue;
    std::string_view bytes(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                           static_cast<std::size_t>(ASN1_STRING_length(text)));
    std::string shown(bytes);
    if (name->type == GEN_IPADD && bytes.size() == 4) {
      asio::ip::address_v4::bytes_type raw;
      std::ranges::copy(bytes, raw.begin());
      shown = asio::ip::address_v4(raw).to_string();
    } else if (name->type == GEN_IPADD && bytes.size() == 16) {
      asio::ip::address_v6::bytes_type raw;
      std::ranges::copy(bytes, raw.begin());
      shown = asio::ip::address_v6(raw).to_string();
    }
    names += (names.empty() ? "" : ", ") + shown;
  }
  GENERAL_NAMES_free(list);
  return names.empty() ? "nothing (it has no subject alternative names)" : names;
}

int on_verify(int ok, X509_STORE_CTX* store) {
  const int code = X509_STORE_CTX_get_error(store);
  if (ok == 0 && (code == X509_V_ERR_HOSTNAME_MISMATCH || code == X509_V_ERR_IP_ADDRESS_MISMATCH)) {
    auto* const ssl =
        static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    auto* const names = static_cast<std::string*>(SSL_get_ex_data(ssl, names_index()));
    if (names != nullptr) *names = names_of(X509_STORE_CTX_get0_cert(store));
  }
  return ok;
}

// "" when it was not the certificate.
std::string verify_failure(SSL* ssl, const std::string& host, const std::string& names) {
  const long code = SSL_get_verify_result(ssl);
  switch (code) {
    case X509_V_OK:
      return {};
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "the server's certificate is for " + names + ", not for " + host +
             "; set vault.tls_server_name or use a name it is for";
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "the server's certificate has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "the server's certificate is not valid yet; is this machine's clock right?";
    default:
      return std::string("the server's certificate is not trusted: ") +
             X509_verify_cert_error_string(code) + "; set vault.ca_cert to its authority";
  }
}

struct Stamp {
  timespec changed{};
  ino_t inode = 0;
  off_t size = 0;
  friend bool operator==(const Stamp& a, const Stamp& b) {
    return a.changed.tv_sec == b.changed.tv_sec && a.changed.tv_nsec == b.changed.tv_nsec &&
           a.inode == b.inode && a.size == b.size;
  }
};

Stamp stamp_of(const std::string& path) {
  struct stat info{};
  if (path.empty() || stat(path.c_str(), &info) != 0) return {};
  return {info.st_mtim, info.st_ino, info.st_size};
}

}  // namespace

struct TlsContext::Impl {
  const ClientOptions& options;
  std::shared_ptr<asio::ssl::context> context;
  std::array<Stamp, 4> stamps;

  [[nodiscard]] std::array<Stamp, 4> stamps_now() const {
    return {stamp_of(options.ca_cert), stamp_of(options.ca_path), stamp_of(options.client_cert),
            stamp_of(options.client_key)};
  }
  [[nodiscard]] result<std::shared_ptr<asio::ssl::context>> make() const;
  // The context in force; a broken new file keeps the old one.
  [[nodiscard]] result<std::shared_ptr<asio::ssl::context>> current();
  [[nodiscard]] result<> load_authorities(SSL_CTX* native) const;
};

result<> TlsContext::Impl::load_authorities(SSL_CTX* native) const {
  if (!options.ca_cert.empty() && SSL_CTX_load_verify_file(native, options.ca_cert.c_str()) != 1) {
    return fail(ErrorKind::tls, "vault.ca_cert " + options.ca_cert + ": " + openssl_reason());
  }
  if (!options.ca_path.empty() && SSL_CTX_load_verify_dir(native, options.ca_path.c_str()) != 1) {
    return fail(ErrorKind::tls, "vault.ca_path " + options.ca_path + ": " + openssl_reason());
  }
  if (!options.ca_cert.empty() || !options.ca_path.empty()) return {};
  bool hashed = false;
  for (const char* folder : kSystemFolders) {
    struct stat info{};
    hashed = hashed || (stat((std::string(folder) + "/ca-certificates.crt").c_str(), &info) == 0);
    if (stat(folder, &info) == 0) SSL_CTX_load_verify_dir(native, folder);
  }
  for (const char* file : kSystemFiles) {
    struct stat info{};
    if (!hashed && stat(file, &info) == 0) SSL_CTX_load_verify_file(native, file);
  }
  ERR_clear_error();
  return {};
}

result<std::shared_ptr<asio::ssl::context>> TlsContext::Impl::make() const {
  auto made = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  SSL_CTX* native = made->native_handle();
  SSL_CTX_set_min_proto_version(native, options.tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION);
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_verify(native, options.tls_skip_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                     options.tls_skip_verify ? nullptr : on_verify);
  if (!options.tls_skip_verify) {
    const auto loaded = load_authorities(native);
    if (!loaded) return std::unexpected(loaded.error());
  }
  if (!options.client_cert.empty()) {
    if (SSL_CTX_use_certificate_chain_file(native, options.client_cert.c_str()) != 1) {
      return fail(ErrorKind::tls,
                  "vault.client_cert " + options.client_cert + ": " + openssl_reason());
    }
    if (SSL_CTX_use_PrivateKey_file(native, options.client_key.c_str(), SSL_FILETYPE_PEM) != 1) {
      return fail(ErrorKind::tls,
                  "vault.client_key " + options.client_key + ": " + openssl_reason());
    }
  }
  return made;
}

result<std::shared_ptr<asio::ssl::context>> TlsContext::Impl::current() {
  const auto now = stamps_now();
  if (context && now == stamps) return context;
  auto made = make();
  if (made) {
    context = *made;
  } else if (!context) {
    return made;
  } else {
    log::warn("tls.reload_failed", "a changed TLS file can't be used; going on with the old",
              {{"reason", made.error().text}});
  }
  stamps = now;
  return context;
}

result<> check_tls_files(const ClientOptions& options) {
  return TlsContext(options).set_up();
}

result<> TlsContext::set_up() {
  const auto made = impl_->current();
  return made ? result<>{} : std::unexpected(made.error());
}

TlsContext::TlsContext(const ClientOptions& options) : impl_(new Impl{options, nullptr, {}}) {}
TlsContext::~TlsContext() = default;

asio::awaitable<result<std::unique_ptr<Stream>>> TlsContext::handshake(asio::ip::tcp::socket socket,
                                                                       std::string host,
                                                                       Limit limit) {
  const auto context = impl_->current();
  if (!context) co_return std::unexpected(context.error());
  TlsSocket tls(std::move(socket), **context);
  SSL* ssl = tls.native_handle();
  if (!impl_->options.tls_server_name.empty()) host = impl_->options.tls_server_name;
  if (is_address(host)) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str());
  } else {
    SSL_set_tlsext_host_name(ssl, host.c_str());
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_set1_host(ssl, host.c_str());
  }

  std::string names;
  SSL_set_ex_data(ssl, names_index(), &names);
  error_code error;
  {
    const Deadline guard(co_await asio::this_coro::executor, limit.at, tls.next_layer());
    co_await tls.async_handshake(asio::ssl::stream_base::client,
                                 asio::redirect_error(asio::use_awaitable, error));
    if (guard.passed()) co_return std::unexpected(limit.passed("TLS handshake"));
  }
  SSL_set_ex_data(ssl, names_index(), nullptr);
  if (error) {
    const std::string failure =
        impl_->options.tls_skip_verify ? std::string{} : verify_failure(ssl, host, names);
    if (!failure.empty()) co_return fail(ErrorKind::tls, failure);
    const bool no_tls =
        ERR_GET_REASON(static_cast<unsigned long>(error.value())) == SSL_R_WRONG_VERSION_NUMBER;
    co_return fail(ErrorKind::tls, "TLS handshake failed: " + error.message() +
                                       (no_tls ? "; the server seems to speak plain http" : ""));
  }
  co_return std::make_unique<TlsStream>(*context, std::move(tls));
}

}  // namespace keybearer::http
