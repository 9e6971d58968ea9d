// The characters that yaml_scan.cpp reads.
#include "tmpl/formats/yaml_scan.hpp"

#include <algorithm>

#include "base/utf8.hpp"
#include "tmpl/funcs/funcs.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl::yaml {
namespace {

constexpr std::size_t kBlock = 512;  // yaml.v2 looks at so many bytes at once
constexpr std::size_t kBehind = 16;  // zeros behind the text: nothing looks further ahead

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

}  // namespace keybearer::tmpl::yaml
