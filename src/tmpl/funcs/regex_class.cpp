#include "tmpl/funcs/regex_class.hpp"

#include <algorithm>

#include "tmpl/go/unicode_tables.hpp"

namespace keybearer::tmpl {
namespace {

std::string unassigned() {
  std::string out;
  for (const auto& [first, last] : unicode::kUnassigned) out += regex_range(first, last);
  return out;
}

// Go: the same word, whatever is between its letters and whatever their case.
std::string canonical_name(std::string_view name) {
  std::string out;
  for (const char c : name) {
    if (c == '_' || c == '-' || c == ' ') continue;
    const bool lower = c >= 'a' && c <= 'z', upper = c >= 'A' && c <= 'Z';
    if (out.empty())
      out += lower ? static_cast<char>(c - 32) : c;
    else
      out += upper ? static_cast<char>(c + 32) : c;
  }
  return out;
}

}  // namespace

std::string regex_code_point(char32_t c) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (; c != 0; c >>= 4) out.insert(out.begin(), kHex[c & 15]);
  return "\\x{" + (out.empty() ? "0" : out) + "}";
}
std::string regex_range(char32_t first, char32_t last) {
  return first == last ? regex_code_point(first)
                       : regex_code_point(first) + "-" + regex_code_point(last);
}

std::optional<RegexClass> regex_class(std::string_view shown, bool negative, bool fold) {
  constexpr std::string_view kAssigned = "\\pL\\pM\\pN\\pP\\pS\\pZ\\p{Cc}\\p{Cf}\\p{Co}\\p{Cs}";
  const std::string name = canonical_name(shown);
  if (name == "Any") return RegexClass{negative ? "" : regex_range(0, 0x10FFFF)};
  if (name == "Ascii")
    return RegexClass{fold ? regex_range(0, 0x7F) + "\\x{17F}\\x{212A}" : regex_range(0, 0x7F),
                      negative};
  if (name == "Assigned") return RegexClass{negative ? unassigned() : std::string(kAssigned)};
  if (name == "Kawi")  // younger than RE2's tables
    return RegexClass{"\\x{11F00}-\\x{11F10}\\x{11F12}-\\x{11F3A}\\x{11F3E}-\\x{11F59}", negative};
  std::string_view found;
  for (const auto& [alias, actual] : unicode::kCategories) {
    if (alias == name || (name == "Lc" && alias == "LC")) found = actual;
  }
  if (found == "Cn") return RegexClass{negative ? std::string(kAssigned) : unassigned()};
  if (found == "C") {
    if (negative) return RegexClass{"\\pL\\pM\\pN\\pP\\pS\\pZ"};
    return RegexClass{"\\p{Cc}\\p{Cf}\\p{Co}\\p{Cs}" + unassigned()};
  }
  if (found == "LC") return RegexClass{"\\p{Lu}\\p{Ll}\\p{Lt}", negative};
  if (found.empty() && std::ranges::binary_search(unicode::kScripts, name)) found = name;
  if (found.empty()) return std::nullopt;
  return RegexClass{(negative ? "\\P{" : "\\p{") + std::string(found) + "}"};
}

// All that is in none of these: as members themselves, which brackets with others need.
std::string other_members(const RegexClass& body) {
  if (body.members.starts_with("\\p{Lu}"))
    return "\\p{Lm}\\p{Lo}\\pM\\pN\\pP\\pS\\pZ\\p{Cc}\\p{Cf}\\p{Co}\\p{Cs}" + unassigned();
  if (body.members.starts_with("\\x{11F00}"))
    return regex_range(0, 0x11EFF) + "\\x{11F11}\\x{11F3B}-\\x{11F3D}" +
           regex_range(0x11F5A, 0x10FFFF);
  if (body.members.size() > regex_range(0, 0x7F).size())
    return regex_range(0x80, 0x17E) + regex_range(0x180, 0x2129) + regex_range(0x212B, 0x10FFFF);
  return regex_range(0x80, 0x10FFFF);
}

}  // namespace keybearer::tmpl
