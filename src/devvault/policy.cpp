#include "devvault/policy.hpp"

#include <algorithm>
#include <cctype>
#include <tuple>

#include "json/json.hpp"

namespace keybearer::devvault {
namespace {

constexpr std::string_view kCapabilities[] = {"create", "read", "update", "delete",
                                              "list",   "sudo", "deny",   "patch"};

std::unexpected<Error> wrong(std::string text) {
  return fail(ErrorKind::config, "failed to parse policy: " + std::move(text));
}

// The pieces of HCL that policies are written in: names, strings, numbers and punctuation.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : rest_(text) {}

  // "" at the end. Strings come with their first quote.
  std::string next() {
    skip_blank();
    if (rest_.empty()) return {};
    if (rest_[0] == '"') return quoted();
    std::size_t n = 0;
    while (n < rest_.size() && (std::isalnum(static_cast<unsigned char>(rest_[n])) ||
                                rest_[n] == '_' || rest_[n] == '-' || rest_[n] == '.')) {
      ++n;
    }
    return take(std::max<std::size_t>(n, 1));
  }

 private:
  std::string take(std::size_t n) {
    std::string token(rest_.substr(0, n));
    rest_.remove_prefix(n);
    return token;
  }
  std::string quoted() {
    std::string token = take(1);
    while (!rest_.empty() && rest_[0] != '"') {
      if (rest_[0] == '\\' && rest_.size() > 1) rest_.remove_prefix(1);
      token += take(1);
    }
    if (!rest_.empty()) rest_.remove_prefix(1);
    return token;
  }
  void skip_blank() {
    for (;;) {
      while (!rest_.empty() && std::isspace(static_cast<unsigned char>(rest_[0])))
        rest_.remove_prefix(1);
      if (rest_.starts_with('#') || rest_.starts_with("//")) {
        rest_.remove_prefix(std::min(rest_.find('\n'), rest_.size()));
      } else if (rest_.starts_with("/*")) {
        const auto end = rest_.find("*/");
        rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 2);
      } else {
        return;
      }
    }
  }

  std::string_view rest_;
};

result<> add_capability(Capabilities& to, std::string_view name) {
  if (std::ranges::find(kCapabilities, name) == std::end(kCapabilities)) {
    return wrong("invalid capability \"" + std::string(name) + "\"");
  }
  to.emplace(name);
  return {};
}

// ["read", "list"]
result<> parse_capabilities(Lexer& lexer, Capabilities& to) {
  if (lexer.next() != "[") return wrong("capabilities must be a list");
  for (std::string token = lexer.next(); token != "]"; token = lexer.next()) {
    if (token == ",") continue;
    if (!token.starts_with('"')) return wrong("capabilities must be strings");
    if (auto added = add_capability(to, token.substr(1)); !added) return added;
  }
  return {};
}

// What this server does not look at, such as allowed_parameters: one value, or a block.
result<> skip_value(Lexer& lexer, std::string token) {
  if (token == "=") token = lexer.next();
  if (token != "{" && token != "[") return token.empty() ? wrong("unexpected end") : result<>{};
  for (int depth = 1; depth > 0;) {
    token = lexer.next();
    if (token.empty()) return wrong("unexpected end");
    if (token == "{" || token == "[") ++depth;
    if (token == "}" || token == "]") --depth;
  }
  return {};
}

result<> parse_rule(Lexer& lexer, Policy& policy) {
  const std::string path = lexer.next();
  if (!path.starts_with('"') || lexer.next() != "{") return wrong("expected path \"...\" {");
  Capabilities& to = policy.paths[path.substr(path.starts_with("\"/") ? 2 : 1)];
  for (std::string token = lexer.next(); token != "}"; token = lexer.next()) {
    if (token.empty()) return wrong("missing }");
    const std::string then = lexer.next();
    const auto parsed = token == "capabilities" && then == "=" ? parse_capabilities(lexer, to)
                                                               : skip_value(lexer, then);
    if (!parsed) return parsed;
  }
  return {};
}

result<> parse_json(std::string_view text, Policy& policy) {
  const auto value = json::parse(text);
  if (!value) return wrong("not JSON");
  const Value& paths = value_at(*value, "path");
  if (!paths.is_map()) return {};
  for (const auto& [path, rule] : paths.entries()) {
    const Value& list = value_at(rule, "capabilities");
    Capabilities& to = policy.paths[std::string(path.as_text())];
    if (!list.is_list()) continue;
    for (const Value& name : list.items()) {
      if (auto added = add_capability(to, name.is_text() ? name.as_text() : ""); !added)
        return added;
    }
  }
  return {};
}

// Does the pattern match, and how well: the later its first wildcard, the fewer of them and the
// longer it is, the better.
using Quality = std::tuple<std::size_t, bool, int, std::size_t, std::string_view>;

bool matches(std::string_view pattern, std::string_view path) {
  const bool glob = pattern.ends_with('*');
  if (glob) pattern.remove_suffix(1);
  for (;;) {
    const auto plus = pattern.find('+');
    if (plus == std::string_view::npos) return glob ? path.starts_with(pattern) : path == pattern;
    if (!path.starts_with(pattern.substr(0, plus))) return false;
    path.remove_prefix(plus);
    pattern.remove_prefix(plus + 1);
    const auto segment = std::min(path.find('/'), path.size());
    if (segment == 0) return false;
    path.remove_prefix(segment);
  }
}

Quality quality(std::string_view pattern) {
  const auto wildcard = std::min(pattern.find_first_of("+*"), pattern.size() + 1);
  return {wildcard, !pattern.ends_with('*'), -static_cast<int>(std::ranges::count(pattern, '+')),
          pattern.size(), pattern};
}

}  // namespace

result<Policy> parse_policy(std::string_view text) {
  Policy policy;
  policy.text = text;
  if (text.find_first_not_of(" \t\r\n") != std::string_view::npos &&
      text[text.find_first_not_of(" \t\r\n")] == '{') {
    if (auto parsed = parse_json(text, policy); !parsed) return std::unexpected(parsed.error());
    return policy;
  }
  Lexer lexer(text);
  for (std::string token = lexer.next(); !token.empty(); token = lexer.next()) {
    const auto parsed = token == "path"   ? parse_rule(lexer, policy)
                        : token == "name" ? skip_value(lexer, lexer.next())
                                          : wrong("unexpected \"" + token + "\"");
    if (!parsed) return std::unexpected(parsed.error());
  }
  return policy;
}

Capabilities capabilities_on(const std::vector<const Policy*>& policies, std::string_view path) {
  std::string_view best;
  bool found = false;
  for (const Policy* policy : policies) {
    for (const auto& [pattern, unused] : policy->paths) {
      if (matches(pattern, path) && (!found || quality(pattern) > quality(best))) {
        best = pattern;
        found = true;
      }
    }
  }
  Capabilities all;
  for (const Policy* policy : policies) {
    const auto rule = found ? policy->paths.find(std::string(best)) : policy->paths.end();
    if (rule != policy->paths.end()) all.insert(rule->second.begin(), rule->second.end());
  }
  if (all.empty() || all.contains("deny")) return {"deny"};
  return all;
}

bool touches_mount(const std::vector<const Policy*>& policies, std::string_view mount) {
  return std::ranges::any_of(policies, [mount](const Policy* policy) {
    return std::ranges::any_of(policy->paths, [mount](const auto& rule) {
      const auto& [pattern, capabilities] = rule;
      const std::string_view fixed =
          std::string_view(pattern).substr(0, pattern.find_first_of("+*"));
      const bool overlap =
          fixed.starts_with(mount) || (fixed.size() < pattern.size() && mount.starts_with(fixed));
      return overlap && !capabilities.empty() && !capabilities.contains("deny");
    });
  });
}

std::string_view default_policy() {
  return R"(
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
path "sys/capabilities-self" { capabilities = ["update"] }
path "sys/renew" { capabilities = ["update"] }
path "sys/leases/renew" { capabilities = ["update"] }
path "sys/leases/lookup" { capabilities = ["update"] }
path "sys/wrapping/wrap" { capabilities = ["update"] }
path "sys/wrapping/lookup" { capabilities = ["update"] }
path "sys/wrapping/unwrap" { capabilities = ["update"] }
path "cubbyhole/*" { capabilities = ["create", "read", "update", "delete", "list"] }
)";
}

}  // namespace keybearer::devvault
