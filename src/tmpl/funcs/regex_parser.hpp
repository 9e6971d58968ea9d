#pragma once
// Internal to regex_syntax.cpp and regex_escapes.cpp: one pass over a pattern.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.hpp"
#include "tmpl/funcs/funcs.hpp"
#include "tmpl/funcs/regex_class.hpp"
#include "tmpl/funcs/regex_syntax.hpp"

namespace keybearer::tmpl {

[[noreturn]] inline void refuse(std::string_view reason, std::string_view part) {
  throw CallError{"error parsing regexp: " + std::string(reason) + ": `" + std::string(part) + "`"};
}

// The character that `rest` begins with is taken off; U+FFFD where nothing is left.
inline char32_t take_rune(std::string_view& rest) {
  if (rest.empty()) return kReplacement;
  const Rune rune = decode_rune(rest);
  if (!rune.valid()) refuse("invalid UTF-8", rest);
  rest.remove_prefix(rune.width);
  return rune.code;
}
inline void check_utf8(std::string_view text) {
  while (!text.empty()) (void)take_rune(text);
}

inline bool is_decimal(char c) {
  return c >= '0' && c <= '9';
}

inline bool is_ascii_alnum(char32_t c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

class RegexParser {
 public:
  explicit RegexParser(std::string_view pattern) : whole_(pattern), rest_(pattern) {}
  RegexSyntax parse();

 private:
  // Go's tree as far as its limits need it.
  struct Node {
    enum class Kind : std::uint8_t { literal, concat, alternate, other, paren, bar };
    Kind kind = Kind::other;
    bool fold = false;      // of a literal; of a paren: as it was outside
    std::int64_t size = 1;  // instructions
    int height = 1;
    std::int64_t repeats = 1;  // the largest product of counts in each other
  };
  using Kind = Node::Kind;

  void push(Node node);
  void merge_literals();
  [[nodiscard]] std::size_t marker() const;
  void collapse(Kind kind);
  bool swap_bar();
  void close();
  void literal(char32_t c);
  void atom(std::string_view text) {
    push({});
    out_ += text;
  }
  void step();
  void group();
  void flags(std::string_view text);
  void right_paren();
  void backslash();
  void repeat(std::string_view before, std::string_view after, int min, int max, char op);
  void count();
  static std::optional<int> small_number(std::string_view& text);
  char32_t escape(std::string_view& text) const;
  static char32_t hex_escape(std::string_view text, std::string_view& rest);
  std::optional<RegexClass> unicode_class(std::string_view& text) const;
  char32_t class_char(std::string_view& text) const;
  void bracket();
  static bool named_class(std::string_view& text, std::string& members);

  std::string_view whole_, rest_;
  std::string out_;
  std::vector<std::string> names_{""};
  std::vector<Node> stack_;
  bool fold_ = false;
  std::string_view last_repeat_;  // from there on, when the last thing was a repetition
};

}  // namespace keybearer::tmpl
