// yaml.v2's order of a map's keys (sorter.go): numbers first, then text with the numbers in it by
// value.

#include "tmpl/formats/yaml_order.hpp"

#include <algorithm>
#include <string>

#include "base/utf8.hpp"
#include "tmpl/go/unicode.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl::yaml {
namespace {

// Go's reflect.Kind: bool 1, int 2, int64 6, uint64 11, float64 14, interface 20, string 24.
int kind(const Value& key) {
  switch (key.type()) {
    case Type::boolean:
      return 1;
    case Type::integer:
      return 2;
    case Type::int64:
      return 6;
    case Type::byte:
      return 8;
    case Type::uint64:
      return 11;
    case Type::float64:
      return 14;
    case Type::nil:
      return 20;
    default:
      return 24;
  }
}

bool is_numeric(const Value& key) {
  return kind(key) < 20;
}
double as_number(const Value& key) {
  if (key.type() == Type::float64) return key.as_double();
  if (key.type() == Type::uint64) return static_cast<double>(key.as_uint());
  return static_cast<double>(key.as_int());
}

std::u32string runes(std::string_view text) {
  std::u32string out;
  while (!text.empty()) {
    const Rune rune = decode_rune(text);
    out += rune.code;
    text.remove_prefix(rune.width);
  }
  return out;
}

// The number that begins at `i`; `i` is moved behind it. Overflow wraps, as in Go.
std::int64_t number_at(const std::u32string& s, std::size_t& i, std::int64_t from) {
  auto number = static_cast<std::uint64_t>(from);
  for (; i < s.size() && is_digit(s[i]); ++i)
    number = number * 10 + (static_cast<std::uint64_t>(s[i]) - U'0');
  return static_cast<std::int64_t>(number);
}

// Whether the digits just before `i` make a number that is not 0.
bool after_digits(const std::u32string& s, std::size_t i) {
  while (i > 0 && is_digit(s[i - 1])) {
    if (s[--i] != U'0') return true;
  }
  return false;
}

bool text_less(const std::u32string& a, const std::u32string& b) {
  const std::size_t common = std::min(a.size(), b.size());
  for (std::size_t i = 0; i < common; ++i) {
    if (a[i] == b[i]) continue;
    const bool a_letter = is_letter(a[i]), b_letter = is_letter(b[i]);
    if (a_letter && b_letter) return a[i] < b[i];
    if (a_letter || b_letter) return b_letter;
    const bool inside = (a[i] == U'0' || b[i] == U'0') && after_digits(a, i);
    std::size_t a_end = i, b_end = i;
    const std::int64_t a_number = number_at(a, a_end, inside ? 1 : 0);
    const std::int64_t b_number = number_at(b, b_end, inside ? 1 : 0);
    if (a_number != b_number) return a_number < b_number;
    if (a_end != b_end) return a_end < b_end;
    return a[i] < b[i];
  }
  return a.size() < b.size();
}

struct Key {
  const Value::Entry* entry;
  std::u32string text;
};

bool less(const Key& a, const Key& b) {
  const Value& x = a.entry->key;
  const Value& y = b.entry->key;
  if (is_numeric(x) && is_numeric(y)) {
    if (as_number(x) != as_number(y)) return as_number(x) < as_number(y);
    if (kind(x) != kind(y)) return kind(x) < kind(y);
    return x.type() == Type::uint64 ? x.as_uint() < y.as_uint() : x.as_int() < y.as_int();
  }
  if (!x.is_text() || !y.is_text()) return kind(x) < kind(y);
  return text_less(a.text, b.text);
}

// Merge sort from the smallest runs up: the order is not transitive, and a library's sort must not
// see such a one.
void merge_sort(std::vector<const Key*>& keys) {
  std::vector<const Key*> merged(keys.size());
  for (std::size_t run = 1; run < keys.size(); run *= 2) {
    for (std::size_t begin = 0; begin < keys.size(); begin += 2 * run) {
      const std::size_t middle = std::min(begin + run, keys.size());
      const std::size_t end = std::min(middle + run, keys.size());
      std::size_t a = begin, b = middle;
      for (std::size_t to = begin; to < end; ++to) {
        const bool second = a == middle || (b < end && less(*keys[b], *keys[a]));
        merged[to] = second ? keys[b++] : keys[a++];
        spend(30);
      }
    }
    keys.swap(merged);
  }
}

}  // namespace

std::vector<const Value::Entry*> ordered(const Value& map) {
  std::vector<Key> all;
  all.reserve(map.size());
  for (const Value::Entry& entry : map.entries()) {
    spend(20 + entry.key.size());
    all.push_back({&entry, entry.key.is_text() ? runes(entry.key.as_text()) : std::u32string()});
  }
  std::vector<const Key*> keys;
  keys.reserve(all.size());
  for (const Key& key : all) keys.push_back(&key);
  merge_sort(keys);
  std::vector<const Value::Entry*> out;
  out.reserve(keys.size());
  for (const Key* key : keys) out.push_back(key->entry);
  return out;
}

}  // namespace keybearer::tmpl::yaml
