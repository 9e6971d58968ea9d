#include "tmpl/formats/go_json_error.hpp"

#include "base/utf8.hpp"
#include "tmpl/go/strconv.hpp"

namespace keybearer::tmpl {
namespace {

constexpr int kMostNested = 10'000;  // Go's limit; ours for reading is lower

// Each method stands at the first byte of its part and leaves behind it; false: complaint is set.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}
  std::string complaint;

  void document() {
    if (!value(true)) return;
    blanks();
    if (!at_end()) (void)bad("after top-level value");
  }

 private:
  // Lists and objects are kept on a stack of our own: the text may be hostile.
  bool value(bool first) {
    std::string open;  // the brackets that wait to be closed
    for (;;) {
      blanks();
      if (!first && open.back() == '{' && !member_name()) return false;
      first = false;
      if (!begin_value(open)) return false;
      // Close what ends here, until another value follows.
      for (;;) {
        if (open.empty()) return true;
        if (opened_) {
          opened_ = false;
          blanks();
          if (peek() != (open.back() == '{' ? '}' : ']')) break;  // its first value
          ++at_;
          open.pop_back();
          continue;
        }
        blanks();
        const char closing = open.back() == '{' ? '}' : ']';
        if (peek() == ',') {
          ++at_;
          break;
        }
        if (at_end() || text_[at_] != closing)
          return bad(closing == '}' ? "after object key:value pair" : "after array element");
        ++at_;
        open.pop_back();
      }
    }
  }

  bool begin_value(std::string& open) {
    blanks();
    const char c = peek();
    if (c == '{' || c == '[') {
      if (open.size() >= kMostNested) {
        complaint = "exceeded max depth";
        return false;
      }
      open += c;
      opened_ = true;
      ++at_;
      return true;
    }
    if (c == '"') return string();
    if (c == '-' || (c >= '0' && c <= '9')) return number();
    if (c == 't') return literal("true");
    if (c == 'f') return literal("false");
    if (c == 'n') return literal("null");
    return bad("looking for beginning of value");
  }
  bool member_name() {
    if (peek() != '"') return bad("looking for beginning of object key string");
    if (!string()) return false;
    blanks();
    if (peek() != ':') return bad("after object key");
    ++at_;
    return true;
  }

  bool string() {
    for (++at_; !at_end(); ++at_) {
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return true;
      }
      if (static_cast<unsigned char>(c) < 0x20) return bad("in string literal");
      if (c == '\\' && !escape()) return false;
    }
    return bad("");
  }
  bool escape() {
    ++at_;
    if (peek() != 'u') {
      const bool known = !at_end() && std::string_view("bfnrt\\/\"").contains(text_[at_]);
      return known || bad("in string escape code");
    }
    for (int i = 0; i < 4; ++i) {
      ++at_;
      const bool hex = !at_end() && std::string_view("0123456789abcdefABCDEF").contains(text_[at_]);
      if (!hex) return bad("in \\u hexadecimal character escape");
    }
    return true;
  }

  bool number() {
    if (peek() == '-') ++at_;
    if (peek() == '0')
      ++at_;
    else if (!digits("in numeric literal"))
      return false;
    if (peek() == '.') {
      ++at_;
      if (!digits("after decimal point in numeric literal")) return false;
    }
    if (peek() != 'e' && peek() != 'E') return true;
    ++at_;
    if (peek() == '+' || peek() == '-') ++at_;
    return digits("in exponent of numeric literal");
  }
  bool digits(const char* where) {
    const std::size_t begin = at_;
    while (peek() >= '0' && peek() <= '9') ++at_;
    return at_ > begin || bad(where);
  }
  bool literal(std::string_view word) {
    for (std::size_t i = 0; i < word.size(); ++i, ++at_) {
      if (peek() != word[i])
        return bad("in literal " + std::string(word) + " (expecting '" + word[i] + "')");
    }
    return true;
  }

  void blanks() {
    while (!at_end() && std::string_view(" \t\r\n").contains(text_[at_])) ++at_;
  }
  [[nodiscard]] bool at_end() const { return at_ >= text_.size(); }
  [[nodiscard]] char peek() const { return at_end() ? '\0' : text_[at_]; }

  // Go reads a blank behind the end: where one can stand, the end itself is what is wrong.
  bool bad(const std::string& where) {
    const bool in_word = where.starts_with("in ") || where.starts_with("after decimal");
    if (at_end() && !in_word) {
      complaint = "unexpected end of JSON input";
      return false;
    }
    const char c = at_end() ? ' ' : text_[at_];
    std::string shown;
    append_rune(shown, static_cast<unsigned char>(c));
    shown = quote(shown);
    shown = c == '\'' ? "\\'" : c == '"' ? "\"" : shown.substr(1, shown.size() - 2);
    complaint = "invalid character '" + shown + "' " + where;
    return false;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool opened_ = false;  // a bracket was just opened
};

}  // namespace

std::string go_json_error(std::string_view text) {
  Scanner scanner(text);
  scanner.document();
  return std::move(scanner.complaint);
}

}  // namespace keybearer::tmpl
