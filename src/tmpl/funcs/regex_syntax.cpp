#include "tmpl/funcs/regex_syntax.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/utf8.hpp"
#include "tmpl/funcs/funcs.hpp"
#include "tmpl/funcs/regex_class.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl {
namespace {

constexpr std::int64_t kMostSize = (128 << 20) / 40;  // instructions
constexpr int kMostHeight = 1000, kMostRepeats = 1000;

[[noreturn]] void refuse(std::string_view reason, std::string_view part) {
  throw CallError{"error parsing regexp: " + std::string(reason) + ": `" + std::string(part) + "`"};
}

// The character that `rest` begins with is taken off; U+FFFD where nothing is left.
char32_t take_rune(std::string_view& rest) {
  if (rest.empty()) return kReplacement;
  const Rune rune = decode_rune(rest);
  if (!rune.valid()) refuse("invalid UTF-8", rest);
  rest.remove_prefix(rune.width);
  return rune.code;
}
void check_utf8(std::string_view text) {
  while (!text.empty()) (void)take_rune(text);
}

bool is_octal(char c) {
  return c >= '0' && c <= '7';
}
bool is_decimal(char c) {
  return c >= '0' && c <= '9';
}
bool is_ascii_alnum(char32_t c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
int hex_value(char32_t c) {
  if (c >= '0' && c <= '9') return static_cast<int>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<int>(c - 'a') + 10;
  return c >= 'A' && c <= 'F' ? static_cast<int>(c - 'A') + 10 : -1;
}
constexpr std::string_view kPosix[] = {"alnum", "alpha", "ascii", "blank", "cntrl",
                                       "digit", "graph", "lower", "print", "punct",
                                       "space", "upper", "word",  "xdigit"};

// --- the parser ---

class Parser {
 public:
  explicit Parser(std::string_view pattern) : whole_(pattern), rest_(pattern) {}
  RegexSyntax parse();

 private:
  // Go's tree as far as its limits need it.
  struct Node {
    enum class Kind : std::uint8_t { literal, concat, alternate, other, paren, bar };
    Kind kind = Kind::other;
    bool fold = false;      // of a literal; of a paren: as it was outside
    std::int64_t size = 1;  // instructions
    int height = 1;
    std::int64_t repeats = 1;  // the largest product of counts in each other
  };
  using Kind = Node::Kind;

  void push(Node node);
  void merge_literals();
  [[nodiscard]] std::size_t marker() const;
  void collapse(Kind kind);
  bool swap_bar();
  void close();
  void literal(char32_t c);
  void atom(std::string_view text) {
    push({});
    out_ += text;
  }
  void step();
  void group();
  void flags(std::string_view text);
  void right_paren();
  void backslash();
  void repeat(std::string_view before, std::string_view after, int min, int max, char op);
  void count();
  static std::optional<int> small_number(std::string_view& text);
  char32_t escape(std::string_view& text) const;
  static char32_t hex_escape(std::string_view text, std::string_view& rest);
  std::optional<RegexClass> unicode_class(std::string_view& text) const;
  char32_t class_char(std::string_view& text) const;
  void bracket();
  static bool named_class(std::string_view& text, std::string& members);

  std::string_view whole_, rest_;
  std::string out_;
  std::vector<std::string> names_{""};
  std::vector<Node> stack_;
  bool fold_ = false;
  std::string_view last_repeat_;  // from there on, when the last thing was a repetition
};

void Parser::merge_literals() {
  const std::size_t n = stack_.size();
  if (n < 2) return;
  Node& first = stack_[n - 2];
  const Node& second = stack_[n - 1];
  if (first.kind != Kind::literal || second.kind != Kind::literal || first.fold != second.fold)
    return;
  first.size += second.size;
  stack_.pop_back();
}

void Parser::push(Node node) {
  spend(20);
  merge_literals();
  if (node.size > kMostSize) refuse("expression too large", whole_);
  if (node.height > kMostHeight) refuse("expression nests too deeply", whole_);
  stack_.push_back(node);
}

// Behind the last paren or bar.
std::size_t Parser::marker() const {
  std::size_t i = stack_.size();
  while (i > 0 && stack_[i - 1].kind != Kind::paren && stack_[i - 1].kind != Kind::bar) --i;
  return i;
}

void Parser::collapse(Kind kind) {
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
bool Parser::swap_bar() {
  const std::size_t n = stack_.size();
  if (n < 2 || stack_[n - 2].kind != Kind::bar) return false;
  std::swap(stack_[n - 1], stack_[n - 2]);
  return true;
}

void Parser::close() {
  collapse(Kind::concat);
  if (swap_bar()) stack_.pop_back();
  collapse(Kind::alternate);
}

void Parser::literal(char32_t c) {
  push({.kind = Kind::literal, .fold = fold_});
  if (is_ascii_alnum(c) || c >= 0x80)
    append_rune(out_, c);
  else
    out_ += regex_code_point(c);
}

RegexSyntax Parser::parse() {
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

void Parser::step() {
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

void Parser::group() {
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
void Parser::flags(std::string_view text) {
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

void Parser::right_paren() {
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

void Parser::repeat(std::string_view before, std::string_view after, int min, int max, char op) {
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
std::optional<int> Parser::small_number(std::string_view& text) {
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
void Parser::count() {
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

// --- escapes ---

void Parser::backslash() {
  const char letter = rest_.size() > 1 ? rest_[1] : '\0';
  switch (letter) {
    case 'A':
    case 'b':
    case 'B':
    case 'z':
    case 'd':
    case 'D':
    case 's':
    case 'S':
    case 'w':
    case 'W':
      atom(rest_.substr(0, 2));
      rest_.remove_prefix(2);
      return;
    case 'C':
      refuse("invalid escape sequence", "\\C");
    case 'Q': {
      const auto end = std::min(rest_.find("\\E", 2), rest_.size());
      std::string_view text = rest_.substr(2, end - 2);
      rest_.remove_prefix(std::min(end + 2, rest_.size()));
      while (!text.empty()) literal(take_rune(text));
      return;
    }
    case 'p':
    case 'P': {
      const RegexClass body = *unicode_class(rest_);
      push({});
      out_ += body.members.empty() ? "[^" + regex_range(0, 0x10FFFF)
                                   : (body.others ? "[^" : "[") + body.members;
      out_ += ']';
      return;
    }
    default:
      return literal(escape(rest_));
  }
}

// Go's parseEscape; `text` begins with the backslash, which is taken off with what follows.
char32_t Parser::escape(std::string_view& text) const {
  std::string_view rest = text.substr(1);
  if (rest.empty()) refuse("trailing backslash at end of expression", "");
  const char32_t c = take_rune(rest);
  constexpr std::pair<char, char> kShort[] = {{'a', '\a'}, {'f', '\f'}, {'n', '\n'},
                                              {'r', '\r'}, {'t', '\t'}, {'v', '\v'}};
  const auto* one = std::ranges::find(
      kShort, c, [](const auto& pair) { return static_cast<char32_t>(pair.first); });
  char32_t code = c;
  if (one != std::end(kShort)) {
    code = static_cast<unsigned char>(one->second);
  } else if (c == 'x') {
    code = hex_escape(text, rest);
  } else if (c == '0' || (c >= '1' && c <= '7' && !rest.empty() && is_octal(rest[0]))) {
    code = c - '0';
    for (int i = 1; i < 3 && !rest.empty() && is_octal(rest[0]); ++i) {
      code = code * 8 + static_cast<char32_t>(rest[0] - '0');
      rest.remove_prefix(1);
    }
  } else if (c >= 0x80 || is_ascii_alnum(c)) {
    refuse("invalid escape sequence", text.substr(0, text.size() - rest.size()));
  }
  text = rest;
  return code;
}

// Behind "\x".
char32_t Parser::hex_escape(std::string_view text, std::string_view& rest) {
  const auto invalid = [&] {
    refuse("invalid escape sequence", text.substr(0, text.size() - rest.size()));
  };
  if (rest.empty()) invalid();
  char32_t c = take_rune(rest);
  if (c != '{') {
    const int high = hex_value(c), low = hex_value(take_rune(rest));
    if (high < 0 || low < 0) invalid();
    return static_cast<char32_t>(high * 16 + low);
  }
  char32_t code = 0;
  for (int digits = 0;; ++digits) {
    if (rest.empty()) invalid();
    c = take_rune(rest);
    if (c == '}') {
      if (digits == 0) invalid();
      return code;
    }
    const int digit = hex_value(c);
    if (digit < 0) invalid();
    code = code * 16 + static_cast<char32_t>(digit);
    if (code > 0x10FFFF) invalid();
  }
}

// \pL, \P{^Greek}; taken off `text`. Nothing: it does not begin so.
std::optional<RegexClass> Parser::unicode_class(std::string_view& text) const {
  if (!text.starts_with("\\p") && !text.starts_with("\\P")) return std::nullopt;
  bool negative = text[1] == 'P';
  std::string_view rest = text.substr(2), name;
  const char32_t c = take_rune(rest);
  if (c != '{') {
    name = text.substr(2, text.size() - 2 - rest.size());
  } else {
    const auto end = text.find('}');
    if (end == std::string_view::npos) {
      check_utf8(text);
      refuse("invalid character class range", text);
    }
    name = text.substr(3, end - 3);
    rest = text.substr(end + 1);
    check_utf8(name);
  }
  const std::string_view shown = text.substr(0, text.size() - rest.size());
  if (name.starts_with('^')) {
    negative = !negative;
    name.remove_prefix(1);
  }
  auto body = regex_class(name, negative, fold_);
  if (!body) refuse("invalid character class range", shown);
  text = rest;
  return body;
}

// --- brackets ---

char32_t Parser::class_char(std::string_view& text) const {
  if (text.empty()) refuse("missing closing ]", rest_);
  return text[0] == '\\' ? escape(text) : take_rune(text);
}

// [:alpha:] and [:^alpha:].
bool Parser::named_class(std::string_view& text, std::string& members) {
  if (text.size() <= 2 || !text.starts_with("[:")) return false;
  const auto end = text.find(":]", 2);
  if (end == std::string_view::npos) return false;
  std::string_view name = text.substr(2, end - 2);
  if (name.starts_with('^')) name.remove_prefix(1);
  if (std::ranges::find(kPosix, name) == std::end(kPosix))
    refuse("invalid character class range", text.substr(0, end + 2));
  members += text.substr(0, end + 2);
  text.remove_prefix(end + 2);
  return true;
}

void Parser::bracket() {
  std::string_view text = rest_.substr(1);
  const bool negative = text.starts_with('^');
  if (negative) text.remove_prefix(1);
  std::string members;
  for (bool first = true; text.empty() || text[0] != ']' || first; first = false) {
    if (named_class(text, members)) continue;
    if (const auto body = unicode_class(text)) {
      members += body->others ? other_members(*body) : body->members;
      continue;
    }
    if (text.size() >= 2 && text[0] == '\\' &&
        std::string_view("dDsSwW").find(text[1]) != std::string_view::npos) {
      members += text.substr(0, 2);
      text.remove_prefix(2);
      continue;
    }
    const std::string_view begin = text;
    const char32_t low = class_char(text);
    char32_t high = low;
    if (text.size() >= 2 && text[0] == '-' && text[1] != ']') {
      text.remove_prefix(1);
      high = class_char(text);
      if (high < low)
        refuse("invalid character class range", begin.substr(0, begin.size() - text.size()));
    }
    members += regex_range(low, high);
  }
  text.remove_prefix(1);
  push({});
  if (members.empty())
    out_ += (negative ? "[" : "[^") + regex_range(0, 0x10FFFF) + "]";
  else
    out_ += (negative ? "[^" : "[") + members + "]";
  rest_ = text;
}

}  // namespace

RegexSyntax translated_regex(std::string_view pattern) {
  return Parser(pattern).parse();
}

}  // namespace keybearer::tmpl
