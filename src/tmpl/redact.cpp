#include "tmpl/redact.hpp"

#include <charconv>
#include <string_view>
#include <vector>

#include "base/redactor.hpp"
#include "tmpl/go/format.hpp"

namespace keybearer::tmpl {
namespace {

// Shorter than a value by itself: between quotes, what an argument has in it is of it.
constexpr std::size_t kShortestPart = 4;

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
    if (part.size() >= kShortestPart && (value.find(part) != std::string_view::npos ||
                                         value.find(unescaped(part)) != std::string_view::npos))
      text.replace(begin, part.size(), Redactor::kMasked);
  }
}

void collect(const Value& value, std::vector<std::string>& texts) {
  switch (value.type()) {
    case Type::integer:
    case Type::int64:
    case Type::uint64:
    case Type::float64:
      return texts.push_back(sprint({&value, 1}));
    default:
      break;
  }
  if (value.is_text()) {
    texts.emplace_back(value.as_text());
  } else if (value.is_list()) {
    for (const Value& item : value.items()) collect(item, texts);
  } else if (value.is_map()) {
    for (const auto& [key, member] : value.entries()) {
      collect(key, texts);
      collect(member, texts);
    }
  }
}

}  // namespace

std::string without_values(std::string_view text, std::span<const Value> values) {
  std::vector<std::string> texts;
  for (const Value& value : values) collect(value, texts);
  Redactor redactor;
  redactor.set("arguments", std::vector<std::string_view>(texts.begin(), texts.end()));
  std::string clean = redactor.redact(text);
  for (const std::string& value : texts)
    for (const char mark : {'"', '`', '\''}) replace_quoted_parts(clean, value, mark);
  return clean;
}

}  // namespace keybearer::tmpl
