#include <algorithm>

#include "config/sections.hpp"

namespace keybearer::config {
namespace {

// "kv/data/app#api_key", as the command line's --env has it: a path of two parts at least, and a
// key.
bool looks_like_reference(std::string_view text) {
  const auto hash = text.rfind('#');
  if (hash == std::string_view::npos || text.contains("://") || text.contains("{{")) return false;
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; };
  const std::string_view path = text.substr(0, hash), key = text.substr(hash + 1);
  const auto slash = path.find('/');
  return slash != std::string_view::npos && slash > 0 && slash + 1 < path.size() && !key.empty() &&
         !key.contains('/') && std::ranges::none_of(text, blank);
}

// The right forms of a reference to one key, for people to copy.
std::string reference_forms(std::string_view path, std::string_view key) {
  const std::string p = escaped(path), k = escaped(key);
  return "{ secret = \"" + p + "\", key = \"" + k + "\" } or \"vault:" + p + "#" + k + "\"";
}

constexpr std::string_view kReference = "vault:";

// A text: template text, or "vault:PATH#KEY".
void read_text(Context& context, const toml::node& node, const std::string& name,
               ValueSource& value) {
  const std::string& text = node.as_string()->get();
  value.contents = text;
  value.contents_map = context.text_map(node, text);
  const auto hash = text.rfind('#');
  if (text.starts_with(kReference) && !text.contains("{{")) {
    value.contents.clear();
    if (hash == std::string::npos || hash == kReference.size() || hash + 1 == text.size()) {
      return context.problem(node, name, "a reference without a key; expected \"vault:PATH#KEY\"");
    }
    value.secret = text.substr(kReference.size(), hash - kReference.size());
    value.key = text.substr(hash + 1);
  } else if (looks_like_reference(text)) {
    context.problem(node, name,
                    "a plain text that looks like PATH#KEY; write " +
                        reference_forms(text.substr(0, hash), text.substr(hash + 1)) +
                        " for the secret's key, or { contents = \"" + escaped(text) +
                        "\" } for the text itself");
  }
}

void check_forms(Context& context, const Reader& r, const toml::node& node, const std::string& name,
                 const ValueSource& value) {
  const int ways =
      (r.has("contents") ? 1 : 0) + (r.has("source") ? 1 : 0) + (r.has("secret") ? 1 : 0);
  if (r.has("key") && !r.has("secret"))
    return context.problem(node, name, "secret and key go together; secret = \"PATH\" is missing");
  if (ways != 1) {
    context.problem(node, name,
                    ways == 0 ? "one of contents, source, or secret and key is required"
                              : "contents, source and secret exclude each other");
  }
  if (!r.has("secret") || r.has("key")) return;
  const auto hash = value.secret.rfind('#');
  const bool whole = hash != std::string::npos && hash > 0 && hash + 1 < value.secret.size();
  context.problem(node, name,
                  "secret and key go together" +
                      (whole ? "; write { secret = \"" + escaped(value.secret.substr(0, hash)) +
                                   "\", key = \"" + escaped(value.secret.substr(hash + 1)) + "\" }"
                             : "; key = \"KEY\" is missing"));
}

}  // namespace

ValueSource read_value(Context& context, const toml::node& node, const std::string& name,
                       EnvVar* variable) {
  ValueSource value;
  value.place = place_of(node);
  if (node.as_string() != nullptr) {
    read_text(context, node, name, value);
    return value;
  }
  if (node.as_table() == nullptr) {
    context.problem(
        node, name,
        "expected template text, or a table with contents, source, or secret and key; a "
        "text needs quotes");
    return value;
  }
  Reader r(context, node.as_table(), name);
  r.read_raw("contents", value.contents, value.contents_map);
  r.read("source", value.source);
  r.read("secret", value.secret);
  r.read("key", value.key);
  r.read_masked("default", value.default_value);
  r.read("error_on_missing_key", value.error_on_missing_key);
  r.describe_default("error_on_missing_key", "true");
  if (variable != nullptr) {
    r.read("enabled", variable->enabled);
    r.read("on_change", variable->on_change);
    r.describe_default("on_change", "as exec.restart_on_secret_changes says");
    r.read("left_delimiter", value.left_delimiter);
    r.describe_default("left_delimiter", Template{}.left_delimiter);
    r.read("right_delimiter", value.right_delimiter);
    r.describe_default("right_delimiter", Template{}.right_delimiter);
    using Type = ValueRule::Type;
    r.read_choice("type", variable->rule.type,
                  {{"string", Type::string},
                   {"int", Type::integer},
                   {"bool", Type::boolean},
                   {"port", Type::port},
                   {"url", Type::url},
                   {"pem", Type::pem},
                   {"json", Type::json}});
    r.read("pattern", variable->rule.pattern);
    r.read("required", variable->required);
  }
  check_forms(context, r, node, name, value);
  return value;
}

void read_env(Context& context, Reader& top, Config& config) {
  const toml::table* table = top.table("env");
  if (table == nullptr) return;
  for (const auto& [key, node] : *table) {
    EnvVar variable;
    variable.name = key.str();
    const std::string name = "env." + escaped(key.str());
    variable.value = read_value(context, node, name, &variable);
    const ValueSource& value = variable.value;
    if (!value.secret.empty())
      context.origin(name, value.secret + "#" + value.key, value.place);
    else
      context.origin(name, value.source.empty() ? "(template text)" : "(" + value.source + ")",
                     value.place);
    config.env.push_back(std::move(variable));
  }
}

namespace {

// Names that are given are checked here; what keys make is known with the secret only.
void check_given_names(Context& context, const toml::table& table, const std::string& prefix,
                       const EnvFrom& from, bool allow_reserved) {
  if (!valid_variable_name("_" + from.prefix)) {
    return context.problem(*table.get("prefix"), prefix + ".prefix",
                           "begins no variable name; expected letters, digits and _");
  }
  std::vector<std::string> seen;
  for (const auto& [key, given] : from.names) {
    const toml::node& node = *table.get("names")->as_table()->get(key);
    const std::string name = from.prefix + given;
    const char* why = nullptr;
    if (!valid_variable_name(name))
      why = " is no variable name; expected letters, digits and _";
    else if (reserved_variable_name(name) && !allow_reserved)
      why = " is a reserved name; set exec.allow_reserved_env = true if you mean it";
    else if (std::ranges::find(seen, name) != seen.end())
      why = " is the name of another key, too";
    if (why != nullptr)
      context.problem(node, prefix + ".names." + escaped(key), escaped(name) + why);
    seen.push_back(name);
  }
}

void read_one_env_from(Context& context, const toml::table& table, const std::string& prefix,
                       Config& config) {
  Reader r(context, &table, prefix);
  EnvFrom from;
  from.place = r.place();
  const std::size_t before = context.problems.size();
  r.read("secret", from.secret);
  const bool nameless = from.secret.empty();
  if (nameless && context.problems.size() == before) r.problem("secret", "required");
  r.read("prefix", from.prefix);
  r.read("uppercase", from.uppercase);
  r.read("keys", from.keys);
  r.describe_default("keys", "all");
  r.read("names", from.names);
  check_given_names(context, table, prefix, from, config.exec.allow_reserved_env);
  if (!nameless) config.env_from.push_back(std::move(from));
}

}  // namespace

void read_env_from(Context& context, Reader& top, Config& config) {
  top.each_table("env_from", [&](const toml::table& table, const std::string& name) {
    read_one_env_from(context, table, name, config);
  });
}

}  // namespace keybearer::config
