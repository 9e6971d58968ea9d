#pragma once
// The tokens of a template for its parser: looked at in any order, read once; an error names the
// line of the last one read. Internal to parse.cpp. The text must outlive it.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "tmpl/lex.hpp"
#include "tmpl/parse.hpp"

namespace keybearer::tmpl {

class TokenReader {
 protected:
  TokenReader(std::string_view text, std::string shown_name, std::string_view left,
              std::string_view right)
      : name_(std::move(shown_name)), text_(text), tokens_(lex(text, left, right)) {}

  const Token& next() {
    const Token& token = tokens_.all[std::min(at_, tokens_.all.size() - 1)];
    read_ = std::max(read_, ++at_);
    return token;
  }
  void backup() { --at_; }
  const Token& peek() {
    const Token& token = next();
    backup();
    return token;
  }
  const Token& next_non_space() {
    const Token* token = &next();
    while (token->type == Tok::space) token = &next();
    return *token;
  }
  const Token& peek_non_space() {  // skips the blanks
    const Token& token = next_non_space();
    backup();
    return token;
  }
  [[nodiscard]] std::string_view text_of(const Token& token) const {
    return token.type == Tok::error ? std::string_view(tokens_.error)
                                    : text_.substr(token.pos, token.size);
  }

  // As Go shows a token: %.10q...
  [[nodiscard]] std::string shown(const Token& token) const;

  [[nodiscard]] const Token& last_read() const {
    return tokens_.all[std::min(read_, tokens_.all.size()) - 1];
  }
  [[noreturn]] void fail(const std::string& text) { fail(text, last_read()); }
  [[noreturn]] void fail(const std::string& text, const Token& last) {
    throw ParseError{"template: " + name_ + ":" + std::to_string(last.line) + ": " + text,
                     static_cast<int>(last.line), last.pos};
  }
  [[noreturn]] void unexpected(const Token& token, std::string_view context);
  const Token& expect(Tok type, std::string_view context) {
    const Token& token = next_non_space();
    if (token.type != type) unexpected(token, context);
    return token;
  }

  std::string unquoted(const Token& token);
  std::string template_name(const Token& token, std::string_view context);

  std::string name_;  // of the template, as errors show it
  std::string_view text_;
  Tokens tokens_;
  std::size_t at_ = 0, read_ = 0;  // the next token; how many were looked at
  std::uint32_t action_line_ = 0;  // where the current action began; 0: outside of one
};

}  // namespace keybearer::tmpl
