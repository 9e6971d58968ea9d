#include "render/format.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "base/utf8.hpp"
#include "render/format_nested.hpp"

namespace keybearer::render {
namespace {

std::unexpected<Error> refuse(const std::string& name, const std::string& why) {
  return fail(ErrorKind::render, name + ": " + why);
}
std::unexpected<Error> refuse(const FormatEntry& entry, const std::string& why) {
  return refuse(dotted(entry.path), why);
}

bool variable_name(std::string_view name) {
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !name.empty() && letter(name[0]) && std::ranges::all_of(name, [&letter](char c) {
    return letter(c) || (c >= '0' && c <= '9');
  });
}

// systemd drops a variable with anything else: UTF-8 without Unicode's noncharacters.
bool is_utf8_for_systemd(std::string_view text) {
  if (!is_utf8(text)) return false;
  for (; !text.empty(); text.remove_prefix(decode_rune(text).width)) {
    const char32_t c = decode_rune(text).code;
    if ((c >= 0xfdd0 && c <= 0xfdef) || (c & 0xfffe) == 0xfffe) return false;
  }
  return true;
}

result<> append_env(Secret& out, const FormatEntry& entry) {
  const std::string& name = entry.path.back();
  if (entry.path.size() > 1) return refuse(entry, "an env file has no sections");
  if (!variable_name(name)) return refuse(entry, "not a variable name");
  if (!is_utf8_for_systemd(entry.value->reveal()))
    return refuse(entry, "its value is not UTF-8, which systemd drops; use format = \"shell\"");
  out.append(name);
  out.append("=\"");
  entry.at.begin = out.size();
  for (const char c : entry.value->reveal()) {
    if (c == '\0') return refuse(entry, "its value has a NUL byte, which no variable can hold");
    if (c == '\\' || c == '"' || c == '$' || c == '`') out.push_back('\\');
    out.push_back(c);
  }
  entry.at.end = out.size();
  out.append("\"\n");
  return {};
}

constexpr std::size_t kLongestDockerLine = 65535;  // Go's bufio.Scanner, its newline apart

result<> append_docker_env(Secret& out, const FormatEntry& entry) {
  const std::string& name = entry.path.back();
  if (entry.path.size() > 1) return refuse(entry, "an env file has no sections");
  if (!variable_name(name)) return refuse(entry, "not a variable name");
  const std::string_view value = entry.value->reveal();
  if (value.find_first_of(std::string_view("\n\r\0", 3)) != std::string_view::npos) {
    return refuse(entry,
                  "its value has a line break or NUL byte, which docker's --env-file can't hold; "
                  "use format = \"env\"");
  }
  if (!is_utf8(value)) return refuse(entry, "its value is not UTF-8, which docker refuses");
  if (name.size() + 1 + value.size() > kLongestDockerLine)
    return refuse(entry, "its line is longer than the 65535 bytes that docker reads");
  out.append(name);
  out.push_back('=');
  entry.at = {out.size(), out.size() + value.size()};
  out.append(value);
  out.push_back('\n');
  return {};
}

result<> append_shell(Secret& out, const FormatEntry& entry) {
  const std::string& name = entry.path.back();
  if (entry.path.size() > 1) return refuse(entry, "a shell file has no sections");
  if (!variable_name(name)) return refuse(entry, "not a variable name");
  out.append("export " + name + "='");
  entry.at.begin = out.size();
  for (const char c : entry.value->reveal()) {
    if (c == '\0') return refuse(entry, "its value has a NUL byte, which no variable can hold");
    if (c == '\'') {
      out.append("'\\''");
    } else {
      out.push_back(c);
    }
  }
  entry.at.end = out.size();
  out.append("'\n");
  return {};
}

// What Python's str.strip() takes away, as UTF-8.
bool has_blank_end(std::string_view text) {
  constexpr std::array<std::string_view, 8> kBlanks = {" ",
                                                       "\xc2\x85",
                                                       "\xc2\xa0",
                                                       "\xe1\x9a\x80",
                                                       "\xe2\x80\xa8",
                                                       "\xe2\x80\xa9",
                                                       "\xe2\x80\xaf",
                                                       "\xe3\x80\x80"};
  const auto control = [](char c) {
    return (c >= '\t' && c <= '\r') || (c >= '\x1c' && c <= '\x1f');
  };
  if (text.empty()) return false;
  if (control(text.front()) || control(text.back())) return true;
  for (const std::string_view blank : kBlanks) {
    if (text.starts_with(blank) || text.ends_with(blank)) return true;
  }
  const auto quad = [](std::string_view t) {
    return t.size() == 3 && t[0] == '\xe2' && t[1] == '\x80' && t[2] >= '\x80' && t[2] <= '\x8a';
  };
  return quad(text.substr(0, 3)) || (text.size() >= 3 && quad(text.substr(text.size() - 3))) ||
         text.starts_with("\xe2\x81\x9f") || text.ends_with("\xe2\x81\x9f");
}

result<> append_ini_value(Secret& out, const FormatEntry& entry) {
  const std::string& name = entry.path.back();
  const bool bad_name = name.empty() || has_blank_end(name) ||
                        name.find_first_of("=:\n\r") != std::string::npos || name[0] == '[' ||
                        name[0] == '#' || name[0] == ';' || name == "rem";
  if (bad_name) return refuse(entry, "not a key that an ini file can hold");
  const std::string_view value = entry.value->reveal();
  if (value.find_first_of(std::string_view("\n\r\0", 3)) != std::string_view::npos) {
    return refuse(entry, "its value has a line break or NUL byte, which an ini file can't hold");
  }
  if (!is_utf8(value)) return refuse(entry, "its value is not UTF-8, which this format needs");
  if (has_blank_end(value))
    return refuse(entry,
                  "its value begins or ends with a blank, which no reader of ini files gives back");
  out.append(name);
  out.append(" = ");
  entry.at.begin = out.size();
  for (const char c : value) {
    if (c == '%') out.push_back('%');
    out.push_back(c);
  }
  entry.at.end = out.size();
  out.push_back('\n');
  return {};
}

std::string lower_case(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return text;
}

result<Secret> write_ini(const std::vector<FormatEntry>& entries) {
  Secret out;
  std::vector<std::string> sections;
  std::set<std::string> names;  // SECTION]key
  for (const FormatEntry& entry : entries) {
    if (entry.path.size() != 2)
      return refuse(entry, "an ini file needs one section around each key: values.SECTION.KEY");
    const std::string& section = entry.path.front();
    if (sections.empty() || sections.back() != section) {
      if (section.empty() || section.find_first_of("]\n\r") != std::string::npos)
        return refuse(section, "not a section name");
      if (section == "DEFAULT")
        return refuse(section, "readers take its keys for keys of every other section, too");
      if (std::ranges::find(sections, section) != sections.end())
        return refuse(section, "a section that comes twice");
      if (!sections.empty()) out.push_back('\n');
      out.append("[" + section + "]\n");
      sections.push_back(section);
    }
    if (!names.insert(section + "]" + lower_case(entry.path.back())).second) {
      return refuse(entry, "comes twice in its section (upper and lower case are the same there)");
    }
    if (const auto appended = append_ini_value(out, entry); !appended)
      return std::unexpected(appended.error());
  }
  return out;
}

}  // namespace

bool has_null(config::Format format) {
  return format == config::Format::json || format == config::Format::yaml;
}

result<Secret> write_format(config::Format format, const std::vector<FormatEntry>& entries) {
  if (!has_null(format) &&
      std::ranges::find(entries, nullptr, &FormatEntry::value) != entries.end()) {
    std::vector<FormatEntry> there;
    std::ranges::copy_if(entries, std::back_inserter(there),
                         [](const FormatEntry& entry) { return entry.value != nullptr; });
    auto written = write_format(format, there);
    for (std::size_t i = 0, k = 0; i < entries.size(); ++i)
      if (entries[i].value != nullptr) entries[i].at = there[k++].at;
    return written;
  }
  auto* append = append_env;
  switch (format) {
    case config::Format::raw:
    case config::Format::env:
      break;
    case config::Format::docker_env:
      append = append_docker_env;
      break;
    case config::Format::shell:
      append = append_shell;
      break;
    case config::Format::ini:
      return write_ini(entries);
    case config::Format::json:
      return write_json(entries);
    case config::Format::yaml:
      return write_yaml(entries);
    case config::Format::toml:
      return write_toml(entries);
    case config::Format::properties:
      return write_properties(entries);
  }
  Secret out;
  for (const FormatEntry& entry : entries) {
    if (const auto appended = append(out, entry); !appended)
      return std::unexpected(appended.error());
  }
  return out;
}

}  // namespace keybearer::render
