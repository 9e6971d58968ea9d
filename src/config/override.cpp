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

result<bool> boolean(std::string_view text) {
  for (const char* yes : {"1", "t", "T", "true", "TRUE", "True"})
    if (text == yes) return true;
  for (const char* no : {"0", "f", "F", "false", "FALSE", "False"})
    if (text == no) return false;
  return fail(ErrorKind::config, "\"" + escaped(text) + "\" is neither true nor false");
}

result<int> retries(std::string_view text) {
  const bool digits =
      !text.empty() && text.size() < 6 && text.find_first_not_of("0123456789") == std::string::npos;
  if (!digits)
    return fail(ErrorKind::config, "\"" + escaped(text) + "\" is not a number of retries");
  return std::stoi(std::string(text));
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

result<log::Level> known_level(std::string_view text) {
  if (const auto value = level(text)) return *value;
  return fail(ErrorKind::config, "unknown log level \"" + escaped(text) +
                                     "\"; expected trace, debug, info, warn or error");
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
      if (value && !secret) value = trimmed(*value);  // as $(cat file) leaves it
      if (!value || value->empty()) continue;
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
  // `parse` gives a result<T>; its error is a problem of the variable.
  template <class Parse, class T>
  void parsed(const std::string& key, std::initializer_list<const char*> names, Parse parse,
              T& out) {
    const auto text = take(key, names);
    if (!text) return;
    if (auto value = parse(*text))
      out = *value;
    else
      problems_.push_back({from_, value.error().text});
  }
  [[nodiscard]] const SourceLocation& from() const { return from_; }

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

namespace {

void apply_server_variables(const Environment& env, Overrides& o, Vault& vault) {
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
  o.parsed("vault.tls_skip_verify", {"VAULT_SKIP_VERIFY", "BAO_SKIP_VERIFY"}, boolean,
           vault.tls_skip_verify);
  o.parsed("vault.timeout", {"VAULT_CLIENT_TIMEOUT", "BAO_CLIENT_TIMEOUT"}, parse_duration,
           vault.timeout);
  o.parsed("vault.retry.num_retries", {"VAULT_MAX_RETRIES", "BAO_MAX_RETRIES"}, retries,
           vault.retry.num_retries);
}

// What the client library of the other agents obeys, and we do not: said, where it is set.
void warn_of_ignored(const Environment& env, std::vector<std::string>& warnings) {
  constexpr std::pair<const char*, const char*> kIgnored[] = {
      {"AGENT_ADDR", "the server is VAULT_ADDR"},
      {"SRV_LOOKUP", "name the servers in vault.address"},
      {"RATE_LIMIT", "requests are limited by [vault.budget]"},
      {"DISABLE_REDIRECTS", "a redirect is followed to the servers of vault.address only"}};
  for (const std::string prefix : {"VAULT_", "BAO_"})
    for (const auto& [name, instead] : kIgnored)
      if (env(prefix + name))
        warnings.push_back("environment " + prefix + name + " has no effect here: " + instead);
}

void apply_method_variables(Overrides& o, Method& method) {
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

}  // namespace

void apply_environment(const Environment& env, Config& config, std::vector<Origin>& origins,
                       std::vector<Problem>& problems) {
  Overrides o(env, origins, problems);
  apply_server_variables(env, o, config.vault);
  warn_of_ignored(env, config.warnings);
  o.parsed("log_level", {"VAULT_LOG_LEVEL", "BAO_LOG_LEVEL"}, known_level, config.log_level);
  apply_method_variables(o, config.auto_auth.method);
}

namespace {

// Flags, one kind after another.
class Flags {
 public:
  Flags(const Input::Flags& flags, Config& config, std::vector<Origin>& origins,
        std::vector<Problem>& problems)
      : flags_(flags), config_(config), origins_(origins), problems_(problems) {}

  void server();
  void method();
  void logging();
  void variables();
  void files();
  void command();

 private:
  void problem(const std::string& text) { problems_.push_back({from_, text}); }
  void set(const std::string& key, const std::string& value) {
    record(origins_, key, value, from_);
  }

  const Input::Flags& flags_;
  Config& config_;
  std::vector<Origin>& origins_;
  std::vector<Problem>& problems_;
  const SourceLocation from_ = SourceLocation::of_flag();
};

void Flags::server() {
  if (flags_.address) {
    config_.vault.address = {*flags_.address};
    config_.vault.address_place = from_;
    set("vault.address", *flags_.address);
  }
  if (flags_.vault_namespace) {
    config_.vault.vault_namespace = *flags_.vault_namespace;
    set("vault.namespace", *flags_.vault_namespace);
  }
}

void Flags::method() {
  Method& method = config_.auto_auth.method;
  const MethodSpec* spec = MethodSpec::find(method.type);
  if (spec == nullptr) return;
  for (const MethodKey& key : spec->keys()) {
    const auto given = flags_.method.find(std::string(key.flag));
    if (given == flags_.method.end()) continue;
    replace(method, *spec, key);
    method.set(key.name, given->second);
    set("auto_auth.method." + std::string(key.name), given->second);
  }
}

void Flags::logging() {
  if (flags_.log_level) {
    if (const auto value = level(*flags_.log_level))
      config_.log_level = *value;
    else
      problem("--log-level " + *flags_.log_level + ": expected trace, debug, info, warn or error");
    set("log_level", *flags_.log_level);
  }
  if (flags_.log_format) {
    if (*flags_.log_format == "text")
      config_.log_format = log::Format::text;
    else if (*flags_.log_format == "json")
      config_.log_format = log::Format::json;
    else if (*flags_.log_format == "journal")
      config_.log_format = log::Format::journal;
    else
      problem("--log-format " + *flags_.log_format + ": expected text, json or journal");
    set("log_format", *flags_.log_format);
  }
}

void Flags::variables() {
  for (const std::string& text : flags_.env) {
    const auto equals = text.find('='), hash = text.rfind('#');
    if (equals == std::string::npos || equals == 0 || hash == std::string::npos ||
        hash < equals + 2 || hash + 1 == text.size()) {
      const std::string shown = equals == 0 ? "\"=...\"" : escaped(text.substr(0, equals));
      problem("--env " + shown + ": expected NAME=PATH#KEY");
      continue;
    }
    EnvVar variable;
    variable.name = text.substr(0, equals);
    variable.value.secret = text.substr(equals + 1, hash - equals - 1);
    variable.value.key = text.substr(hash + 1);
    variable.value.place = from_;
    set("env." + variable.name, variable.value.secret + "#" + variable.value.key);
    std::erase_if(config_.env, [&variable](const EnvVar& v) { return v.name == variable.name; });
    config_.env.push_back(std::move(variable));
  }
  for (const std::string& path : flags_.env_from) {
    if (path.empty() || path.contains('#')) {
      problem("--env-from \"" + escaped(path) +
              "\": expected PATH, of which every key is taken; for one: --env NAME=PATH#KEY");
      continue;
    }
    EnvFrom all;
    all.secret = path;
    all.place = from_;
    config_.env_from.push_back(std::move(all));
  }
}

void Flags::files() {
  for (const std::string& text : flags_.templates) {
    const auto colon = text.rfind(':');
    if (colon == std::string::npos || colon == 0 || colon + 1 == text.size()) {
      problem("--template " + escaped(text) + ": expected SOURCE:DESTINATION");
      continue;
    }
    Template t;
    t.source = text.substr(0, colon);
    t.destination = text.substr(colon + 1);
    t.place = from_;
    config_.templates.push_back(std::move(t));
  }
}

void Flags::command() {
  if (flags_.command.empty()) return;
  config_.exec.command = {.argv = flags_.command};
  set("exec.command", flags_.command.front());
}

}  // namespace

void apply_flags(const Input::Flags& flags, Config& config, std::vector<Origin>& origins,
                 std::vector<Problem>& problems) {
  Flags given(flags, config, origins, problems);
  given.server();
  given.method();
  complete_method(config, origins);
  given.logging();
  given.variables();
  given.files();
  given.command();
}

}  // namespace keybearer::config
