// TLS over TCP. Every OpenSSL call that can fail is looked at (checked()), and no byte is sent before
// the connection is known to have checked a name or an address.

#include <openssl/err.h>
#include <openssl/evp.h>
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
#include <cstring>
#include <functional>
#include <tuple>
#include <utility>

#include "base/log.hpp"
#include "crypto/library.hpp"
#include "http/deadline.hpp"
#include "http/openssl.hpp"
#include "http/peer_name.hpp"
#include "http/stream.hpp"
#include "http/tls_files.hpp"
#include "http/tls_stream.hpp"

namespace keybearer::http {

std::string openssl_reason() {
  std::string text;
  while (const unsigned long code = ERR_get_error()) {
    const char* reason = ERR_SYSTEM_ERROR(code) ? strerrordesc_np(ERR_GET_REASON(code))
                                                : ERR_reason_error_string(code);
    if (text.empty() && reason != nullptr) text = reason;
  }
  return text.empty() ? "unknown TLS error" : text;
}

namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// What a connection found wrong with its server's certificate.
struct Finding {
  int depth = 0;        // 0: the server's own certificate, else one of its chain
  std::string names;    // that the certificate is for
  std::string subject;  // of the certificate at `depth`
  std::string issuer;
};

// Where a connection keeps its Finding during the handshake.
int finding_index() {
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
  return names.empty() ? "no name (it has no subject alternative names)" : names;
}

// "Example CA", or the whole name when there is no common name.
std::string common_name(const X509_NAME* name) {
  char text[128] = "";
  if (X509_NAME_get_text_by_NID(name, NID_commonName, text, sizeof text) <= 0)
    X509_NAME_oneline(name, text, sizeof text);
  std::string shown(text);
  std::ranges::replace_if(shown, [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
  return shown;
}

int on_verify(int ok, X509_STORE_CTX* store) {
  if (ok != 0) return ok;
  const int code = X509_STORE_CTX_get_error(store);
  if (code == X509_V_ERR_UNABLE_TO_GET_CRL) {  // only the lists that are there are obeyed
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
  }
  auto* const ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* const finding = static_cast<Finding*>(SSL_get_ex_data(ssl, finding_index()));
  X509* const current = X509_STORE_CTX_get_current_cert(store);
  if (finding == nullptr) return ok;
  finding->depth = X509_STORE_CTX_get_error_depth(store);
  if (current != nullptr) {
    finding->subject = common_name(X509_get_subject_name(current));
    finding->issuer = common_name(X509_get_issuer_name(current));
  }
  if (const X509* own = X509_STORE_CTX_get0_cert(store)) finding->names = names_of(own);
  return ok;
}

// Which check failed, and what to do; "" when it was not the certificate.
std::string verify_failure(long code, const PeerName& peer, const Finding& finding) {
  const std::string which =
      finding.depth == 0 ? "the server's certificate"
                         : "the certificate of " + finding.subject + " in the server's chain";
  switch (code) {
    case X509_V_OK:
      return {};
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "the server's certificate is for " + finding.names + ", not for " + peer.text +
             "; set vault.tls_server_name or use a name it is for";
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return which + " has expired: have it renewed on the server";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return which + " is not valid yet: is this machine's clock right?";
    case X509_V_ERR_CERT_REVOKED:
      return which + " has been revoked: have a new one issued";
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_CRL_NOT_YET_VALID:
      return "the revocation list of " + finding.issuer +
             " is out of date: put a new one in vault.ca_cert or ca_path";
    case X509_V_ERR_INVALID_PURPOSE:
      return which + " is not made for servers (key usage): have a new one issued";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return "the server's certificate is not trusted: it is self-signed; set vault.ca_cert "
             "(VAULT_CACERT) to it";
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return "the server's certificate is not trusted: its authority " + finding.subject +
             " is not known here; set vault.ca_cert (VAULT_CACERT) to that";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return "the server's certificate is not trusted: the issuer " + finding.issuer +
             " is neither sent by the server nor known here; set vault.ca_cert (VAULT_CACERT) to "
             "its "
             "authority, or have the server send its whole chain";
    default:
      return which + " is not trusted: " + X509_verify_cert_error_string(code) +
             "; set vault.ca_cert (VAULT_CACERT) to its authority";
  }
}

// The connection asks for this name's certificate, and for no other.
result<> expect_peer(SSL* ssl, const PeerName& peer) {
  X509_VERIFY_PARAM* const rules = SSL_get0_param(ssl);
  X509_VERIFY_PARAM_set_hostflags(
      rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  if (peer.is_address) {
    return checked(X509_VERIFY_PARAM_set1_ip_asc(rules, peer.text.c_str()) == 1,
                   "the address " + peer.text + " can't be checked");
  }
  const std::string what = "the name " + peer.text + " can't be checked";
  if (auto good = checked(SSL_set_tlsext_host_name(ssl, peer.text.c_str()) == 1, what); !good)
    return good;
  return checked(SSL_set1_host(ssl, peer.text.c_str()) == 1, what);
}

// What expect_peer asked for is what the handshake looked at, and the certificate is for it: the
// last word before the first byte.
result<> confirm_peer(SSL* ssl, const PeerName& peer) {
  X509* const certificate = SSL_get0_peer_certificate(ssl);
  const bool verified = certificate != nullptr && SSL_get_verify_result(ssl) == X509_V_OK &&
                        (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) != 0;
  const unsigned flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;
  const bool named =
      verified && (peer.is_address ? X509_check_ip_asc(certificate, peer.text.c_str(), flags)
                                   : X509_check_host(certificate, peer.text.data(),
                                                     peer.text.size(), flags, nullptr)) == 1;
  if (named) return {};
  return std::unexpected(tls_error("the server's certificate was not checked for " + peer.text +
                                       ": nothing is sent; please report this",
                                   Reason::tls_certificate));
}

// The SHA-256 of the server's public key as RFC 7469 has it (SPKI, DER), in base64; "": no key.
std::string pin_of(X509* certificate) {
  unsigned char* der = nullptr;
  const int size =
      certificate == nullptr ? -1 : i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  if (size <= 0) return {};
  std::array<unsigned char, 32> digest{};
  unsigned length = 0;
  const bool hashed = EVP_Digest(der, static_cast<std::size_t>(size), digest.data(), &length,
                                 EVP_sha256(), nullptr) == 1 &&
                      length == digest.size();
  OPENSSL_free(der);
  std::array<unsigned char, 45> text{};
  if (!hashed || EVP_EncodeBlock(text.data(), digest.data(), 32) != 44) return {};
  return {text.begin(), text.end() - 1};
}

// Also where the certificate itself is not looked at: the pin stands for it then.
result<> confirm_pin(SSL* ssl, const std::vector<std::string>& pins) {
  if (pins.empty()) return {};
  const std::string pin = pin_of(SSL_get0_peer_certificate(ssl));
  if (!pin.empty() && std::ranges::find(pins, pin) != pins.end()) return {};
  return std::unexpected(
      tls_error("the server's public key is none of vault.tls_pin_sha256: it is \"" + pin +
                    "\"; nothing is sent. Is it the right server? If its key was changed on "
                    "purpose, add the new pin",
                Reason::tls_certificate));
}

}  // namespace

namespace {

using Stamps = std::array<FileStamp, 4>;

// The context that check_tls_files made last, for the client that is set up next: reading the files
// and OpenSSL's tables a second time would take as long as the handshake. Of the loop's thread.
struct Checked {
  // All that make_ssl_context and make() look at.
  using Settings =
      std::tuple<std::string, std::string, std::string, std::string, std::string, bool, bool>;
  Settings settings;
  Stamps stamps;
  std::shared_ptr<asio::ssl::context> context;
};
Checked::Settings settings_of(const ClientOptions& options) {
  return {options.ca_cert,     options.ca_path,    options.client_cert,    options.client_key,
          options.ca_cert_pem, options.tls13_only, options.tls_skip_verify};
}
Checked& last_checked() {
  static Checked checked;
  return checked;
}

}  // namespace

struct TlsContext::Impl {
  const ClientOptions& options;
  std::shared_ptr<asio::ssl::context> context;
  Stamps stamps;

  [[nodiscard]] Stamps stamps_now() const {
    return {stamp_of(options.ca_cert), stamp_of(options.ca_path), stamp_of(options.client_cert),
            stamp_of(options.client_key)};
  }
  [[nodiscard]] result<std::shared_ptr<asio::ssl::context>> make() const;
  // The context in force; a broken new file keeps the old one.
  [[nodiscard]] result<std::shared_ptr<asio::ssl::context>> current();
};

result<std::shared_ptr<asio::ssl::context>> TlsContext::Impl::make() const {
  if (!openssl_is_set_up())
    return std::unexpected(tls_error("OpenSSL was in use before it was set up"));
  auto made = make_ssl_context(options);
  if (!made) return std::unexpected(made.error());
  if (options.tls_skip_verify) {
    SSL_CTX_set_verify(made->get(), SSL_VERIFY_NONE, nullptr);
  } else {
    SSL_CTX_set_verify(made->get(), SSL_VERIFY_PEER, on_verify);
  }
  return std::make_shared<asio::ssl::context>(made->release());
}

result<std::shared_ptr<asio::ssl::context>> TlsContext::Impl::current() {
  const auto now = stamps_now();
  if (context && now == stamps) return context;
  if (Checked& last = last_checked();
      !context && last.context && last.stamps == now && last.settings == settings_of(options)) {
    stamps = now;
    return context = std::exchange(last.context, nullptr);
  }
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
  for (const Url& url : options.addresses) {
    if (url.scheme != Url::Scheme::https) continue;
    if (const auto peer = peer_name(url.host, options.tls_server_name); !peer)
      return std::unexpected(peer.error());
  }
  TlsContext tls(options);
  if (auto made = tls.set_up(); !made) return made;
  last_checked() = {settings_of(options), tls.impl_->stamps, tls.impl_->context};
  return {};
}

result<> TlsContext::set_up() {
  const auto made = impl_->current();
  return made ? result<>{} : std::unexpected(made.error());
}

TlsContext::TlsContext(const ClientOptions& options) : impl_(new Impl{options, nullptr, {}}) {}
TlsContext::~TlsContext() = default;

namespace {

Error handshake_error(const error_code& error, SSL* ssl, const PeerName& peer,
                      const Finding& finding, bool verified) {
  if (verified) {
    std::string failure = verify_failure(SSL_get_verify_result(ssl), peer, finding);
    if (!failure.empty()) return tls_error(std::move(failure), Reason::tls_certificate);
  }
  const int reason = tls_reason(error);
  if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST) {
    return tls_error("the server does not speak TLS: is it http:// in vault.address (VAULT_ADDR)?",
                     Reason::tls_mismatch);
  }
  if (const auto refusal = tls_refusal(reason); !refusal.empty())
    return tls_error(std::string(refusal), Reason::tls_files);
  return tls_error("TLS handshake failed: " + error.message());
}

}  // namespace

asio::awaitable<result<std::unique_ptr<Stream>>> TlsContext::handshake(asio::ip::tcp::socket socket,
                                                                       std::string host,
                                                                       Limit limit) {
  const bool verified = !impl_->options.tls_skip_verify;
  const auto context = impl_->current();
  if (!context) co_return std::unexpected(context.error());
  const auto peer = peer_name(host, impl_->options.tls_server_name);
  if (!peer) co_return std::unexpected(peer.error());
  ERR_clear_error();
  TlsSocket tls(std::move(socket), **context);
  SSL* const ssl = tls.native_handle();
  if (auto good = expect_peer(ssl, *peer); !good) co_return std::unexpected(good.error());

  Finding finding;
  if (auto kept = checked(SSL_set_ex_data(ssl, finding_index(), &finding) == 1, "TLS"); !kept)
    co_return std::unexpected(kept.error());
  error_code error;
  {
    const Deadline guard(co_await asio::this_coro::executor, limit.at, tls.next_layer());
    co_await tls.async_handshake(asio::ssl::stream_base::client,
                                 asio::redirect_error(asio::use_awaitable, error));
    SSL_set_ex_data(ssl, finding_index(), nullptr);
    if (guard.passed()) co_return std::unexpected(limit.passed("TLS handshake"));
  }
  if (error) co_return std::unexpected(handshake_error(error, ssl, *peer, finding, verified));
  if (verified) {
    if (auto good = confirm_peer(ssl, *peer); !good) co_return std::unexpected(good.error());
  }
  if (auto good = confirm_pin(ssl, impl_->options.tls_pin_sha256); !good)
    co_return std::unexpected(good.error());
  InForce in_force;
  if (!impl_->options.client_cert.empty()) {
    in_force = [impl = impl_.get()](const asio::ssl::context& own) {
      const auto newest = impl->current();
      return newest && newest->get() == &own;
    };
  }
  co_return make_tls_stream(*context, std::move(tls), std::move(in_force));
}

}  // namespace keybearer::http
