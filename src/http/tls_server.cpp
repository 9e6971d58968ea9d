#include "http/tls_server.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/log.hpp"
#include "crypto/library.hpp"
#include "http/openssl.hpp"
#include "http/tls_files.hpp"
#include "http/tls_stream.hpp"

namespace keybearer::http {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// Asked when a key has a pass phrase: nobody is.
int no_pass_phrase(char*, int, int, void*) {
  return -1;
}

// A list that is there is obeyed for the clients themselves.
result<> load_client_authorities(SSL_CTX* context, const TlsServerOptions& options) {
  const char* const ca = options.client_ca_file.c_str();
  if (auto good = for_key(SSL_CTX_load_verify_file(context, ca) == 1, "tls_client_ca_file", ca);
      !good)
    return good;
  auto* const names = SSL_load_client_CA_file(ca);  // tells clients which certificate to send
  if (auto good = for_key(names != nullptr, "tls_client_ca_file", ca); !good) return good;
  SSL_CTX_set_client_CA_list(context, names);
  if (!options.crl_file.empty()) {
    X509_STORE* const store = SSL_CTX_get_cert_store(context);
    X509_LOOKUP* const lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
    const bool read = lookup != nullptr &&
                      X509_load_crl_file(lookup, options.crl_file.c_str(), X509_FILETYPE_PEM) > 0;
    if (auto good = for_key(read, "tls_crl_file", options.crl_file); !good) return good;
    if (auto good =
            checked(X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK) == 1, "tls_crl_file");
        !good)
      return good;
  }
  const int mode =
      SSL_VERIFY_PEER | (options.require_client_cert ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
  SSL_CTX_set_verify(context, mode, nullptr);
  return checked(
      X509_VERIFY_PARAM_set_purpose(SSL_CTX_get0_param(context), X509_PURPOSE_SSL_CLIENT) == 1,
      "tls_client_ca_file");
}

result<SslContext> make_context(const TlsServerOptions& options) {
  SslContext made(SSL_CTX_new(TLS_server_method()));
  SSL_CTX* const context = made.get();
  const auto failed = [](result<> what) { return std::unexpected(std::move(what).error()); };
  if (auto good = checked(context != nullptr, "TLS can't be set up"); !good) return failed(good);
  const int least = options.tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION;
  if (auto good = checked(SSL_CTX_set_min_proto_version(context, least) == 1, "tls_min_version");
      !good)
    return failed(good);
  SSL_CTX_set_options(context, SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_NO_RENEGOTIATION |
                                   SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_default_passwd_cb(context, no_pass_phrase);
  const std::string &cert = options.cert_file, &key = options.key_file;
  const std::pair<const char*, const std::string&> files[] = {
      {"tls_cert_file", cert},
      {"tls_key_file", key},
      {"tls_client_ca_file", options.client_ca_file},
      {"tls_crl_file", options.crl_file}};
  for (const auto& [name, path] : files)
    if (auto good = refuse_irregular(name, path); !good) return failed(good);
  const bool has_cert = SSL_CTX_use_certificate_chain_file(context, cert.c_str()) == 1;
  if (auto good = for_key(has_cert, "tls_cert_file", cert); !good) return failed(good);
  const bool has_key = SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) == 1;
  if (auto good = for_key(has_key, "tls_key_file", key); !good) return failed(good);
  if (auto good = for_key(SSL_CTX_check_private_key(context) == 1, "tls_key_file",
                          key + " does not belong to tls_cert_file");
      !good)
    return failed(good);
  if (!options.client_ca_file.empty()) {
    if (auto good = load_client_authorities(context, options); !good) return failed(good);
  }
  return made;
}

std::string text_of(const ASN1_STRING* text) {
  std::string out(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                  static_cast<std::size_t>(ASN1_STRING_length(text)));
  return out.contains('\0') ? std::string() : out;  // a name that is cut would be another's
}

Peer::Certificate certificate_of(const X509* certificate) {
  Peer::Certificate out;
  const X509_NAME* const subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  // Of two common names neither counts.
  if (at >= 0 && X509_NAME_get_index_by_NID(subject, NID_commonName, at) < 0) {
    unsigned char* utf8 = nullptr;
    const int size =
        ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (size > 0) out.common_name.assign(reinterpret_cast<char*>(utf8), static_cast<size_t>(size));
    OPENSSL_free(utf8);
    if (out.common_name.contains('\0')) out.common_name.clear();
  }
  auto* const names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_DNS && name->type != GEN_URI && name->type != GEN_EMAIL) continue;
    if (auto text = text_of(name->d.ia5); !text.empty()) out.names.push_back(std::move(text));
  }
  GENERAL_NAMES_free(names);
  return out;
}

}  // namespace

struct TlsServerContext::Impl {
  TlsServerOptions options;
  std::shared_ptr<asio::ssl::context> context = {};
  std::array<FileStamp, 4> stamps = {};

  // The context in force; a broken new file keeps the old one.
  result<std::shared_ptr<asio::ssl::context>> current() {
    const std::array<FileStamp, 4> now = {stamp_of(options.cert_file), stamp_of(options.key_file),
                                          stamp_of(options.client_ca_file),
                                          stamp_of(options.crl_file)};
    if (context && now == stamps) return context;
    if (!openssl_is_set_up())
      return std::unexpected(tls_error("OpenSSL was in use before it was set up"));
    auto made = make_context(options);
    if (made) {
      if (context)
        log::info("listener.tls_reloaded", "certificate files read again",
                  {{"file", options.cert_file}});
      context = std::make_shared<asio::ssl::context>(made->release());
    } else if (!context) {
      return std::unexpected(made.error());
    } else {
      log::warn("listener.tls_reload_failed",
                "a changed TLS file can't be used; going on with the old",
                {{"reason", made.error().text}});
    }
    stamps = now;
    return context;
  }
};

TlsServerContext::TlsServerContext(TlsServerOptions options)
    : impl_(new Impl{.options = std::move(options)}) {}
TlsServerContext::~TlsServerContext() = default;

result<> TlsServerContext::set_up() {
  const auto made = impl_->current();
  return made ? result<>{} : std::unexpected(made.error());
}

asio::awaitable<result<std::unique_ptr<Stream>>> TlsServerContext::handshake(
    asio::ip::tcp::socket socket, Peer& peer, Limit limit) {
  const auto context = impl_->current();
  if (!context) co_return std::unexpected(context.error());
  ERR_clear_error();
  TlsSocket tls(std::move(socket), **context);
  error_code error;
  {
    const Deadline guard(co_await asio::this_coro::executor, limit.at, tls.next_layer());
    co_await tls.async_handshake(asio::ssl::stream_base::server,
                                 asio::redirect_error(asio::use_awaitable, error));
    if (guard.passed()) co_return std::unexpected(limit.passed("TLS handshake"));
  }
  SSL* const ssl = tls.native_handle();
  if (error) {
    const long code = SSL_get_verify_result(ssl);
    co_return std::unexpected(
        tls_error("TLS handshake failed: " +
                  (code != X509_V_OK ? X509_verify_cert_error_string(code) : error.message())));
  }
  if (const X509* certificate = SSL_get0_peer_certificate(ssl)) {
    if (SSL_get_verify_result(ssl) != X509_V_OK)
      co_return std::unexpected(tls_error("the client's certificate was not verified"));
    peer.certificate = certificate_of(certificate);
  }
  co_return make_tls_stream(*context, std::move(tls));
}

}  // namespace keybearer::http
