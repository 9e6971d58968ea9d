// Block, quoted and plain scalars of YAML (scannerc.go).

#include <algorithm>

#include "base/utf8.hpp"
#include "tmpl/formats/yaml_scan.hpp"
#include "tmpl/funcs/funcs.hpp"

namespace keybearer::tmpl::yaml {
namespace {

// Line ends between two lines of one text: the first is folded into a blank when no more follow.
void fold(std::string& text, std::string& first, std::string& more) {
  if (first.starts_with('\n')) {
    text += more.empty() ? " " : more;
  } else {
    text += first;
    text += more;
  }
  first.clear();
  more.clear();
}

// Of the letter behind a backslash; empty: it is none of these.
std::string_view escaped(unsigned char letter) {
  using namespace std::string_view_literals;
  switch (letter) {
    case '0':
      return "\0"sv;
    case 'a':
      return "\a";
    case 'b':
      return "\b";
    case 't':
    case '\t':
      return "\t";
    case 'n':
      return "\n";
    case 'v':
      return "\v";
    case 'f':
      return "\f";
    case 'r':
      return "\r";
    case 'e':
      return "\x1B";
    case ' ':
      return " ";
    case '"':
      return "\"";
    case '\'':
      return "'";
    case '\\':
      return "\\";
    case 'N':
      return "\xC2\x85";
    case '_':
      return "\xC2\xA0";
    case 'L':
      return "\xE2\x80\xA8";
    case 'P':
      return "\xE2\x80\xA9";
    default:
      return {};
  }
}

}  // namespace

Token Scanner::block_scalar(bool literal) {
  Token token{.kind = Token::Kind::scalar, .begin = mark_};
  take();
  need(1);
  int chomping = 0;
  std::size_t increment = 0;
  const auto chomp = [&] {
    if (at() != '+' && at() != '-') return false;
    chomping = at() == '+' ? 1 : -1;
    take();
    need(1);
    return true;
  };
  const auto hint = [&] {
    if (at() < '0' || at() > '9') return false;
    if (at() == '0') fail_at(token.begin, "found an indentation indicator equal to 0");
    increment = static_cast<std::size_t>(at() - '0');
    take();
    need(1);
    return true;
  };
  if (chomp())
    (void)hint();
  else if (hint())
    (void)chomp();
  skip_blanks();
  skip_comment();
  if (!is_break_or_end()) fail_at(token.begin, "did not find expected comment or line break");
  need(2);
  take_line();
  token.end = mark_;

  std::size_t indent = 0;
  if (increment > 0)
    indent = static_cast<std::size_t>(std::max<std::ptrdiff_t>(indent_, 0)) + increment;
  std::string& text = token.text;
  std::string first, more;
  bool was_blank = false;
  block_breaks(indent, more, token.begin, token.end);
  need(1);
  while (mark_.column == indent && !is_end()) {
    const bool blank = is_blank();
    if (!literal && !was_blank && !blank && first.starts_with('\n')) {
      if (more.empty()) text += ' ';
    } else {
      text += first;
    }
    first.clear();
    text += more;
    more.clear();
    was_blank = is_blank();
    while (!is_break_or_end()) {
      read(text);
      need(1);
    }
    need(2);
    if (is_break()) read_line(first);
    block_breaks(indent, more, token.begin, token.end);
  }
  if (chomping != -1) text += first;
  if (chomping == 1) text += more;
  return token;
}

// Blanks of the indent and empty lines; with `indent` 0 it is found out.
void Scanner::block_breaks(std::size_t& indent, std::string& breaks, const Mark& begin, Mark& end) {
  end = mark_;
  std::size_t deepest = 0;
  for (;;) {
    need(1);
    while ((indent == 0 || mark_.column < indent) && at() == ' ') {
      take();
      need(1);
    }
    deepest = std::max(deepest, mark_.column);
    if ((indent == 0 || mark_.column < indent) && at() == '\t')
      fail_at(begin, "found a tab character where an indentation space is expected");
    if (!is_break()) break;
    need(2);
    read_line(breaks);
    end = mark_;
  }
  if (indent != 0) return;
  indent = std::max({deepest, static_cast<std::size_t>(indent_ + 1), std::size_t{1}});
}

void Scanner::escape(const Mark& begin, std::string& into) {
  const unsigned char letter = at(1);
  const std::size_t digits = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
  const std::string_view one = escaped(letter);
  if (one.empty() && digits == 0) fail_at(begin, "found unknown escape character");
  take();
  take();
  if (digits == 0) {
    into += one;
    return;
  }
  std::uint64_t code = 0;
  need(digits);
  for (std::size_t k = 0; k < digits; ++k) {
    const int digit = hex_digit(at(k));
    if (digit < 0) fail_at(begin, "did not find expected hexdecimal number");
    code = code << 4 | static_cast<unsigned>(digit);
  }
  if ((code >= 0xD800 && code <= 0xDFFF) || code > 0x10FFFF)
    fail_at(begin, "found invalid Unicode character escape code");
  append_rune(into, static_cast<char32_t>(code));
  for (std::size_t k = 0; k < digits; ++k) take();
}

Token Scanner::quoted_scalar(bool single) {
  Token token{.kind = Token::Kind::scalar, .begin = mark_};
  const unsigned char quote = single ? '\'' : '"';
  take();
  std::string first, more, blanks;
  for (;;) {
    need(4);
    if (at_document_mark()) fail_at(token.begin, "found unexpected document indicator");
    if (is_end()) fail_at(token.begin, "found unexpected end of stream");
    bool leading = false;  // blanks at the beginning of a line
    for (; !is_blank_or_end(); need(2)) {
      if (single && at() == '\'' && at(1) == '\'') {
        token.text += '\'';
        take();
        take();
      } else if (at() == quote) {
        break;
      } else if (!single && at() == '\\' && is_break(1)) {
        need(3);
        take();
        take_line();
        leading = true;
        break;
      } else if (!single && at() == '\\') {
        escape(token.begin, token.text);
      } else {
        read(token.text);
      }
    }
    need(1);
    if (at() == quote) break;
    for (; is_blank() || is_break(); need(1)) {
      if (is_blank()) {
        if (leading)
          take();
        else
          read(blanks);
        continue;
      }
      need(2);
      if (leading) {
        read_line(more);
      } else {
        blanks.clear();
        read_line(first);
        leading = true;
      }
    }
    if (leading) {
      fold(token.text, first, more);
    } else {
      token.text += blanks;
      blanks.clear();
    }
  }
  take();
  token.end = mark_;
  return token;
}

Token Scanner::plain_scalar() {
  constexpr std::string_view kEnds = ",?[]{}";  // inside braces and brackets
  Token token{.kind = Token::Kind::scalar, .begin = mark_, .end = mark_, .plain = true};
  const auto indent = static_cast<std::size_t>(indent_ + 1);
  std::string first, more, blanks;
  bool leading = false;
  for (;;) {
    need(4);
    if (at_document_mark() || at() == '#') break;
    for (; !is_blank_or_end(); need(2)) {
      if ((at() == ':' && is_blank_or_end(1)) ||
          (flow_ > 0 && kEnds.find(static_cast<char>(at())) != std::string_view::npos))
        break;
      if (leading) {
        fold(token.text, first, more);
        leading = false;
      } else if (!blanks.empty()) {
        token.text += blanks;
        blanks.clear();
      }
      read(token.text);
      token.end = mark_;
    }
    if (!is_blank() && !is_break()) break;
    for (need(1); is_blank() || is_break(); need(1)) {
      if (is_blank()) {
        if (leading && mark_.column < indent && at() == '\t')
          fail_at(token.begin, "found a tab character that violates indentation");
        if (leading)
          take();
        else
          read(blanks);
        continue;
      }
      need(2);
      if (leading) {
        read_line(more);
      } else {
        blanks.clear();
        read_line(first);
        leading = true;
      }
    }
    if (flow_ == 0 && mark_.column < indent) break;
  }
  if (leading) key_allowed_ = true;
  return token;
}

}  // namespace keybearer::tmpl::yaml
