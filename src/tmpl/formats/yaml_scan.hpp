#pragma once
// The text of a YAML document cut into tokens, exactly as yaml.v2 (gopkg.in/yaml.v2 v2.4.0,
// readerc.go and scannerc.go, itself after libyaml) does it: the same tokens, the same errors at
// the same lines. Only what yaml.v2's documents need: no comments, no positions of what is valid.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace keybearer::tmpl::yaml {

struct Mark {
  std::size_t index = 0, line = 0, column = 0;  // in characters, from 0
};

// -1: it is none.
inline int hex_digit(unsigned char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

struct Token {
  enum class Kind : std::uint8_t {
    stream_start,
    stream_end,
    version_directive,
    tag_directive,
    document_start,
    document_end,
    block_sequence_start,
    block_mapping_start,
    block_end,
    flow_sequence_start,
    flow_sequence_end,
    flow_mapping_start,
    flow_mapping_end,
    block_entry,
    flow_entry,
    key,
    value,
    alias,
    anchor,
    tag,
    scalar,
  };
  Kind kind;
  Mark begin = {}, end = {};
  std::string text = {};     // scalar, alias, anchor; of a tag and its directive the handle
  std::string suffix = {};   // of a tag; of its directive the prefix
  bool plain = false;        // scalar
  int major = 0, minor = 0;  // of a version
};

class Scanner {
 public:
  explicit Scanner(std::string_view text);

  // The next token, which stays the next until skip(). Throws CallError with yaml.v2's text. It
  // must not be asked behind stream_end.
  Token& peek();
  void skip();
  // Throws what yaml.v2 says of an error that it found at these places (parserc.go).
  [[noreturn]] static void fail(std::string_view problem, const Mark& at, const Mark& context = {});

 private:
  struct SimpleKey {
    bool possible = false, required = false;
    bool listed = false;    // among those that hold back the first token
    std::size_t token = 0;  // its number
    Mark mark = {};
  };

  // --- characters (yaml_scan.cpp) ---
  void need(std::size_t characters) {
    if (unread_ < static_cast<std::ptrdiff_t>(characters)) extend(characters);
  }
  void extend(std::size_t characters);
  void decode_block();
  [[nodiscard]] unsigned char at(std::size_t more = 0) const {
    return static_cast<unsigned char>(text_[pos_ + more]);
  }
  [[nodiscard]] bool is_break(std::size_t more = 0) const;
  [[nodiscard]] bool is_end(std::size_t more = 0) const { return at(more) == 0; }
  [[nodiscard]] bool is_blank(std::size_t more = 0) const {
    return at(more) == ' ' || at(more) == '\t';
  }
  [[nodiscard]] bool is_break_or_end(std::size_t more = 0) const {
    return is_break(more) || is_end(more);
  }
  [[nodiscard]] bool is_blank_or_end(std::size_t more = 0) const {
    return is_blank(more) || is_break_or_end(more);
  }
  [[nodiscard]] bool is_word(std::size_t more = 0) const;  // letters, digits, _ and -
  [[nodiscard]] bool at_document_mark() const;
  [[nodiscard]] bool at_order_mark() const;
  void take();
  void take_line();
  void read(std::string& into);
  void read_line(std::string& into);
  void skip_blanks();
  void skip_comment();

  // --- tokens (yaml_scan.cpp) ---
  [[noreturn]] void fail_at(const Mark& context, std::string_view problem) const;
  void fetch();
  [[nodiscard]] bool head_may_be_key();
  bool is_valid(SimpleKey& key) const;
  void save_key();
  void remove_key();
  void insert(Token token, std::size_t number = 0);
  void roll_indent(std::size_t column, std::size_t number, Token::Kind kind, const Mark& mark);
  void unroll_indent(std::ptrdiff_t column);
  void to_next_token();
  void indicator(Token::Kind kind, std::size_t width = 1);
  void flow_start(Token::Kind kind);
  void flow_end(Token::Kind kind);
  void block_entry();
  void key();
  void value();
  void stream_end();
  [[nodiscard]] bool starts_plain() const;

  // --- directives, tags, anchors (yaml_scan_tag.cpp) ---
  Token directive();
  void version(const Mark& begin, Token& token);
  int version_number(const Mark& begin);
  void tag_directive(const Mark& begin, Token& token);
  Token anchor(Token::Kind kind);
  Token tag();
  std::string tag_handle(bool directive, const Mark& begin);
  std::string tag_uri(bool directive, std::string_view head, const Mark& begin);
  void uri_escape(bool directive, const Mark& begin, std::string& into);
  [[noreturn]] void fail_tag(const Mark& begin, std::string_view problem) const {
    fail_at(begin, problem);
  }

  // --- scalars (yaml_scan_scalar.cpp) ---
  Token block_scalar(bool literal);
  void block_breaks(std::size_t& indent, std::string& breaks, const Mark& begin, Mark& end);
  Token quoted_scalar(bool single);
  void escape(const Mark& begin, std::string& into);
  Token plain_scalar();

  std::string text_;           // UTF-8, with zeros behind it
  std::size_t size_ = 0;       // without them
  std::size_t pos_ = 0;        // of the next character
  std::size_t decoded_ = 0;    // up to here the text was looked at
  std::ptrdiff_t unread_ = 0;  // characters from pos_ to decoded_, and ends that were met
  std::size_t window_ = 0;     // where pos_ was when it was last decoded further
  Mark mark_;
  std::deque<Token> tokens_;
  std::size_t parsed_ = 0;  // tokens given out
  bool available_ = false, begun_ = false;
  std::vector<SimpleKey> keys_;  // one for each flow level, and the block's
  bool key_allowed_ = true;
  std::size_t flow_ = 0;
  std::ptrdiff_t indent_ = -1;
  std::vector<std::ptrdiff_t> indents_;
};

}  // namespace keybearer::tmpl::yaml
