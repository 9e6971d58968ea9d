// The tokens of a YAML text.
#include "tmpl/formats/yaml_scan.hpp"

#include <algorithm>

#include "tmpl/funcs/funcs.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl::yaml {
namespace {

constexpr std::size_t kMostDepth = 10'000;  // of flow levels, and of indents
constexpr std::size_t kLongestKey = 1024;

std::string line_prefix(std::size_t line) {
  return line != 0 ? "line " + std::to_string(line) + ": " : std::string();
}

}  // namespace

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
