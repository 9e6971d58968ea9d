#include "serve/cache_key.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "base/fingerprint.hpp"
#include "json/json.hpp"

namespace keybearer::serve {
namespace {

std::string_view without_slashes(std::string_view text) {
  while (text.starts_with('/')) text.remove_prefix(1);
  while (text.ends_with('/')) text.remove_suffix(1);
  return text;
}

std::string canonical(std::string_view body) {
  if (body.empty()) return {};
  const auto parsed = json::parse(body);
  return parsed ? json::write(*parsed) : std::string(body);
}

std::string sorted_query(std::string_view query) {
  std::vector<std::string_view> items;
  while (!query.empty()) {
    const auto end = query.find('&');
    if (end != 0) items.push_back(query.substr(0, end));
    query.remove_prefix(end == query.npos ? query.size() : end + 1);
  }
  // By name; what has the same name stays in its order.
  std::ranges::sort(items, {}, [](std::string_view item) {
    return std::pair(item.substr(0, item.find('=')), item.data());
  });
  std::string out;
  for (const auto item : items) (out += item) += '&';
  return out;
}

// The span of the number "lease_duration": of the top level, or of one of its objects.
std::pair<std::size_t, std::size_t> find_duration(std::string_view body,
                                                  std::string_view object = {}) {
  constexpr std::string_view kName = "lease_duration\"";
  const int wanted = object.empty() ? 1 : 2;
  bool inside = object.empty();
  int depth = 0;
  for (std::size_t i = 0; i < body.size(); ++i) {
    const char c = body[i];
    depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
    if (c != '"') continue;
    std::size_t end = i + 1;
    while (end < body.size() && body[end] != '"') end += body[end] == '\\' ? 2 : 1;
    if (depth == 1 && !object.empty()) {
      const std::size_t after = body.find_first_not_of(" \t\r\n", end + 1);
      if (after != body.npos && body[after] == ':')
        inside = body.substr(i + 1, end - i - 1) == object;
    }
    if (inside && depth == wanted && body.substr(i + 1).starts_with(kName)) {
      std::size_t at = body.find_first_not_of(" \t\r\n", end + 1);
      if (at == body.npos || body[at] != ':') return {};
      at = body.find_first_not_of(" \t\r\n", at + 1);
      const std::size_t last = at == body.npos ? at : body.find_first_not_of("0123456789", at);
      return last == body.npos || last == at ? std::pair<std::size_t, std::size_t>{}
                                             : std::pair{at, last - at};
    }
    i = end;
  }
  return {};
}

// "kv/metadata/app" of "kv/data/app": a wrong guess costs a request and no more.
std::string metadata_path(std::string_view path) {
  const auto at = path.find("/data/");
  if (at == path.npos || at == 0) return {};
  return std::string(path.substr(0, at)) + "/metadata/" + std::string(path.substr(at + 6));
}

CachedAnswer judge_secret(std::string_view path, std::string_view query, const Value& answer,
                          const config::Cache& config) {
  CachedAnswer out;
  const Value& data = value_at(answer, "data");
  out.lease_id = text_at(answer, "lease_id");
  out.ttl = std::chrono::seconds(int_at(answer, "lease_duration"));
  out.renewable = bool_at(answer, "renewable");
  if (!out.lease_id.empty()) {
    if (out.ttl > Duration::zero()) out.kind = Cached::lease;
    return out;
  }
  if (config.kv_ttl <= Duration::zero()) return out;
  const Value& metadata = value_at(data, "metadata");
  const std::int64_t version = int_at(metadata, "version");
  if (version > 0 && value_at(data, "data").is_map()) {
    out.kind = Cached::kv;
    out.version = std::to_string(version);
    if (query.empty()) out.metadata = metadata_path(path);
  } else if (text_at(answer, "mount_type") == "kv" || out.ttl > Duration::zero() ||
             path.starts_with("sys/internal/ui/mounts/")) {
    out.kind = Cached::kv;
  }
  return out;
}

// Two of 64 bits: who can't see the keys finds no two texts with the same pair.
std::string keyed_hash(std::string_view text) {
  static const std::array<SipKey, 2> keys{random_sip_key(), random_sip_key()};
  const std::array<std::uint64_t, 2> hash{siphash(keys[0], text), siphash(keys[1], text)};
  return {reinterpret_cast<const char*>(hash.data()), sizeof hash};
}

// A look that takes no parsing: what it takes for a lease is parsed.
bool may_have_lease(std::string_view body) {
  constexpr std::string_view kName = "\"lease_id\"";
  for (auto at = body.find(kName); at != body.npos; at = body.find(kName, at + 1))
    if (!body.substr(at + kName.size()).starts_with(":\"\"")) return true;
  return false;
}

}  // namespace

std::string cache_key(const KeyParts& parts) {
  std::string text;
  text.reserve(64 + parts.path.size() + parts.query.size() + parts.body.size() +
               parts.vault_namespace.size() + parts.token.size());
  const auto add = [&text](std::string_view part) {
    text += std::to_string(part.size());
    text += ':';
    text += part;
  };
  add(parts.method);
  add(parts.path);
  add(sorted_query(parts.query));
  add(canonical(parts.body));
  add(without_slashes(parts.vault_namespace));
  add(parts.token);
  add(parts.wrap_ttl);
  return keyed_hash(text);
}

bool is_cacheable_request(const http::RequestHead& head, std::string_view method,
                          std::string_view path) {
  if ((method != "GET" && method != "LIST") || head.method == "HEAD" || head.has_body())
    return false;
  for (const char* name : {"X-Vault-Wrap-TTL", "X-Vault-Index", "X-Vault-Forward", "Range",
                           "X-Vault-Inconsistent", "X-Vault-MFA", "Upgrade"}) {
    if (!head.header(name).empty()) return false;
  }
  if (is_below(path, "auth")) return false;
  return !is_below(path, "sys") || path.starts_with("sys/internal/ui/mounts/");
}

bool is_token_request(const http::RequestHead& head, std::string_view path) {
  if (head.method != "POST" && head.method != "PUT") return false;
  for (const char* name : {"X-Vault-Wrap-TTL", "X-Vault-MFA", "X-Vault-Index", "X-Vault-Forward",
                           "X-Vault-Inconsistent", "Upgrade"}) {
    if (!head.header(name).empty()) return false;
  }
  if (is_login_path(path)) return head.header("Authorization").empty();
  return is_below(path, "auth/token/create") || is_below(path, "auth/token/create-orphan");
}

CachedAnswer judge_token(int status, const http::Headers& headers, std::string_view body) {
  if (status != 200 || http::find_header(headers, "Content-Encoding") != nullptr) return {};
  const auto answer = json::parse(body);
  if (!answer || !answer->is_map() || value_at(*answer, "wrap_info").is_map()) return {};
  const Value& auth = value_at(*answer, "auth");
  const std::string_view token = auth.is_map() ? text_at(auth, "client_token") : "";
  const std::int64_t ttl = auth.is_map() ? int_at(auth, "lease_duration") : 0;
  // One that is good for so many uses is for who asked.
  if (token.empty() || ttl <= 0 || int_at(auth, "num_uses") > 0) return {};
  CachedAnswer out{.kind = Cached::token,
                   .issued = token_digest(token),
                   .accessor = std::string(text_at(auth, "accessor")),
                   .ttl = std::chrono::seconds(ttl),
                   .renewable = bool_at(auth, "renewable")};
  std::tie(out.duration_at, out.duration_size) = find_duration(body, "auth");
  return out;
}

std::optional<TokenSeen> token_seen(std::string_view path, std::string_view body) {
  if (!is_below(path, "auth") && !is_path(path, "sys/wrapping/unwrap")) return std::nullopt;
  const auto answer = json::parse(body);
  if (!answer || !answer->is_map()) return std::nullopt;
  const Value& auth = value_at(*answer, "auth");
  const Value& data = value_at(*answer, "data");
  const bool made = auth.is_map();
  if (!made && (!data.is_map() || value_at(data, "ttl").is_nil())) return std::nullopt;
  const std::string_view token = made ? text_at(auth, "client_token") : text_at(data, "id");
  const std::int64_t ttl = made ? int_at(auth, "lease_duration") : int_at(data, "ttl");
  // Where each use counts, nobody can look whether it is still there.
  if (token.empty() || ttl < 0 || int_at(made ? auth : data, "num_uses") > 0) return std::nullopt;
  if (!made && ttl == 0 && !value_at(data, "expire_time").is_nil()) return std::nullopt;
  return TokenSeen{token_digest(token), std::chrono::seconds(ttl)};
}

std::string token_digest(std::string_view token) {
  return token.empty() ? std::string() : keyed_hash(token);
}

CachedAnswer judge_answer(std::string_view method, std::string_view path, std::string_view query,
                          int status, const http::Headers& headers, std::string_view body,
                          const config::Cache& config) {
  if (status != 200) return {};
  const std::string* const type = http::find_header(headers, "Content-Type");
  if (type == nullptr || !type->starts_with("application/json")) return {};
  if (http::find_header(headers, "Content-Encoding") != nullptr) return {};
  if (config.kv_ttl <= Duration::zero() && !may_have_lease(body)) return {};
  const auto answer = json::parse(body);
  if (!answer || !answer->is_map()) return {};
  if (value_at(*answer, "auth").is_map() || value_at(*answer, "wrap_info").is_map()) return {};
  CachedAnswer out;
  if (method == "LIST") {
    if (config.lists && config.kv_ttl > Duration::zero()) out.kind = Cached::list;
  } else {
    out = judge_secret(path, query, *answer, config);
  }
  if (out.kind == Cached::lease) std::tie(out.duration_at, out.duration_size) = find_duration(body);
  return out;
}

Secret with_duration(std::string_view body, const CachedAnswer& answer, Duration left) {
  if (answer.duration_size == 0) return Secret(body);
  Secret out;
  out.reserve(body.size() + 8);
  out.append(body.substr(0, answer.duration_at));
  out.append(std::to_string(std::chrono::floor<std::chrono::seconds>(left).count()));
  out.append(body.substr(answer.duration_at + answer.duration_size));
  return out;
}

Eviction eviction_of(std::string_view method, std::string_view path, std::string_view body) {
  using What = Eviction::What;
  const auto behind = [path](std::string_view directory) -> std::optional<std::string> {
    const auto at = path.find(directory);
    const bool starts = at == 0 || (at != path.npos && path[at - 1] == '/');
    const std::size_t end = at + directory.size();
    if (!starts || (end != path.size() && path[end] != '/')) return std::nullopt;
    return end == path.size() ? std::string() : std::string(path.substr(end + 1));
  };
  if (method == "GET" || method == "LIST" || method == "HEAD" || method == "SCAN") return {};
  for (const char* directory : {"sys/leases/revoke-prefix", "sys/leases/revoke-force",
                                "sys/revoke-prefix", "sys/revoke-force"}) {
    if (auto prefix = behind(directory)) return {What::lease_prefix, *std::move(prefix)};
  }
  for (const char* directory :
       {"sys/leases/revoke", "sys/revoke", "sys/leases/renew", "sys/renew"}) {
    auto id = behind(directory);
    if (!id) continue;
    const bool renews = std::string_view(directory).ends_with("renew");
    const What what = renews ? What::renewed : What::lease;
    // The server takes the body's before the path's; a body may be a form.
    const auto parsed = json::parse(body);
    std::string named = parsed ? std::string(text_at(*parsed, "lease_id"))
                               : query_value(body, "lease_id").value_or("");
    if (named.empty()) return {what, *std::move(id)};
    return {what, std::move(named), *std::move(id)};
  }
  if (is_below(path, "auth/token")) {
    if (path.find("revoke") != path.npos) return {What::tokens, {}};
    if (path.find("renew") != path.npos) return {What::token_renewed, {}};
    return {};
  }
  if (is_below(path, "auth") || is_below(path, "sys")) return {};
  return {What::path, std::string(path)};  // a write: what was read there may be another now
}

}  // namespace keybearer::serve
