#include "tmpl/token_reader.hpp"

#include "base/utf8.hpp"
#include "tmpl/go/strconv.hpp"

namespace keybearer::tmpl {

std::string TokenReader::shown(const Token& token) const {
  const std::string_view text = text_of(token);
  if (token.type == Tok::eof) return "EOF";
  if (token.type == Tok::error) return std::string(text);
  if (token.type > Tok::keyword) return "<" + std::string(text) + ">";
  if (text.size() <= 10) return quote(text);
  std::size_t bytes = 0;
  for (int runes = 0; runes < 10 && bytes < text.size(); ++runes)
    bytes += decode_rune(text.substr(bytes)).width;
  return quote(text.substr(0, bytes)) + "...";
}

void TokenReader::unexpected(const Token& token, std::string_view context) {
  if (token.type == Tok::error) {
    std::string extra;
    if (action_line_ != 0 && action_line_ != token.line) {
      extra = tokens_.error.ends_with(" action") ? "" : " in action";
      extra += " started at " + name_ + ":" + std::to_string(action_line_);
    }
    fail(tokens_.error + extra);
  }
  fail("unexpected " + shown(token) + " in " + std::string(context));
}

std::string TokenReader::unquoted(const Token& token) {
  auto text = unquote(text_of(token));
  if (!text) fail("invalid syntax");
  return *std::move(text);
}

std::string TokenReader::template_name(const Token& token, std::string_view context) {
  if (token.type != Tok::string && token.type != Tok::raw_string) unexpected(token, context);
  return unquoted(token);
}

}  // namespace keybearer::tmpl
