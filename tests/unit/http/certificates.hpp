#pragma once
// Certificates for tests, made on the spot: an authority, and what it signs. In a folder that goes
// away again.

#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>

namespace keybearer::test {

template <class T, void (*Free)(T*)>
struct Freed {
  void operator()(T* p) const { Free(p); }
};
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY, EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509, X509_free>>;

class Certificates {
 public:
  Certificates() {
    REQUIRE(mkdtemp(folder_.data()) != nullptr);
    authority_key_ = Key(EVP_EC_gen("P-256"));
    authority_ = sign(authority_key_.get(), "Test Authority", "", 3600);
    write("ca.pem", authority_.get(), nullptr);
  }
  ~Certificates() { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }

  // NAME.pem and NAME.key; `names` as "DNS:a,IP:1.2.3.4"; `seconds` may be in the past.
  void make(const std::string& name, const std::string& names, long seconds = 3600) {
    const Key key(EVP_EC_gen("P-256"));
    const Certificate certificate = sign(key.get(), name, names, seconds);
    write(name + ".pem", certificate.get(), nullptr);
    write(name + ".key", nullptr, key.get());
  }

 private:
  Certificate sign(EVP_PKEY* key, const std::string& common_name, const std::string& names,
                   long seconds) {
    Certificate certificate(X509_new());
    X509* const x = certificate.get();
    X509_set_version(x, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial_);
    X509_gmtime_adj(X509_getm_notBefore(x), -7200);
    X509_gmtime_adj(X509_getm_notAfter(x), seconds);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                               0);
    X509_set_issuer_name(x, X509_get_subject_name(authority_ ? authority_.get() : x));
    if (!authority_) extend(x, NID_basic_constraints, "critical,CA:TRUE");
    if (!names.empty()) extend(x, NID_subject_alt_name, names.c_str());
    REQUIRE(X509_sign(x, authority_key_.get(), EVP_sha256()) > 0);
    return certificate;
  }
  static void extend(X509* x, int kind, const char* value) {
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value);
    REQUIRE(extension != nullptr);
    X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
  }
  void write(const std::string& name, X509* certificate, EVP_PKEY* key) const {
    FILE* const file = fopen((path(name) + ".new").c_str(), "w");
    REQUIRE(file != nullptr);
    if (certificate != nullptr) PEM_write_X509(file, certificate);
    if (key != nullptr) PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    fclose(file);
    std::filesystem::rename(path(name) + ".new", path(name));
  }

  std::string folder_ = "/tmp/kb-tls-XXXXXX";
  Key authority_key_;
  Certificate authority_;
  int serial_ = 0;
};

}  // namespace keybearer::test
