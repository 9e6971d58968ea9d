#pragma once
// Certificates for tests, made on the spot: an authority, and what it signs. In a directory that goes
// away again.

#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace keybearer::test {

template <class T, void (*Free)(T*)>
struct Freed {
  void operator()(T* p) const { Free(p); }
};
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY, EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509, X509_free>>;

// What a certificate says.
struct Spec {
  std::string names;             // "DNS:a,IP:1.2.3.4"
  std::string common_name = {};  // "" is the file's name
  std::string issuer = "ca";
  std::string usage = {};           // extended key usage: "clientAuth"
  long from = -7200, until = 3600;  // seconds from now
  bool is_authority = false;
  std::vector<std::string> chain = {};  // what follows it in its file
  std::string second_common_name = {};
};

class Certificates {
 public:
  Certificates() {
    REQUIRE(mkdtemp(directory_.data()) != nullptr);
    add("ca", {.names = "", .common_name = "Test Authority", .issuer = "", .is_authority = true});
  }
  ~Certificates() { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::string path(const std::string& name) const { return directory_ + "/" + name; }

  // NAME.pem and NAME.key.
  void add(const std::string& name, Spec spec) {
    Key key(EVP_EC_gen("P-256"));
    if (spec.common_name.empty()) spec.common_name = name;
    Certificate certificate = sign(name, key.get(), spec);
    std::vector<const X509*> all{certificate.get()};
    for (const auto& each : spec.chain) all.push_back(made_.at(each).certificate.get());
    write_file(name + ".pem", [&](FILE* file) {
      for (const X509* each : all) PEM_write_X509(file, each);
    });
    write_file(name + ".key", [&](FILE* file) {
      PEM_write_PrivateKey(file, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
    made_[name] = {std::move(key), std::move(certificate)};
  }
  // Another certificate for the same key.
  void renew(const std::string& name, Spec spec) {
    if (spec.common_name.empty()) spec.common_name = name;
    Certificate certificate = sign(name, made_.at(name).key.get(), spec);
    write_file(name + ".pem", [&](FILE* file) { PEM_write_X509(file, certificate.get()); });
    made_.at(name).certificate = std::move(certificate);
  }
  // The SHA-256 of its public key (SPKI), in base64.
  [[nodiscard]] std::string pin(const std::string& name) const {
    unsigned char* der = nullptr;
    const int size = i2d_PUBKEY(made_.at(name).key.get(), &der);
    REQUIRE(size > 0);
    unsigned char digest[32], text[45];
    REQUIRE(EVP_Digest(der, static_cast<std::size_t>(size), digest, nullptr, EVP_sha256(),
                       nullptr) == 1);
    OPENSSL_free(der);
    EVP_EncodeBlock(text, digest, sizeof digest);
    return reinterpret_cast<const char*>(text);
  }
  void make(const std::string& name, const std::string& names, long seconds = 3600) {
    add(name, {.names = names, .until = seconds});
  }
  // NAME.locked.key: the same key with a pass phrase.
  void lock(const std::string& name) {
    write_file(name + ".locked.key", [&](FILE* file) {
      PEM_write_PKCS8PrivateKey(file, made_.at(name).key.get(), EVP_aes_256_cbc(), "phrase", 6,
                                nullptr, nullptr);
    });
  }
  // FILE: the issuer's certificate and its list, on which NAME stands.
  void revoke(const std::string& name, const std::string& issuer, const std::string& file) {
    X509_CRL* const list = X509_CRL_new();
    X509_CRL_set_version(list, 1);
    X509_CRL_set_issuer_name(list, X509_get_subject_name(made_.at(issuer).certificate.get()));
    ASN1_TIME* const time = X509_gmtime_adj(nullptr, -60);
    X509_CRL_set1_lastUpdate(list, time);
    X509_REVOKED* const entry = X509_REVOKED_new();
    X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(made_.at(name).certificate.get()));
    X509_REVOKED_set_revocationDate(entry, time);
    X509_CRL_add0_revoked(list, entry);
    X509_gmtime_adj(time, 3600);
    X509_CRL_set1_nextUpdate(list, time);
    ASN1_TIME_free(time);
    REQUIRE(X509_CRL_sign(list, made_.at(issuer).key.get(), EVP_sha256()) > 0);
    write_file(file, [&](FILE* out) {
      PEM_write_X509(out, made_.at("ca").certificate.get());
      PEM_write_X509_CRL(out, list);
    });
    X509_CRL_free(list);
  }

 private:
  struct Made {
    Key key;
    Certificate certificate;
  };

  Certificate sign(const std::string& name, EVP_PKEY* key, const Spec& spec) {
    Certificate certificate(X509_new());
    X509* const x = certificate.get();
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial_);
    X509_gmtime_adj(X509_getm_notBefore(x), spec.from);
    X509_gmtime_adj(X509_getm_notAfter(x), spec.until);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(spec.common_name.c_str()), -1,
                               -1, 0);
    if (!spec.second_common_name.empty())
      X509_NAME_add_entry_by_txt(
          X509_get_subject_name(x), "CN", MBSTRING_ASC,
          reinterpret_cast<const unsigned char*>(spec.second_common_name.c_str()), -1, -1, 0);
    const bool by_itself = spec.issuer.empty() || spec.issuer == name;
    const X509* const issuer = by_itself ? x : made_.at(spec.issuer).certificate.get();
    X509_set_issuer_name(x, X509_get_subject_name(issuer));
    if (spec.is_authority) extend(x, NID_basic_constraints, "critical,CA:TRUE");
    if (!spec.usage.empty()) extend(x, NID_ext_key_usage, spec.usage.c_str());
    if (!spec.names.empty()) extend(x, NID_subject_alt_name, spec.names.c_str());
    EVP_PKEY* const signer = by_itself ? key : made_.at(spec.issuer).key.get();
    REQUIRE(X509_sign(x, signer, EVP_sha256()) > 0);
    return certificate;
  }
  static void extend(X509* x, int kind, const char* value) {
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value);
    REQUIRE(extension != nullptr);
    X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
  }
  template <class Fill>
  void write_file(const std::string& name, const Fill& fill) const {
    FILE* const file = fopen((path(name) + ".new").c_str(), "w");
    REQUIRE(file != nullptr);
    fill(file);
    fclose(file);
    std::filesystem::rename(path(name) + ".new", path(name));
  }

  std::string directory_ = "/tmp/kb-tls-XXXXXX";
  std::map<std::string, Made> made_;
  int serial_ = 0;
};

}  // namespace keybearer::test
