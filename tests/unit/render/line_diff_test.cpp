#include "render/line_diff.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>

using namespace keybearer::render;

namespace {

// "-b +x  c": what a reader would do to the first text.
std::string edits(std::string_view before, std::string_view after) {
  const auto a = lines_of(before), b = lines_of(after);
  std::string out;
  for (const Edit& edit : line_diff(a, b)) {
    const bool old = edit.kind == Edit::Kind::remove;
    out += old ? '-' : edit.kind == Edit::Kind::add ? '+' : ' ';
    out += (old ? a[edit.before] : b[edit.after]).substr(0, 1);
  }
  return out;
}

}  // namespace

TEST_CASE("lines keep their newline, the last may have none") {
  CHECK(lines_of("").empty());
  CHECK(lines_of("a\n\nb") == std::vector<std::string_view>{"a\n", "\n", "b"});
}

TEST_CASE("the shortest way, removals first") {
  CHECK(edits("a\nb\nc\n", "a\nb\nc\n") == " a b c");
  CHECK(edits("a\nb\nc\n", "a\nx\nc\n") == " a-b+x c");
  CHECK(edits("", "a\nb\n") == "+a+b");
  CHECK(edits("a\nb\n", "") == "-a-b");
  CHECK(edits("a\nb\nc\nd\n", "b\nd\n") == "-a b-c d");
  CHECK(edits("a\nb\nc\na\nb\nb\na\n", "c\nb\na\nb\na\nc\n").size() ==
        2 * 9);  // Myers' own example
}

TEST_CASE("applied to the first text, the edits give the second; random texts") {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    const auto text = [&random] {
      std::string out;
      for (unsigned n = random() % 12; n > 0; --n)
        out += std::string(1, static_cast<char>('a' + random() % 3)) + "\n";
      return out;
    };
    const std::string before = text(), after = text();
    const auto a = lines_of(before), b = lines_of(after);
    std::string old, now;
    for (const Edit& edit : line_diff(a, b)) {
      if (edit.kind != Edit::Kind::add) old += a[edit.before];
      if (edit.kind != Edit::Kind::remove) now += b[edit.after];
      if (edit.kind == Edit::Kind::keep) REQUIRE(a[edit.before] == b[edit.after]);
    }
    REQUIRE(old == before);
    REQUIRE(now == after);
  }
}

TEST_CASE("texts that differ in very much are replaced whole") {
  std::string before, after;
  for (int i = 0; i < 3000; ++i) {
    before += "a" + std::to_string(i) + "\n";
    after += "b" + std::to_string(i) + "\n";
  }
  CHECK(line_diff(lines_of(before), lines_of(after)).size() == 6000);
}
