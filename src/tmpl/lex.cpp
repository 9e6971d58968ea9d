#include "tmpl/lex.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/utf8.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/go/unicode.hpp"

namespace keybearer::tmpl {
namespace {

constexpr std::string_view kLeftComment = "/*", kRightComment = "*/";
constexpr std::size_t kTrimMarker = 2;  // "- " or " -"
constexpr int kEof = -1;

constexpr bool is_space(int c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

constexpr auto kWordBytes = [] {
  std::array<bool, 256> table{};
  for (int c = 0; c < 0x80; ++c)
    table[static_cast<std::size_t>(c)] =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  return table;
}();

Tok word_type(std::string_view word) {
  using Row = std::pair<std::string_view, Tok>;
  constexpr Row kKeywords[] = {{"block", Tok::block},
                               {"break", Tok::break_},
                               {"continue", Tok::continue_},
                               {"define", Tok::define},
                               {"else", Tok::else_},
                               {"end", Tok::end},
                               {"if", Tok::if_},
                               {"range", Tok::range},
                               {"nil", Tok::nil},
                               {"template", Tok::template_},
                               {"with", Tok::with},
                               {"true", Tok::boolean},
                               {"false", Tok::boolean}};
  for (const auto& [name, type] : kKeywords) {
    if (name[0] == word[0] && name == word) return type;
  }
  return Tok::identifier;
}

// fmt's %#U: U+002D '-'
std::string unicode_name(int code) {
  if (code < 0) return "U+FFFFFFFFFFFFFFFF";
  std::string out = fmt::format("U+{:04X}", code);
  if (is_print(static_cast<char32_t>(code))) {
    out += " '";
    append_rune(out, static_cast<char32_t>(code));
    out += "'";
  }
  return out;
}

class Lexer {
 public:
  Lexer(std::string_view input, std::string_view left, std::string_view right)
      : input_(input), left_(left), right_(right) {
    out_.all.reserve(input.size() / 8 + 16);
  }

  Tokens run() {
    while (inside_ ? lex_inside_action() : lex_text()) {
    }
    return std::move(out_);
  }

 private:
  // Each returns false when it has given the last token.
  bool lex_text();
  bool lex_left_delim();
  bool lex_comment();
  bool lex_right_delim();
  bool lex_inside_action();
  bool lex_space();
  bool lex_identifier();
  bool lex_field_or_variable(Tok type);
  bool lex_quoted(char quote, Tok type, const char* unterminated);
  bool lex_raw();
  bool lex_number();

  [[nodiscard]] int byte_at(std::size_t at) const {
    return at < input_.size() ? static_cast<unsigned char>(input_[at]) : kEof;
  }
  int read();
  void backup() { pos_ -= width_; }
  [[nodiscard]] int peek() {
    const int c = read();
    backup();
    return c;
  }
  void count_lines() {
    const char* at = input_.data() + start_;
    const char* const end = input_.data() + pos_;
    while ((at = static_cast<const char*>(
                std::memchr(at, '\n', static_cast<std::size_t>(end - at)))) != nullptr) {
      ++line_;
      if (++at == end) break;
    }
  }
  void ignore() {
    if (pos_ > start_) count_lines();
    start_ = pos_;
  }
  void push(Tok type, std::size_t from, std::size_t to) {
    out_.all.push_back(
        {type, line_, static_cast<std::uint32_t>(from), static_cast<std::uint32_t>(to - from)});
  }
  bool emit(Tok type) {  // what can hold no newline; one in a delimiter is not counted
    push(type, start_, pos_);
    start_ = pos_;
    return true;
  }
  bool emit_lines(Tok type) {
    push(type, start_, pos_);
    ignore();
    return true;
  }
  bool fail(std::string message) {
    push(Tok::error, start_, start_);
    out_.error = std::move(message);
    return false;
  }
  bool accept(std::string_view any) {
    const int c = byte_at(pos_);
    if (c <= 0 || c >= 0x80 || any.find(static_cast<char>(c)) == std::string_view::npos)
      return false;
    ++pos_;
    return true;
  }
  void accept_run(std::string_view any) {
    while (accept(any)) {
    }
  }
  int skip_word();
  bool scan_number();
  [[nodiscard]] bool at_terminator() const;
  [[nodiscard]] bool at_right_delim(bool& trim) const {
    trim = right_trim_at(pos_) && starts_with(pos_ + kTrimMarker, right_);
    return trim || starts_with(pos_, right_);
  }
  [[nodiscard]] bool starts_with(std::size_t at, std::string_view what) const {
    return at <= input_.size() && input_.substr(at, what.size()) == what;
  }
  [[nodiscard]] bool left_trim_at(std::size_t at) const {
    return byte_at(at) == '-' && is_space(byte_at(at + 1));
  }
  [[nodiscard]] bool right_trim_at(std::size_t at) const {
    return is_space(byte_at(at)) && byte_at(at + 1) == '-';
  }
  void skip_blanks() {
    while (is_space(byte_at(pos_))) ++pos_;
  }

  std::string_view input_, left_, right_;
  std::size_t pos_ = 0, start_ = 0, width_ = 0;
  std::uint32_t line_ = 1;  // of start_
  bool inside_ = false;
  int parens_ = 0;
  Tokens out_;
};

int Lexer::read() {
  const int c = byte_at(pos_);
  width_ = c == kEof ? 0 : 1;
  if (c < 0x80) {
    pos_ += width_;
    return c;
  }
  const Rune rune = decode_rune(input_.substr(pos_));
  width_ = rune.width;
  pos_ += width_;
  return static_cast<int>(rune.code);
}

bool Lexer::lex_text() {
  const auto found = input_.find(left_, pos_);
  if (found == std::string_view::npos) {
    pos_ = input_.size();
    if (pos_ > start_) push(Tok::text, start_, pos_);
    ignore();
    push(Tok::eof, pos_, pos_);
    return false;
  }
  if (found > pos_) {
    pos_ = found;
    std::size_t keep = pos_;
    if (left_trim_at(pos_ + left_.size())) {
      while (keep > start_ && is_space(static_cast<unsigned char>(input_[keep - 1]))) --keep;
    }
    if (keep > start_) push(Tok::text, start_, keep);
    ignore();
  }
  const bool trims = left_trim_at(pos_ + left_.size());
  return starts_with(pos_ + left_.size() + (trims ? kTrimMarker : 0), kLeftComment)
             ? lex_comment()
             : lex_left_delim();
}

bool Lexer::lex_left_delim() {
  pos_ += left_.size();
  const bool trims = left_trim_at(pos_);
  emit(Tok::left_delim);
  inside_ = true;
  parens_ = 0;
  if (trims) pos_ += kTrimMarker;
  ignore();
  return true;
}

bool Lexer::lex_comment() {
  pos_ += left_.size();
  if (left_trim_at(pos_)) pos_ += kTrimMarker;
  ignore();
  pos_ += kLeftComment.size();
  const auto end = input_.find(kRightComment, pos_);
  if (end == std::string_view::npos) return fail("unclosed comment");
  pos_ = end + kRightComment.size();
  bool trim = false;
  if (!at_right_delim(trim)) return fail("comment ends before closing delimiter");
  if (trim) pos_ += kTrimMarker;
  pos_ += right_.size();
  if (trim) skip_blanks();
  ignore();
  return true;
}

bool Lexer::lex_right_delim() {
  bool trim = false;
  (void)at_right_delim(trim);
  if (trim) {
    pos_ += kTrimMarker;
    ignore();
  }
  pos_ += right_.size();
  emit(Tok::right_delim);
  if (trim) {
    skip_blanks();
    ignore();
  }
  inside_ = false;
  return true;
}

bool Lexer::lex_inside_action() {
  bool trim = false;
  if (at_right_delim(trim)) return parens_ == 0 ? lex_right_delim() : fail("unclosed left paren");
  const int c = read();
  switch (c) {
    case kEof:
      return fail("unclosed action");
    case ' ':
    case '\t':
    case '\r':
    case '\n':
      backup();
      return lex_space();
    case '=':
      return emit(Tok::assign);
    case ':':
      return read() == '=' ? emit(Tok::declare) : fail("expected :=");
    case '|':
      return emit(Tok::pipe);
    case '"':
      return lex_quoted('"', Tok::string, "unterminated quoted string");
    case '`':
      return lex_raw();
    case '$':
      return lex_field_or_variable(Tok::variable);
    case '\'':
      return lex_quoted('\'', Tok::char_constant, "unterminated character constant");
    case '.':
      if (const int next = byte_at(pos_); next != kEof && (next < '0' || next > '9'))
        return lex_field_or_variable(Tok::field);
      backup();
      return lex_number();
    case '(':
      ++parens_;
      return emit(Tok::left_paren);
    case ')':
      return --parens_ < 0 ? fail("unexpected right paren") : emit(Tok::right_paren);
    default:
      break;
  }
  if (c == '+' || c == '-' || (c >= '0' && c <= '9')) {
    backup();
    return lex_number();
  }
  if (is_alphanumeric(static_cast<char32_t>(c))) {
    backup();
    return lex_identifier();
  }
  if (c < 0x80 && c > 0x20 && c != 0x7F) return emit(Tok::character);
  return fail("unrecognized character in action: " + unicode_name(c));
}

bool Lexer::lex_space() {
  const std::size_t from = pos_;
  skip_blanks();
  // A closing delimiter with a trim marker begins with a blank.
  if (right_trim_at(pos_ - 1) && starts_with(pos_ - 1 + kTrimMarker, right_)) {
    --pos_;
    if (pos_ == from) return lex_right_delim();
  }
  return emit_lines(Tok::space);
}

bool Lexer::at_terminator() const {
  switch (byte_at(pos_)) {
    case ' ':
    case '\t':
    case '\r':
    case '\n':
    case kEof:
    case '.':
    case ',':
    case '|':
    case ':':
    case ')':
    case '(':
      return true;
    default:
      return starts_with(pos_, right_);
  }
}

// To the end of a word; returns what follows it.
int Lexer::skip_word() {
  for (;;) {
    while (pos_ < input_.size() && kWordBytes[static_cast<unsigned char>(input_[pos_])]) ++pos_;
    const int c = read();
    if (c >= 0x80 && is_alphanumeric(static_cast<char32_t>(c))) continue;
    backup();
    return c;
  }
}

bool Lexer::lex_identifier() {
  const int after = skip_word();
  if (!at_terminator()) return fail("bad character " + unicode_name(after));
  return emit(word_type(input_.substr(start_, pos_ - start_)));
}

bool Lexer::lex_field_or_variable(Tok type) {
  if (at_terminator()) return emit(type == Tok::variable ? Tok::variable : Tok::dot);
  const int after = skip_word();
  if (!at_terminator()) return fail("bad character " + unicode_name(after));
  return emit(type);
}

bool Lexer::lex_quoted(char quote, Tok type, const char* unterminated) {
  for (;; ++pos_) {
    int c = byte_at(pos_);
    if (c == '\\') {
      c = byte_at(++pos_);
      if (c != kEof && c != '\n') continue;
    }
    if (c == kEof || c == '\n') return fail(unterminated);
    if (c == quote) {
      ++pos_;
      return emit(type);
    }
  }
}

bool Lexer::lex_raw() {
  pos_ = input_.find('`', pos_);
  if (pos_ == std::string_view::npos) return fail("unterminated raw quoted string");
  ++pos_;
  return emit_lines(Tok::raw_string);
}

bool Lexer::lex_number() {
  const auto bad = [this] {
    return fail("bad number syntax: " + quote(input_.substr(start_, pos_ - start_)));
  };
  if (!scan_number()) return bad();
  if (const int sign = byte_at(pos_); sign == '+' || sign == '-') {
    if (!scan_number() || input_[pos_ - 1] != 'i') return bad();
    return emit(Tok::complex);
  }
  return emit(Tok::number);
}

bool Lexer::scan_number() {
  accept("+-");
  std::string_view digits = "0123456789_";
  char base = 'd';
  if (accept("0")) {
    if (accept("xX")) {
      digits = "0123456789abcdefABCDEF_";
      base = 'x';
    } else if (accept("oO")) {
      digits = "01234567_";
      base = 'o';
    } else if (accept("bB")) {
      digits = "01_";
      base = 'b';
    }
  }
  accept_run(digits);
  if (accept(".")) accept_run(digits);
  if ((base == 'd' && accept("eE")) || (base == 'x' && accept("pP"))) {
    accept("+-");
    accept_run("0123456789_");
  }
  accept("i");
  const int c = peek();
  if (c >= 0 && is_alphanumeric(static_cast<char32_t>(c))) {
    (void)read();
    return false;
  }
  return true;
}

}  // namespace

Tokens lex(std::string_view input, std::string_view left, std::string_view right) {
  return Lexer(input, left, right).run();
}

}  // namespace keybearer::tmpl
