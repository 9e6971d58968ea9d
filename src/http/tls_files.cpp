// The TLS settings of ClientOptions as an SSL_CTX: authorities, client certificate, versions. Set up
// again when one of the files changed.

#include "http/tls_files.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>

#include "http/openssl.hpp"

namespace keybearer::http {
namespace {

// Where distributions keep the system's CAs: a hashed directory, of which only the issuer that is
// needed is read; else one file.
constexpr std::array kSystemDirectories = {"/etc/ssl/certs", "/etc/pki/tls/certs"};
constexpr std::array kSystemFiles = {"/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
                                     "/etc/ssl/cert.pem"};

template <class T, void (*Free)(T*)>
struct Freed {
  void operator()(T* p) const { Free(p); }
};
using Bio = std::unique_ptr<BIO, Freed<BIO, BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Freed<X509, X509_free>>;

result<> refused(std::string_view key, const std::string& path, const char* why) {
  return std::unexpected(Error{.kind = ErrorKind::tls,
                               .text = std::string(key) + " " + path + ": " + why,
                               .reason = Reason::tls_files});
}

bool exists(const std::string& path) {
  struct stat info{};
  return stat(path.c_str(), &info) == 0;
}

// VAULT_CACERT_BYTES: certificates one after the other, and nothing but certificates.
result<> add_authorities(X509_STORE* store, const std::string& pem) {
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  if (auto made = checked(bio != nullptr, "VAULT_CACERT_BYTES"); !made) return made;
  int count = 0;
  for (;;) {
    const Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    if (certificate == nullptr) break;
    const bool added = X509_STORE_add_cert(store, certificate.get()) == 1;
    if (auto good = checked(added, "VAULT_CACERT_BYTES", Reason::tls_files); !good) return good;
    ++count;
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (count == 0 || !at_end) {
    ERR_clear_error();
    return std::unexpected(Error{.kind = ErrorKind::tls,
                                 .text = "VAULT_CACERT_BYTES: not PEM certificates",
                                 .reason = Reason::tls_files});
  }
  ERR_clear_error();
  return {};
}

result<> add_system_authorities(SSL_CTX* context) {
  bool any = false, hashed = false;
  for (const char* directory : kSystemDirectories) {
    hashed = hashed || exists(std::string(directory) + "/ca-certificates.crt");
    any = (exists(directory) && SSL_CTX_load_verify_dir(context, directory) == 1) || any;
  }
  for (const char* file : kSystemFiles) {
    any = (!hashed && exists(file) && SSL_CTX_load_verify_file(context, file) == 1) || any;
  }
  ERR_clear_error();  // without any authority no server is trusted: that is said at the handshake
  return {};
}

// A revocation list among the authorities is obeyed, for the whole chain; that there is none for
// some authority is no fault (on_verify in tls.cpp).
result<> obey_revocations(X509_STORE* store, bool directory) {
  const STACK_OF(X509_OBJECT)* objects = X509_STORE_get0_objects(store);
  bool any = directory;  // its lists are looked for when they are needed
  for (int i = 0; i < sk_X509_OBJECT_num(objects); ++i) {
    any = any || X509_OBJECT_get_type(sk_X509_OBJECT_value(objects, i)) == X509_LU_CRL;
  }
  if (!any) return {};
  return checked(
      X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL) == 1,
      "revocation lists");
}

// "5ed36f99.0", "5ed36f99.r0": what X509_LOOKUP_hash_dir(3) opens.
bool is_hashed(std::string_view name) {
  constexpr std::size_t kDigits = 8;
  const auto digits = name.substr(0, kDigits);
  if (digits.size() != kDigits || digits.find_first_not_of("0123456789abcdef") != digits.npos)
    return false;
  auto rest = name.substr(kDigits);
  if (!rest.starts_with('.')) return false;
  rest.remove_prefix(rest.starts_with(".r") ? 2 : 1);
  return !rest.empty() && rest.find_first_not_of("0123456789") == rest.npos;
}

// Its files are read when a certificate is verified.
result<> check_authority_directory(const std::string& directory) {
  std::error_code none;
  if (!std::filesystem::is_directory(directory, none) && exists(directory))
    return refused("vault.ca_path", directory, "not a directory");
  for (const auto& entry : std::filesystem::directory_iterator(directory, none)) {
    if (!is_hashed(entry.path().filename().string()) || entry.is_directory(none)) continue;
    if (auto good = refuse_irregular("vault.ca_path", entry.path().string()); !good) return good;
  }
  return {};
}

result<> load_authorities(SSL_CTX* context, const ClientOptions& options) {
  const std::string &file = options.ca_cert, &directory = options.ca_path;
  if (!file.empty()) {
    if (auto good = refuse_irregular("vault.ca_cert", file); !good) return good;
    const bool done = SSL_CTX_load_verify_file(context, file.c_str()) == 1;
    if (auto good = for_key(done, "vault.ca_cert", file); !good) return good;
  }
  if (!directory.empty()) {
    if (auto good = for_key(exists(directory), "vault.ca_path", directory); !good) return good;
    if (auto good = check_authority_directory(directory); !good) return good;
    const bool done = SSL_CTX_load_verify_dir(context, directory.c_str()) == 1;
    if (auto good = for_key(done, "vault.ca_path", directory); !good) return good;
  }
  X509_STORE* const store = SSL_CTX_get_cert_store(context);
  if (file.empty() && !options.ca_cert_pem.empty()) {
    if (auto good = add_authorities(store, options.ca_cert_pem); !good) return good;
  }
  if (file.empty() && directory.empty() && options.ca_cert_pem.empty()) {
    if (auto good = add_system_authorities(context); !good) return good;
  }
  return obey_revocations(store, !directory.empty());
}

// Asked when a key has a pass phrase: nobody is.
int no_pass_phrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

result<> load_client_certificate(SSL_CTX* context, const ClientOptions& options) {
  const std::string &file = options.client_cert, &key = options.client_key;
  if (file.empty()) return {};
  if (auto good = refuse_irregular("vault.client_cert", file); !good) return good;
  if (auto good = refuse_irregular("vault.client_key", key); !good) return good;
  bool has_pass_phrase = false;
  SSL_CTX_set_default_passwd_cb(context, no_pass_phrase);
  SSL_CTX_set_default_passwd_cb_userdata(context, &has_pass_phrase);
  const bool read = SSL_CTX_use_certificate_chain_file(context, file.c_str()) == 1;
  if (auto good = for_key(read, "vault.client_cert", file); !good) return good;
  const bool used = SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) == 1;
  SSL_CTX_set_default_passwd_cb_userdata(context, nullptr);
  SSL_CTX_set_default_passwd_cb(context, nullptr);
  if (has_pass_phrase) {
    ERR_clear_error();
    return std::unexpected(Error{.kind = ErrorKind::tls,
                                 .text = "vault.client_key " + key +
                                         ": the key has a pass phrase, which nobody is asked for: "
                                         "store it without one (openssl pkey -in KEY -out NEW)",
                                 .reason = Reason::tls_files});
  }
  if (auto good = for_key(used, "vault.client_key", key); !good) return good;
  return for_key(SSL_CTX_check_private_key(context) == 1, "vault.client_key",
                 key + " does not belong to vault.client_cert");
}

}  // namespace

result<> for_key(bool done, std::string_view key, const std::string& value) {
  return checked(done, std::string(key) + " " + value, Reason::tls_files);
}

result<> refuse_irregular(std::string_view key, const std::string& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode)) return {};
  return refused(key, path,
                 S_ISDIR(info.st_mode) ? "is a directory; expected a file" : "not a regular file");
}

result<SslContext> make_ssl_context(const ClientOptions& options) {
  SslContext made(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* const context = made.get();
  if (auto good = checked(context != nullptr, "TLS can't be set up"); !good)
    return std::unexpected(good.error());
  const int least = options.tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION;
  if (auto good = checked(SSL_CTX_set_min_proto_version(context, least) == 1, "tls_min_version");
      !good) {
    return std::unexpected(good.error());
  }
  SSL_CTX_set_options(context, SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_NO_RENEGOTIATION |
                                   SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (!options.tls_skip_verify) {
    if (auto good = load_authorities(context, options); !good) return std::unexpected(good.error());
  }
  if (auto good = load_client_certificate(context, options); !good)
    return std::unexpected(good.error());
  return made;
}

}  // namespace keybearer::http
