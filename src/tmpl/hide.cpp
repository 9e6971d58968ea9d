#include "tmpl/hide.hpp"

#include <charconv>
#include <string_view>

#include "tmpl/go/strconv.hpp"

namespace keybearer::tmpl {
namespace {

constexpr std::size_t kShortest = 4;
constexpr std::string_view kShown = "[value]";

void replace_all(std::string& text, std::string_view what) {
  if (what.size() < kShortest) return;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += kShown.size())
    text.replace(at, what.size(), kShown);
}

// Of package time's way to quote: \x0a, \" and \\.
std::string unescaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    unsigned byte = 0;
    const bool hex =
        text.size() >= 4 && text.starts_with("\\x") &&
        std::from_chars(text.data() + 2, text.data() + 4, byte, 16).ptr == text.data() + 4;
    const bool escape = text.size() >= 2 && text[0] == '\\';
    out += hex ? static_cast<char>(byte) : escape ? text[1] : text[0];
    text.remove_prefix(hex ? 4 : escape ? 2 : 1);
  }
  return out;
}

// "2006-cana" of a layout, `abc` of an expression: between two of the same quotes.
void replace_quoted_parts(std::string& text, std::string_view value, char quote) {
  for (std::size_t begin = 0; (begin = text.find(quote, begin)) != std::string::npos;) {
    std::size_t end = text.find(quote, ++begin);
    while (end != std::string::npos && text[end - 1] == '\\') end = text.find(quote, end + 1);
    if (end == std::string::npos) return;
    const std::string part = text.substr(begin, end - begin);
    if (part.size() >= kShortest && (value.find(part) != std::string_view::npos ||
                                     value.find(unescaped(part)) != std::string_view::npos))
      text.replace(begin, part.size(), kShown);
  }
}

void hide(std::string& text, const Value& value) {
  if (value.is_text()) {
    const std::string_view bytes = value.as_text();
    const std::string quoted = quote(bytes);
    replace_all(text, bytes);
    replace_all(text, std::string_view(quoted).substr(1, quoted.size() - 2));
    for (const char mark : {'"', '`', '\''}) replace_quoted_parts(text, bytes, mark);
  } else if (value.is_list()) {
    for (const Value& item : value.items()) hide(text, item);
  } else if (value.is_map()) {
    for (const auto& [key, member] : value.entries()) {
      hide(text, key);
      hide(text, member);
    }
  }
}

}  // namespace

std::string without_values(std::string text, std::span<const Value> values) {
  for (const Value& value : values) hide(text, value);
  return text;
}

}  // namespace keybearer::tmpl
