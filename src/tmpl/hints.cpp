#include "tmpl/hints.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "base/closest_match.hpp"
#include "tmpl/funcs/funcs.hpp"
#include "tmpl/place.hpp"

namespace keybearer::tmpl {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

bool is_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// The text between the first `before` and the next `after`.
std::string_view between(std::string_view text, std::string_view before, std::string_view after) {
  const auto begin = text.find(before);
  if (begin == std::string_view::npos) return {};
  text.remove_prefix(begin + before.size());
  return text.substr(0, text.find(after));
}

std::string quoted(std::string_view text) {
  return "\"" + std::string(text) + "\"";
}

// --- blocks without an end ---

// The end of an action's inside: texts, backticks and comments may hold the delimiter.
std::size_t end_of_action(std::string_view text, std::size_t at, std::string_view right) {
  if (text.substr(at).starts_with("/*") || text.substr(at).starts_with("- /*")) {
    const auto end = text.find("*/", at);
    return end == std::string_view::npos ? text.size() : text.find(right, end);
  }
  for (char quote = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (quote != 0) {
      if (c == '\\' && quote == '"') ++at;
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '`') {
      quote = c;
    } else if (text.substr(at).starts_with(right)) {
      return at;
    }
  }
  return std::string_view::npos;
}

// What the last block that is still open at the end begins with, and where.
std::string open_block(const ErrorSite& site) {
  constexpr std::array<std::string_view, 5> kBlocks = {"if", "with", "range", "define", "block"};
  std::vector<std::pair<std::string, std::size_t>> open;
  const std::string_view text = site.text;
  for (std::size_t at = 0; (at = text.find(site.left, at)) != std::string_view::npos;) {
    const std::size_t action = at;
    at += site.left.size();
    const std::size_t end = end_of_action(text, at, site.right);
    if (end == std::string_view::npos) return {};
    std::size_t word = at;
    if (word < end && text[word] == '-') ++word;
    while (word < end && (text[word] == ' ' || text[word] == '\t' || text[word] == '\n')) ++word;
    std::size_t word_end = word;
    while (word_end < end && is_name(text[word_end])) ++word_end;
    const std::string_view name = text.substr(word, word_end - word);
    if (std::ranges::find(kBlocks, name) != kBlocks.end()) open.emplace_back(name, action);
    if (name == "end" && !open.empty()) open.pop_back();
    at = end + site.right.size();
  }
  if (open.empty()) return {};
  const auto& [name, action] = open.back();
  return std::string(site.left) + " end " + std::string(site.right) + " is missing for " +
         std::string(site.left) + " " + name + " at line " + std::to_string(line_of(text, action)) +
         ", column " + std::to_string(column_of(text, action) + 1);
}

// --- keys that no field can name ---

// ".Data.data.api-key" around `pos`.
std::string_view chain_around(const ErrorSite& site) {
  const std::string_view text = site.text;
  const auto in_chain = [](char c) { return is_name(c) || c == '.' || c == '$' || c == '-'; };
  std::size_t begin = std::min(site.pos, text.size()), end = begin;
  while (begin > 0 && in_chain(text[begin - 1])) --begin;
  while (end < text.size() && in_chain(text[end])) ++end;
  std::string_view chain = text.substr(begin, end - begin);
  while (chain.ends_with('-') || chain.ends_with('.')) chain.remove_suffix(1);
  while (chain.starts_with('-')) chain.remove_prefix(1);
  return chain;
}

// "index .Data.data "api-key"", of the chain whose part behind the dot at `dot` is the key.
std::string by_index(std::string_view chain, std::size_t dot) {
  const std::string map(dot == 0 ? std::string_view(".") : chain.substr(0, dot));
  return "index " + map + " " + quoted(chain.substr(dot + 1));
}

std::string odd_key(const ErrorSite& site) {
  const std::string_view chain = chain_around(site);
  if (const auto dash = chain.find('-'); dash != std::string_view::npos) {
    const auto dot = chain.rfind('.', dash);
    if (dot == std::string_view::npos) return {};
    return "a key with a dash is read by index: " + by_index(chain, dot);
  }
  if (!chain.starts_with('.') && !chain.starts_with('$')) return {};  // 1.5x
  for (std::size_t dot = chain.find('.'); dot + 1 < chain.size(); dot = chain.find('.', dot + 1)) {
    if (chain[dot + 1] >= '0' && chain[dot + 1] <= '9')
      return "a key that begins with a digit is read by index: " + by_index(chain, dot);
  }
  return {};
}

// `if .Data.data.x`: what people write for a key that may be missing.
std::string optional_key(const ErrorSite& site) {
  const std::size_t begin = site.text.rfind(site.left, site.pos);
  if (begin == std::string_view::npos) return {};
  const std::size_t end = end_of_action(site.text, begin + site.left.size(), site.right);
  const std::string_view action = site.text.substr(begin, end - begin);
  const auto asks = [action](std::string_view word) { return action.contains(word); };
  if (!asks(" if ") && !asks(" with ") && !asks(" or ") && !asks("(or ") && !asks("default"))
    return {};
  const std::string_view chain = chain_around(site);
  const auto dot = chain.rfind('.');
  if (dot == std::string_view::npos || dot + 1 == chain.size()) return {};
  return "a key that may be missing is read by index: " + by_index(chain, dot) +
         "; or set error_on_missing_key = false";
}

// --- a field of the answer ---

std::string_view field_named(std::string_view name) {
  constexpr std::array<std::string_view, 8> kFields = {
      "Data", "Auth", "LeaseID", "LeaseDuration", "Renewable", "RequestID", "Warnings", "WrapInfo"};
  for (const std::string_view field : kFields) {
    if (lower(field) == lower(name)) return field;
  }
  return {};
}

std::string near_field(std::string_view name) {
  if (const std::string_view field = field_named(name); !field.empty())
    return "write ." + std::string(field);
  return "a secret has its keys in .Data (KV v2: .Data.data), as in .Data.data." +
         std::string(name);
}

// Words of other template languages.
std::string_view keyword_of(std::string_view name) {
  constexpr std::pair<std::string_view, std::string_view> kWords[] = {
      {"elif", "else if"}, {"elseif", "else if"}, {"elsif", "else if"},
      {"endif", "end"},    {"endwith", "end"},    {"endfor", "end"},
      {"endrange", "end"}, {"for", "range"},      {"foreach", "range"}};
  for (const auto& [theirs, ours] : kWords)
    if (name == theirs) return ours;
  return {};
}

std::string unknown_function(std::string_view name) {
  if (const std::string_view word = keyword_of(name); !word.empty())
    return "did you mean \"" + std::string(word) + "\"?";
  if (const std::string_view field = field_named(name); !field.empty())
    return "write ." + std::string(field);
  const std::string near = nearest_functions(name);
  return near.empty() ? near : "did you mean " + near + "?";
}

std::string parse_hint(const ErrorSite& site) {
  const std::string_view error = site.error;
  if (error.contains("unexpected EOF")) return open_block(site);
  if (error.contains("unexpected {{end}}"))
    return "there is one end too many, or a block's beginning is missing";
  if (error.contains("character constant"))
    return "texts stand in double quotes or backticks: \"text\"";
  for (const std::string_view mark : {"U+201C", "U+201D", "U+201E", "U+2018", "U+2019", "U+00AB"}) {
    if (error.contains(mark)) return "a typographic quote: texts stand in straight double quotes";
  }
  if (error.contains("U+002D '-'") || error.contains("bad number syntax")) return odd_key(site);
  if (error.contains("unexpected \"/\" in"))
    return "a comment begins at once behind the delimiter: " + std::string(site.left) +
           "/* ... */" + std::string(site.right);
  if (error.contains("U+005B '['"))
    return "an element or a key is read by index: index .hosts 0, index .Data.data \"key\"";
  if (error.contains("unexpected \"=\" in")) return "values are compared by eq: eq .a \"b\"";
  const bool doubled = site.text.substr(std::min(site.pos, site.text.size())).starts_with("||") ||
                       (site.pos > 0 && site.text.substr(site.pos - 1).starts_with("||"));
  if (error.contains("unexpected \"&\" in") || (error.contains("unexpected \"|\" in") && doubled))
    return "conditions are combined by and, or: or .a \"b\"";
  const std::string_view name = between(error, "function \"", "\"");
  return name.empty() || !error.contains("not defined") ? std::string() : unknown_function(name);
}

std::string run_hint(const ErrorSite& site) {
  const std::string_view error = site.error;
  const std::string_view field = between(error, "can't evaluate field ", " in type");
  if (!field.empty() && error.contains("in type *dependency.Secret")) return near_field(field);
  if (error.contains("unknown type for") && error.contains("(json.Number)"))
    return "a number of a secret becomes an integer by .Int64: add .port.Int64 1";
  const bool compared =
      error.contains("incompatible types for comparison") && error.contains("json.Number");
  if (compared && !error.contains("calling eq:") && !error.contains("calling ne:"))
    return "a number of a secret becomes an integer by .Int64: lt .port.Int64 5432";
  if (compared)
    return "a number of a secret compares with a text: eq .port \"5432\"; .Int64 makes a number of "
           "it";
  if (error.contains("expected string; found '"))
    return "texts stand in double quotes or backticks: \"text\"";
  if (error.contains("expected string; got json.Number"))
    return "a number of a secret becomes a text by print: (print .port)";
  if (error.contains("expected []string; got []interface {}"))
    return "a list of a secret is joined by sprig_join: .hosts | sprig_join \",\"";
  if (error.contains("can't evaluate field") && error.ends_with("in type interface {}"))
    return "what it is read from is no map; a text that holds JSON is read by parseJSON";
  if (error.contains("not k=v pair"))
    return "arguments are of writes; a key is read from the answer: .Data.data.KEY";
  if (error.contains("map has no entry for key")) return optional_key(site);
  return {};
}

}  // namespace

std::string nearest_functions(std::string_view name) {
  std::vector<std::string_view> names;
  for (const Function* function : all_functions()) names.push_back(function->name);
  std::ranges::sort(names);
  const std::string wanted = lower(name);
  constexpr std::pair<std::string_view, std::string_view> kElsewhere[] = {
      {"include", "executeTemplate"}, {"getenv", "env"}, {"readFile", "file"}};
  for (const auto& [theirs, ours] : kElsewhere)
    if (name == theirs) return quoted(ours);
  for (const std::string_view known : names) {
    if (lower(known) == wanted || known == "sprig_" + std::string(name)) return quoted(known);
  }
  for (const std::string_view known : names) {
    if (lower(known) == "sprig_" + wanted) return quoted(known);
  }
  // "base64": what begins so; "toUper": what is spelled nearly so.
  std::string out;
  int found = 0;
  for (const std::string_view known : names) {
    const std::string plain = lower(known.starts_with("sprig_") ? known.substr(6) : known);
    if (wanted.size() < 3 || !plain.starts_with(wanted) || found++ >= 2) continue;
    out += (out.empty() ? "" : " or ") + quoted(known);
  }
  if (!out.empty()) return out;
  const std::string_view meant = closest_match(name, names);
  return !meant.empty() && lower(meant.substr(0, 1)) == wanted.substr(0, 1) ? quoted(meant) : out;
}

std::string hint_for(const ErrorSite& site) {
  const std::string hint = parse_hint(site);
  return hint.empty() ? run_hint(site) : hint;
}

}  // namespace keybearer::tmpl
