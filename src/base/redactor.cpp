#include "base/redactor.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "base/escapes.hpp"
#include "base/text.hpp"

namespace keybearer {
namespace {

constexpr std::size_t kPart = 32;             // so much of a long value is found by itself
constexpr std::size_t kOverlap = 256;         // values that overlap are looked for so far back
constexpr std::size_t kMostOfAValue = 16384;  // looked at where a text was cut off
constexpr std::size_t kMostCredentials = 1000;
constexpr std::size_t kMostRetired = 100;
// A hostile answer of a million values must not cost a hundred times its size.
constexpr std::size_t kMostPatterns = 20'000;  // of one source

struct Pattern {
  std::size_t users = 0;       // sources that have it
  std::size_t credential = 0;  // of them
};
using Patterns = std::map<std::string, Pattern, std::less<>>;

struct Span {
  std::size_t begin, end;
};

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
// Six bits of either alphabet; -1: none.
int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (is_digit(c)) return c - '0' + 52;
  return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

std::size_t common_prefix(std::string_view a, std::string_view b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

// What the digits of base64 stand for, the bits at the end that make no byte left out.
void decode_base64(std::string_view digits, std::string& out) {
  out.clear();
  unsigned bits = 0;
  int count = 0;
  for (const char c : digits) {
    bits = bits << 6 | static_cast<unsigned>(base64_digit(c));
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 0xff);
  }
}

}  // namespace

struct Redactor::Impl {
  using Source = std::vector<Patterns::iterator>;
  enum class Kind { value, credential };

  mutable std::mutex mutex;
  Patterns patterns;
  std::map<std::string, std::pair<Source, Source>, std::less<>> sources;  // now, and before
  std::deque<Source> credentials, retired;
  std::vector<std::uint64_t> heads;  // a bit for each hash of a pattern's first bytes
  std::size_t heads_set = 0;
  std::function<bool(std::string_view)> is_own;
  mutable std::atomic<std::uint64_t> redactions = 0;

  void know(std::string_view value, Kind kind, Source& source);
  void add(std::string_view text, Kind kind, Source& source);
  void forget(Source& source, Kind kind);

  static std::uint64_t hash_of_head(const char* text) {
    std::uint64_t head = 0;
    memcpy(&head, text, kShortest);
    return head * 0x9e3779b97f4a7c15ULL;
  }
  void mark_head(std::string_view pattern);
  [[nodiscard]] bool may_begin(const char* text) const {
    const auto bit = hash_of_head(text) >> 32 & (heads.size() * 64 - 1);
    return (heads[bit / 64] >> (bit % 64) & 1) != 0;
  }

  struct Match {
    std::size_t size = 0;  // 0: none
    bool credential = false;
  };
  [[nodiscard]] Match match(std::string_view text, std::size_t at) const;
  // What must not be masked, though it is a value: a part of the text.
  using Stays = std::function<bool(std::string_view text, Span part)>;
  void find_plain(std::string_view text, const Stays& stays, std::vector<Span>& out) const;
  void find(std::string_view text, const Stays& stays, std::vector<Span>& out) const;
  void find_all(std::string_view text, const Stays& stays, std::vector<Span>& out) const;
  [[nodiscard]] std::string without(std::string_view text, const Stays& stays) const;
};

// --- what is known ---

void Redactor::Impl::add(std::string_view text, Kind kind, Source& source) {
  if (text.size() < kShortest || source.size() >= kMostPatterns) return;
  auto found = patterns.lower_bound(text);
  if (found == patterns.end() || found->first != text) {
    found = patterns.try_emplace(found, std::string(text));
    mark_head(found->first);
  }
  ++found->second.users;
  found->second.credential += kind == Kind::credential ? 1 : 0;
  source.push_back(found);
}

void Redactor::Impl::know(std::string_view value, Kind kind, Source& source) {
  add(value, kind, source);
  if (value.find('\n') == value.npos) return;
  for (const std::string_view line : split_lines(value)) add(trimmed(line), kind, source);
}

void Redactor::Impl::forget(Source& source, Kind kind) {
  for (const auto& pattern : source) {
    pattern->second.credential -= kind == Kind::credential ? 1 : 0;
    if (--pattern->second.users == 0) patterns.erase(pattern);
  }
  source.clear();
}

// Bits of patterns that are gone stay until the table grows: they only cost a search.
void Redactor::Impl::mark_head(std::string_view pattern) {
  const auto mark = [this](std::string_view text) {
    const auto bit = hash_of_head(&text.front()) >> 32 & (heads.size() * 64 - 1);
    heads[bit / 64] |= std::uint64_t{1} << (bit % 64);
  };
  // 64 bits for each: few look at the map for nothing. By how many there are, not by how many came.
  if (++heads_set > heads.size()) {
    heads.assign(std::bit_ceil(std::max<std::size_t>(1024, 2 * patterns.size())), 0);
    heads_set = patterns.size();
    for (const auto& [text, info] : patterns) mark(text);
  }
  mark(pattern);
}

// --- where it stands ---

// The longest pattern that begins here, or a part of one.
Redactor::Impl::Match Redactor::Impl::match(std::string_view text, std::size_t at) const {
  const std::string_view rest = text.substr(at);
  Match best;
  const auto take = [&](const Patterns::value_type& pattern, std::size_t size) {
    const bool whole = size == pattern.first.size();
    // A number within a longer one is not that number.
    if (whole && std::ranges::all_of(pattern.first, is_digit) &&
        ((at > 0 && is_digit(text[at - 1])) || (rest.size() > size && is_digit(rest[size]))))
      return;
    if (size <= best.size) return;
    const Pattern& info = pattern.second;
    best = {size, info.credential > 0};
  };
  std::string_view key = rest;
  for (bool first = true;; first = false) {
    const auto next = patterns.upper_bound(key);
    if (first && next != patterns.end()) {
      const std::size_t same = common_prefix(next->first, rest);
      if (same >= kPart) take(*next, same);
    }
    if (next == patterns.begin()) return best;
    const auto& candidate = *std::prev(next);
    const std::size_t same = common_prefix(candidate.first, rest);
    if (same == candidate.first.size() || same >= kPart) take(candidate, same);
    if (best.size >= std::max(same, kShortest) || same < kShortest) return best;
    // Shorter ones that begin the same stand before it.
    key = rest.substr(0, same == key.size() ? same - 1 : same);
  }
}

void Redactor::Impl::find_plain(std::string_view text, const Stays& stays,
                                std::vector<Span>& out) const {
  std::size_t covered = 0;  // up to here it is masked by the last of `out`
  for (std::size_t at = 0; at + kShortest <= text.size(); ++at) {
    if (covered > at + kOverlap) at = covered - kOverlap;
    if (!may_begin(text.data() + at)) continue;
    const Match found = match(text, at);
    const std::size_t end = at + found.size;
    if (found.size == 0 || end <= covered) continue;
    if (!found.credential && stays && stays(text, {at, end})) continue;
    out.push_back({at, end});
    covered = end;
  }
}

// As it stands, and in base64: each run of its digits is read from each of the four places where a
// group may begin. The digits at both ends of a value go with it: they hold bits of it, too.
void Redactor::Impl::find(std::string_view text, const Stays& stays, std::vector<Span>& out) const {
  find_plain(text, stays, out);
  constexpr std::size_t kFewest = (kShortest * 8 + 5) / 6;
  std::string plain;
  std::vector<Span> spans;
  for (std::size_t begin = 0, end = 0; begin < text.size(); begin = end + 1) {
    for (end = begin; end < text.size() && base64_digit(text[end]) >= 0;) ++end;
    for (std::size_t from = begin; from < begin + 4 && from + kFewest <= end; ++from) {
      decode_base64(text.substr(from, end - from), plain);
      spans.clear();
      find_plain(plain, stays, spans);
      for (const Span& span : spans) {
        std::size_t after = from + (span.end * 8 + 5) / 6;
        while (after < text.size() && text[after] == '=') ++after;
        out.push_back({from + span.begin * 8 / 6, after});
      }
    }
  }
}

void Redactor::Impl::find_all(std::string_view text, const Stays& stays,
                              std::vector<Span>& out) const {
  find(text, stays, out);
  const auto find_in = [&](const Decoded& plain, auto&& source_of) {
    std::vector<Span> spans;
    find(plain.text, stays, spans);
    for (const Span& span : spans) out.push_back({source_of(span.begin), source_of(span.end)});
  };
  for (const auto& [mark, coding] :
       {std::pair{"%", Coding::percent}, std::pair{"+", Coding::query}}) {
    if (text.find(mark) == text.npos) continue;
    const Decoded plain = decoded(text, coding);
    if (!plain.jumps.empty()) find_in(plain, [&](std::size_t at) { return plain.source_of(at); });
  }
  if (text.find('\n') != text.npos) {
    const Decoded plain = decoded(text, Coding::wrapped);
    if (!plain.jumps.empty()) find_in(plain, [&](std::size_t at) { return plain.source_of(at); });
  }
  if (text.find("'\\''") != text.npos || text.find("'\"'\"'") != text.npos) {
    const Decoded plain = decoded(text, Coding::shell);
    find_in(plain, [&](std::size_t at) { return plain.source_of(at); });
  }
  if (text.find('\\') == text.npos) return;
  const Decoded plain = decoded(text, Coding::backslash);
  find_in(plain, [&](std::size_t at) { return plain.source_of(at); });
  if (plain.text.find_first_of("\\%") == plain.text.npos) return;
  for (const Coding coding :
       {Coding::backslash, Coding::percent}) {  // a quoted text that is quoted
    const Decoded inner = decoded(plain.text, coding);
    find_in(inner, [&](std::size_t at) { return plain.source_of(inner.source_of(at)); });
  }
}

std::string Redactor::Impl::without(std::string_view text, const Stays& stays) const {
  if (patterns.empty() || text.size() < kShortest) return std::string(text);
  std::vector<Span> spans;
  find_all(text, stays, spans);
  if (spans.empty()) return std::string(text);
  // What was masked before is not masked again, though "masked" were a value.
  const auto is_mark = [&](const Span& span) {
    const auto from = span.begin < kMasked.size() ? 0 : span.begin - kMasked.size();
    const auto mark = text.substr(0, span.end + kMasked.size()).find(kMasked, from);
    return mark != text.npos && mark <= span.begin && span.end <= mark + kMasked.size();
  };
  std::erase_if(spans, is_mark);
  std::ranges::sort(spans, {}, &Span::begin);
  std::string out;
  std::size_t at = 0;
  for (std::size_t i = 0; i < spans.size();) {
    const std::size_t begin = std::max(spans[i].begin, at);
    std::size_t end = spans[i].end;
    for (++i; i < spans.size() && spans[i].begin < end; ++i) end = std::max(end, spans[i].end);
    if (end <= at) continue;
    out += text.substr(at, begin - at);
    out += kMasked;
    redactions.fetch_add(1, std::memory_order_relaxed);
    at = end;
  }
  out += text.substr(at);
  return out;
}

// --- the class ---

Redactor::Redactor() : impl_(std::make_unique<Impl>()) {}
Redactor::~Redactor() = default;

void Redactor::set(std::string_view source, std::span<const std::string_view> values) {
  const std::scoped_lock lock(impl_->mutex);
  Impl::Source known;
  for (const std::string_view value : values) impl_->know(value, Impl::Kind::value, known);
  auto& [now, before] = impl_->sources.try_emplace(std::string(source)).first->second;
  impl_->forget(before, Impl::Kind::value);
  before = std::move(now);
  now = std::move(known);
  if (!values.empty()) return;
  impl_->forget(before, Impl::Kind::value);
  impl_->sources.erase(impl_->sources.find(source));
}

void Redactor::retire(std::string_view source) {
  const std::scoped_lock lock(impl_->mutex);
  const auto known = impl_->sources.find(source);
  if (known == impl_->sources.end()) return;
  impl_->retired.push_back(std::move(known->second.first));
  impl_->forget(known->second.second, Impl::Kind::value);
  impl_->sources.erase(known);
  if (impl_->retired.size() <= kMostRetired) return;
  impl_->forget(impl_->retired.front(), Impl::Kind::value);
  impl_->retired.pop_front();
}

void Redactor::add_credential(std::string_view value) {
  const std::scoped_lock lock(impl_->mutex);
  const auto known = impl_->patterns.find(value);
  if (known != impl_->patterns.end() && known->second.credential > 0) return;
  Impl::Source source;
  impl_->know(value, Impl::Kind::credential, source);
  impl_->credentials.push_back(std::move(source));
  if (impl_->credentials.size() <= kMostCredentials) return;
  impl_->forget(impl_->credentials.front(), Impl::Kind::credential);
  impl_->credentials.pop_front();
}

void Redactor::set_own_words(std::function<bool(std::string_view)> is_own) {
  const std::scoped_lock lock(impl_->mutex);
  impl_->is_own = std::move(is_own);
}

std::string Redactor::redact(std::string_view foreign,
                             std::span<const std::string_view> shown) const {
  const std::scoped_lock lock(impl_->mutex);
  if (shown.empty()) return impl_->without(foreign, nullptr);
  return impl_->without(foreign, [&](std::string_view text, Span part) {
    return std::ranges::any_of(shown, [&](std::string_view word) {
      const std::size_t from = part.end - std::min(part.end, word.size());
      return text.substr(0, part.begin + word.size()).find(word, from) <= part.begin;
    });
  });
}

std::string Redactor::redact_cut(std::string_view foreign) const {
  {
    const std::scoped_lock lock(impl_->mutex);
    const std::size_t word = foreign.find_last_of(" \t\r\n");
    foreign = foreign.substr(0, word == foreign.npos ? 0 : word + 1);
    // What is left may end with the first words of a value.
    for (std::size_t at = foreign.size() - std::min<std::size_t>(foreign.size(), kMostOfAValue);
         at < foreign.size(); ++at) {
      const auto next = impl_->patterns.lower_bound(foreign.substr(at));
      if (next != impl_->patterns.end() && next->first.starts_with(foreign.substr(at)))
        foreign = foreign.substr(0, at);
    }
  }
  return redact(foreign);
}

std::string Redactor::redact_ours(std::string_view text) const {
  const std::scoped_lock lock(impl_->mutex);
  if (!impl_->is_own) return impl_->without(text, nullptr);
  return impl_->without(text, [this](std::string_view whole, Span part) {
    return impl_->is_own(whole.substr(part.begin, part.end - part.begin));
  });
}

bool Redactor::is_own_word(std::string_view word) const {
  const std::scoped_lock lock(impl_->mutex);
  const auto known = impl_->patterns.find(word);
  if (known != impl_->patterns.end() && known->second.credential > 0) return false;
  return impl_->is_own && impl_->is_own(word);
}

std::uint64_t Redactor::redactions() const {
  return impl_->redactions.load(std::memory_order_relaxed);
}

Redactor& redactor() {
  static Redactor instance;
  return instance;
}

}  // namespace keybearer
