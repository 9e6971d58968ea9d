#include "tmpl/hide.hpp"

#include <string_view>

#include "tmpl/strconv.hpp"

namespace keybearer::tmpl {
namespace {

constexpr std::size_t kShortest = 4;
constexpr std::string_view kShown = "[value]";

void replace_all(std::string& text, std::string_view what) {
  if (what.size() < kShortest) return;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += kShown.size())
    text.replace(at, what.size(), kShown);
}

// "2006-cana" of a layout, `abc` of an expression: between two of the same quotes.
void replace_quoted_parts(std::string& text, std::string_view value, char quote) {
  for (std::size_t begin = 0; (begin = text.find(quote, begin)) != std::string::npos;) {
    const std::size_t end = text.find(quote, ++begin);
    if (end == std::string::npos) return;
    const std::size_t size = end - begin;
    if (size >= kShortest && value.find(text.substr(begin, size)) != std::string_view::npos)
      text.replace(begin, size, kShown);
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
