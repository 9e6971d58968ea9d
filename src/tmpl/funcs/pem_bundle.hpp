#pragma once
// The PEM blocks of a file that a pkiCert template has written, whatever text stands around them,
// and whether a certificate in it is one that is asked for.
//
// Source: consul-template's dependency/vault_pki.go: a certificate that is no CA's is the
// certificate, the first of a CA is CA (ours: the one that issued it, if it is there), all of these
// are the chain. What it fits by (names, issuer,
// key) is ours: S6.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"

namespace keybearer::tmpl {

struct PemBundle {
  std::string cert, key, ca;  // each ends with a line break; key and ca may be empty
  std::vector<std::string> chain;
  WallTime not_before, not_after;  // of cert
};

// What is asked of a certificate.
struct CertificateRequest {
  std::string common_name;             // empty: any
  std::vector<std::string> dns_names;  // alternative names, without the common name
  std::vector<std::string> emails, ip_addresses, uris;
  bool common_name_is_alternative = true;  // not with exclude_cn_from_sans=true
  bool needs_key = true;                   // not where a CSR is signed
  std::string key_format;                  // "pkcs8": only such a key fits
  std::optional<Duration> ttl = {};        // of several that fit, the nearest to it
};
// Of pkiCert's arguments.
[[nodiscard]] CertificateRequest certificate_request(
    const std::vector<std::pair<std::string, std::string>>& args);

// The certificate in `text` that has exactly the names of `request`, with its key, and the CA
// certificates beside it: of several the one whose whole life is nearest to what is asked for, else
// the first. nullopt: there is none, or its key is not there.
[[nodiscard]] std::optional<PemBundle> pem_bundle(std::string_view text,
                                                  const CertificateRequest& request);

// Whether `ca` has issued `cert` (names and signature); false also for what is no certificate.
[[nodiscard]] bool is_issued_by(std::string_view cert, std::string_view ca);

// PEM as Go's pem.EncodeToMemory writes it: lines of 64, a line break at the end; all blocks in
// `text`, one after the other. What is no PEM stays as it is.
[[nodiscard]] std::string pem_text(std::string_view text);

// The certificate alone, where a server gives more with it (format=pem_bundle: key and CA).
[[nodiscard]] std::string certificate_text(std::string_view text);

}  // namespace keybearer::tmpl
