#pragma once
// What a JWT of ours says about itself, unverified: for advice to people, never for a decision about
// trust. Claims are no secrets; the signature is, and stays out. Pure.
//
// Source: RFC 7519 section 4.1; Kubernetes' service account tokens.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"

namespace keybearer::auth {

struct JwtClaims {
  std::string issuer, subject;
  std::vector<std::string> audience;
  std::optional<std::int64_t> issued, not_before, expires;  // seconds since 1970
};

// Nothing where `token` is no JWT in its compact form, or its payload no JSON object. A claim of
// another type than the standard's counts as missing; texts are cut to 200 bytes.
[[nodiscard]] std::optional<JwtClaims> read_jwt(std::string_view token);

// "its aud = [\"a\", \"b\"], iss = \"c\", sub = \"d\", expired at 2026-11-29T10:00:00Z (5 min ago; our
// clock says ...)", or that it is no JWT. Control characters are escaped.
[[nodiscard]] std::string describe_jwt(std::string_view token, WallTime now);

// "in 12 s", "5 min ago", "now".
[[nodiscard]] std::string relative_time(std::int64_t at, std::int64_t now);
// "2026-11-29T10:00:00Z"; "" outside the years 0 to 9999.
[[nodiscard]] std::string utc_text(std::int64_t seconds);

}  // namespace keybearer::auth
