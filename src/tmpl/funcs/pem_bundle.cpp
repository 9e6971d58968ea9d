#include "tmpl/funcs/pem_bundle.hpp"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <memory>
#include <optional>

#include "tmpl/go/go_time.hpp"

namespace keybearer::tmpl {
namespace {

template <class T, void (*Free)(T*)>
struct Freed {
  void operator()(T* object) const { Free(object); }
};
using Certificate = std::unique_ptr<X509, Freed<X509, X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY, EVP_PKEY_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Freed<GENERAL_NAMES, GENERAL_NAMES_free>>;

// OpenSSL's queue of errors is nobody's business here.
struct ErrorsCleared {
  ~ErrorsCleared() { ERR_clear_error(); }
};

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

struct Block {
  std::string_view whole, name, content;
};

// The next block of `text`; without a name: there is none.
Block next_block(std::string_view& text) {
  constexpr std::string_view kBegin = "-----BEGIN ", kDashes = "-----";
  const auto begin = text.find(kBegin);
  if (begin == std::string_view::npos) return {};
  const auto name_end = text.find(kDashes, begin + kBegin.size());
  if (name_end == std::string_view::npos) return {};
  const auto name = text.substr(begin + kBegin.size(), name_end - begin - kBegin.size());
  const std::string last = "-----END " + std::string(name) + "-----";
  const auto end = text.find(last, name_end);
  if (end == std::string_view::npos) return {};
  const auto content = name_end + kDashes.size();
  const Block block{text.substr(begin, end + last.size() - begin), name,
                    text.substr(content, end - content)};
  text.remove_prefix(end + last.size());
  return block;
}

// A block with headers (an encrypted key of old) keeps its lines; the body of others is split again.
std::string encoded(const Block& block) {
  const std::string first = "-----BEGIN " + std::string(block.name) + "-----\n";
  const std::string last = "-----END " + std::string(block.name) + "-----\n";
  if (block.content.contains(':')) {
    std::string lines(block.content);
    std::erase(lines, '\r');
    const auto begin = lines.find_first_not_of('\n');
    lines.erase(0, begin == std::string::npos ? lines.size() : begin);
    if (!lines.empty() && lines.back() != '\n') lines += '\n';
    return first + lines + last;
  }
  std::string out = first;
  std::size_t column = 0;
  for (const char c : block.content) {
    if (c == ' ' || c == '\n' || c == '\r' || c == '\t') continue;
    out += c;
    if (++column % 64 == 0) out += '\n';
  }
  if (column % 64 != 0) out += '\n';
  return out + last;
}

std::string text_of(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}
std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  return text;
}
// IPv6 may be written in several ways.
std::string plain_ip(const std::string& text) {
  unsigned char bytes[16];
  char out[INET6_ADDRSTRLEN] = "";
  for (const int family : {AF_INET, AF_INET6}) {
    if (inet_pton(family, text.c_str(), bytes) == 1 &&
        inet_ntop(family, bytes, out, sizeof out) != nullptr)
      return out;
  }
  return text;
}

std::string common_name_of(X509* certificate) {
  X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return {};
  return text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

// "dns:a.example", "ip:10.0.0.1" ..., sorted, once each.
std::vector<std::string> sorted(std::vector<std::string> names) {
  std::ranges::sort(names);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::vector<std::string> names_of(X509* certificate) {
  std::vector<std::string> out;
  const Names names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) out.push_back("dns:" + lower(text_of(name->d.dNSName)));
    if (name->type == GEN_EMAIL) out.push_back("email:" + lower(text_of(name->d.rfc822Name)));
    if (name->type == GEN_URI) out.push_back("uri:" + text_of(name->d.uniformResourceIdentifier));
    if (name->type != GEN_IPADD) continue;
    const std::string bytes = text_of(name->d.iPAddress);
    char text[INET6_ADDRSTRLEN] = "";
    inet_ntop(bytes.size() == 4 ? AF_INET : AF_INET6, bytes.data(), text, sizeof text);
    out.push_back("ip:" + std::string(text));
  }
  return sorted(std::move(out));
}

bool is_host_name(std::string_view name) {
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_' || c == '*';
  });
}

std::vector<std::string> names_of(const CertificateRequest& request) {
  std::vector<std::string> out;
  for (const std::string& name : request.dns_names) out.push_back("dns:" + lower(name));
  for (const std::string& name : request.emails) out.push_back("email:" + lower(name));
  for (const std::string& name : request.uris) out.push_back("uri:" + name);
  for (const std::string& name : request.ip_addresses) out.push_back("ip:" + plain_ip(name));
  const std::string& common = request.common_name;
  if (request.common_name_is_alternative && !common.empty()) {
    if (common.contains('@'))
      out.push_back("email:" + lower(common));
    else if (is_host_name(common))  // others stay in the subject alone
      out.push_back("dns:" + lower(common));
  }
  return sorted(std::move(out));
}

bool has_names(X509* certificate, const CertificateRequest& request) {
  if (!request.common_name.empty() &&
      lower(common_name_of(certificate)) != lower(request.common_name))
    return false;
  return names_of(certificate) == names_of(request);
}

std::vector<std::string> list_of(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    std::string_view item = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    while (item.starts_with(' ')) item.remove_prefix(1);
    while (item.ends_with(' ')) item.remove_suffix(1);
    if (!item.empty()) out.emplace_back(item);
  }
  return out;
}

// As servers take it: Go's text, or seconds.
std::optional<Duration> duration_of(const std::string& text) {
  const bool seconds = !text.empty() && text.find_first_not_of("0123456789") == text.npos;
  const auto parsed = go_time::parse_duration(seconds ? text + "s" : text);
  if (!parsed) return std::nullopt;
  return std::chrono::duration_cast<Duration>(std::chrono::nanoseconds(*parsed));
}

}  // namespace

CertificateRequest certificate_request(
    const std::vector<std::pair<std::string, std::string>>& args) {
  CertificateRequest request;
  for (const auto& [name, value] : args) {
    if (name == "common_name") request.common_name = value;
    if (name == "ip_sans") request.ip_addresses = list_of(value);
    if (name == "uri_sans") request.uris = list_of(value);
    if (name == "exclude_cn_from_sans" && (value == "true" || value == "1"))
      request.common_name_is_alternative = false;
    if (name == "csr" && !value.empty()) request.needs_key = false;
    if (name == "private_key_format") request.key_format = value;
    if (name == "ttl") request.ttl = duration_of(value);
    if (name != "alt_names") continue;
    for (std::string& each : list_of(value))
      (each.contains('@') ? request.emails : request.dns_names).push_back(std::move(each));
  }
  return request;
}

std::optional<PemBundle> pem_bundle(std::string_view text, const CertificateRequest& request) {
  const ErrorsCleared cleared;
  std::vector<std::pair<Certificate, std::string>> leaves;
  std::vector<std::string> keys;
  PemBundle bundle;
  for (Block block = next_block(text); !block.whole.empty(); block = next_block(text)) {
    if (block.name.ends_with("PRIVATE KEY")) keys.push_back(encoded(block));
    if (block.name != "CERTIFICATE") continue;
    std::string pem = encoded(block);
    Certificate certificate = certificate_of(pem);
    if (!certificate) continue;
    if (X509_check_ca(certificate.get()) == 0) {
      leaves.emplace_back(std::move(certificate), std::move(pem));
    } else if (std::ranges::find(bundle.chain, pem) == bundle.chain.end()) {
      if (bundle.ca.empty()) bundle.ca = pem;
      bundle.chain.push_back(std::move(pem));
    }
  }
  std::optional<Duration> nearest;  // how far the one that was found is from what is asked for
  for (auto& [leaf, pem] : leaves) {
    if (!has_names(leaf.get(), request)) continue;
    const auto fits = [&leaf, &request](const std::string& key_pem) {
      if (request.key_format == "pkcs8" && !key_pem.starts_with("-----BEGIN PRIVATE KEY-----"))
        return false;
      const Key key = key_of(key_pem);
      return key && X509_check_private_key(leaf.get(), key.get()) == 1;
    };
    const WallTime begin = time_of(X509_get0_notBefore(leaf.get()));
    const WallTime end = time_of(X509_get0_notAfter(leaf.get()));
    const auto life = std::chrono::duration_cast<Duration>(end - begin);
    const Duration away = std::chrono::abs(life - request.ttl.value_or(life));
    if (nearest && away >= *nearest) continue;
    const auto key = std::ranges::find_if(keys, fits);
    if (key == keys.end() && request.needs_key) continue;
    nearest = away;
    bundle.key = key != keys.end() ? *key : std::string();
    bundle.cert = std::move(pem);
    bundle.not_before = begin;
    bundle.not_after = end;
  }
  if (!nearest) return std::nullopt;
  const auto issuer = std::ranges::find_if(
      bundle.chain, [&bundle](const std::string& ca) { return is_issued_by(bundle.cert, ca); });
  if (issuer != bundle.chain.end()) bundle.ca = *issuer;
  return bundle;
}

bool is_issued_by(std::string_view cert, std::string_view ca) {
  const ErrorsCleared cleared;
  const Certificate leaf = certificate_of(cert), issuer = certificate_of(ca);
  if (!leaf || !issuer) return false;
  return X509_check_issued(issuer.get(), leaf.get()) == X509_V_OK &&
         X509_verify(leaf.get(), X509_get0_pubkey(issuer.get())) == 1;
}

std::string pem_text(std::string_view text) {
  std::string out;
  std::string_view rest = text;
  for (Block block = next_block(rest); !block.whole.empty(); block = next_block(rest))
    out += encoded(block);
  return out.empty() ? std::string(text) : out;
}

std::string certificate_text(std::string_view text) {
  const ErrorsCleared cleared;
  std::string first;
  std::string_view rest = text;
  for (Block block = next_block(rest); !block.whole.empty(); block = next_block(rest)) {
    if (block.name != "CERTIFICATE") continue;
    std::string pem = encoded(block);
    const Certificate certificate = certificate_of(pem);
    if (certificate && X509_check_ca(certificate.get()) == 0) return pem;
    if (first.empty()) first = std::move(pem);
  }
  return first.empty() ? pem_text(text) : first;
}

}  // namespace keybearer::tmpl
