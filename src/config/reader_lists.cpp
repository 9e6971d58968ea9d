// What is more than one value: lists, maps, any TOML as JSON, commands.

#include <cmath>

#include "config/reader.hpp"

namespace keybearer::config {

void Reader::read(std::string_view key, std::vector<std::string>& out) {
  const toml::node* node = find(key);
  if (node == nullptr) return;
  const auto* array = node->as_array();
  if (array == nullptr) return wrong_type(*node, key, "an array of strings");
  out.clear();
  for (const toml::node& item : *array) {
    if (item.as_string() == nullptr) {
      wrong_type(item, key, "an array of strings");
      continue;
    }
    if (auto text = expanded(item, key, item.as_string()->get())) out.push_back(std::move(*text));
  }
  std::string all;
  for (const std::string& one : out) all += (all.empty() ? "" : ", ") + one;
  record(key, node, all);
}

void Reader::read(std::string_view key, std::vector<int>& out) {
  const toml::node* node = find(key);
  const auto list_text = [](const std::vector<int>& codes) {
    std::string all;
    for (const int code : codes) all += (all.empty() ? "" : ", ") + std::to_string(code);
    return all;
  };
  if (node == nullptr) {
    if (!out.empty()) record(key, node, list_text(out));
    return;
  }
  const auto* array = node->as_array();
  if (array == nullptr) return wrong_type(*node, key, "an array of whole numbers");
  out.clear();
  for (const toml::node& item : *array) {
    const auto* integer = item.as_integer();
    if (integer == nullptr || integer->get() < 0 || integer->get() > 255) {
      context_.problem(item, name_of(key), "expected exit codes from 0 to 255");
    } else {
      out.push_back(static_cast<int>(integer->get()));
    }
  }
  record(key, node, list_text(out));
}

namespace {

// An array as Vault takes it where one is expected: separated by commas.
bool scalar_text(const toml::node& node, std::string& text) {
  if (const auto* string = node.as_string()) {
    text = string->get();
  } else if (const auto* integer = node.as_integer()) {
    text = std::to_string(integer->get());
  } else if (const auto* boolean = node.as_boolean()) {
    text = boolean->get() ? "true" : "false";
  } else if (const auto* array = node.as_array()) {
    for (const toml::node& item : *array) {
      if (item.as_string() == nullptr) return false;
      text += (text.empty() ? "" : ",") + item.as_string()->get();
    }
  } else {
    return false;
  }
  return true;
}

}  // namespace

void Reader::read(std::string_view key, std::map<std::string, std::string>& out) {
  const toml::node* node = find(key);
  if (node == nullptr) return;
  if (node->as_table() == nullptr) return wrong_type(*node, key, "a table of strings");
  std::string names;  // values may be nobody else's business
  for (const auto& [name, item] : *node->as_table()) {
    std::string text;
    if (!scalar_text(item, text)) {
      wrong_type(item, key, "a table of strings, numbers, booleans or arrays of strings");
      continue;
    }
    if (auto whole = expanded(item, key, text)) out[std::string(name.str())] = std::move(*whole);
    names += (names.empty() ? "" : ", ") + std::string(name.str());
  }
  record(key, node, "{ " + names + " }");
}

// A number's text is kept as it will be compared and printed: as a server's JSON has it.
bool Reader::append_json(std::string& out, const toml::node& node, std::string_view key) {
  const auto quoted = [&out](std::string_view text) {
    constexpr char kHex[] = "0123456789abcdef";
    out += '"';
    for (const char c : text) {
      if (c == '"' || c == '\\') out += '\\';
      if (static_cast<unsigned char>(c) >= 0x20)
        out += c;
      else
        ((out += "\\u00") += kHex[c >> 4]) += kHex[c & 15];
    }
    out += '"';
  };
  std::string_view comma;
  if (const auto* table = node.as_table()) {
    out += '{';
    for (const auto& [name, item] : *table) {
      out += std::exchange(comma, ",");
      quoted(name.str());
      out += ':';
      if (!append_json(out, item, key)) return false;
    }
    out += '}';
  } else if (const auto* array = node.as_array()) {
    out += '[';
    for (const toml::node& item : *array) {
      out += std::exchange(comma, ",");
      if (!append_json(out, item, key)) return false;
    }
    out += ']';
  } else if (const auto* boolean = node.as_boolean()) {
    out += boolean->get() ? "true" : "false";
  } else if (const auto* integer = node.as_integer()) {
    out += std::to_string(integer->get());
  } else if (const auto* number = node.as_floating_point();
             number != nullptr && std::isfinite(number->get())) {
    char digits[32];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, number->get()).ptr);
  } else if (const auto* string = node.as_string()) {
    const auto text = expanded(node, key, string->get());
    if (!text) return false;
    quoted(*text);
  } else {
    wrong_type(node, key, "strings, numbers, booleans, arrays and tables of them");
    return false;
  }
  return true;
}

void Reader::read_json(std::string_view key, std::string& out) {
  const toml::table* whole = table(key);
  if (whole == nullptr || whole->empty() || !append_json(out, *whole, key)) return;
  std::string names;  // values may be nobody else's business
  for (const auto& [name, item] : *whole)
    names += (names.empty() ? "" : ", ") + std::string(name.str());
  record(key, whole, "{ " + names + " }");
}

void Reader::read(std::string_view key, Command& out) {
  const toml::node* node = find(key);
  if (node == nullptr) return;
  if (const auto* string = node->as_string()) {
    if (string->get().contains('\0')) return problem(key, "has a NUL byte");
    if (string->get().empty()) return problem(key, "empty; expected a command for the shell");
    out = {.argv = {"/bin/sh", "-c", string->get()}, .shell = true};
    return record(key, node, "/bin/sh -c " + string->get());
  }
  if (node->as_array() == nullptr)
    return wrong_type(*node, key, "an array of arguments, or a string for the shell");
  out = {};
  std::string text;
  for (const toml::node& item : *node->as_array()) {
    const auto* argument = item.as_string();
    if (argument == nullptr) {
      wrong_type(item, key, "an array of strings");
    } else if (argument->get().contains('\0')) {
      context_.problem(item, name_of(key), "has a NUL byte");
    } else {
      out.argv.push_back(argument->get());
      text += (text.empty() ? "" : " ") + argument->get();
    }
  }
  const bool nameless = !out.argv.empty() && out.argv.front().empty();
  if (node->as_array()->empty() || nameless)
    problem(key, "empty; expected a program and its arguments");
  record(key, node, text);
}

}  // namespace keybearer::config
