#pragma once
// Long texts byte by byte: what is looked for is found many bytes at a time, and what is made is
// written once, to where it stays.

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace keybearer {

// How many bytes in front are not `special`, a function without branches: many bytes are asked about
// at once.
template <class Special>
[[nodiscard]] std::size_t run_without(std::string_view text, Special special) {
  constexpr std::size_t kBlock = 32;
  const auto* const begin = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t at = 0;
  for (; at + kBlock <= text.size(); at += kBlock) {
    unsigned char any = 0;
    for (std::size_t i = 0; i < kBlock; ++i) any |= special(begin[at + i]) ? 1 : 0;
    if (any != 0) break;
  }
  while (at < text.size() && !special(begin[at])) ++at;
  return at;
}

// Calls `found` with the place of each byte that is `c`, from the first on.
template <class Found>
void each_byte(std::string_view text, char c, Found found) {
  constexpr std::uint64_t kLow = 0x7F7F'7F7F'7F7F'7F7F;
  const std::uint64_t pattern =
      std::uint64_t{0x0101'0101'0101'0101} * static_cast<unsigned char>(c);
  std::size_t at = 0;
  for (std::uint64_t eight = 0; at + sizeof(eight) <= text.size(); at += sizeof(eight)) {
    std::memcpy(&eight, text.data() + at, sizeof(eight));
    const std::uint64_t other = eight ^ pattern;  // 0 where it is
    std::uint64_t is = ~(((other & kLow) + kLow) | other | kLow);
    for (; is != 0; is &= is - 1) found(at + static_cast<std::size_t>(std::countr_zero(is)) / 8);
  }
  for (; at < text.size(); ++at) {
    if (text[at] == c) found(at);
  }
}

// How many bytes are `c`.
[[nodiscard]] inline std::size_t count_byte(std::string_view text, char c) {
  constexpr std::size_t kBlock = 128;  // as many fit into a byte
  std::size_t count = 0, at = 0;
  for (; at + kBlock <= text.size(); at += kBlock) {
    unsigned char here = 0;
    for (std::size_t i = 0; i < kBlock; ++i) here += text.data()[at + i] == c ? 1 : 0;
    count += here;
  }
  for (; at < text.size(); ++at) count += text[at] == c ? 1 : 0;
  return count;
}

// Copies it and gives the end. Most texts are short: those without a call.
inline char* put(char* to, std::string_view text) {
  const std::size_t size = text.size();
  const char* const from = text.data();
  if (size > 16) {
    std::memcpy(to, from, size);
  } else if (size >= 8) {
    std::memcpy(to, from, 8);
    std::memcpy(to + size - 8, from + size - 8, 8);
  } else if (size >= 4) {
    std::memcpy(to, from, 4);
    std::memcpy(to + size - 4, from + size - 4, 4);
  } else if (size > 0) {
    to[0] = from[0];
    to[size / 2] = from[size / 2];
    to[size - 1] = from[size - 1];
  }
  return to + size;
}

// A text of at most `most` bytes: `fill` is given where it begins, and gives its end.
template <class Fill>
[[nodiscard]] std::string made_text(std::size_t most, Fill fill) {
  std::string out;  // `fill` may throw, which what is called here may not
  out.resize_and_overwrite(most, [](char*, std::size_t size) { return size; });
  out.resize(static_cast<std::size_t>(fill(out.data()) - out.data()));
  return out;
}

// A text that grows at its end, and is written to without a look at its size for each byte.
class Output {
 public:
  explicit Output(std::size_t expected = 0) {
    if (expected > 0) grow(expected);
  }
  // Room for `bytes` at the end; wrote() says up to where it was used.
  [[nodiscard]] char* room(std::size_t bytes) {
    if (text_.size() - used_ < bytes) grow(bytes);
    return text_.data() + used_;
  }
  void wrote(const char* end) { used_ = static_cast<std::size_t>(end - text_.data()); }
  Output& operator+=(std::string_view text) {
    wrote(put(room(text.size()), text));
    return *this;
  }
  Output& operator+=(char c) {
    *room(1) = c;
    ++used_;
    return *this;
  }
  void append(std::size_t count, char c) {
    std::fill_n(room(count), count, c);
    used_ += count;
  }
  [[nodiscard]] std::size_t size() const { return used_; }
  [[nodiscard]] std::string take() {
    text_.resize(std::exchange(used_, 0));
    return std::move(text_);
  }

 private:
  void grow(std::size_t bytes) {
    const std::size_t least = used_ + bytes;
    text_.resize_and_overwrite(std::max(least, used_ + used_ / 2),
                               [](char*, std::size_t size) { return size; });
  }

  std::string text_;  // its end is not written yet
  std::size_t used_ = 0;
};

// What each byte becomes; size 0: that is not for the table to say.
struct Escape {
  unsigned char size = 0;
  char text[7] = {};
};
using Escapes = std::array<Escape, 256>;
[[nodiscard]] constexpr Escape escape_of(std::string_view text) {
  Escape out{static_cast<unsigned char>(text.size())};
  std::ranges::copy(text, out.text);
  return out;
}
// Each byte itself but for those that `change` gives another text for; "" : size 0.
template <class Change>
[[nodiscard]] constexpr Escapes escapes(Change change) {
  Escapes out{};
  for (std::size_t c = 0; c < out.size(); ++c) {
    const char itself = static_cast<char>(c);
    out[c] = change(static_cast<unsigned char>(c)).value_or(escape_of({&itself, 1}));
  }
  return out;
}

// Writes `text` with what `table` says of each byte. `special` is true for each byte that does not
// become itself, and is asked for many at once. What is not for the table goes to `other`: it is
// given the rest of the text and where to write, of which it may use 16 bytes and moves the end; it
// gives how many bytes it took. `went_on` is told of each few kilobytes.
template <class Special, class Other, class WentOn>
void append_escaped(Output& out, std::string_view text, const Escapes& table, Special special,
                    Other other, WentOn went_on) {
  constexpr std::size_t kBlock = 32, kReport = 4096, kMostEach = 16;
  std::size_t at = 0, told = 0;
  while (at < text.size()) {
    if (at - told >= kReport) {
      went_on(at - told);
      told = at;
    }
    const std::size_t end = std::min(text.size(), at + kBlock);
    char* to = out.room(kBlock * kMostEach);
    if (end - at == kBlock) {
      unsigned char any = 0;
      for (std::size_t i = 0; i < kBlock; ++i)
        any |= special(static_cast<unsigned char>(text.data()[at + i])) ? 1 : 0;
      if (any == 0) {
        std::memcpy(to, text.data() + at, kBlock);
        out.wrote(to + kBlock);
        at = end;
        continue;
      }
    }
    while (at < end) {
      const Escape& escape = table[static_cast<unsigned char>(text.data()[at])];
      if (escape.size == 0) {
        char* written = to;  // the address of `to` would have it read again after each byte
        at += other(text.substr(at), written);
        to = written;
        continue;
      }
      std::memcpy(to, escape.text, sizeof(escape.text));
      to += escape.size;
      ++at;
    }
    out.wrote(to);
  }
}

}  // namespace keybearer
