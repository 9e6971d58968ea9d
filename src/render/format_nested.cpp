#include "render/format_nested.hpp"

#include <algorithm>
#include <set>

#include "base/utf8.hpp"

namespace keybearer::render {
namespace {

// \uXXXX, or two of them: what Java and JSON mean by it, and YAML and TOML too below U+10000.
void append_escape(Secret& out, char32_t code) {
  constexpr char kHex[] = "0123456789abcdef";
  if (code > 0xffff) {
    append_escape(out, 0xd800 + ((code - 0x10000) >> 10));
    append_escape(out, 0xdc00 + ((code - 0x10000) & 0x3ff));
    return;
  }
  out.append("\\u");
  for (int shift = 12; shift >= 0; shift -= 4) out.push_back(kHex[code >> shift & 15]);
}

// What one of the readers takes for a control character or a line break.
bool must_be_escaped(char32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029 ||
         code == 0xfeff || code == 0xfffe || code == 0xffff;
}

// "text", as JSON, YAML 1.2 and TOML 1.0 all read it. False: it is not UTF-8.
bool append_quoted(Secret& out, std::string_view text) {
  out.push_back('"');
  while (!text.empty()) {
    const auto rune = decode_rune(text);
    if (!rune.valid()) return false;
    if (rune.code == '"' || rune.code == '\\') out.push_back('\\');
    if (must_be_escaped(rune.code)) {
      append_escape(out, rune.code);
    } else {
      out.append(text.substr(0, rune.width));
    }
    text.remove_prefix(rune.width);
  }
  out.push_back('"');
  return true;
}

bool append_value(Secret& out, const FormatEntry& entry) {
  if (entry.value == nullptr) {
    entry.at = {out.size(), out.size() + 4};
    out.append("null");
    return true;
  }
  entry.at.begin = out.size() + 1;
  if (!append_quoted(out, entry.value->reveal())) return false;
  entry.at.end = out.size() - 1;
  return true;
}

// As java.util.Properties.load reads it: ISO 8859-1 with escapes.
bool append_java(Secret& out, std::string_view text, bool key) {
  bool leading = true;
  while (!text.empty()) {
    const auto rune = decode_rune(text);
    if (!rune.valid()) return false;
    const bool special = rune.code == '\\' || (rune.code == ' ' && (key || leading)) ||
                         (key && std::string_view("=:#!").find(text[0]) != std::string_view::npos);
    if (special) out.push_back('\\');
    if (rune.code < 0x20 || rune.code > 0x7e) {
      append_escape(out, rune.code);
    } else {
      out.push_back(text[0]);
    }
    leading = leading && rune.code == ' ';
    text.remove_prefix(rune.width);
  }
  return true;
}

std::unexpected<Error> not_utf8(const FormatEntry& entry) {
  return fail(ErrorKind::render, dotted(entry.path) + ": it is not UTF-8, which this format needs");
}

std::string indent(std::size_t level) {
  return std::string(2 * level, ' ');
}

// How many sections of `path` are those that are open.
std::size_t shared_sections(const std::vector<std::string>& open,
                            const std::vector<std::string>& path) {
  const auto end =
      open.begin() + static_cast<std::ptrdiff_t>(std::min(open.size(), path.size() - 1));
  return static_cast<std::size_t>(std::mismatch(open.begin(), end, path.begin()).first -
                                  open.begin());
}

}  // namespace

std::string dotted(const std::vector<std::string>& path) {
  std::string out;
  for (const std::string& part : path) out += (out.empty() ? "" : ".") + part;
  return out;
}

result<Secret> write_json(const std::vector<FormatEntry>& entries) {
  Secret out("{");
  std::vector<std::string> open;
  bool first = true;
  const auto close_to = [&](std::size_t level) {
    for (; open.size() > level; open.pop_back()) out.append("\n" + indent(open.size()) + "}");
  };
  for (const FormatEntry& entry : entries) {
    close_to(shared_sections(open, entry.path));
    for (std::size_t level = open.size(); level < entry.path.size(); ++level) {
      out.append((first ? "\n" : ",\n") + indent(level + 1));
      if (!append_quoted(out, entry.path[level])) return not_utf8(entry);
      out.append(": ");
      first = level + 1 < entry.path.size();
      if (!first) break;
      out.push_back('{');
      open.push_back(entry.path[level]);
    }
    if (!append_value(out, entry)) return not_utf8(entry);
  }
  close_to(0);
  out.append("\n}\n");
  return out;
}

result<Secret> write_yaml(const std::vector<FormatEntry>& entries) {
  Secret out;
  std::vector<std::string> open;
  for (const FormatEntry& entry : entries) {
    open.resize(shared_sections(open, entry.path));
    for (std::size_t level = open.size(); level < entry.path.size(); ++level) {
      out.append(indent(level));
      // YAML 1.2, 7.4: a key on the line of its value has at most 1,024 characters.
      if (entry.path[level].size() > 500)
        return fail(ErrorKind::render, "a key of more than 500 bytes does not fit into YAML");
      if (!append_quoted(out, entry.path[level])) return not_utf8(entry);
      const bool section = level + 1 < entry.path.size();
      out.append(section ? ":\n" : ": ");
      if (section) open.push_back(entry.path[level]);
    }
    if (!append_value(out, entry)) return not_utf8(entry);
    out.push_back('\n');
  }
  return out;
}

// Dotted keys, which need no order of tables.
result<Secret> write_toml(const std::vector<FormatEntry>& entries) {
  Secret out;
  for (const FormatEntry& entry : entries) {
    for (std::size_t level = 0; level < entry.path.size(); ++level) {
      if (level > 0) out.push_back('.');
      if (!append_quoted(out, entry.path[level])) return not_utf8(entry);
    }
    out.append(" = ");
    if (!append_value(out, entry)) return not_utf8(entry);
    out.push_back('\n');
  }
  return out;
}

result<Secret> write_properties(const std::vector<FormatEntry>& entries) {
  Secret out;
  std::set<std::string> names;
  for (const FormatEntry& entry : entries) {
    const std::string name = dotted(entry.path);
    if (!names.insert(name).second)
      return fail(ErrorKind::render, name + ": a key that comes twice");
    if (!append_java(out, name, true)) return not_utf8(entry);
    out.push_back('=');
    entry.at.begin = out.size();
    if (!append_java(out, entry.value->reveal(), false)) return not_utf8(entry);
    entry.at.end = out.size();
    out.push_back('\n');
  }
  return out;
}

}  // namespace keybearer::render
