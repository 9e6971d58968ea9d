#include "tmpl/sprig/words.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/bytes.hpp"
#include "base/utf8.hpp"
#include "tmpl/go/go_strings.hpp"
#include "tmpl/go/unicode.hpp"
#include "tmpl/nesting.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl::sprig {
namespace {

bool is_connector(char32_t c) {
  return c == '-' || c == '_' || is_space(c);
}
bool is_alphabet(char32_t c) {
  const bool cjk = (c >= 0x4E00 && c <= 0x9FCC) || (c >= 0x3400 && c <= 0x4D85) ||
                   (c >= 0x20000 && c <= 0x2B81D);
  return is_letter(c) && !cjk;
}

template <class Change>
std::string each_rune(std::string_view text, Change change) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    spend(5);
    const auto byte = static_cast<unsigned char>(text[0]);
    if (byte < 0x80) {
      const char32_t changed = change(static_cast<char32_t>(byte));
      if (changed < 0x80)
        out += static_cast<char>(changed);
      else
        append_rune(out, changed);
      text.remove_prefix(1);
      continue;
    }
    const Rune rune = decode_rune(text);
    append_rune(out, change(rune.code));
    text.remove_prefix(rune.width);
  }
  return out;
}

// --- snake and kebab case: the text is cut into words of one kind of character ---

enum class Kind : std::uint8_t { invalid, number, upper, alphabet, connector, punct, other };

// The first valid character from the front on, with the bytes up to its end; the one before where
// there is none.
struct Step {
  char32_t code;
  std::size_t size = 0;
};
Step next_valid(std::string_view text, char32_t before) {
  Step step{before};
  while (!text.empty()) {
    spend(10);
    if (static_cast<unsigned char>(text[0]) < 0x80)
      return {static_cast<unsigned char>(text[0]), step.size + 1};
    const Rune rune = decode_rune(text);
    step.size += rune.width;
    if (rune.code != kReplacement) {
      step.code = rune.code;
      return step;
    }
    text.remove_prefix(rune.width);
  }
  return step;
}

class Words {
 public:
  explicit Words(std::string_view text) : rest_(text) { next(); }
  Kind kind = Kind::invalid;
  std::string_view word;

  [[nodiscard]] bool at_last() const { return rest_.empty(); }
  void next() {
    kind = Kind::invalid;
    end_ = 0;
    if (!rest_.empty()) {
      step_ = next_valid(rest_, kReplacement);
      end_ = step_.size;
      if (step_.code != kReplacement) kind = find_kind();
    }
    word = rest_.substr(0, end_);
    rest_.remove_prefix(end_);
  }

 private:
  Kind find_kind() {
    const char32_t c = step_.code;
    if (is_connector(c)) return take(Kind::connector, is_connector);
    if (is_punct(c)) return take(Kind::punct, is_punct);
    if (is_upper(c)) return upper_word();
    if (is_alphabet(c)) return take(Kind::alphabet, is_small);
    if (is_number(c)) return take(Kind::number, is_number);
    return take(Kind::other, [](char32_t r) {
      return !is_connector(r) && !is_alphabet(r) && !is_number(r) && !is_punct(r);
    });
  }
  static bool is_small(char32_t c) { return is_alphabet(c) && !is_upper(c); }

  template <class Belongs>
  Kind take(Kind result, Belongs belongs) {
    while (end_ < rest_.size()) {
      step_ = next_valid(rest_.substr(end_), step_.code);
      if (!belongs(step_.code)) break;
      last_size_ = step_.size;
      end_ += step_.size;
    }
    return result;
  }
  // HTTPStatus is HTTP and Status: the last capital begins the next word.
  Kind upper_word() {
    const std::size_t first_end = end_;
    take(Kind::upper, is_upper);
    if (end_ > first_end) {
      if (end_ < rest_.size() && is_alphabet(step_.code)) end_ -= last_size_;
      return Kind::upper;
    }
    return take(Kind::upper, is_small);
  }

  std::string_view rest_;
  std::size_t end_ = 0, last_size_ = 0;
  Step step_{kReplacement};
};

class LowerCase {
 public:
  LowerCase(std::string_view text, char connector) : words_(text), connector_(connector) {}

  std::string convert() {
    while (!words_.at_last()) {
      const Kind before = words_.kind;
      const std::string_view word = words_.word;
      if (before != Kind::connector) add(before, word);
      words_.next();
      switch (before) {
        case Kind::number:
          take_run();
          break;
        case Kind::connector:
          add(before, word);
          break;
        case Kind::punct:
          break;
        default:
          after_letters();
      }
    }
    add(words_.kind, words_.word);
    return std::move(out_);
  }

 private:
  void add(Kind kind, std::string_view word) {
    if (kind != Kind::upper && kind != Kind::connector) {
      out_ += word;
      return;
    }
    out_ += each_rune(word, [this](char32_t c) {
      return is_connector(c) ? static_cast<char32_t>(connector_) : is_upper(c) ? to_lower(c) : c;
    });
  }
  void connect() {
    if (words_.kind != Kind::connector && words_.kind != Kind::punct) out_ += connector_;
  }
  // Letters and digits that follow a number belong to it: 20x.
  void take_run() {
    for (; words_.kind == Kind::alphabet || words_.kind == Kind::number; words_.next())
      add(words_.kind, words_.word);
    if (words_.kind != Kind::invalid) connect();
  }
  void after_letters() {
    if (words_.kind != Kind::number) {
      connect();
      return;
    }
    if (words_.at_last()) return;
    const std::string_view number = words_.word;
    words_.next();
    if (words_.kind != Kind::alphabet) {  // Bld4Floor: the number belongs to what is before it
      add(Kind::number, number);
      connect();
      return;
    }
    out_ += connector_;  // HTTP2xx: it begins a word
    add(Kind::number, number);
    take_run();
  }

  Words words_;
  char connector_;
  std::string out_;
};

constexpr std::string_view kBase32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

}  // namespace

std::string snake_case(std::string_view text) {
  return text.empty() ? "" : LowerCase(text, '_').convert();
}
std::string kebab_case(std::string_view text) {
  return text.empty() ? "" : LowerCase(text, '-').convert();
}

std::string pascal_case(std::string_view text) {
  std::string out;
  bool after_capital = false;  // the word began with one: the capitals after it are lowered
  char32_t current = 0;
  const auto take = [&text] {
    const Rune rune = decode_rune(text);
    text.remove_prefix(rune.width);
    return rune.code;
  };
  if (text.empty()) return out;
  while (!text.empty()) {
    current = take();
    if (!is_connector(current)) {
      after_capital = is_upper(current);
      current = to_upper(current);
      break;
    }
    append_rune(out, current);
  }
  while (!text.empty()) {
    const char32_t before = std::exchange(current, take());
    if (is_connector(before) && is_connector(current)) {
      append_rune(out, before);
    } else if (is_connector(before)) {
      after_capital = is_upper(current);
      current = to_upper(current);
    } else {
      after_capital = after_capital && is_upper(current);
      if (after_capital) current = to_lower(current);
      append_rune(out, before);
    }
  }
  append_rune(out, current);
  return out;
}

std::string swap_case(std::string_view text) {
  return each_rune(text, [after_space = true](char32_t c) mutable {
    if (is_upper(c) || is_title(c)) {
      after_space = false;
      return to_lower(c);
    }
    if (is_lower(c)) return std::exchange(after_space, false) ? to_title(c) : to_upper(c);
    after_space = is_space(c);
    return c;
  });
}

std::string title(std::string_view text) {
  const auto separates = [](char32_t c) {
    return !is_alphanumeric(c) && (c < 0x80 || is_space(c));
  };
  return each_rune(text, [before = U' ', separates](char32_t c) mutable {
    return separates(std::exchange(before, c)) ? to_title(c) : c;
  });
}

std::string untitle(std::string_view text) {
  return each_rune(text, [starts = true](char32_t c) mutable {
    if (is_space(c)) {
      starts = true;
      return c;
    }
    return std::exchange(starts, false) ? to_lower(c) : c;
  });
}

// These two take each byte for a character.
std::string initials(std::string_view text) {
  std::string out;
  bool after_gap = true;
  for (const char byte : text) {
    const char32_t c = static_cast<unsigned char>(byte);
    if (is_space(c)) {
      after_gap = true;
    } else if (std::exchange(after_gap, false)) {
      append_rune(out, c);
    }
  }
  return out;
}
std::string without_space(std::string_view text) {
  std::string out;
  const auto blank = [](char byte) { return is_space(static_cast<unsigned char>(byte)); };
  if (std::ranges::none_of(text, blank)) return std::string(text);
  for (const char byte : text) {
    if (!blank(byte)) append_rune(out, static_cast<unsigned char>(byte));
  }
  return out;
}

std::string wrapped(std::string_view text, std::int64_t width, std::string_view line_break,
                    bool cut) {
  const auto most = static_cast<std::size_t>(std::clamp<std::int64_t>(width, 1, INT32_MAX));
  std::string out;
  const auto line = [&](std::size_t end, std::size_t skip) {
    out += text.substr(0, end);
    out += line_break;
    check_size(out);
    text.remove_prefix(end + skip);
  };
  while (text.size() > most) {
    spend(10);
    if (text.front() == ' ') {
      text.remove_prefix(1);
      continue;
    }
    std::size_t blank = text.substr(0, most + 1).rfind(' ');
    spend(blank == std::string_view::npos ? most : most - blank);
    if (blank == std::string_view::npos && cut) {
      line(most, 0);
      continue;
    }
    if (blank == std::string_view::npos) blank = text.find(' ', most);
    if (blank == std::string_view::npos) break;
    line(blank, 1);
  }
  if (out.empty()) return std::string(text);
  return out += text;
}

std::string abbreviated(std::string_view text, std::int64_t offset, std::int64_t width) {
  const auto size = static_cast<std::int64_t>(text.size());
  if (size <= width) return std::string(text);
  const std::int64_t shown = width - 3;
  offset = std::clamp<std::int64_t>(offset, 0, size);
  offset = std::min(offset, size - shown);
  const auto count = static_cast<std::size_t>(shown);
  if (offset <= 4) return std::string(text.substr(0, count)) + "...";
  if (width < 7) return {};
  if (offset + shown >= size) return "..." + std::string(text.substr(text.size() - count));
  return "..." + abbreviated(text.substr(static_cast<std::size_t>(offset)), 0, shown);
}

std::string base32(std::string_view bytes) {
  spend(2 * bytes.size());
  return made_text((bytes.size() + 4) / 5 * 8, [bytes](char* to) mutable {
    const auto put_group = [&to](std::uint64_t bits) {  // of the highest 40
      for (int k = 0; k < 8; ++k) *to++ = kBase32[bits >> (59 - 5 * k) & 31];
    };
    std::uint64_t bits = 0;
    for (; bytes.size() >= sizeof(bits); bytes.remove_prefix(5)) {
      std::memcpy(&bits, bytes.data(), sizeof(bits));
      put_group(std::byteswap(bits));
    }
    for (; !bytes.empty(); bytes.remove_prefix(std::min<std::size_t>(5, bytes.size()))) {
      const std::string_view group = bytes.substr(0, 5);
      bits = 0;
      for (std::size_t k = 0; k < group.size(); ++k)
        bits |= std::uint64_t{static_cast<unsigned char>(group[k])} << (56 - 8 * k);
      put_group(bits);
      const std::size_t digits = (group.size() * 8 + 4) / 5;
      std::fill(to - 8 + digits, to, '=');
    }
    return to;
  });
}

namespace {

// Whole groups of eight digits from the front on, to `to`; how many bytes of `text` they were.
std::size_t decode_groups(std::string_view text, char*& end) {
  static constexpr auto kDigits = [] {
    std::array<std::uint8_t, 256> all{};
    all.fill(0xFF);
    for (std::size_t i = 0; i < kBase32.size(); ++i)
      all[static_cast<unsigned char>(kBase32[i])] = static_cast<std::uint8_t>(i);
    return all;
  }();
  std::size_t at = 0;
  char* to = end;
  for (; text.size() - at >= 8; at += 8) {
    std::uint64_t bits = 0;
    unsigned wrong = 0;
    for (std::size_t k = 0; k < 8; ++k) {
      const unsigned digit = kDigits[static_cast<unsigned char>(text.data()[at + k])];
      wrong |= digit;
      bits = bits << 5 | digit;
    }
    if ((wrong & 0xE0) != 0) break;
    for (int k = 0; k < 5; ++k) *to++ = static_cast<char>(bits >> (32 - 8 * k));
  }
  end = to;
  return at;
}

}  // namespace

std::expected<std::string, std::size_t> base32_decoded(std::string_view coded) {
  spend(4 * coded.size());
  std::string without_breaks;
  std::string_view text = coded;
  if (coded.find_first_of("\r\n") != std::string_view::npos) {
    without_breaks = coded;
    std::erase_if(without_breaks, [](char c) { return c == '\r' || c == '\n'; });
    text = without_breaks;
  }
  std::size_t start = 0;
  std::string out = made_text(text.size() / 8 * 5, [&](char* to) {
    start = decode_groups(text, to);
    return to;
  });
  for (; start < text.size(); start += 8) {
    std::uint64_t bits = 0;
    std::size_t count = 0;
    for (; count < 8; ++count) {
      const std::size_t at = start + count;
      if (at >= text.size()) return std::unexpected(text.size() - count);
      const std::size_t left = text.size() - at - 1;  // behind this one
      if (text[at] == '=' && count >= 2 && left < 8) {
        if (left + count < 7) return std::unexpected(text.size());
        const auto other = text.find_first_not_of('=', at + 1);
        if (other < start + 8) return std::unexpected(other - 1);
        if (count == 3 || count == 6) return std::unexpected(at);
        break;
      }
      const char c = text[at];
      const int digit = c >= 'A' && c <= 'Z' ? c - 'A' : c >= '2' && c <= '7' ? c - '2' + 26 : -1;
      if (digit < 0) return std::unexpected(at);
      bits = bits << 5 | static_cast<std::uint64_t>(digit);
    }
    bits <<= 5 * (8 - count);
    for (std::size_t k = 0; k < count * 5 / 8; ++k)
      out += static_cast<char>(bits >> (32 - 8 * k) & 255);
  }
  return out;
}

}  // namespace keybearer::tmpl::sprig
