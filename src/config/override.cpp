#include <algorithm>
#include <span>

#include "config/method.hpp"
#include "config/scalars.hpp"
#include "config/validate.hpp"

namespace keybearer::config {
namespace {

void record(std::vector<Origin>& origins, const std::string& key, const std::string& value,
            const SourceLocation& from) {
  const auto known = std::ranges::find(origins, key, &Origin::key);
  if (known == origins.end())
    origins.push_back({key, value, from});
  else
    *known = {key, value, from};
}

std::optional<bool> boolean(std::string_view text) {
  for (const char* yes : {"1", "t", "T", "true", "TRUE", "True"})
    if (text == yes) return true;
  for (const char* no : {"0", "f", "F", "false", "FALSE", "False"})
    if (text == no) return false;
  return std::nullopt;
}

std::optional<log::Level> level(std::string_view text) {
  constexpr std::pair<std::string_view, log::Level> kLevels[] = {
      {"trace", log::Level::trace}, {"debug", log::Level::debug},  {"info", log::Level::info},
      {"warn", log::Level::warn},   {"warning", log::Level::warn}, {"error", log::Level::error},
      {"err", log::Level::error}};
  std::string lower(text);  // Vault's own programs take INFO, too
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  for (const auto& [name, value] : kLevels)
    if (name == lower) return value;
  return std::nullopt;
}

// A variable filled by $(cat file) or from a Kubernetes Secret often ends in a line feed.
std::string trimmed(const std::string& text) {
  constexpr const char* kBlanks = " \t\r\n";
  const auto begin = text.find_first_not_of(kBlanks);
  return begin == std::string::npos
             ? ""
             : text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin);
}

// One override at a time: the first of `names` that is set.
class Overrides {
 public:
  Overrides(const Environment& env, std::vector<Origin>& origins, std::vector<Problem>& problems)
      : env_(env), origins_(origins), problems_(problems) {}

  std::optional<std::string> take(const std::string& key, std::span<const char* const> names,
                                  bool secret = false) {
    for (const char* name : names) {
      auto value = env_(name);
      if (!value) continue;
      from_ = SourceLocation::of_variable(name);
      record(origins_, key, secret ? "********" : *value, from_);
      return value;
    }
    return std::nullopt;
  }
  std::optional<std::string> take(const std::string& key, std::initializer_list<const char*> names,
                                  bool secret = false) {
    return take(key, std::span(names.begin(), names.size()), secret);
  }
  void text(const std::string& key, std::initializer_list<const char*> names, std::string& out) {
    if (auto value = take(key, names)) out = std::move(*value);
  }
  [[nodiscard]] const SourceLocation& from() const { return from_; }
  void bad(const std::string& what) { problems_.push_back({from_, what}); }

 private:
  const Environment& env_;
  std::vector<Origin>& origins_;
  std::vector<Problem>& problems_;
  SourceLocation from_;
};

// Ours holds for every server; those of all programs by its scheme. As in Go, the upper-case twin
// comes first. An address may hold a password: what is shown is only that it is set.
void choose_proxy(const Environment& env, Overrides& o, Vault& vault) {
  if (auto address = o.take("vault.proxy_address",
                            {"VAULT_PROXY_ADDR", "BAO_PROXY_ADDR", "VAULT_HTTP_PROXY"}, true)) {
    vault.proxy_address = std::move(*address);
    vault.proxy_source = o.from().name;
  }
  const auto first = [&env](const char* upper, const char* lower) {
    const auto value = env(upper) ? env(upper) : env(lower);
    return value.value_or("");
  };
  vault.https_proxy = first("HTTPS_PROXY", "https_proxy");
  vault.http_proxy = first("HTTP_PROXY", "http_proxy");
  vault.no_proxy = first("NO_PROXY", "no_proxy");
}

// A value stands for its key and for the file or variable that may hold it.
void replace(Method& method, const MethodSpec& spec, const MethodKey& key) {
  method.erase(key.name);
  if (!key.instead_of.empty()) method.erase(key.instead_of);
  for (const MethodKey& other : spec.keys())
    if (other.instead_of == key.name) method.erase(other.name);
}

// The defaults of what nobody has set, and what stands for the connection's own keys.
void complete_method(Config& config, std::vector<Origin>& origins) {
  Method& method = config.auto_auth.method;
  const MethodSpec* spec = MethodSpec::find(method.type);
  if (spec == nullptr) return;
  for (const MethodKey& key : spec->keys()) {
    if (!key.fallback.empty() && !method.has(key.name)) {
      method.set(key.name, std::string(key.fallback));
      record(origins, "auto_auth.method." + std::string(key.name), std::string(key.fallback), {});
    }
    if (key.stands_for != nullptr && method.has(key.name))
      config.vault.*key.stands_for = method.text(key.name);
  }
}

}  // namespace

std::string chosen_by_flags(const Input::Flags& flags, std::vector<Problem>& problems) {
  std::string type, by;
  for (const MethodSpec* spec : MethodSpec::all()) {
    std::string given;
    for (const MethodKey& key : spec->keys()) {
      if (!flags.method.contains(std::string(key.flag))) continue;
      given.append(given.empty() ? "--" : " and --").append(key.flag);
    }
    if (given.empty()) continue;
    if (!type.empty()) problems.push_back({SourceLocation::of_flag(), given + " excludes " + by});
    type = spec->type();
    by = given;
  }
  return type;
}

void choose_method(const std::string& by_flags, const Environment& env, Method& method,
                   std::vector<Origin>& origins) {
  if (!by_flags.empty()) {
    method.type = by_flags;
    record(origins, "auto_auth.method.type", by_flags, SourceLocation::of_flag());
    return;
  }
  if (!method.type.empty() || method.place.is_set()) return;
  int rank = 0;
  for (const MethodSpec* spec : MethodSpec::all()) {
    for (const MethodKey& key : spec->keys()) {
      if (!key.chooses || (!method.type.empty() && spec->rank() > rank)) continue;
      const auto variable = std::ranges::find_if(
          key.variables, [&env](const char* name) { return env(name).has_value(); });
      if (variable == key.variables.end()) continue;
      method.type = spec->type();
      rank = spec->rank();
      record(origins, "auto_auth.method.type", method.type, SourceLocation::of_variable(*variable));
    }
  }
}

void apply_environment(const Environment& env, Config& config, std::vector<Origin>& origins,
                       std::vector<Problem>& problems) {
  Overrides o(env, origins, problems);
  Vault& vault = config.vault;
  if (auto address = o.take("vault.address", {"VAULT_ADDR", "BAO_ADDR", "VAULT_URL"})) {
    vault.address = {*address};
    vault.address_place = o.from();
  }
  o.text("vault.namespace", {"VAULT_NAMESPACE", "BAO_NAMESPACE"}, vault.vault_namespace);
  o.text("vault.ca_cert", {"VAULT_CACERT", "BAO_CACERT"}, vault.ca_cert);
  if (auto pem = o.take("vault.ca_cert", {"VAULT_CACERT_BYTES", "BAO_CACERT_BYTES"}, true);
      pem && !env("VAULT_CACERT") && !env("BAO_CACERT")) {
    vault.ca_cert_bytes = std::move(*pem);
    vault.ca_cert.clear();
  }
  o.text("vault.ca_path", {"VAULT_CAPATH", "BAO_CAPATH"}, vault.ca_path);
  o.text("vault.client_cert", {"VAULT_CLIENT_CERT", "BAO_CLIENT_CERT"}, vault.client_cert);
  o.text("vault.client_key", {"VAULT_CLIENT_KEY", "BAO_CLIENT_KEY"}, vault.client_key);
  o.text("vault.tls_server_name", {"VAULT_TLS_SERVER_NAME", "BAO_TLS_SERVER_NAME"},
         vault.tls_server_name);
  choose_proxy(env, o, vault);
  if (auto skip = o.take("vault.tls_skip_verify", {"VAULT_SKIP_VERIFY", "BAO_SKIP_VERIFY"})) {
    const auto value = boolean(*skip);
    if (value)
      vault.tls_skip_verify = *value;
    else
      o.bad("\"" + escaped(*skip) + "\" is neither true nor false");
  }
  if (auto timeout = o.take("vault.timeout", {"VAULT_CLIENT_TIMEOUT", "BAO_CLIENT_TIMEOUT"})) {
    const auto value = parse_duration(*timeout);
    if (value)
      vault.timeout = *value;
    else
      o.bad(value.error().text);
  }
  if (auto retries = o.take("vault.retry.num_retries", {"VAULT_MAX_RETRIES", "BAO_MAX_RETRIES"})) {
    const bool digits = !retries->empty() && retries->size() < 6 &&
                        retries->find_first_not_of("0123456789") == std::string::npos;
    if (digits)
      vault.retry.num_retries = std::stoi(*retries);
    else
      o.bad("\"" + escaped(*retries) + "\" is not a number of retries");
  }
  if (auto text = o.take("log_level", {"VAULT_LOG_LEVEL", "BAO_LOG_LEVEL"})) {
    const auto value = level(*text);
    if (value)
      config.log_level = *value;
    else
      o.bad("unknown log level \"" + escaped(*text) +
            "\"; expected trace, debug, info, warn or error");
  }
  Method& method = config.auto_auth.method;
  const MethodSpec* spec = MethodSpec::find(method.type);
  if (spec == nullptr) return;
  for (const MethodKey& key : spec->keys()) {
    const bool secret = key.type == MethodKey::Type::secret;
    const auto value = o.take("auto_auth.method." + std::string(key.name), key.variables, secret);
    if (!value) continue;
    replace(method, *spec, key);
    if (secret)
      method.set(key.name, Secret(trimmed(*value)));
    else
      method.set(key.name, trimmed(*value));
  }
}

void apply_flags(const Input::Flags& flags, Config& config, std::vector<Origin>& origins,
                 std::vector<Problem>& problems) {
  const SourceLocation from = SourceLocation::of_flag();
  const auto problem = [&](const std::string& text) { problems.push_back({from, text}); };
  const auto set = [&](const std::string& key, const std::string& value) {
    record(origins, key, value, from);
  };
  if (flags.address) {
    config.vault.address = {*flags.address};
    config.vault.address_place = from;
    set("vault.address", *flags.address);
  }
  if (flags.vault_namespace) {
    config.vault.vault_namespace = *flags.vault_namespace;
    set("vault.namespace", *flags.vault_namespace);
  }
  Method& method = config.auto_auth.method;
  if (const MethodSpec* spec = MethodSpec::find(method.type)) {
    for (const MethodKey& key : spec->keys()) {
      const auto given = flags.method.find(std::string(key.flag));
      if (given == flags.method.end()) continue;
      replace(method, *spec, key);
      method.set(key.name, given->second);
      set("auto_auth.method." + std::string(key.name), given->second);
    }
  }
  complete_method(config, origins);
  if (flags.log_level) {
    const auto value = level(*flags.log_level);
    if (value)
      config.log_level = *value;
    else
      problem("--log-level " + *flags.log_level + ": expected trace, debug, info, warn or error");
    set("log_level", *flags.log_level);
  }
  if (flags.log_format) {
    if (*flags.log_format == "text")
      config.log_format = log::Format::text;
    else if (*flags.log_format == "json")
      config.log_format = log::Format::json;
    else if (*flags.log_format == "journal")
      config.log_format = log::Format::journal;
    else
      problem("--log-format " + *flags.log_format + ": expected text, json or journal");
    set("log_format", *flags.log_format);
  }
  for (const std::string& text : flags.env) {
    const auto equals = text.find('='), hash = text.rfind('#');
    if (equals == std::string::npos || hash == std::string::npos || hash < equals + 2 ||
        hash + 1 == text.size()) {
      problem("--env " + escaped(text.substr(0, equals)) + ": expected NAME=PATH#KEY");
      continue;
    }
    EnvVar variable;
    variable.name = text.substr(0, equals);
    variable.value.secret = text.substr(equals + 1, hash - equals - 1);
    variable.value.key = text.substr(hash + 1);
    variable.value.place = from;
    set("env." + variable.name, variable.value.secret + "#" + variable.value.key);
    std::erase_if(config.env, [&variable](const EnvVar& v) { return v.name == variable.name; });
    config.env.push_back(std::move(variable));
  }
  for (const std::string& path : flags.env_from) {
    if (path.empty() || path.contains('#')) {
      problem("--env-from \"" + escaped(path) +
              "\": expected PATH, of which every key is taken; for one: " + "--env NAME=PATH#KEY");
      continue;
    }
    EnvFrom all;
    all.secret = path;
    all.place = from;
    config.env_from.push_back(std::move(all));
  }
  for (const std::string& text : flags.templates) {
    const auto colon = text.rfind(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == text.size()) {
      problem("--template " + escaped(text) + ": expected SOURCE:DESTINATION");
      continue;
    }
    Template t;
    t.source = text.substr(0, colon);
    t.destination = text.substr(colon + 1);
    t.place = from;
    config.templates.push_back(std::move(t));
  }
  if (!flags.command.empty()) {
    config.exec.command = {.argv = flags.command};
    set("exec.command", flags.command.front());
  }
}

}  // namespace keybearer::config
