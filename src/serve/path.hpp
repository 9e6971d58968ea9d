#pragma once
// The one reading of a request's target, for rules and for what goes upstream: what the rules saw is
// what the server will see. Pure.

#include <string>
#include <string_view>

#include "base/error.hpp"

namespace keybearer::serve {

struct Target {
  std::string path;       // decoded once, with its slash: "/v1/kv/data/app"
  std::string raw;        // path and query as they came, without scheme and authority
  std::string query;      // as it came, without "?"
  std::string authority;  // of the absolute form, else empty
  // Without slashes at its ends.
  [[nodiscard]] std::string_view trimmed() const;
};

// Refused (Error.status 400, with the reason): `.` and `..` as a segment, however they are written,
// an empty segment, an encoded slash, backslash or control character, broken percent-encoding, and
// what is not UTF-8 after decoding.
[[nodiscard]] result<Target> parse_target(std::string_view target);

// The parameter's decoded value; nullopt: not there. The first counts, as Vault reads it.
[[nodiscard]] std::optional<std::string> query_value(std::string_view query, std::string_view name);

// For the log: tokens, accessors and leases that stand in a path are left out.
[[nodiscard]] std::string shown_path(std::string_view path);

}  // namespace keybearer::serve
