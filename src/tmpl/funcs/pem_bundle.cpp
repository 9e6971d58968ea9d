#include "tmpl/funcs/pem_bundle.hpp"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <ctime>
#include <memory>

namespace keybearer::tmpl {
namespace {

template <class T, void (*Free)(T*)>
struct Freed {
  void operator()(T* object) const { Free(object); }
};
using Certificate = std::unique_ptr<X509, Freed<X509, X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY, EVP_PKEY_free>>;

int no_password(char*, int, int, void*) {
  return -1;
}

BIO* reader(std::string_view text) {
  return BIO_new_mem_buf(text.data(), static_cast<int>(text.size()));
}
Certificate certificate_of(std::string_view text) {
  BIO* bio = reader(text);
  Certificate certificate(PEM_read_bio_X509(bio, nullptr, no_password, nullptr));
  BIO_free(bio);
  return certificate;
}
Key key_of(std::string_view text) {
  BIO* bio = reader(text);
  Key key(PEM_read_bio_PrivateKey(bio, nullptr, no_password, nullptr));
  BIO_free(bio);
  return key;
}

WallTime time_of(const ASN1_TIME* time) {
  std::tm parts{};
  ASN1_TIME_to_tm(time, &parts);
  return WallTime(std::chrono::seconds(timegm(&parts)));
}

// The next block of `text` and what it is ("CERTIFICATE"); empty: there is none.
std::pair<std::string_view, std::string_view> next_block(std::string_view& text) {
  constexpr std::string_view kBegin = "-----BEGIN ", kDashes = "-----";
  const auto begin = text.find(kBegin);
  if (begin == std::string_view::npos) return {};
  const auto name_end = text.find(kDashes, begin + kBegin.size());
  if (name_end == std::string_view::npos) return {};
  const auto name = text.substr(begin + kBegin.size(), name_end - begin - kBegin.size());
  const std::string last = "-----END " + std::string(name) + "-----";
  const auto end = text.find(last, name_end);
  if (end == std::string_view::npos) return {};
  const auto block = text.substr(begin, end + last.size() - begin);
  text.remove_prefix(end + last.size());
  return {block, name};
}

}  // namespace

std::optional<PemBundle> pem_bundle(std::string_view text, const std::string& host) {
  PemBundle bundle;
  Certificate leaf;
  for (auto [block, name] = next_block(text); !block.empty();
       std::tie(block, name) = next_block(text)) {
    if (name.ends_with("PRIVATE KEY")) {
      if (bundle.key.empty()) bundle.key = block;
    } else if (name == "CERTIFICATE") {
      Certificate certificate = certificate_of(block);
      if (!certificate) continue;
      if (X509_check_ca(certificate.get()) > 0) {
        if (bundle.ca.empty()) bundle.ca = block;
        if (std::ranges::find(bundle.chain, block) == bundle.chain.end())
          bundle.chain.emplace_back(block);
      } else if (!leaf) {
        bundle.cert = block;
        leaf = std::move(certificate);
      }
    }
  }
  ERR_clear_error();
  if (!leaf) return std::nullopt;
  if (!host.empty() && X509_check_host(leaf.get(), host.c_str(), host.size(), 0, nullptr) != 1)
    return std::nullopt;
  if (!bundle.key.empty()) {
    const Key key = key_of(bundle.key);
    const bool ours = key && X509_check_private_key(leaf.get(), key.get()) == 1;
    ERR_clear_error();
    if (!ours) return std::nullopt;
  }
  bundle.not_before = time_of(X509_get0_notBefore(leaf.get()));
  bundle.not_after = time_of(X509_get0_notAfter(leaf.get()));
  return bundle;
}

}  // namespace keybearer::tmpl
