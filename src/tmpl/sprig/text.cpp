// sprig's strings.go, and what its function map takes from Go's strings and goutils.

#include <openssl/rand.h>

#include <algorithm>
#include <array>

#include "base/bytes.hpp"
#include "base/utf8.hpp"
#include "json/pool.hpp"
#include "tmpl/funcs/base64.hpp"
#include "tmpl/go/format.hpp"
#include "tmpl/go/go_strings.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/go/unicode.hpp"
#include "tmpl/sprig/convert.hpp"
#include "tmpl/sprig/sprig.hpp"
#include "tmpl/sprig/words.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl::sprig {
namespace {

// What is there of `values` (nil is left out), each made text and put behind a blank.
template <class Text>
std::string listed(Arguments values, Text text) {
  std::string out;
  bool first = true;
  for (const Value& value : values) {
    if (value.is_nil()) continue;
    if (std::exchange(first, false)) {
      out = text(value);
    } else {
      out += ' ';
      out += text(value);
    }
  }
  return out;
}
std::string plain(const Value& value) {
  std::string out;
  append_value(out, value);
  return out;
}
Value quote_(Evaluation&, Arguments a) {
  return listed(a, [](const Value& value) { return quote(strval(value)); });
}
Value squote(Evaluation&, Arguments a) {
  return listed(a, [](const Value& value) {
    if (!value.is_text()) return "'" + plain(value) + "'";
    const std::string_view text = value.as_text();
    return made_text(text.size() + 2,
                     [text](char* to) { return put(put(put(to, "'"), text), "'"); });
  });
}
Value cat(Evaluation&, Arguments a) {
  return listed(a, plain);
}
Value hello(Evaluation&, Arguments) {
  return "Hello!";
}
Value fail(Evaluation&, Arguments a) {
  throw CallError{std::string(a[0].as_text())};
}

// --- pieces of a text; they count bytes, as Go's indices do ---

Value trunc(Evaluation&, Arguments a) {
  const std::string_view text = a[1].as_text();
  const std::int64_t count = a[0].as_int();
  const auto size = static_cast<std::int64_t>(text.size());
  if (count < 0 && count > -size) return text.substr(static_cast<std::size_t>(size + count));
  if (count >= 0 && size > count) return text.substr(0, static_cast<std::size_t>(count));
  return a[1];
}
[[noreturn]] void out_of_range(const std::string& range) {
  throw CallError{"runtime error: slice bounds out of range [" + range};
}
Value substr(Evaluation&, Arguments a) {
  const std::string_view text = a[2].as_text();
  std::int64_t start = a[0].as_int(), end = a[1].as_int();
  const auto size = static_cast<std::int64_t>(text.size());
  if (start < 0) {
    if (end < 0) out_of_range(":" + std::to_string(end) + "]");
    if (end > size)
      out_of_range(":" + std::to_string(end) + "] with length " + std::to_string(size));
    start = 0;
  } else if (end < 0 || end > size) {
    end = size;
  }
  if (start > end) out_of_range(std::to_string(start) + ":" + std::to_string(end) + "]");
  return text.substr(static_cast<std::size_t>(start), static_cast<std::size_t>(end - start));
}
std::string repeated(std::string_view text, std::int64_t count) {
  if (count < 0) throw CallError{"strings: negative Repeat count"};
  if (text.empty()) return {};
  if (std::cmp_greater(count, kMostBytes / text.size()))
    throw CallError{"strings: Repeat output length overflow"};
  std::string out;
  out.reserve(text.size() * static_cast<std::size_t>(count));
  for (; count > 0; --count) out += text;
  return out;
}
Value repeat(Evaluation&, Arguments a) {
  return repeated(a[1].as_text(), a[0].as_int());
}
std::string indented(const Value& spaces, std::string_view text, std::string_view before) {
  const std::string pad = repeated(" ", spaces.as_int());
  const auto lines = count_byte(text, '\n') + 1;
  if (pad.size() > kMostBytes / lines) throw CallError{"strings: Repeat output length overflow"};
  return made_text(before.size() + lines * pad.size() + text.size(), [&](char* end) {
    end = put(put(end, before), pad);
    std::size_t begin = 0;
    each_byte(text, '\n', [&](std::size_t at) {
      spend(10 + (at - begin + pad.size()) / 4);
      end = put(put(end, text.substr(begin, at + 1 - begin)), pad);
      begin = at + 1;
    });
    return put(end, text.substr(begin));
  });
}
Value indent(Evaluation&, Arguments a) {
  return indented(a[0], a[1].as_text(), "");
}
Value nindent(Evaluation&, Arguments a) {
  return indented(a[0], a[1].as_text(), "\n");
}
Value replace(Evaluation&, Arguments a) {
  return replaced(a[2].as_text(), a[0].as_text(), a[1].as_text());
}
Value plural(Evaluation&, Arguments a) {
  return a[2].as_int() == 1 ? a[0] : a[1];
}

Value trim(Evaluation&, Arguments a) {
  return trimmed_space(a[0].as_text());
}
Value trim_all(Evaluation&, Arguments a) {
  return trimmed(a[1].as_text(), a[0].as_text());
}
Value trim_prefix(Evaluation&, Arguments a) {
  std::string_view text = a[1].as_text();
  if (text.starts_with(a[0].as_text())) text.remove_prefix(a[0].size());
  return text;
}
Value trim_suffix(Evaluation&, Arguments a) {
  std::string_view text = a[1].as_text();
  if (text.ends_with(a[0].as_text())) text.remove_suffix(a[0].size());
  return text;
}
Value contains(Evaluation&, Arguments a) {
  return index_of(a[1].as_text(), a[0].as_text()) != std::string_view::npos;
}
Value has_prefix(Evaluation&, Arguments a) {
  return a[1].as_text().starts_with(a[0].as_text());
}
Value has_suffix(Evaluation&, Arguments a) {
  return a[1].as_text().ends_with(a[0].as_text());
}

// --- parts ---

Value split_list(Evaluation&, Arguments a) {
  return Value::strings(split_text(a[1].as_text(), a[0].as_text()));
}
// A map[string]string with the keys _0, _1 ..., in the order of text: _10 before _2.
Value numbered(const List& parts) {
  std::vector<Value::Entry> entries;
  entries.reserve(parts.size());
  ValuePool pool(16 * parts.size());
  for (std::size_t i = 0; i < parts.size(); ++i)
    entries.push_back({pool.text(Type::string, "_" + std::to_string(i)), parts[i]});
  return ValuePool::map_of(Type::string_map, std::move(entries));
}
Value split(Evaluation&, Arguments a) {
  return numbered(split_text(a[1].as_text(), a[0].as_text()));
}
Value splitn(Evaluation&, Arguments a) {
  const std::int64_t most = std::clamp<std::int64_t>(a[1].as_int(), -1, INT32_MAX);
  return numbered(split_text(a[2].as_text(), a[0].as_text(), static_cast<int>(most)));
}

// --- case ---

Value upper(Evaluation&, Arguments a) {
  return mapped(a[0].as_text(), Case::upper);
}
Value lower(Evaluation&, Arguments a) {
  return mapped(a[0].as_text(), Case::lower);
}

// Of a word: a function of words.hpp.
template <std::string (*change)(std::string_view)>
Value changed(Evaluation&, Arguments a) {
  return change(a[0].as_text());
}
Value wrap(Evaluation&, Arguments a) {
  return wrapped(a[1].as_text(), a[0].as_int(), "\n", false);
}
Value wrap_with(Evaluation&, Arguments a) {
  const std::string_view separator = a[1].as_text();
  return wrapped(a[2].as_text(), a[0].as_int(), separator.empty() ? "\n" : separator, true);
}
Value abbrev(Evaluation&, Arguments a) {
  return a[0].as_int() < 4 ? a[1] : abbreviated(a[1].as_text(), 0, a[0].as_int());
}
Value abbrevboth(Evaluation&, Arguments a) {
  const std::int64_t left = a[0].as_int(), right = a[1].as_int();
  if (right < 4 || (left > 0 && right < 7)) return a[2];
  return abbreviated(a[2].as_text(), left, right);
}
// A password may be what is shuffled: the numbers are OpenSSL's, a thousand at once.
class Dice {
 public:
  // Below `count`, each as likely (Lemire, "Fast Random Integer Generation in an Interval").
  std::uint32_t below(std::uint32_t count) {
    for (;;) {
      const std::uint64_t product = std::uint64_t{next()} * count;
      const auto low = static_cast<std::uint32_t>(product);
      if (low >= count || low >= (0U - count) % count)
        return static_cast<std::uint32_t>(product >> 32);
    }
  }

 private:
  std::uint32_t next() {
    if (at_ == numbers_.size()) {
      if (RAND_bytes(reinterpret_cast<unsigned char*>(numbers_.data()), sizeof(numbers_)) != 1)
        throw CallError{"there is no randomness"};
      at_ = 0;
      spend(sizeof(numbers_));
    }
    return numbers_[at_++];
  }
  std::array<std::uint32_t, 1024> numbers_;
  std::size_t at_ = numbers_.size();
};
template <class Text>
void shuffle_with(Text& text, Dice& dice) {
  for (std::size_t left = text.size(); left > 1; --left)
    std::swap(text[left - 1], text[dice.below(static_cast<std::uint32_t>(left))]);
}
Value shuffle(Evaluation&, Arguments a) {
  const std::string_view text = a[0].as_text();
  Dice dice;
  if (ascii_run(text) == text.size()) {
    std::string out(text);
    shuffle_with(out, dice);
    return out;
  }
  std::u32string runes;
  runes.reserve(text.size());
  for (std::string_view rest = text; !rest.empty();) {
    const Rune rune = decode_rune(rest);
    runes += rune.code;
    rest.remove_prefix(rune.width);
  }
  shuffle_with(runes, dice);
  std::string out;
  out.reserve(text.size());
  for (const char32_t rune : runes) append_rune(out, rune);
  return out;
}

// --- encodings; what is wrong is the text of the error ---

Value b64enc(Evaluation&, Arguments a) {
  return base64(a[0].as_text());
}
Value b64dec(Evaluation&, Arguments a) {
  const auto bytes = base64_decoded(a[0].as_text());
  if (bytes) return *bytes;
  return "illegal base64 data at input byte " + std::to_string(bytes.error());
}
Value b32enc(Evaluation&, Arguments a) {
  return base32(a[0].as_text());
}
Value b32dec(Evaluation&, Arguments a) {
  const auto bytes = base32_decoded(a[0].as_text());
  if (bytes) return *bytes;
  return "illegal base32 data at input byte " + std::to_string(bytes.error());
}

constexpr Function kFunctions[] = {
    {"sprig_abbrev", abbrev, "is"},
    {"sprig_abbrevboth", abbrevboth, "iis"},
    {"sprig_b32dec", b32dec, "s"},
    {"sprig_b32enc", b32enc, "s"},
    {"sprig_b64dec", b64dec, "s"},
    {"sprig_b64enc", b64enc, "s"},
    {"sprig_camelcase", changed<pascal_case>, "s"},
    {"sprig_cat", cat, "a", true},
    {"sprig_contains", contains, "ss"},
    {"sprig_fail", fail, "s"},
    {"sprig_hasPrefix", has_prefix, "ss"},
    {"sprig_hasSuffix", has_suffix, "ss"},
    {"sprig_hello", hello, ""},
    {"sprig_indent", indent, "is"},
    {"sprig_initials", changed<initials>, "s"},
    {"sprig_kebabcase", changed<kebab_case>, "s"},
    {"sprig_lower", lower, "s"},
    {"sprig_nindent", nindent, "is"},
    {"sprig_nospace", changed<without_space>, "s"},
    {"sprig_plural", plural, "ssi"},
    {"sprig_quote", quote_, "a", true},
    {"sprig_repeat", repeat, "is"},
    {"sprig_replace", replace, "sss"},
    {"sprig_shuffle", shuffle, "s"},
    {"sprig_snakecase", changed<snake_case>, "s"},
    {"sprig_split", split, "ss"},
    {"sprig_splitList", split_list, "ss"},
    {"sprig_splitn", splitn, "sis"},
    {"sprig_squote", squote, "a", true},
    {"sprig_substr", substr, "iis"},
    {"sprig_swapcase", changed<swap_case>, "s"},
    {"sprig_title", changed<title>, "s"},
    {"sprig_trim", trim, "s"},
    {"sprig_trimAll", trim_all, "ss"},
    {"sprig_trimPrefix", trim_prefix, "ss"},
    {"sprig_trimSuffix", trim_suffix, "ss"},
    {"sprig_trimall", trim_all, "ss"},
    {"sprig_trunc", trunc, "is"},
    {"sprig_untitle", changed<untitle>, "s"},
    {"sprig_upper", upper, "s"},
    {"sprig_wrap", wrap, "is"},
    {"sprig_wrapWith", wrap_with, "iss"},
};

}  // namespace

std::span<const Function> text_functions() {
  return kFunctions;
}

}  // namespace keybearer::tmpl::sprig
