#include "tmpl/lex.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "tmpl/strconv.hpp"
#include "tmpl/utf8.hpp"

namespace keybearer::tmpl {
namespace {

constexpr std::string_view kLeftComment = "/*", kRightComment = "*/";
constexpr std::size_t kTrimMarker = 2;  // "- " or " -"

constexpr std::pair<std::string_view, Tok> kKeywords[] = {{".", Tok::dot},
                                                          {"block", Tok::block},
                                                          {"break", Tok::break_},
                                                          {"continue", Tok::continue_},
                                                          {"define", Tok::define},
                                                          {"else", Tok::else_},
                                                          {"end", Tok::end},
                                                          {"if", Tok::if_},
                                                          {"range", Tok::range},
                                                          {"nil", Tok::nil},
                                                          {"template", Tok::template_},
                                                          {"with", Tok::with}};

constexpr bool is_space(int c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
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

}  // namespace

bool Lexer::left_trim_at(std::size_t at) const {
  return at + 1 < input_.size() && input_[at] == '-' &&
         is_space(static_cast<unsigned char>(input_[at + 1]));
}
bool Lexer::right_trim_at(std::size_t at) const {
  return at + 1 < input_.size() && is_space(static_cast<unsigned char>(input_[at])) &&
         input_[at + 1] == '-';
}

int Lexer::read() {
  if (pos_ >= input_.size()) {
    width_ = 0;
    over_ = true;
    return kEof;
  }
  const Rune rune = decode_rune(input_.substr(pos_));
  width_ = rune.width;
  pos_ += width_;
  return static_cast<int>(rune.code);
}
void Lexer::backup() {
  if (!over_) pos_ -= width_;
  over_ = false;
}
int Lexer::peek() {
  const int c = read();
  backup();
  return c;
}

void Lexer::count_lines() {
  line_ += static_cast<int>(std::count(input_.begin() + static_cast<std::ptrdiff_t>(start_),
                                       input_.begin() + static_cast<std::ptrdiff_t>(pos_), '\n'));
}
Token Lexer::emit(Tok type) {
  const Token token{type, start_, input_.substr(start_, pos_ - start_), line_};
  ignore();
  return token;
}
Token Lexer::fail(std::string message) {
  message_ = std::move(message);
  const Token token{Tok::error, start_, message_, line_};
  input_ = {};
  pos_ = start_ = 0;
  inside_ = false;
  return token;
}

bool Lexer::accept(std::string_view any) {
  const int c = read();
  if (c > 0 && c < 0x80 && any.find(static_cast<char>(c)) != std::string_view::npos) return true;
  backup();
  return false;
}
void Lexer::accept_run(std::string_view any) {
  while (accept(any)) {
  }
}

Token Lexer::next() {
  return inside_ ? lex_inside_action() : lex_text();
}

Token Lexer::lex_text() {
  for (;;) {
    const auto found = input_.find(left_, pos_);
    if (found == std::string_view::npos) {
      pos_ = input_.size();
      return emit(pos_ > start_ ? Tok::text : Tok::eof);
    }
    if (found > pos_) {
      pos_ = found;
      std::size_t keep = pos_;
      if (left_trim_at(pos_ + left_.size())) {
        while (keep > start_ && is_space(static_cast<unsigned char>(input_[keep - 1]))) --keep;
      }
      const Token text{Tok::text, start_, input_.substr(start_, keep - start_), line_};
      ignore();
      if (!text.text.empty()) return text;
    }
    const bool trims = left_trim_at(pos_ + left_.size());
    if (!starts_with(pos_ + left_.size() + (trims ? kTrimMarker : 0), kLeftComment))
      return lex_left_delim();
    if (const Token token = lex_comment(); token.type == Tok::error) return token;
  }
}

Token Lexer::lex_left_delim() {
  pos_ += left_.size();
  const bool trims = left_trim_at(pos_);
  const Token token = emit(Tok::left_delim);
  inside_ = true;
  parens_ = 0;
  if (trims) pos_ += kTrimMarker;
  ignore();
  return token;
}

// Anything but an error means: skipped.
Token Lexer::lex_comment() {
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
  if (trim) {
    while (pos_ < input_.size() && is_space(static_cast<unsigned char>(input_[pos_]))) ++pos_;
  }
  ignore();
  return {Tok::space, pos_, {}, line_};
}

bool Lexer::at_right_delim(bool& trim) const {
  trim = right_trim_at(pos_) && starts_with(pos_ + kTrimMarker, right_);
  return trim || starts_with(pos_, right_);
}

Token Lexer::lex_right_delim() {
  bool trim = false;
  (void)at_right_delim(trim);
  if (trim) {
    pos_ += kTrimMarker;
    ignore();
  }
  pos_ += right_.size();
  const Token token = emit(Tok::right_delim);
  if (trim) {
    while (pos_ < input_.size() && is_space(static_cast<unsigned char>(input_[pos_]))) ++pos_;
    ignore();
  }
  inside_ = false;
  return token;
}

Token Lexer::lex_inside_action() {
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
      if (pos_ >= input_.size() || input_[pos_] < '0' || input_[pos_] > '9')
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

Token Lexer::lex_space() {
  int spaces = 0;
  while (is_space(peek())) {
    (void)read();
    ++spaces;
  }
  // A closing delimiter with a trim marker begins with a blank.
  if (right_trim_at(pos_ - 1) && starts_with(pos_ - 1 + kTrimMarker, right_)) {
    --pos_;
    if (spaces == 1) return lex_right_delim();
  }
  return emit(Tok::space);
}

bool Lexer::at_terminator() {
  const int c = peek();
  if (is_space(c)) return true;
  switch (c) {
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

Token Lexer::lex_identifier() {
  int c = read();
  while (c >= 0 && is_alphanumeric(static_cast<char32_t>(c))) c = read();
  backup();
  if (!at_terminator()) return fail("bad character " + unicode_name(c));
  const std::string_view word = input_.substr(start_, pos_ - start_);
  for (const auto& [name, type] : kKeywords) {
    if (name == word) return emit(type);
  }
  return emit(word == "true" || word == "false" ? Tok::boolean : Tok::identifier);
}

Token Lexer::lex_field_or_variable(Tok type) {
  if (at_terminator()) return emit(type == Tok::variable ? Tok::variable : Tok::dot);
  int c = read();
  while (c >= 0 && is_alphanumeric(static_cast<char32_t>(c))) c = read();
  backup();
  if (!at_terminator()) return fail("bad character " + unicode_name(c));
  return emit(type);
}

Token Lexer::lex_quoted(char quote, Tok type, const char* unterminated) {
  for (;;) {
    int c = read();
    if (c == '\\') {
      c = read();
      if (c != kEof && c != '\n') continue;
    }
    if (c == kEof || c == '\n') return fail(unterminated);
    if (c == quote) return emit(type);
  }
}

Token Lexer::lex_raw() {
  for (;;) {
    const int c = read();
    if (c == kEof) return fail("unterminated raw quoted string");
    if (c == '`') return emit(Tok::raw_string);
  }
}

Token Lexer::lex_number() {
  const auto bad = [this] {
    return fail("bad number syntax: " + quote(input_.substr(start_, pos_ - start_)));
  };
  if (!scan_number()) return bad();
  if (const int sign = peek(); sign == '+' || sign == '-') {
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

}  // namespace keybearer::tmpl
