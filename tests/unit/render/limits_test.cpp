// Where each rule of the formats, of differences and of growth begins and ends.

#include <doctest/doctest.h>

#include <random>

#include "render/dependency_growth.hpp"
#include "render/format.hpp"
#include "render/line_diff.hpp"
#include "render/preview.hpp"
#include "written.hpp"

using namespace keybearer;
using namespace keybearer::render;
using config::Format;

namespace {

using test::written;

bool fits(Format format, std::vector<std::string> path, const std::string& value = "x") {
  return written(format, {{std::move(path), value}}).has_value();
}
std::string text(Format format, std::vector<std::string> path, const std::string& value) {
  const auto out = written(format, {{std::move(path), value}});
  REQUIRE(out);
  return std::string(out->reveal());
}

std::string lines(std::size_t count, const std::string& prefix) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += prefix + std::to_string(i) + "\n";
  return out;
}

}  // namespace

TEST_CASE("each byte in a variable's name, and what stands for a value's own signs") {
  for (int c = 0; c < 256; ++c) {
    CAPTURE(c);
    const std::string byte(1, static_cast<char>(c));
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    for (const Format format : {Format::env, Format::docker_env, Format::shell}) {
      CHECK(fits(format, {byte}) == letter);
      CHECK(fits(format, {"A" + byte}) == (letter || (c >= '0' && c <= '9')));
    }
    if (c >= 0x80) continue;
    const bool escaped = c == '\\' || c == '"' || c == '$' || c == '`';
    if (c != 0)
      CHECK(text(Format::env, {"A"}, byte) ==
            std::string("A=\"") + (escaped ? "\\" : "") + byte + "\"\n");
    CHECK(fits(Format::env, {"A"}, byte) == (c != 0));
    CHECK(fits(Format::shell, {"A"}, byte) == (c != 0));
    CHECK(fits(Format::docker_env, {"A"}, byte) == (c != 0 && c != '\n' && c != '\r'));
  }
  CHECK(text(Format::shell, {"A"}, "a'b") == "export A='a'\\''b'\n");
  for (const Format format : {Format::env, Format::docker_env, Format::shell})
    CHECK_FALSE(fits(format, {"S", "A"}));
  CHECK_FALSE(fits(Format::env, {""}));
}

TEST_CASE("an env file has no noncharacters, which systemd drops") {
  const struct {
    const char* utf8;
    bool good;
  } rows[] = {{"\xef\xb7\x8f", true},      {"\xef\xb7\x90", false},    {"\xef\xb7\xaf", false},
              {"\xef\xb7\xb0", true},      {"\xef\xbf\xbd", true},     {"\xef\xbf\xbe", false},
              {"\xef\xbf\xbf", false},     {"\xf0\x9f\xbf\xbd", true}, {"\xf0\x9f\xbf\xbe", false},
              {"\xf0\x9f\xbf\xbf", false}, {"\xf0\xa0\x80\x80", true}, {"\xff", false},
              {"\xf4\x8f\xbf\xbf", false}, {"\xf4\x8f\xbf\xbd", true}};
  for (const auto& row : rows) {
    CAPTURE(row.utf8);
    CHECK(fits(Format::env, {"A"}, std::string("a") + row.utf8 + "b") == row.good);
  }
}

TEST_CASE("a line that docker reads, a key that YAML holds") {
  CHECK(fits(Format::docker_env, {"AB"}, std::string(65532, 'x')));
  CHECK_FALSE(fits(Format::docker_env, {"AB"}, std::string(65533, 'x')));
  CHECK(fits(Format::yaml, {std::string(500, 'k')}));
  CHECK_FALSE(fits(Format::yaml, {std::string(501, 'k')}));
  CHECK(fits(Format::json, {std::string(501, 'k')}));
}

TEST_CASE("an ini file has no value that begins or ends with what its reader takes away") {
  for (int c = 0; c < 0x80; ++c) {
    CAPTURE(c);
    const std::string byte(1, static_cast<char>(c));
    const bool blank = c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
    const bool never = c == 0 || c == '\n' || c == '\r';
    CHECK(fits(Format::ini, {"s", "k"}, byte + "x") == (!blank && !never));
    CHECK(fits(Format::ini, {"s", "k"}, "x" + byte) == (!blank && !never));
    CHECK(fits(Format::ini, {"s", "k"}, "x" + byte + "y") == !never);
    const bool begins = c == '[' || c == '#' || c == ';' || c == '=' || c == ':';
    CHECK(fits(Format::ini, {"s", byte + "k"}) == (!blank && c != '\n' && c != '\r' && !begins));
    CHECK(fits(Format::ini, {"s", "k" + byte + "k"}) ==
          (c != '\n' && c != '\r' && c != '=' && c != ':'));
  }
  for (const char* blank :
       {"\xc2\x85", "\xc2\xa0", "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x8a", "\xe2\x80\xa8",
        "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"}) {
    CHECK_FALSE(fits(Format::ini, {"s", "k"}, std::string(blank) + "x"));
    CHECK_FALSE(fits(Format::ini, {"s", "k"}, std::string("x") + blank));
    CHECK(fits(Format::ini, {"s", "k"}, std::string("x") + blank + "x"));
  }
  for (const char* other : {"\xe2\x80\x8b", "\xe1\xbf\xbf", "\xe2\x81\x9e", "\xe3\x80\x81",
                            "\xe2\x82\x80", "\xe3\x81\x81"}) {
    CHECK(fits(Format::ini, {"s", "k"}, std::string(other) + "x"));
    CHECK(fits(Format::ini, {"s", "k"}, std::string("x") + other));
    CHECK(fits(Format::ini, {"s", "k"}, other));
  }
  CHECK(fits(Format::ini, {"s", "k"}, ""));
  CHECK_FALSE(fits(Format::ini, {"s", ""}));
  CHECK_FALSE(fits(Format::ini, {"s", "rem"}));
  CHECK(fits(Format::ini, {"s", "rema"}));
  CHECK_FALSE(fits(Format::ini, {"k"}));
  CHECK_FALSE(fits(Format::ini, {"s", "t", "k"}));
  for (const char* bad : {"", "a]b", "a\nb", "a\rb", "DEFAULT"})
    CHECK_FALSE(fits(Format::ini, {bad, "k"}));
  CHECK(fits(Format::ini, {"default", "k"}));
  CHECK(text(Format::ini, {"s", "k"}, "5%") == "[s]\nk = 5%%\n");
}

TEST_CASE("an ini file's keys and sections come once") {
  const auto two = [](const std::string& s1, const std::string& k1, const std::string& s2,
                      const std::string& k2) {
    return written(Format::ini, {{{s1, k1}, "x"}, {{s2, k2}, "y"}}).has_value();
  };
  CHECK_FALSE(two("s", "A", "s", "a"));
  CHECK_FALSE(two("s", "Z", "s", "z"));
  CHECK(two("s", "@", "s", "`"));
  CHECK(two("s", "{", "s", "("));
  CHECK(two("s", "a", "t", "a"));
  CHECK(two("s", "a", "S", "a"));
  CHECK_FALSE(written(Format::ini, {{{"s", "a"}, "x"}, {{"t", "a"}, "x"}, {{"s", "b"}, "x"}}));
  const auto out = written(Format::ini, {{{"s", "a"}, "1"}, {{"s", "b"}, "2"}, {{"t", "a"}, "3"}});
  REQUIRE(out);
  CHECK(out->reveal() == "[s]\na = 1\nb = 2\n\n[t]\na = 3\n");
  CHECK_FALSE(written(Format::properties, {{{"a", "b"}, "1"}, {{"a.b"}, "2"}}));
}

TEST_CASE("where each value stands in its file is known") {
  for (const Format format : {Format::env, Format::docker_env, Format::shell, Format::ini,
                              Format::json, Format::yaml, Format::toml, Format::properties}) {
    CAPTURE(static_cast<int>(format));
    const bool section = format == Format::ini;
    const Secret one("first"), two("second");
    std::vector<FormatEntry> entries;
    entries.push_back(
        {section ? std::vector<std::string>{"s", "a"} : std::vector<std::string>{"a"}, &one});
    entries.push_back(
        {section ? std::vector<std::string>{"s", "b"} : std::vector<std::string>{"b"}, &two});
    const auto out = write_format(format, entries);
    REQUIRE(out);
    for (const FormatEntry& entry : entries) {
      const std::string_view there =
          out->reveal().substr(entry.at.begin, entry.at.end - entry.at.begin);
      CHECK(there.contains(entry.value->reveal()));
      CHECK(there.size() <= entry.value->reveal().size() + 2);
    }
  }
}

TEST_CASE("a thousand edits are looked for, and no more") {
  const auto kept = [](std::size_t before, std::size_t after) {
    const std::string a = lines(before / 2, "a") + "common\n" + lines(before - before / 2, "A");
    const std::string b = lines(after / 2, "b") + "common\n" + lines(after - after / 2, "B");
    const auto edits = line_diff(lines_of(a), lines_of(b));
    CHECK(edits.size() >= before + after + 1);
    return std::ranges::count(edits, Edit::Kind::keep, &Edit::kind);
  };
  CHECK(kept(500, 500) == 1);
  CHECK(kept(500, 501) == 0);
  CHECK(kept(501, 500) == 0);
  CHECK(kept(0, 1000) == 1);
}

TEST_CASE("no shorter way leads from one text to the other, and removals come first") {
  std::mt19937 random(3);
  for (int round = 0; round < 1500; ++round) {
    std::vector<std::string> storage;
    const auto some = [&] {
      std::string out;
      for (unsigned n = random() % 10; n > 0; --n)
        out += std::string(1, static_cast<char>('a' + random() % 3)) + "\n";
      return out;
    };
    const std::string before = some(), after = some();
    const auto a = lines_of(before), b = lines_of(after);
    std::vector<std::vector<std::size_t>> common(a.size() + 1,
                                                 std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = 0; i < a.size(); ++i)
      for (std::size_t k = 0; k < b.size(); ++k)
        common[i + 1][k + 1] =
            a[i] == b[k] ? common[i][k] + 1 : std::max(common[i][k + 1], common[i + 1][k]);
    const auto edits = line_diff(a, b);
    CAPTURE(before);
    CAPTURE(after);
    REQUIRE(edits.size() == a.size() + b.size() - common[a.size()][b.size()]);
    for (std::size_t i = 1; i < edits.size(); ++i)
      REQUIRE_FALSE((edits[i - 1].kind == Edit::Kind::add && edits[i].kind == Edit::Kind::remove));
  }
}

TEST_CASE("changes that are near each other are shown together") {
  const auto hunks = [](std::size_t between) {
    const std::string same = lines(between, "s");
    config::Template spec;
    spec.destination = "f";
    RenderedFile file;
    file.spec = &spec;
    file.content = std::make_shared<const Secret>("b\n" + same + "b\n");
    const Secret diff = preview_diff(file, "a\n" + same + "a\n", render::Values::shown);
    std::size_t count = 0;
    const std::string_view shown = diff.reveal();
    for (auto at = shown.find("@@ -"); at != shown.npos; at = shown.find("@@ -", at + 1)) ++count;
    return count;
  };
  CHECK(hunks(0) == 1);
  CHECK(hunks(6) == 1);
  CHECK(hunks(7) == 2);
}

TEST_CASE("a hundred that were given up are no growth yet") {
  DependencyGrowth growth;
  for (int i = 0; i <= 100; ++i) CHECK(growth.incomplete({std::to_string(i)}));
  CHECK_FALSE(growth.incomplete({"more"}));
  growth.complete();
  CHECK(growth.incomplete({"again"}));
}

TEST_CASE("a function that changes is named where its whole word stands") {
  const auto named = [](const std::string& text) {
    return growth_error("a", text, {.kind = tmpl::Dependency::Kind::file, .path = "p"})
        .text.contains("(now)");
  };
  for (const char* with :
       {"now", "{{now}}", "x | now", "sprig_now", "(now)", "know now", "now now2"})
    CHECK_MESSAGE(named(with), with);
  for (const char* without : {"know", "nowhere", "now2", "now_", ".now", "_now", "9now", "Znow",
                              "xsprig_now", ".sprig_now", "nowZ", "nowa", "zsprig_now"})
    CHECK_MESSAGE(!named(without), without);
}
