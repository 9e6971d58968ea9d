#include "serve/token_guard.hpp"

#include <algorithm>
#include <array>

#include "json/json.hpp"
#include "serve/path.hpp"

namespace keybearer::serve {
namespace {

// Shorter ones are made by hand for a development server, and words of everyday answers.
constexpr std::size_t kRandomToken = 16;

Refusal refuse(std::string text) {
  return {.status = 403, .text = "keybearer: " + std::move(text), .check = "token"};
}

// A body in JSON or as a form: does a value of it equal one of ours?
bool holds_value(const Value& value, const OwnLogin& own) {
  if (value.is_text()) {
    const auto text = value.as_text();
    return (!own.token.empty() && text == own.token) ||
           (!own.accessor.empty() && text == own.accessor);
  }
  if (value.is_list())
    return std::ranges::any_of(value.items(), [&](const Value& v) { return holds_value(v, own); });
  if (!value.is_map()) return false;
  return std::ranges::any_of(value.entries(), [&](const Value::Entry& entry) {
    return holds_value(entry.key, own) || holds_value(entry.value, own);
  });
}

bool names_ours(std::string_view body, const OwnLogin& own) {
  if (const auto parsed = json::parse(body)) return holds_value(*parsed, own);
  for (const std::string_view name : {"token", "accessor", "lease_id"}) {
    const auto value = query_value(body, name);
    if (value && !value->empty() && (*value == own.token || *value == own.accessor)) return true;
  }
  return (own.token.size() >= kRandomToken && body.contains(own.token)) ||
         (!own.accessor.empty() && body.contains(own.accessor));
}

// The server reads the first value and asks for no end, and takes any depth: what we can't read could
// name our token.
bool is_unreadable(std::string_view body) {
  const auto first = body.find_first_not_of(" \t\r\n");
  return first != body.npos && body[first] == '{' && !json::parse(body);
}

// Leases of logins stand below auth/MOUNT: does this id or prefix reach the one of ours?
bool reaches_login(std::string_view lease, std::string_view mount) {
  while (lease.starts_with('/')) lease.remove_prefix(1);
  if (mount.empty()) return lease.starts_with("auth/") || lease == "auth" || lease.empty();
  return lease.starts_with(mount) || mount.starts_with(lease);
}

// What stands behind the wanted part, whatever the namespace in front.
std::optional<std::string_view> behind(std::string_view path, std::string_view directory) {
  if (path.starts_with(directory) &&
      (path.size() == directory.size() || path[directory.size()] == '/'))
    return path.size() == directory.size() ? "" : path.substr(directory.size() + 1);
  for (auto at = path.find(directory, 1); at != path.npos; at = path.find(directory, at + 1)) {
    if (path[at - 1] != '/') continue;
    const std::string_view rest = path.substr(at + directory.size());
    if (rest.empty()) return rest;
    if (rest.starts_with('/')) return rest.substr(1);
  }
  return std::nullopt;
}

std::optional<Refusal> check_lease_revocation(std::string_view path, std::string_view body,
                                              const OwnLogin& own) {
  const auto refused = [] { return refuse("this would revoke the token of keybearer itself"); };
  for (const char* directory : {"sys/leases/revoke-prefix", "sys/leases/revoke-force",
                                "sys/revoke-prefix", "sys/revoke-force"}) {
    if (const auto prefix = behind(path, directory); prefix && reaches_login(*prefix, own.mount))
      return refused();
  }
  for (const char* directory : {"sys/leases/revoke", "sys/revoke"}) {
    const auto id = behind(path, directory);
    if (!id) continue;
    if (!id->empty() && !own.mount.empty() && id->starts_with(own.mount)) return refused();
    const auto parsed = json::parse(body);
    const std::string in_body = parsed ? std::string(text_at(*parsed, "lease_id"))
                                       : query_value(body, "lease_id").value_or("");
    if (!in_body.empty() && !own.mount.empty() && in_body.starts_with(own.mount)) return refused();
  }
  return std::nullopt;
}

}  // namespace

bool is_path(std::string_view path, std::string_view wanted) {
  const auto rest = behind(path, wanted);
  return rest && rest->empty();
}
bool is_below(std::string_view path, std::string_view directory) {
  return behind(path, directory).has_value();
}

bool is_login_path(std::string_view path) {
  std::size_t at = path.starts_with("auth/") ? 0 : path.find("/auth/");
  if (at == path.npos) return false;
  at += at == 0 ? 0 : 1;
  // Below sys/ it is a part of a lease or of a mount's name: sys/leases/revoke-prefix/auth/x/login.
  if (is_below(path.substr(0, at), "sys")) return false;
  const std::string_view rest = path.substr(at + 5);
  const auto login = rest.find("/login");
  if (login == rest.npos || login == 0) return false;
  const std::string_view end = rest.substr(login + 6);
  return end.empty() || end.starts_with('/');
}

bool is_open_path(std::string_view path) {
  constexpr std::array<std::string_view, 6> kOpen{"sys/wrapping/lookup", "sys/health",
                                                  "sys/seal-status",     "sys/init",
                                                  "sys/unseal",          "sys/leader"};
  return is_login_path(path) ||
         std::ranges::any_of(kOpen, [path](std::string_view open) { return is_path(path, open); });
}

bool is_of_the_root(std::string_view path) {
  constexpr std::array<std::string_view, 6> kOfTheRoot{
      "sys/health", "sys/seal-status", "sys/init", "sys/seal", "sys/unseal", "sys/leader"};
  return std::ranges::find(kOfTheRoot, path) != kOfTheRoot.end();
}

std::string_view clients_token(const http::RequestHead& head) {
  if (const auto token = head.header("X-Vault-Token"); !token.empty()) return token;
  const std::string_view authorization = head.header("Authorization");
  constexpr std::string_view kBearer = "Bearer ";
  if (authorization.size() > kBearer.size() &&
      http::same_name(authorization.substr(0, kBearer.size()), kBearer))
    return authorization.substr(kBearer.size());
  return {};
}

Credential choose_credential(config::ApiProxy::UseToken mode, const http::RequestHead& head,
                             std::string_view path) {
  using UseToken = config::ApiProxy::UseToken;
  const bool has_own = !clients_token(head).empty();
  if (is_open_path(path)) return has_own ? Credential::clients : Credential::none;
  if (mode == UseToken::force) return Credential::ours;
  if (has_own) return Credential::clients;
  return mode == UseToken::yes ? Credential::ours : Credential::none;
}

bool needs_body(std::string_view path) {
  return is_below(path, "auth/token") || is_below(path, "sys/leases") ||
         is_below(path, "sys/revoke");
}

std::optional<Refusal> check_token_use(const http::RequestHead& head, std::string_view path,
                                       std::string_view body, const OwnLogin& own,
                                       bool made_with_ours, bool creation_allowed) {
  if (needs_body(path) && is_unreadable(body))
    return Refusal{
        .status = 400, .text = "keybearer: the body is not JSON that can be read", .check = "body"};
  const bool with_own_token =
      made_with_ours || (!own.token.empty() && clients_token(head) == own.token);
  const auto revoked = [] { return refuse("this would revoke the token of keybearer itself"); };
  if (with_own_token && is_path(path, "auth/token/revoke-self")) return revoked();
  for (const char* directory :
       {"auth/token/revoke", "auth/token/revoke-orphan", "auth/token/revoke-accessor",
        "auth/token/revoke-prefix", "auth/token/revoke-force"}) {
    const auto named = behind(path, directory);
    if (!named) continue;
    if ((!own.token.empty() && *named == own.token) ||
        (!own.accessor.empty() && *named == own.accessor) || names_ours(body, own))
      return revoked();
  }
  if (with_own_token) {
    if (auto refused = check_lease_revocation(path, body, own)) return refused;
  }
  if (!made_with_ours) return std::nullopt;
  const std::string_view wrap = head.header("X-Vault-Wrap-TTL");
  if (!wrap.empty() && is_below(path, "auth/token"))
    return refuse("answers about the token of keybearer are not wrapped");
  if (is_below(path, "auth/token/create") || is_below(path, "auth/token/create-orphan")) {
    if (!creation_allowed)
      return refuse(
          "tokens are made of keybearer's own only where a rule of listener.allow or "
          "api_proxy.allow_token_creation says so");
  }
  return std::nullopt;
}

bool is_self_path(std::string_view path) {
  return is_path(path, "auth/token/lookup-self") || is_path(path, "auth/token/renew-self");
}

std::optional<Secret> without_token(std::string_view body) {
  auto parsed = json::parse(body);
  if (!parsed || !parsed->is_map()) return std::nullopt;
  if (const Value* data = parsed->find("data"); data != nullptr && data->is_map()) {
    Value kept = data->deep_copy();
    kept.erase(Value("id"));
    kept.erase(Value("accessor"));
    parsed->set("data", std::move(kept));
  }
  if (const Value* auth = parsed->find("auth"); auth != nullptr && auth->is_map()) {
    Value kept = auth->deep_copy();
    if (kept.find("client_token") != nullptr) kept.set("client_token", "");
    if (kept.find("accessor") != nullptr) kept.set("accessor", "");
    parsed->set("auth", std::move(kept));
  }
  return Secret(json::write(*parsed) + "\n");
}

bool may_hold_tokens(std::string_view path) {
  return is_below(path, "auth") || is_below(path, "sys/wrapping") || is_below(path, "cubbyhole");
}

LeakScanner::LeakScanner(const OwnLogin& own) : token_(own.token), accessor_(own.accessor) {
  if (own.token.size() >= kRandomToken) {
    needles_.emplace_back(own.token);
  } else if (!own.token.empty()) {
    for (const char* key : {"id", "client_token", "token"}) {
      for (const char* blank : {"", " "}) {
        Secret needle("\"" + std::string(key) + "\":" + blank + "\"");
        needle.append(own.token);
        needle.push_back('"');
        needles_.push_back(std::move(needle));
      }
    }
  }
  if (own.accessor.size() >= kRandomToken) needles_.emplace_back(own.accessor);
}

bool LeakScanner::found_in(std::string_view text) const {
  return std::ranges::any_of(
      needles_, [text](const Secret& needle) { return text.contains(needle.reveal()); });
}

bool LeakScanner::leaks(std::string_view body) const {
  if (found_in(body)) return true;
  if (token_.size() < kRandomToken || !body.contains("\\u")) return false;
  const auto parsed = json::parse(body);
  return parsed && holds_value(*parsed, {token_.reveal(), accessor_.reveal(), {}});
}

std::optional<Secret> LeakScanner::feed(std::string_view piece) {
  Secret text = std::move(held_);
  held_ = Secret();
  text.append(piece);
  const std::string_view all = text.reveal();
  if (found_in(all)) return std::nullopt;
  std::size_t hold = 0;
  for (const Secret& needle : needles_) {
    const std::string_view wanted = needle.reveal();
    for (std::size_t n = std::min(all.size(), wanted.size() - 1); n > hold; --n) {
      if (all.ends_with(wanted.substr(0, n))) {
        hold = n;
        break;
      }
    }
  }
  held_.append(all.substr(all.size() - hold));
  return Secret(all.substr(0, all.size() - hold));
}

}  // namespace keybearer::serve
