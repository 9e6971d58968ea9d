#pragma once
// The PEM blocks of a file that a pkiCert template has written, whatever text stands around them.
//
// Source: consul-template's dependency/vault_pki.go: the first certificate that is no CA's is the
// certificate, the first of a CA is CA, all of these are the chain.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"

namespace keybearer::tmpl {

struct PemBundle {
  std::string cert, key, ca;  // as they stand in the text; key and ca may be empty
  std::vector<std::string> chain;
  WallTime not_before, not_after;  // of cert
};

// nullopt: no certificate in it that is for `host` (any, when that is empty), or the key is another
// certificate's.
[[nodiscard]] std::optional<PemBundle> pem_bundle(std::string_view text, const std::string& host);

}  // namespace keybearer::tmpl
