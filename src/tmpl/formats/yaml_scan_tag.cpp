// Directives, tags and anchors of YAML (scannerc.go).

#include "tmpl/formats/yaml_scan.hpp"
#include "tmpl/funcs/funcs.hpp"

namespace keybearer::tmpl::yaml {

Token Scanner::directive() {
  const Mark begin = mark_;
  take();
  need(1);
  std::string name;
  while (is_word()) {
    read(name);
    need(1);
  }
  if (name.empty()) fail_at(begin, "could not find expected directive name");
  if (!is_blank_or_end()) fail_at(begin, "found unexpected non-alphabetical character");
  Token token{.kind = Token::Kind::version_directive, .begin = begin};
  if (name == "YAML") {
    version(begin, token);
  } else if (name == "TAG") {
    tag_directive(begin, token);
  } else {
    fail_at(begin, "found unknown directive name");
  }
  token.end = mark_;
  skip_blanks();
  skip_comment();
  if (!is_break_or_end()) fail_at(begin, "did not find expected comment or line break");
  need(2);
  take_line();
  return token;
}

void Scanner::version(const Mark& begin, Token& token) {
  skip_blanks();
  token.major = version_number(begin);
  if (at() != '.') fail_at(begin, "did not find expected digit or '.' character");
  take();
  token.minor = version_number(begin);
}

int Scanner::version_number(const Mark& begin) {
  int number = 0, length = 0;
  need(1);
  for (; at() >= '0' && at() <= '9'; need(1)) {
    if (++length > 2) fail_at(begin, "found extremely long version number");
    number = number * 10 + (at() - '0');
    take();
  }
  if (length == 0) fail_at(begin, "did not find expected version number");
  return number;
}

void Scanner::tag_directive(const Mark& begin, Token& token) {
  token.kind = Token::Kind::tag_directive;
  skip_blanks();
  token.text = tag_handle(true, begin);
  need(1);
  if (!is_blank()) fail_at(begin, "did not find expected whitespace");
  skip_blanks();
  token.suffix = tag_uri(true, {}, begin);
  need(1);
  if (!is_blank_or_end()) fail_at(begin, "did not find expected whitespace or line break");
}

Token Scanner::anchor(Token::Kind kind) {
  Token token{.kind = kind, .begin = mark_};
  take();
  need(1);
  while (is_word()) {
    read(token.text);
    need(1);
  }
  token.end = mark_;
  constexpr std::string_view kBehind = "?:,]}%@`";
  if (token.text.empty() ||
      !(is_blank_or_end() || kBehind.find(static_cast<char>(at())) != std::string_view::npos))
    fail_at(token.begin, "did not find expected alphabetic or numeric character");
  return token;
}

Token Scanner::tag() {
  Token token{.kind = Token::Kind::tag, .begin = mark_};
  need(2);
  if (at(1) == '<') {
    take();
    take();
    token.suffix = tag_uri(false, {}, token.begin);
    if (at() != '>') fail_at(token.begin, "did not find the expected '>'");
    take();
  } else {
    token.text = tag_handle(false, token.begin);
    if (token.text.size() > 1 && token.text.back() == '!') {
      token.suffix = tag_uri(false, {}, token.begin);
    } else {
      token.suffix = tag_uri(false, token.text, token.begin);
      token.text = "!";
      if (token.suffix.empty()) token.text.swap(token.suffix);  // "!" itself
    }
  }
  need(1);
  if (!is_blank_or_end()) fail_at(token.begin, "did not find expected whitespace or line break");
  token.end = mark_;
  return token;
}

// "!", "!!" or "!word!".
std::string Scanner::tag_handle(bool directive, const Mark& begin) {
  need(1);
  if (at() != '!') fail_tag(begin, "did not find expected '!'");
  std::string handle;
  read(handle);
  need(1);
  while (is_word()) {
    read(handle);
    need(1);
  }
  if (at() == '!')
    read(handle);
  else if (directive && handle != "!")
    fail_tag(begin, "did not find expected '!'");
  return handle;
}

std::string Scanner::tag_uri(bool directive, std::string_view head, const Mark& begin) {
  constexpr std::string_view kMore = ";/?:@&=+$,.!~*'()[]%";
  std::string uri(head.substr(head.empty() ? 0 : 1));
  bool any = !head.empty();
  need(1);
  while (is_word() ||
         (at() != 0 && kMore.find(static_cast<char>(at())) != std::string_view::npos)) {
    if (at() == '%')
      uri_escape(directive, begin, uri);
    else
      read(uri);
    need(1);
    any = true;
  }
  if (!any) fail_tag(begin, "did not find expected tag URI");
  return uri;
}

// One character as the octets of its UTF-8: %C3%BC.
void Scanner::uri_escape(bool, const Mark& begin, std::string& into) {
  std::size_t left = 0;
  do {
    need(3);
    const int high = hex_digit(at(1)), low = high < 0 ? -1 : hex_digit(at(2));
    if (at() != '%' || low < 0) fail_tag(begin, "did not find URI escaped octet");
    const auto octet = static_cast<unsigned>(high << 4 | low);
    if (left == 0) {
      left = octet < 0x80             ? 1
             : (octet & 0xE0) == 0xC0 ? 2
             : (octet & 0xF0) == 0xE0 ? 3
             : (octet & 0xF8) == 0xF0 ? 4
                                      : 0;
      if (left == 0) fail_tag(begin, "found an incorrect leading UTF-8 octet");
    } else if ((octet & 0xC0) != 0x80) {
      fail_tag(begin, "found an incorrect trailing UTF-8 octet");
    }
    into += static_cast<char>(octet);
    take();
    take();
    take();
  } while (--left > 0);
}

}  // namespace keybearer::tmpl::yaml
