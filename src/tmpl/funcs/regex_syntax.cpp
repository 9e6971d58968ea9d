#include "tmpl/funcs/regex_syntax.hpp"

#include <algorithm>
#include <cstdint>

#include "tmpl/funcs/regex_parser.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl {
namespace {

constexpr std::int64_t kMostSize = (128 << 20) / 40;  // instructions
constexpr int kMostHeight = 1000, kMostRepeats = 1000;

}  // namespace

void RegexParser::merge_literals() {
  const std::size_t n = stack_.size();
  if (n < 2) return;
  Node& first = stack_[n - 2];
  const Node& second = stack_[n - 1];
  if (first.kind != Kind::literal || second.kind != Kind::literal || first.fold != second.fold)
    return;
  first.size += second.size;
  stack_.pop_back();
}

void RegexParser::push(Node node) {
  spend(20);
  merge_literals();
  if (node.size > kMostSize) refuse("expression too large", whole_);
  if (node.height > kMostHeight) refuse("expression nests too deeply", whole_);
  stack_.push_back(node);
}

// Behind the last paren or bar.
std::size_t RegexParser::marker() const {
  std::size_t i = stack_.size();
  while (i > 0 && stack_[i - 1].kind != Kind::paren && stack_[i - 1].kind != Kind::bar) --i;
  return i;
}

void RegexParser::collapse(Kind kind) {
  if (kind == Kind::concat) merge_literals();
  const std::size_t begin = marker(), count = stack_.size() - begin;
  if (count == 1) return;
  Node all{.kind = count == 0 ? Kind::other : kind, .size = 0};
  for (std::size_t i = begin; i < stack_.size(); ++i) {
    const Node& sub = stack_[i];
    all.size += sub.size;
    all.height = std::max(all.height, sub.height + (sub.kind == kind ? 0 : 1));
    all.repeats = std::max(all.repeats, sub.repeats);
  }
  if (kind == Kind::alternate && count > 1) all.size += static_cast<std::int64_t>(count) - 1;
  all.size = std::max<std::int64_t>(1, all.size);
  stack_.resize(begin);
  push(all);
}

// The bar goes above the branch that ended; false: there is none.
bool RegexParser::swap_bar() {
  const std::size_t n = stack_.size();
  if (n < 2 || stack_[n - 2].kind != Kind::bar) return false;
  std::swap(stack_[n - 1], stack_[n - 2]);
  return true;
}

void RegexParser::close() {
  collapse(Kind::concat);
  if (swap_bar()) stack_.pop_back();
  collapse(Kind::alternate);
}

void RegexParser::literal(char32_t c) {
  push({.kind = Kind::literal, .fold = fold_});
  if (is_ascii_alnum(c) || c >= 0x80)
    append_rune(out_, c);
  else
    out_ += regex_code_point(c);
}

RegexSyntax RegexParser::parse() {
  while (!rest_.empty()) {
    const std::string_view repeated = std::exchange(last_repeat_, {});
    const char c = rest_[0];
    if (c == '*' || c == '+' || c == '?') {
      last_repeat_ = repeated;
      repeat(rest_, rest_.substr(1), 0, 0, c);
    } else if (c == '{') {
      last_repeat_ = repeated;
      count();
    } else {
      step();
    }
  }
  close();
  if (stack_.size() != 1) refuse("missing closing )", whole_);
  return {std::move(out_), std::move(names_)};
}

void RegexParser::step() {
  switch (rest_[0]) {
    case '(':
      return group();
    case '|':
      collapse(Kind::concat);
      if (!swap_bar()) push({.kind = Kind::bar});
      out_ += '|';
      break;
    case ')':
      return right_paren();
    case '^':
    case '$':
    case '.':
      atom(rest_.substr(0, 1));
      break;
    case '[':
      return bracket();
    case '\\':
      return backslash();
    default:
      return literal(take_rune(rest_));
  }
  rest_.remove_prefix(1);
}

// --- groups ---

void RegexParser::group() {
  const std::string_view text = rest_;
  if (!text.starts_with("(?")) {
    push({.kind = Kind::paren, .fold = fold_});
    names_.emplace_back();
    out_ += '(';
    rest_.remove_prefix(1);
    return;
  }
  const bool p_name = text.size() > 4 && text.substr(2).starts_with("P<");
  if (!p_name && !(text.size() > 3 && text[2] == '<')) return flags(text);
  const auto end = text.find('>');
  if (end == std::string_view::npos) {
    check_utf8(text);
    refuse("invalid named capture", text);
  }
  const std::size_t begin = p_name ? 4 : 3;
  const std::string_view name = text.substr(begin, end - std::min(end, begin));
  check_utf8(name);
  const bool valid = !name.empty() && std::ranges::all_of(name, [](char c) {
    return c == '_' || is_ascii_alnum(static_cast<unsigned char>(c));
  });
  if (!valid) refuse("invalid named capture", text.substr(0, end + 1));
  push({.kind = Kind::paren, .fold = fold_});
  names_.emplace_back(name);
  out_ += '(';
  rest_.remove_prefix(end + 1);
}

// (?i), (?i-s:...
void RegexParser::flags(std::string_view text) {
  std::string_view rest = text.substr(2);
  bool fold = fold_, minus = false, any = false;
  while (!rest.empty()) {
    const char32_t c = take_rune(rest);
    if (c == 'i' || c == 'm' || c == 's' || c == 'U') {
      if (c == 'i') fold = !minus;
      any = true;
    } else if (c == '-' && !minus) {
      minus = true;
      any = false;
    } else if ((c == ':' || c == ')') && (!minus || any)) {
      if (c == ':') push({.kind = Kind::paren, .fold = fold_});
      out_ += text.substr(0, text.size() - rest.size());
      fold_ = fold;
      rest_ = rest;
      return;
    } else {
      break;
    }
  }
  refuse("invalid or unsupported Perl syntax", text.substr(0, text.size() - rest.size()));
}

void RegexParser::right_paren() {
  close();
  const std::size_t n = stack_.size();
  if (n < 2 || stack_[n - 2].kind != Kind::paren) refuse("unexpected )", whole_);
  Node inside = stack_[n - 1];
  fold_ = stack_[n - 2].fold;
  stack_.resize(n - 2);
  // Go keeps a node for a group that captures; that it is one is seen by its '(' in `out_` only.
  inside.size += 2;
  inside.height += 1;
  inside.kind = Kind::other;
  push(inside);
  out_ += ')';
  rest_.remove_prefix(1);
}

// --- repetitions ---

void RegexParser::repeat(std::string_view before, std::string_view after, int min, int max,
                         char op) {
  if (after.starts_with('?')) after.remove_prefix(1);
  if (!last_repeat_.empty())
    refuse("invalid nested repetition operator",
           last_repeat_.substr(0, last_repeat_.size() - after.size()));
  const std::string_view shown = before.substr(0, before.size() - after.size());
  if (stack_.empty() || stack_.back().kind == Kind::paren || stack_.back().kind == Kind::bar)
    refuse("missing argument to repetition operator", shown);
  Node& sub = stack_.back();
  Node node{.size = sub.size, .height = sub.height + 1, .repeats = sub.repeats};
  if (op == '{') {
    node.size =
        max < 0 ? (min == 0 ? 2 + sub.size : 1 + min * sub.size) : max * sub.size + (max - min);
    const int times = max < 0 ? min : max;
    node.repeats = max == 0 ? 1 : sub.repeats * std::max(1, times);
  } else {
    node.size += op == '*' ? 2 : 1;
  }
  node.size = std::max<std::int64_t>(1, node.size);
  if (node.size > kMostSize) refuse("expression too large", whole_);
  if (node.height > kMostHeight) refuse("expression nests too deeply", whole_);
  sub = node;
  if (op == '{' && (min >= 2 || max >= 2) && node.repeats > kMostRepeats)
    refuse("invalid repeat count", shown);
  out_ += shown;
  last_repeat_ = before;
  rest_ = after;
}

// No number: nothing; one that is too large: -1.
std::optional<int> RegexParser::small_number(std::string_view& text) {
  if (text.empty() || !is_decimal(text[0])) return std::nullopt;
  if (text.size() >= 2 && text[0] == '0' && is_decimal(text[1])) return std::nullopt;
  int number = 0;
  bool large = false;
  for (; !text.empty() && is_decimal(text[0]); text.remove_prefix(1)) {
    large = large || number >= 100'000'000;
    if (!large) number = number * 10 + (text[0] - '0');
  }
  return large ? -1 : number;
}

// {2}, {2,}, {2,3}; anything else is text.
void RegexParser::count() {
  std::string_view text = rest_.substr(1);
  const auto min = small_number(text);
  auto max = min;
  bool too_large = min && *min < 0;
  if (min && text.starts_with(',')) {
    text.remove_prefix(1);
    if (text.starts_with('}')) {
      max = -1;
    } else {
      max = small_number(text);
      too_large = too_large || (max && *max < 0);
    }
  }
  if (!min || !max || !text.starts_with('}')) {
    last_repeat_ = {};
    literal('{');
    rest_.remove_prefix(1);
    return;
  }
  text.remove_prefix(1);
  if (too_large || *min > kMostRepeats || *max > kMostRepeats || (*max >= 0 && *min > *max))
    refuse("invalid repeat count", rest_.substr(0, rest_.size() - text.size()));
  repeat(rest_, text, *min, *max, '{');
}

RegexSyntax translated_regex(std::string_view pattern) {
  return RegexParser(pattern).parse();
}

}  // namespace keybearer::tmpl
