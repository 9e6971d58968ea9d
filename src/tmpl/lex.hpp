#pragma once
// Template text to tokens. Mirrors Go's text/template/parse/lex.go (1.26) state by state, so that
// the two can be read side by side; positions and error texts are the same.

#include <cstddef>
#include <string>
#include <string_view>

namespace keybearer::tmpl {

enum class Tok {
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
  std::size_t pos = 0;
  std::string_view text;  // into the template's text; of an error: into the lexer's message
  int line = 1;
};

class Lexer {
 public:
  Lexer(std::string_view input, std::string_view left, std::string_view right)
      : input_(input), left_(left), right_(right) {}
  [[nodiscard]] Token next();

 private:
  static constexpr int kEof = -1;

  Token lex_text();
  Token lex_left_delim();
  Token lex_comment();
  Token lex_right_delim();
  Token lex_inside_action();
  Token lex_space();
  Token lex_identifier();
  Token lex_field_or_variable(Tok type);
  Token lex_quoted(char quote, Tok type, const char* unterminated);
  Token lex_raw();
  Token lex_number();

  int read();
  void backup();
  [[nodiscard]] int peek();
  void ignore() {
    count_lines();
    start_ = pos_;
  }
  void count_lines();
  Token emit(Tok type);
  Token fail(std::string message);
  bool accept(std::string_view any);
  void accept_run(std::string_view any);
  bool scan_number();
  [[nodiscard]] bool at_terminator();
  [[nodiscard]] bool at_right_delim(bool& trim) const;
  [[nodiscard]] bool starts_with(std::size_t at, std::string_view what) const {
    return at <= input_.size() && input_.substr(at).starts_with(what);
  }
  [[nodiscard]] bool left_trim_at(std::size_t at) const;
  [[nodiscard]] bool right_trim_at(std::size_t at) const;

  std::string_view input_, left_, right_;
  std::size_t pos_ = 0, start_ = 0, width_ = 0;
  int line_ = 1;  // of start_
  bool inside_ = false;
  bool over_ = false;
  int parens_ = 0;
  std::string message_;
};

}  // namespace keybearer::tmpl
