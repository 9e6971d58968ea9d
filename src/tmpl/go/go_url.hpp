#pragma once
// Go's net/url, as far as templates need it.

#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace keybearer::tmpl {

struct UserInfo {
  std::string name;
  std::optional<std::string> password;
  [[nodiscard]] std::string text() const;  // escaped
};

struct Url {
  std::string scheme, opaque, host, path, query, fragment;  // path and fragment are unescaped
  std::optional<UserInfo> user;

  [[nodiscard]] std::string hostname() const;  // without port and brackets
  // URL.String of a URL that was put together, not parsed.
  [[nodiscard]] std::string text() const;
};

// url.Parse. The error is Go's reason, with the piece that is wrong: who shows it hides what is
// secret.
[[nodiscard]] std::expected<Url, std::string> parse_url(std::string_view raw);

// The first value of that name in a query (url.Values.Get); nullopt: it is not there.
[[nodiscard]] std::optional<std::string> query_value(std::string_view query, std::string_view name);

}  // namespace keybearer::tmpl
