#pragma once
// Template text to tokens. Mirrors Go's text/template/parse/lex.go (1.26) state by state, so that
// the two can be read side by side; positions and error texts are the same.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace keybearer::tmpl {

enum class Tok : std::uint8_t {
  error,
  boolean,
  character,
  char_constant,
  complex,
  assign,
  declare,
  eof,
  field,
  identifier,
  left_delim,
  left_paren,
  number,
  pipe,
  raw_string,
  right_delim,
  right_paren,
  space,
  string,
  text,
  variable,
  keyword,  // what follows is one
  block,
  break_,
  continue_,
  dot,
  define,
  else_,
  end,
  if_,
  nil,
  range,
  template_,
  with,
};

struct Token {
  Tok type = Tok::eof;
  std::uint32_t line = 1;
  std::uint32_t pos = 0;
  std::uint32_t size = 0;
};

struct Tokens {
  std::vector<Token> all;  // ends with an eof or an error
  std::string error;       // the text of the error
};

// `input` is less than 4 GiB.
[[nodiscard]] Tokens lex(std::string_view input, std::string_view left, std::string_view right);

}  // namespace keybearer::tmpl
