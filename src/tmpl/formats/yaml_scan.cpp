#include "tmpl/formats/yaml_scan.hpp"

#include <algorithm>

#include "base/utf8.hpp"
#include "tmpl/funcs/funcs.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl::yaml {
namespace {

constexpr std::size_t kMostDepth = 10'000;  // of flow levels, and of indents
constexpr std::size_t kBlock = 512;         // yaml.v2 looks at so many bytes at once
constexpr std::size_t kBehind = 16;         // zeros behind the text: nothing looks further ahead
constexpr std::size_t kLongestKey = 1024;

// UTF-16 with its mark becomes UTF-8.
std::string from_utf16(std::string_view text, bool little) {
  const auto unit = [&](std::size_t i) {
    const auto low = static_cast<unsigned char>(text[i + (little ? 0 : 1)]);
    const auto high = static_cast<unsigned char>(text[i + (little ? 1 : 0)]);
    return static_cast<char32_t>(high << 8 | low);
  };
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    if (text.size() - i < 2) throw CallError{"yaml: incomplete UTF-16 character"};
    char32_t c = unit(i);
    if ((c & 0xFC00) == 0xDC00) throw CallError{"yaml: unexpected low surrogate area"};
    if ((c & 0xFC00) == 0xD800) {
      if (text.size() - i < 4) throw CallError{"yaml: incomplete UTF-16 surrogate pair"};
      i += 2;
      const char32_t second = unit(i);
      if ((second & 0xFC00) != 0xDC00) throw CallError{"yaml: expected low surrogate area"};
      c = 0x10000 + ((c & 0x3FF) << 10) + (second & 0x3FF);
    }
    append_rune(out, c);
  }
  return out;
}

std::size_t width_of(unsigned char first) {
  return first < 0x80             ? 1
         : (first & 0xE0) == 0xC0 ? 2
         : (first & 0xF0) == 0xE0 ? 3
         : (first & 0xF8) == 0xF0 ? 4
                                  : 0;
}

// What is wrong with the character of `width` bytes; empty: nothing.
std::string_view wrong_character(std::string_view bytes) {
  char32_t code =
      static_cast<unsigned char>(bytes[0]) & (0x7F >> (bytes.size() > 1 ? bytes.size() : 0));
  for (const char c : bytes.substr(1)) {
    if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) return "invalid trailing UTF-8 octet";
    code = code << 6 | (static_cast<unsigned char>(c) & 0x3F);
  }
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (code < kLeast[bytes.size()]) return "invalid length of a UTF-8 sequence";
  if ((code >= 0xD800 && code <= 0xDFFF) || code > 0x10FFFF) return "invalid Unicode character";
  const bool allowed = code == 0x09 || code == 0x0A || code == 0x0D ||
                       (code >= 0x20 && code <= 0x7E) || code == 0x85 ||
                       (code >= 0xA0 && code <= 0xFFFD) || code >= 0x10000;
  return allowed ? std::string_view() : "control characters are not allowed";
}

std::string line_prefix(std::size_t line) {
  return line != 0 ? "line " + std::to_string(line) + ": " : std::string();
}

}  // namespace

Scanner::Scanner(std::string_view text) {
  if (text.starts_with("\xFF\xFE"))
    text_ = from_utf16(text.substr(2), true);
  else if (text.starts_with("\xFE\xFF"))
    text_ = from_utf16(text.substr(2), false);
  else
    text_ = text;
  size_ = text_.size();
  text_.append(kBehind, '\0');
  if (std::string_view(text_).starts_with("\xEF\xBB\xBF")) pos_ = 3;
}

// --- characters ---

// So many characters at least, or one end more where there are none left.
void Scanner::extend(std::size_t characters) {
  window_ = pos_;
  while (unread_ < static_cast<std::ptrdiff_t>(characters)) {
    if (decoded_ >= size_) {
      ++unread_;
      return;
    }
    decode_block();
  }
}

void Scanner::decode_block() {
  const std::size_t end = std::min(size_, decoded_ + kBlock);
  std::size_t i = std::max(decoded_, pos_);
  spend(2 * (end - i));
  while (i < end) {
    const auto first = static_cast<unsigned char>(text_[i]);
    if (first >= 0x20 && first < 0x7F) {
      ++i;
      ++unread_;
      continue;
    }
    const std::size_t width = width_of(first);
    if (width == 0) throw CallError{"yaml: invalid leading UTF-8 octet"};
    if (i + width > end) {
      if (end == size_) throw CallError{"yaml: incomplete UTF-8 octet sequence"};
      break;
    }
    if (const auto wrong = wrong_character(std::string_view(text_).substr(i, width));
        !wrong.empty())
      throw CallError{"yaml: " + std::string(wrong)};
    i += width;
    ++unread_;
  }
  decoded_ = i;
}

// CR, LF, NEL, LS, PS.
bool Scanner::is_break(std::size_t more) const {
  const unsigned char c = at(more);
  if (c < 0x80) return c == '\r' || c == '\n';
  if (c == 0xC2) return at(more + 1) == 0x85;
  return c == 0xE2 && at(more + 1) == 0x80 && (at(more + 2) == 0xA8 || at(more + 2) == 0xA9);
}

bool Scanner::is_word(std::size_t more) const {
  const unsigned char c = at(more);
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
         c == '-';
}

// "---" or "..." at the beginning of a line.
bool Scanner::at_document_mark() const {
  const unsigned char c = at();
  return mark_.column == 0 && (c == '-' || c == '.') && at(1) == c && at(2) == c &&
         is_blank_or_end(3);
}

// yaml.v2 looks for it at the beginning of its buffer, wherever in it the next character is.
bool Scanner::at_order_mark() const {
  return std::string_view(text_).substr(window_).starts_with("\xEF\xBB\xBF");
}

void Scanner::take() {
  if (pos_ >= size_) return;
  pos_ += std::max<std::size_t>(1, width_of(at()));
  ++mark_.index;
  ++mark_.column;
  --unread_;
}

void Scanner::take_line() {
  if (!is_break()) return;
  const bool two = at() == '\r' && at(1) == '\n';
  pos_ += two ? 2 : width_of(at());
  mark_.index += two ? 2 : 1;
  unread_ -= two ? 2 : 1;
  mark_.column = 0;
  ++mark_.line;
}

void Scanner::read(std::string& into) {
  const std::size_t width = std::max<std::size_t>(1, width_of(at()));
  into.append(text_, pos_, width);
  take();
}

// A line's end becomes LF, but for LS and PS.
void Scanner::read_line(std::string& into) {
  if (at() == 0xE2)
    into.append(text_, pos_, 3);
  else
    into += '\n';
  take_line();
}

void Scanner::skip_blanks() {
  need(1);
  while (is_blank()) {
    take();
    need(1);
  }
}

void Scanner::skip_comment() {
  if (at() != '#') return;
  while (!is_break_or_end()) {
    take();
    need(1);
  }
}

// --- errors ---

// yaml.v2 names the line of the problem, or of what it is part of where that is the first line.
void Scanner::fail(std::string_view problem, const Mark& at, const Mark& context) {
  throw CallError{"yaml: " + line_prefix(at.line != 0 ? at.line : context.line) +
                  std::string(problem)};
}

void Scanner::fail_at(const Mark& context, std::string_view problem) const {
  throw CallError{"yaml: " + line_prefix(mark_.line != 0 ? mark_.line + 1 : context.line) +
                  std::string(problem)};
}

// --- tokens ---

Token& Scanner::peek() {
  if (!available_) {
    while (tokens_.empty() || head_may_be_key()) fetch();
    available_ = true;
  }
  return tokens_.front();
}

void Scanner::skip() {
  available_ = false;
  ++parsed_;
  tokens_.pop_front();
}

// Might the first token turn out to begin a key, once a ':' is found?
bool Scanner::head_may_be_key() {
  // Numbers grow from level to level.
  auto key = std::ranges::lower_bound(keys_, parsed_, {}, &SimpleKey::token);
  while (key != keys_.end() && key->token == parsed_ && !key->listed) ++key;
  return key != keys_.end() && key->token == parsed_ && is_valid(*key);
}

// A key ends on its line, within 1024 characters.
bool Scanner::is_valid(SimpleKey& key) const {
  if (!key.possible) return false;
  if (key.mark.line >= mark_.line && key.mark.index + kLongestKey >= mark_.index) return true;
  if (key.required) fail_at(key.mark, "could not find expected ':'");
  key.possible = false;
  return false;
}

void Scanner::save_key() {
  if (!key_allowed_) return;
  const bool required = flow_ == 0 && indent_ == static_cast<std::ptrdiff_t>(mark_.column);
  remove_key();
  keys_.back() = {true, required, true, parsed_ + tokens_.size(), mark_};
}

void Scanner::remove_key() {
  SimpleKey& key = keys_.back();
  if (key.possible && key.required) fail_at(key.mark, "could not find expected ':'");
  key.possible = key.listed = false;
}

// Before the token of this number; behind all when that was given out already.
void Scanner::insert(Token token, std::size_t number) {
  if (number < parsed_ || number == 0)
    tokens_.push_back(std::move(token));
  else
    tokens_.insert(tokens_.begin() + static_cast<std::ptrdiff_t>(number - parsed_),
                   std::move(token));
}

void Scanner::roll_indent(std::size_t column, std::size_t number, Token::Kind kind,
                          const Mark& mark) {
  if (flow_ > 0 || indent_ >= static_cast<std::ptrdiff_t>(column)) return;
  indents_.push_back(indent_);
  indent_ = static_cast<std::ptrdiff_t>(column);
  if (indents_.size() > kMostDepth) fail_at(keys_.back().mark, "exceeded max depth of 10000");
  insert({.kind = kind, .begin = mark, .end = mark}, number);
}

void Scanner::unroll_indent(std::ptrdiff_t column) {
  if (flow_ > 0) return;
  while (indent_ > column) {
    insert({.kind = Token::Kind::block_end, .begin = mark_, .end = mark_});
    indent_ = indents_.back();
    indents_.pop_back();
  }
}

// Over blanks, comments and line ends.
void Scanner::to_next_token() {
  for (;;) {
    need(1);
    if (mark_.column == 0 && at_order_mark()) take();
    need(1);
    while (at() == ' ' || ((flow_ > 0 || !key_allowed_) && at() == '\t')) {
      take();
      need(1);
    }
    skip_comment();
    if (!is_break()) return;
    need(2);
    take_line();
    if (flow_ == 0) key_allowed_ = true;
  }
}

void Scanner::indicator(Token::Kind kind, std::size_t width) {
  const Mark begin = mark_;
  for (; width > 0; --width) take();
  insert({.kind = kind, .begin = begin, .end = mark_});
}

void Scanner::flow_start(Token::Kind kind) {
  save_key();
  keys_.push_back({.token = parsed_ + tokens_.size(), .mark = mark_});
  if (++flow_ > kMostDepth) fail_at(mark_, "exceeded max depth of 10000");
  key_allowed_ = true;
  indicator(kind);
}

void Scanner::flow_end(Token::Kind kind) {
  remove_key();
  if (flow_ > 0) {
    --flow_;
    const std::size_t token = keys_.back().token;
    keys_.pop_back();
    // yaml.v2 forgets this one too, so that nothing follows an empty collection as its value.
    if (keys_.back().token == token) keys_.back().listed = false;
  }
  key_allowed_ = false;
  indicator(kind);
}

void Scanner::block_entry() {
  if (flow_ == 0) {
    if (!key_allowed_) fail_at(mark_, "block sequence entries are not allowed in this context");
    roll_indent(mark_.column, 0, Token::Kind::block_sequence_start, mark_);
  }
  remove_key();
  key_allowed_ = true;
  indicator(Token::Kind::block_entry);
}

void Scanner::key() {
  if (flow_ == 0) {
    if (!key_allowed_) fail_at(mark_, "mapping keys are not allowed in this context");
    roll_indent(mark_.column, 0, Token::Kind::block_mapping_start, mark_);
  }
  remove_key();
  key_allowed_ = flow_ == 0;
  indicator(Token::Kind::key);
}

void Scanner::value() {
  SimpleKey& key = keys_.back();
  if (is_valid(key)) {
    insert({.kind = Token::Kind::key, .begin = key.mark, .end = key.mark}, key.token);
    roll_indent(key.mark.column, key.token, Token::Kind::block_mapping_start, key.mark);
    key.possible = key.listed = false;
    key_allowed_ = false;
  } else {
    if (flow_ == 0) {
      if (!key_allowed_) fail_at(mark_, "mapping values are not allowed in this context");
      roll_indent(mark_.column, 0, Token::Kind::block_mapping_start, mark_);
    }
    key_allowed_ = flow_ == 0;
  }
  indicator(Token::Kind::value);
}

void Scanner::stream_end() {
  if (mark_.column != 0) {
    mark_.column = 0;
    ++mark_.line;
  }
  unroll_indent(-1);
  remove_key();
  key_allowed_ = false;
  insert({.kind = Token::Kind::stream_end, .begin = mark_, .end = mark_});
}

bool Scanner::starts_plain() const {
  constexpr std::string_view kIndicators = "-?:,[]{}#&*!|>'\"%@`";
  const auto c = static_cast<char>(at());
  if (!is_blank_or_end() && kIndicators.find(c) == std::string_view::npos) return true;
  if (c == '-') return !is_blank(1);
  return flow_ == 0 && (c == '?' || c == ':') && !is_blank_or_end(1);
}

void Scanner::fetch() {
  using Kind = Token::Kind;
  need(1);
  if (!begun_) {
    begun_ = true;
    keys_.emplace_back();
    return insert({.kind = Kind::stream_start, .begin = mark_, .end = mark_});
  }
  to_next_token();
  unroll_indent(static_cast<std::ptrdiff_t>(mark_.column));
  need(4);
  spend(16);
  if (is_end()) return stream_end();
  const bool directive_here = mark_.column == 0 && at() == '%';
  if (directive_here || at_document_mark()) {
    unroll_indent(-1);
    remove_key();
    key_allowed_ = false;
    if (directive_here) return insert(directive());
    return indicator(at() == '-' ? Kind::document_start : Kind::document_end, 3);
  }
  const auto after_key = [this](bool allowed) {  // something that may itself be a key
    save_key();
    key_allowed_ = allowed;
  };
  const bool apart = flow_ > 0 || is_blank_or_end(1);
  switch (at()) {
    case '[':
      return flow_start(Kind::flow_sequence_start);
    case '{':
      return flow_start(Kind::flow_mapping_start);
    case ']':
      return flow_end(Kind::flow_sequence_end);
    case '}':
      return flow_end(Kind::flow_mapping_end);
    case ',':
      remove_key();
      key_allowed_ = true;
      return indicator(Kind::flow_entry);
    case '-':
      if (is_blank_or_end(1)) return block_entry();
      break;
    case '?':
      if (apart) return key();
      break;
    case ':':
      if (apart) return value();
      break;
    case '*':
    case '&':
      after_key(false);
      return insert(anchor(at() == '*' ? Kind::alias : Kind::anchor));
    case '!':
      after_key(false);
      return insert(tag());
    case '|':
    case '>':
      if (flow_ > 0) break;
      remove_key();
      key_allowed_ = true;
      return insert(block_scalar(at() == '|'));
    case '\'':
    case '"':
      after_key(false);
      return insert(quoted_scalar(at() == '\''));
    default:
      break;
  }
  if (!starts_plain()) fail_at(mark_, "found character that cannot start any token");
  after_key(false);
  insert(plain_scalar());
}

}  // namespace keybearer::tmpl::yaml
