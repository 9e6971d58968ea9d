#pragma once
// Typed, strict access to one TOML table: each key that is asked for is known, and what is left
// over is an error. Internal to config/.

#include <concepts>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/load.hpp"
#include "config/scalars.hpp"
#include "config/syntax.hpp"
#include "config/toml.hpp"

namespace keybearer::config {

struct Context {
  std::vector<Problem> problems;
  bool with_origins = false;
  bool offline = false;
  std::vector<Origin> origins;
  std::unordered_map<std::string, std::size_t> origin_of;  // by key; a thousand tables have many
  std::function<std::optional<std::string>(const std::string&)> env;
  std::string method_type;                  // that the command line chooses
  int item = 0;                             // of the array of tables that is being read, from 1
  std::map<std::string, SourceText> texts;  // of the files that were read, by path
  std::set<std::string> credential_variables;
  std::set<std::string>* schema = nullptr;  // takes the full name of each key that is asked for

  // `key`: its full name, escaped (Reader::name_of).
  void problem(const toml::node& node, const std::string& key, const std::string& text);
  void origin(const std::string& key, std::string value, SourceLocation from);
  // Of a table: made by "a.b = 1", neither [a] nor a = {}.
  [[nodiscard]] bool is_dotted(const toml::node& node) const;
  // Where the characters of `text`, the value of `node`, stand in their file.
  [[nodiscard]] TextMap text_map(const toml::node& node, std::string_view text) const;
};

[[nodiscard]] SourceLocation place_of(const toml::node& node);

class Reader {
 public:
  // `table` may be null: then every key has its default.
  Reader(Context& context, const toml::table* table, std::string prefix)
      : context_(context), table_(table), prefix_(std::move(prefix)) {}
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader();  // reports unknown keys

  [[nodiscard]] const toml::node* find(std::string_view key);
  [[nodiscard]] bool has(std::string_view key) const {
    return table_ != nullptr && table_->contains(key);
  }
  [[nodiscard]] SourceLocation place() const;
  [[nodiscard]] std::string name_of(std::string_view key) const;  // full, escaped
  void problem(std::string_view key, const std::string& text);

  void read(std::string_view key, std::string& out);                    // with ${NAME}
  void read_raw(std::string_view key, std::string& out, TextMap& map);  // template text
  void read_secret(std::string_view key, Secret& out, bool& given);
  void read(std::string_view key, std::optional<std::string>& out);
  void read_masked(std::string_view key, std::optional<std::string>& out);
  void read(std::string_view key, bool& out);
  void read(std::string_view key, std::optional<bool>& out);
  void read(std::string_view key, int& out, int least = 0, int most = 1'000'000);
  void read(std::string_view key, std::optional<int>& out, int least);
  void read(std::string_view key, Duration& out);
  void read(std::string_view key, std::optional<Duration>& out);
  void read(std::string_view key, Interval& out);
  void read_fraction(std::string_view key, double& out);
  void read_size(std::string_view key, std::size_t& out);
  void read_mode(std::string_view key, unsigned& out);
  void read_signal(std::string_view key, int& out);
  void read(std::string_view key, std::optional<OnChange>& out);
  void read(std::string_view key, std::vector<std::string>& out);
  void read(std::string_view key, std::vector<int>& out);
  void read(std::string_view key, std::map<std::string, std::string>& out);
  void read_json(std::string_view key, std::string& out);  // a table, as JSON
  void read(std::string_view key, Command& out);           // as it is: ${NAME} is the shell's own
  template <class T>
  void read_choice(std::string_view key, T& out,
                   std::initializer_list<std::pair<std::string_view, T>> choices);

  [[nodiscard]] const toml::table* table(std::string_view key);
  void each_table(std::string_view key,
                  const std::function<void(const toml::table&, const std::string&)>& use);
  // Keys of the reference that are not built: refused as such, never as unknown.
  void unsupported(std::span<const std::string_view> keys);
  void refuse(std::string_view key, std::string_view why);  // known, and never to be had
  void unsupported(std::initializer_list<std::string_view> keys) {
    unsupported(std::span(keys.begin(), keys.size()));
  }
  // What --show says of a key that is not set; without it, its default is what was read.
  void describe_default(std::string_view key, std::string_view text);
  [[nodiscard]] const toml::table* raw() const { return table_; }
  void ignore_unknown_keys() { all_known_ = true; }

 private:
  [[nodiscard]] std::optional<std::string> text(std::string_view key, bool expand_it);
  // With ${NAME}; of `node`, which may be a part of the key's value.
  [[nodiscard]] std::optional<std::string> expanded(const toml::node& node, std::string_view key,
                                                    std::string_view text);
  [[nodiscard]] bool append_json(std::string& out, const toml::node& node, std::string_view key);
  [[nodiscard]] std::optional<Duration> duration(const toml::node& node, std::string_view key);
  void wrong_type(const toml::node& node, std::string_view key, std::string_view expected);
  void record(std::string_view key, const toml::node* node, const std::string& value);
  // `text` makes the value's text, where somebody wants it.
  template <class Text>
    requires std::invocable<Text&>
  void record(std::string_view key, const toml::node* node, Text text) {
    if (context_.with_origins) record(key, node, std::string(text()));
  }
  [[nodiscard]] std::string shown_name(std::string_view key) const;  // "template[2].perms"
  [[nodiscard]] bool is_credential(std::string_view key) const;
  [[nodiscard]] bool is_recorded(std::string_view key) const;

  Context& context_;
  const toml::table* table_;
  std::string prefix_;
  std::vector<std::string_view> known_;
  std::vector<std::string_view> recorded_;  // has an origin, or needs none
  bool all_known_ = false;
};

template <class T>
void Reader::read_choice(std::string_view key, T& out,
                         std::initializer_list<std::pair<std::string_view, T>> choices) {
  const toml::node* node = find(key);
  std::string names;
  for (const auto& [name, value] : choices)
    names += (names.empty() ? "\"" : ", \"") + std::string(name) + "\"";
  if (node != nullptr && !node->is_string()) return wrong_type(*node, key, "one of " + names);
  const auto chosen = text(key, true);
  if (!chosen) {
    return record(key, nullptr, [&] {
      std::string_view current;
      for (const auto& [name, value] : choices)
        if (value == out) current = name;
      return current;
    });
  }
  for (const auto& [name, value] : choices) {
    if (name != *chosen) continue;
    out = value;
    return record(key, node, *chosen);
  }
  context_.problem(*node, name_of(key),
                   "bad value \"" + escaped(*chosen) + "\"; expected one of " + names);
}

}  // namespace keybearer::config
