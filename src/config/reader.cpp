#include "config/reader.hpp"

#include <algorithm>
#include <utility>

#include "config/keys.hpp"
#include "config/method.hpp"
#include "config/syntax.hpp"

namespace keybearer::config {
namespace {

std::string_view type_text(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a number";
    case toml::node_type::boolean:
      return "a boolean";
    default:
      return "a date";
  }
}

}  // namespace

SourceLocation place_of(const toml::node& node) {
  const auto& source = node.source();
  return SourceLocation::in_file(source.path ? *source.path : "?", source.begin.line,
                                 source.begin.column);
}

void Context::problem(const toml::node& node, const std::string& key, const std::string& text) {
  problems.push_back({place_of(node), key + ": " + escaped(text)});
}

bool Context::is_dotted(const toml::node& node) const {
  if (!node.is_table() || node.as_table()->is_inline()) return false;
  const SourceLocation at = place_of(node);
  const auto file = texts.find(at.name);
  const auto source = file == texts.end() ? std::nullopt : file->second.from(at.line, at.column);
  return !source || !source->starts_with('[');
}

void Context::origin(const std::string& key, std::string value, SourceLocation from) {
  if (!with_origins) return;
  const auto [known, first] = origin_of.try_emplace(key, origins.size());
  if (first) {
    origins.push_back({key, std::move(value), std::move(from)});
  } else {
    origins[known->second].value = std::move(value);
    origins[known->second].from = std::move(from);
  }
}

TextMap Context::text_map(const toml::node& node, std::string_view text) const {
  const SourceLocation quote = place_of(node);
  const auto file = texts.find(quote.name);
  if (file == texts.end()) return {};
  const auto source = file->second.from(quote.line, quote.column);
  return source ? TextMap(quote, *source, text) : TextMap{};
}

Reader::~Reader() {
  if (context_.with_origins) {
    for (const std::string_view key : known_)
      if (!is_recorded(key)) context_.origin(shown_name(key), "none", {});
  }
  if (table_ == nullptr || all_known_) return;
  for (const auto& [key, node] : *table_) {
    if (std::ranges::find(known_, key.str()) != known_.end()) continue;
    SourceLocation place = place_of(node);
    if (node.as_table() == nullptr && key.source().begin.line > 0) {  // the key, not its value
      place.line = key.source().begin.line;
      place.column = key.source().begin.column;
    }
    context_.problems.push_back(
        {std::move(place),
         name_of(key.str()) + ": " +
             escaped("unknown key" + advice_on_unknown(prefix_, key.str(), known_, node,
                                                       context_.is_dotted(node)))});
  }
}

SourceLocation Reader::place() const {
  return table_ != nullptr ? place_of(*table_) : SourceLocation{};
}
std::string Reader::name_of(std::string_view key) const {
  return prefix_.empty() ? escaped(key) : prefix_ + "." + escaped(key);
}
std::string Reader::shown_name(std::string_view key) const {
  std::string name = name_of(key);
  if (context_.item > 0) name.insert(name.find('.'), "[" + std::to_string(context_.item) + "]");
  return name;
}
void Reader::problem(std::string_view key, const std::string& text) {
  const toml::node* node = table_ != nullptr ? table_->get(key) : nullptr;
  context_.problems.push_back(
      {node != nullptr ? place_of(*node) : place(), name_of(key) + ": " + escaped(text)});
}

const toml::node* Reader::find(std::string_view key) {
  if (std::ranges::find(known_, key) == known_.end()) known_.push_back(key);
  if (context_.schema != nullptr) context_.schema->insert(name_of(key));
  return table_ != nullptr ? table_->get(key) : nullptr;
}

bool Reader::is_recorded(std::string_view key) const {
  return std::ranges::find(recorded_, key) != recorded_.end();
}

void Reader::record(std::string_view key, const toml::node* node, const std::string& value) {
  if (!context_.with_origins) return;
  recorded_.push_back(key);
  context_.origin(shown_name(key), value.empty() ? "none" : value,
                  node != nullptr ? place_of(*node) : SourceLocation{});
}

void Reader::describe_default(std::string_view key, std::string_view text) {
  if (has(key) || !context_.with_origins) return;
  recorded_.push_back(key);
  context_.origin(shown_name(key), std::string(text), {});
}

namespace {

bool secret_of_any_method(std::string_view name) {
  return std::ranges::any_of(MethodSpec::all(), [name](const MethodSpec* spec) {
    const MethodKey* key = spec->key(name);
    return key != nullptr && key->type == MethodKey::Type::secret;
  });
}

}  // namespace

// What these hold is a credential, and so is the variable that it came from.
bool Reader::is_credential(std::string_view key) const {
  if (prefix_ == "auto_auth.method") return key == "role_id" || secret_of_any_method(key);
  return prefix_ == "vault" && (key == "headers" || key == "proxy_address");
}

void Reader::wrong_type(const toml::node& node, std::string_view key, std::string_view expected) {
  context_.problem(node, name_of(key),
                   "expected " + std::string(expected) + ", got " + std::string(type_text(node)));
}

std::optional<std::string> Reader::text(std::string_view key, bool expand_it) {
  const toml::node* node = find(key);
  if (node == nullptr) return std::nullopt;
  const auto* string = node->as_string();
  if (string == nullptr) {
    wrong_type(*node, key, "a string");
    return std::nullopt;
  }
  return expand_it ? expanded(*node, key, string->get()) : string->get();
}

std::optional<std::string> Reader::expanded(const toml::node& node, std::string_view key,
                                            std::string_view text) {
  const auto lookup = [&](const std::string& name) {
    auto value = context_.env(name);
    if (value && is_credential(key)) context_.credential_variables.insert(name);
    return value;
  };
  auto out = expand(text, lookup);
  // The system would take what stands before it for the whole.
  if (out && out->contains('\0')) out = fail(ErrorKind::config, "has a NUL byte");
  if (out) return std::move(*out);
  context_.problem(node, name_of(key), out.error().text);
  return std::nullopt;
}

void Reader::read(std::string_view key, std::string& out) {
  const auto value = text(key, true);
  if (value) out = *value;
  record(key, value ? table_->get(key) : nullptr, out);
}

void Reader::read_raw(std::string_view key, std::string& out, TextMap& map) {
  auto value = text(key, false);
  recorded_.push_back(key);
  if (!value) return;
  out = std::move(*value);
  map = context_.text_map(*table_->get(key), out);
  record(key, table_->get(key), "(template text)");
}

void Reader::read_secret(std::string_view key, Secret& out, bool& given) {
  const auto value = text(key, true);
  if (!value) return;
  out = Secret(*value);
  given = true;
  record(key, table_->get(key), "********");
}

void Reader::read(std::string_view key, std::optional<std::string>& out) {
  if (auto value = text(key, true)) {
    out = std::move(*value);
    record(key, table_->get(key), *out);
  }
}

void Reader::read_masked(std::string_view key, std::optional<std::string>& out) {
  out = text(key, true);
  if (out) record(key, table_->get(key), "********");
}

void Reader::read(std::string_view key, bool& out) {
  const toml::node* node = find(key);
  if (node != nullptr && node->as_boolean() == nullptr)
    return wrong_type(*node, key, "true or false");
  if (node != nullptr) out = node->as_boolean()->get();
  record(key, node, out ? "true" : "false");
}

void Reader::read(std::string_view key, std::optional<bool>& out) {
  if (!has(key)) {
    (void)find(key);
    return;
  }
  bool value = false;
  read(key, value);
  out = value;
}

void Reader::read(std::string_view key, int& out, int least, int most) {
  const toml::node* node = find(key);
  if (node != nullptr) {
    const auto* integer = node->as_integer();
    if (integer == nullptr) return wrong_type(*node, key, "a whole number");
    if (integer->get() < least || integer->get() > most) {
      return context_.problem(
          *node, name_of(key),
          "expected a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    }
    out = static_cast<int>(integer->get());
  }
  record(key, node, [&out] { return std::to_string(out); });
}

void Reader::read(std::string_view key, std::optional<int>& out, int least) {
  if (!has(key)) {
    (void)find(key);
    return;
  }
  int value = least;
  read(key, value, least);
  out = value;
}

std::optional<Duration> Reader::duration(const toml::node& node, std::string_view key) {
  result<Duration> parsed = Duration{};
  if (const auto* integer = node.as_integer()) {
    parsed = parse_duration(std::to_string(integer->get()));
  } else if (const auto* number = node.as_floating_point()) {
    parsed = parse_duration(std::to_string(number->get()));
  } else if (const auto* string = node.as_string()) {
    const auto whole = expanded(node, key, string->get());
    if (!whole) return std::nullopt;
    parsed = parse_duration(*whole);
  } else {
    wrong_type(node, key, "a duration such as \"90s\"");
    return std::nullopt;
  }
  if (!parsed) {
    context_.problem(node, name_of(key), parsed.error().text);
    return std::nullopt;
  }
  return *parsed;
}

void Reader::read(std::string_view key, Duration& out) {
  const toml::node* node = find(key);
  if (node != nullptr) {
    const auto value = duration(*node, key);
    if (!value) return;
    out = *value;
  }
  record(key, node, [&out] { return duration_text(out); });
}

void Reader::read(std::string_view key, std::optional<Duration>& out) {
  const toml::node* node = find(key);
  if (node == nullptr) return;
  const auto value = duration(*node, key);
  if (!value) return;
  out = *value;
  record(key, node, [&value] { return duration_text(*value); });
}

void Reader::read(std::string_view key, Interval& out) {
  const toml::node* node = has(key) ? table_->get(key) : nullptr;
  const auto* string = node != nullptr ? node->as_string() : nullptr;
  if (string != nullptr && string->get() == "never") {
    (void)find(key);
    out = {.every = out.every, .never = true};
    return record(key, node, "never");
  }
  read(key, out.every);
  if (node != nullptr) out.never = false;
  if (node != nullptr && out.every < Duration(100))
    problem(key, "must be at least 100ms, or \"never\"");
}

void Reader::read_fraction(std::string_view key, double& out) {
  const toml::node* node = find(key);
  if (node != nullptr) {
    const auto value = node->value<double>();
    if (!value) return wrong_type(*node, key, "a number between 0 and 1");
    if (*value <= 0 || *value > 1)
      return context_.problem(*node, name_of(key), "expected a number above 0 and at most 1");
    out = *value;
  }
  record(key, node, [&out] {
    std::string text = std::to_string(out);
    while (text.ends_with('0')) text.pop_back();
    if (text.ends_with('.')) text.pop_back();
    return text;
  });
}

void Reader::read_size(std::string_view key, std::size_t& out) {
  const toml::node* node = find(key);
  if (node != nullptr) {
    const auto* integer = node->as_integer();
    const auto* string = node->as_string();
    if (integer == nullptr && string == nullptr)
      return wrong_type(*node, key, "a size such as \"10MiB\"");
    const auto size =
        parse_size(integer != nullptr ? std::to_string(integer->get()) : string->get());
    if (!size) return context_.problem(*node, name_of(key), size.error().text);
    out = *size;
  }
  record(key, node, [&out] { return std::to_string(out); });
}

void Reader::read_mode(std::string_view key, unsigned& out) {
  const toml::node* node = find(key);
  const auto shown = [&out] { return mode_text(out); };
  if (node == nullptr) return record(key, nullptr, shown);
  if (node->as_integer() != nullptr) {
    return context_.problem(
        *node, name_of(key),
        "an integer is ambiguous here; write the mode as a string, such as \"0640\"");
  }
  if (node->as_string() == nullptr) return wrong_type(*node, key, "a string such as \"0640\"");
  const auto mode = parse_mode(node->as_string()->get());
  if (!mode) return context_.problem(*node, name_of(key), mode.error().text);
  out = *mode;
  record(key, node, shown);
}

void Reader::read_signal(std::string_view key, int& out) {
  if (const auto value = text(key, true)) {
    const auto signal = parse_signal(*value);
    if (!signal) return context_.problem(*table_->get(key), name_of(key), signal.error().text);
    out = *signal;
  }
  record(key, has(key) ? table_->get(key) : nullptr, [&out] { return signal_name(out); });
}

void Reader::read(std::string_view key, std::optional<OnChange>& out) {
  const auto value = text(key, true);
  if (!value) return;
  const auto parsed = parse_on_change(*value);
  if (!parsed) return context_.problem(*table_->get(key), name_of(key), parsed.error().text);
  out = *parsed;
  record(key, table_->get(key), *value);
}

const toml::table* Reader::table(std::string_view key) {
  const toml::node* node = find(key);
  recorded_.push_back(key);
  if (node == nullptr) return nullptr;
  if (node->as_table() == nullptr) wrong_type(*node, key, "a table: [" + name_of(key) + "]");
  return node->as_table();
}

void Reader::each_table(std::string_view key,
                        const std::function<void(const toml::table&, const std::string&)>& use) {
  const toml::node* node = find(key);
  recorded_.push_back(key);
  if (node == nullptr) return;
  const auto* array = node->as_array();
  if (array == nullptr)
    return wrong_type(*node, key, "an array of tables: [[" + name_of(key) + "]]");
  for (const toml::node& item : *array) {
    ++context_.item;
    if (item.as_table() != nullptr)
      use(*item.as_table(), name_of(key));
    else
      wrong_type(item, key, "a table");
  }
  context_.item = 0;
}

void Reader::unsupported(std::span<const std::string_view> keys) {
  for (const std::string_view key : keys) refuse(key, "not supported yet");
}

void Reader::refuse(std::string_view key, std::string_view why) {
  recorded_.push_back(key);
  known_.push_back(key);
  if (table_ == nullptr) return;
  if (const toml::node* node = table_->get(key))
    context_.problem(*node, name_of(key), std::string(why));
}

}  // namespace keybearer::config
