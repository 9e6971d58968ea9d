#include "serve/rules.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace keybearer::serve {
namespace {

constexpr std::array<std::string_view, 9> kMethods{"GET",    "HEAD", "POST",    "PUT", "PATCH",
                                                   "DELETE", "LIST", "OPTIONS", "SCAN"};
constexpr std::string_view kAllowed = "GET, HEAD, POST, PUT, PATCH, DELETE, LIST, SCAN";

Refusal refusal(int status, std::string_view check, std::string text) {
  return {.status = status, .text = "keybearer: " + std::move(text), .check = check};
}

// "example.com:8200", "[::1]:8200": without port and brackets.
std::string_view host_of(std::string_view authority) {
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    return end == authority.npos ? authority : authority.substr(1, end - 1);
  }
  return authority.substr(0, authority.find(':'));
}

// "", ":" or ":8200".
bool is_port(std::string_view text) {
  if (text.size() <= 1) return true;
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data() + 1, text.data() + text.size(), number);
  return text[1] != '-' && error == std::errc{} && end == text.data() + text.size() && number > 0 &&
         number <= 65535;
}

// A name or an address, and at most one port. An empty one is judged elsewhere.
bool is_authority(std::string_view text) {
  const bool v6 = text.starts_with('[');
  const auto end = v6 ? text.find(']') : std::min(text.find(':'), text.size());
  if (end == text.npos) return false;
  const std::string_view host = text.substr(0, end), port = text.substr(v6 ? end + 1 : end);
  if (!port.empty() && !port.starts_with(':')) return false;
  return is_port(port) && host.find_first_of("/@, \t") == host.npos;
}

bool is_true(std::string_view text) {  // Go: strconv.ParseBool
  return text == "1" || text == "t" || text == "T" || text == "true" || text == "TRUE" ||
         text == "True";
}

std::string_view without_slashes(std::string_view text) {
  while (text.starts_with('/')) text.remove_prefix(1);
  while (text.ends_with('/')) text.remove_suffix(1);
  return text;
}

bool is_peer(std::string_view who, const http::Peer& peer) {
  if (who.empty()) return true;
  if (who.starts_with("uid:") || who.starts_with("gid:")) {
    if (!peer.credentials) return false;
    const auto number = who.substr(4);
    if (who.starts_with("uid:")) return number == std::to_string(peer.credentials->uid);
    return number == std::to_string(peer.credentials->gid) ||
           std::ranges::any_of(peer.credentials->groups,
                               [&](gid_t gid) { return number == std::to_string(gid); });
  }
  if (!peer.certificate) return false;
  const auto is_named = [&who](std::string_view name) {
    if (who.ends_with('*')) return name.starts_with(who.substr(0, who.size() - 1));
    return name == who;
  };
  if (who.starts_with("CN=")) {
    who.remove_prefix(3);
    return !peer.certificate->common_name.empty() && is_named(peer.certificate->common_name);
  }
  return std::ranges::any_of(peer.certificate->names, is_named);
}

}  // namespace

bool matches_path(std::string_view pattern, std::string_view path) {
  for (;;) {
    const auto end = pattern.find('/'), path_end = path.find('/');
    const std::string_view want = pattern.substr(0, end), have = path.substr(0, path_end);
    if (end == pattern.npos && want.ends_with('*'))
      return path.starts_with(want.substr(0, want.size() - 1));
    if (want != "+" && want != have) return false;
    if (want == "+" && have.empty()) return false;
    if (end == pattern.npos || path_end == path.npos)
      return end == pattern.npos && path_end == path.npos;
    pattern.remove_prefix(end + 1);
    path.remove_prefix(path_end + 1);
  }
}

Rules::Rules(const config::Listener& listener, std::string vault_namespace)
    : local_(listener.type == config::Listener::Type::unix_socket),
      guard_(listener.require_request_header.value_or(!local_)),
      metrics_only_(listener.role == config::Listener::Role::metrics_only),
      log_only_(listener.allow_mode == config::Listener::AllowMode::log),
      quit_enabled_(listener.enable_quit),
      max_request_size_(listener.max_request_size),
      hosts_(listener.allow_hosts),
      origins_(listener.allow_origins),
      uids_(listener.allow_uids),
      namespace_(without_slashes(vault_namespace)) {
  for (std::string& host : hosts_) host = std::string(host_of(host));
  hosts_.emplace_back("localhost");
  if (!local_) hosts_.emplace_back(host_of(listener.address));
  for (const config::Listener::Rule& rule : listener.allow) {
    Rule& compiled = rules_.emplace_back(Rule{rule.who, {}});
    for (const std::string& request : rule.requests) {
      if (auto patterns = parse_pattern(request))
        compiled.requests.insert(compiled.requests.end(), patterns->begin(), patterns->end());
    }
  }
}

std::optional<Refusal> Rules::check_client(const http::RequestHead& head,
                                           const http::Peer& peer) const {
  if (!uids_.empty() &&
      (!peer.credentials || std::ranges::find(uids_, peer.credentials->uid) == uids_.end())) {
    return refusal(403, "uid", "this user may not use the listener (listener.allow_uids)");
  }
  for (const auto& [name, value] : head.headers) {
    if (http::same_name(name, "Forwarded") || http::same_name(name, "X-Real-Ip") ||
        (name.size() > 12 && http::same_name(std::string_view(name).substr(0, 12), "X-Forwarded-")))
      return refusal(403, "forwarded", "came through another proxy (" + name + ")");
    if (http::same_name(name, "Origin") && std::ranges::find(origins_, value) == origins_.end())
      return refusal(403, "origin", "a page of another origin may not use the listener");
    if (http::same_name(name, "Sec-Fetch-Site") && value != "none" && value != "same-origin" &&
        origins_.empty())
      return refusal(403, "origin", "a page of another site may not use the listener");
  }
  for (const char* once :
       {"X-Vault-Namespace", "X-Vault-Token", "X-Vault-Wrap-TTL", "Authorization", "Upgrade"}) {
    if (std::ranges::count_if(head.headers, [once](const auto& header) {
          return http::same_name(header.first, once);
        }) > 1)
      return refusal(400, "header", std::string(once) + " twice");
  }
  // A namespace is the beginning of a path, and is read as one by the rules.
  if (const auto ns = without_slashes(head.header("X-Vault-Namespace"));
      !ns.empty() && !parse_target("/" + std::string(ns)))
    return refusal(400, "header", "bad X-Vault-Namespace");
  if (head.method == "OPTIONS" || std::ranges::find(kMethods, head.method) == kMethods.end()) {
    auto refused = refusal(405, "method", "this method is not served");
    refused.headers.emplace_back("Allow", kAllowed);
    return refused;
  }
  return std::nullopt;
}

// A name that an attacker's DNS points at us is not one of ours (DNS rebinding).
std::optional<Refusal> Rules::check_host(const http::RequestHead& head, const Target& target,
                                         const http::Peer& peer) const {
  if (local_) return std::nullopt;
  const std::string* host = http::find_header(head.headers, "Host");
  if (host == nullptr && head.minor == 1) return refusal(400, "host", "no Host header");
  if ((host != nullptr && !is_authority(*host)) || !is_authority(target.authority))
    return refusal(400, "host", "bad Host header");
  const auto is_ours = [&](std::string_view authority) {
    const std::string_view name = host_of(authority);
    return (!peer.reached.empty() && name == peer.reached) ||
           std::ranges::any_of(
               hosts_, [name](const std::string& own) { return http::same_name(own, name); });
  };
  if ((host != nullptr && !is_ours(*host)) ||
      (!target.authority.empty() && !is_ours(target.authority)))
    return refusal(403, "host", "not a name of this listener (listener.allow_hosts)");
  return std::nullopt;
}

std::optional<Refusal> Rules::check_guard(const http::RequestHead& head) const {
  if (!guard_) return std::nullopt;
  int seen = 0;
  bool good = true;
  for (const auto& [name, value] : head.headers) {
    if (!http::same_name(name, "X-Vault-Request")) continue;
    ++seen;
    good = good && http::same_name(value, "true");
  }
  if (seen == 1 && good) return std::nullopt;
  return refusal(412, "guard", "missing the header X-Vault-Request: true");
}

Asked Rules::asked(const http::RequestHead& head, const Target& target) const {
  Asked out{.method = head.method, .path = {}};
  if (out.method == "GET") {
    if (is_true(query_value(target.query, "list").value_or(""))) out.method = "LIST";
    if (is_true(query_value(target.query, "scan").value_or(""))) out.method = "SCAN";
  }
  std::string_view path = target.path;
  if (path.starts_with("/v1/")) path.remove_prefix(4);
  const std::string_view own = without_slashes(head.header("X-Vault-Namespace"));
  if (!own.empty() && own != namespace_) out.path = std::string(own) + "/";
  out.path += path;
  return out;
}

const RequestPattern* Rules::allowed_by(const Asked& asked, const http::Peer& peer) const {
  const auto same_method = [&](std::string_view want) {
    const std::string_view have = asked.method;
    return want == "*" || want == have || (want == "GET" && have == "HEAD") ||
           (want == "POST" && have == "PUT") || (want == "PUT" && have == "POST");
  };
  for (const Rule& rule : rules_) {
    if (!is_peer(rule.who, peer)) continue;
    for (const RequestPattern& pattern : rule.requests) {
      if (same_method(pattern.method) && matches_path(pattern.path, asked.path)) return &pattern;
    }
  }
  return nullptr;
}

std::optional<Refusal> Rules::check_allowed(const Asked& asked, const http::Peer& peer,
                                            bool& dry_run) const {
  if (rules_.empty() || allowed_by(asked, peer) != nullptr) return std::nullopt;
  dry_run = log_only_;
  auto refused = refusal(403, "allow", "no rule of listener.allow lets this request pass");
  refused.rule = "none of " + std::to_string(rules_.size());
  return refused;
}

bool Rules::names(const Asked& asked, const http::Peer& peer) const {
  const RequestPattern* pattern = allowed_by(asked, peer);
  return pattern != nullptr && pattern->path != "*";
}

}  // namespace keybearer::serve
