#include "base/bytes.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <vector>

#include "base/utf8.hpp"

namespace keybearer {
namespace {

TEST_CASE("bytes are found and counted wherever they stand") {
  for (const std::size_t size : {0, 1, 7, 8, 9, 31, 32, 33, 127, 128, 129, 300}) {
    for (std::size_t at = 0; at <= size; ++at) {
      std::string text(size, '\x7F');
      if (at < size) text[at] = '\xFF';
      std::vector<std::size_t> found;
      each_byte(text, '\xFF', [&](std::size_t place) { found.push_back(place); });
      CHECK(found == (at < size ? std::vector{at} : std::vector<std::size_t>{}));
      CHECK(count_byte(text, '\xFF') == found.size());
      CHECK(run_without(text, [](unsigned char c) { return c == 0xFF; }) == at);
      CHECK(ascii_run(text) == at);
    }
    std::vector<std::size_t> all;
    each_byte(std::string(size, 'x'), 'x', [&](std::size_t place) { all.push_back(place); });
    CHECK(all.size() == size);
  }
}

TEST_CASE("what is put is the text, of any length") {
  const std::string letters = "abcdefghijklmnopqrstuvwxyz0123456789";
  for (std::size_t size = 0; size <= letters.size(); ++size) {
    std::string to(size + 1, '!');
    CHECK(put(to.data(), std::string_view(letters).substr(0, size)) == to.data() + size);
    CHECK(to == letters.substr(0, size) + '!');
  }
}

TEST_CASE("an output grows") {
  Output out;
  std::string expected;
  for (int i = 0; i < 2000; ++i) {
    out += "word ";
    out += 'x';
    out.append(static_cast<std::size_t>(i % 3), '.');
    expected += "word x" + std::string(static_cast<std::size_t>(i % 3), '.');
  }
  CHECK(out.size() == expected.size());
  CHECK(out.take() == expected);
}

TEST_CASE("escapes, wherever what is special stands") {
  static constexpr Escapes kTable = escapes([](unsigned char c) -> std::optional<Escape> {
    if (c == '<') return escape_of("&lt;");
    return c >= 0x80 ? std::optional(Escape{}) : std::nullopt;
  });
  for (std::size_t size = 0; size < 100; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      std::string text(size, 'a');
      text[at] = '<';
      if (at + 3 < size) text.replace(at + 1, 2, "\xC3\xBC");
      Output out;
      append_escaped(
          out, text, kTable, [](unsigned char c) { return (c == '<') | (c >= 0x80); },
          [](std::string_view rest, char*& to) {
            to = put(to, "[ue]");
            return decode_rune(rest).width;
          },
          [](std::size_t) {});
      std::string expected = text.substr(0, at) + "&lt;" + text.substr(at + 1);
      if (at + 3 < size) expected.replace(at + 4, 2, "[ue]");
      CHECK(out.take() == expected);
    }
  }
}

}  // namespace
}  // namespace keybearer
