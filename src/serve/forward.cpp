#include "serve/forward.hpp"

#include <algorithm>
#include <array>

namespace keybearer::serve {
namespace {

template <std::size_t N>
bool is_one_of(std::string_view name, const std::array<std::string_view, N>& names) {
  return std::ranges::any_of(names, [name](auto known) { return http::same_name(name, known); });
}

bool is_named(std::string_view name, const std::vector<std::string>& names) {
  return std::ranges::any_of(names,
                             [name](const auto& named) { return http::same_name(name, named); });
}

}  // namespace

http::Headers headers_up(const http::RequestHead& head, const ForwardOptions& options) {
  constexpr std::array<std::string_view, 8> kOurs{"Host",          "Content-Length", "Expect",
                                                  "X-Vault-Token", "Cookie",         "User-Agent",
                                                  "Origin",        "Cookie2"};
  const auto named = http::named_by_connection(head.headers);
  http::Headers out;
  bool has_namespace = false, has_marker = false;
  std::string agent = "keybearer/" KEYBEARER_VERSION;
  for (const auto& [name, value] : head.headers) {
    if (http::same_name(name, "User-Agent")) agent += "; " + value;
    if (http::is_hop_by_hop(name) || is_one_of(name, kOurs)) continue;
    // A named header is the connection's, but for those that say what the request means.
    const bool vaults =
        name.size() > 8 && http::same_name(std::string_view(name).substr(0, 8), "X-Vault-");
    if (is_named(name, named) && !vaults) continue;
    if (http::same_name(name, "Authorization") && !options.login &&
        options.credential == Credential::ours)
      continue;
    if (http::same_name(name, "Accept-Encoding") && options.plain_content) continue;
    if (http::same_name(name, "X-Vault-Namespace")) {
      if (value.empty()) continue;
      has_namespace = true;
    }
    has_marker = has_marker || http::same_name(name, "X-Vault-Request");
    out.emplace_back(name, value);
  }
  out.emplace_back("User-Agent", agent);
  if (!has_namespace && !options.vault_namespace.empty())
    out.emplace_back("X-Vault-Namespace", options.vault_namespace);
  if (!has_marker) out.emplace_back("X-Vault-Request", "true");
  if (options.credential == Credential::clients) {
    if (const auto token = head.header("X-Vault-Token"); !token.empty())
      out.emplace_back("X-Vault-Token", token);
  }
  return out;
}

http::Headers headers_down(const http::Headers& headers, bool encrypted, bool upgrade) {
  constexpr std::array<std::string_view, 4> kNever{"Content-Length", "Set-Cookie", "Set-Cookie2",
                                                   "X-Vault-Token"};
  const auto named = http::named_by_connection(headers);
  http::Headers out;
  for (const auto& [name, value] : headers) {
    if (upgrade && (http::same_name(name, "Connection") || http::same_name(name, "Upgrade"))) {
      out.emplace_back(name, value);
      continue;
    }
    const bool cors = name.size() > 15 &&
                      http::same_name(std::string_view(name).substr(0, 15), "Access-Control-");
    if (http::is_hop_by_hop(name) || is_one_of(name, kNever) || is_named(name, named) || cors)
      continue;
    if (!encrypted && http::same_name(name, "Strict-Transport-Security")) continue;
    out.emplace_back(name, value);
  }
  return out;
}

}  // namespace keybearer::serve
