#include "base/redactor.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <chrono>
#include <random>
#include <vector>

#include "base/utf8.hpp"

namespace keybearer {
namespace {

using Words = std::vector<std::string_view>;

std::string redacted(std::string_view text, const Words& values) {
  Redactor redactor;
  redactor.set("s", values);
  return redactor.redact(text);
}

// --- how others write a value; each by its own rules, none by ours ---

std::string json(std::string_view value, bool ascii, bool slashes, bool html) {
  std::string out;
  while (!value.empty()) {
    const Rune rune = decode_rune(value);
    const std::string_view bytes = value.substr(0, rune.width);
    value.remove_prefix(rune.width);
    const unsigned code = rune.code;
    if (code == '"' || code == '\\' || (slashes && code == '/'))
      out += std::string("\\") + static_cast<char>(code);
    else if (code == '\n')
      out += "\\n";
    else if (code == '\t')
      out += "\\t";
    else if (code < 0x20 || (html && (code == '<' || code == '>' || code == '&')) ||
             (ascii && code > 0x7e && code < 0x10000))
      out += fmt::format("\\u{:04x}", code);
    else if (ascii && code >= 0x10000)
      out += fmt::format("\\u{:04X}\\u{:04X}", 0xd800 + ((code - 0x10000) >> 10),
                         0xdc00 + ((code - 0x10000) & 0x3ff));
    else
      out += bytes;
  }
  return out;
}

std::string go_quoted(std::string_view value, bool ascii) {
  std::string out;
  while (!value.empty()) {
    const Rune rune = decode_rune(value);
    const std::string_view bytes = value.substr(0, rune.width);
    value.remove_prefix(rune.width);
    const unsigned code = rune.code;
    if (code == '"' || code == '\\')
      out += std::string("\\") + static_cast<char>(code);
    else if (code == '\n' || code == '\t' || code == '\a')
      out += code == '\n' ? "\\n" : code == '\t' ? "\\t" : "\\a";
    else if (code < 0x20 || code == 0x7f)
      out += fmt::format("\\x{:02x}", code);
    else if (code > 0x7e && ascii)
      out += code < 0x10000 ? fmt::format("\\u{:04x}", code) : fmt::format("\\U{:08x}", code);
    else
      out += bytes;
  }
  return out;
}

std::string percent(std::string_view value, bool plus, std::string_view kept, bool lower) {
  std::string out;
  for (const char c : value) {
    const bool letter = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (letter || std::string_view("-_.~").contains(c) || kept.contains(c))
      out += c;
    else if (c == ' ' && plus)
      out += '+';
    else
      out +=
          fmt::format(fmt::runtime(lower ? "%{:02x}" : "%{:02X}"), static_cast<unsigned char>(c));
  }
  return out;
}

std::string base64(std::string_view value, bool url, bool pad) {
  const std::string letters =
      std::string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") +
      (url ? "-_" : "+/");
  std::string out;
  unsigned bits = 0;
  int count = 0;
  for (const char c : value) {
    bits = bits << 8 | static_cast<unsigned char>(c);
    for (count += 8; count >= 6; count -= 6) out += letters[bits >> (count - 6) & 63];
  }
  if (count > 0) out += letters[bits << (6 - count) & 63];
  while (pad && out.size() % 4 != 0) out += '=';
  return out;
}

std::vector<std::string> odd_values(std::size_t count) {
  const std::vector<std::string> pieces = {"\"",
                                           "\\",
                                           "\n",
                                           "\t",
                                           "'",
                                           "/",
                                           "<",
                                           ">",
                                           "&",
                                           "%",
                                           "+",
                                           "=",
                                           " ",
                                           "{{",
                                           "}}",
                                           "$x",
                                           "`",
                                           "\xc3\xa9",
                                           "\xe2\x82\xac",
                                           "\xf0\x9f\x94\x91",
                                           "\xe2\x80\xa8",
                                           "\x01",
                                           "\x1b[31m",
                                           "\x7f",
                                           "a",
                                           "Zq",
                                           "0",
                                           "17",
                                           "pass",
                                           "-----BEGIN",
                                           "%41",
                                           "\\u0041",
                                           "[",
                                           "]",
                                           ",",
                                           ":",
                                           "#"};
  std::mt19937 random(7);
  std::vector<std::string> out = {
      "hunter22",     "hunter22!",           "hunter2", "48151623", "3.14159265",
      "masked-value", "a\nbcdefgh\nijklmnop"};
  while (out.size() < count) {
    std::string value = fmt::format("v{:03}", out.size());
    for (unsigned i = 0; i < 3 + random() % 9; ++i) value += pieces[random() % pieces.size()];
    if (random() % 4 == 0) value = out.back() + value;  // prefixes of one another
    out.push_back(value + "z");
  }
  return out;
}

std::vector<std::string> forms_of(const std::string& value) {
  std::vector<std::string> out = {value, go_quoted(value, false), go_quoted(value, true)};
  for (const bool a : {false, true}) {
    for (const bool b : {false, true}) {
      out.push_back(json(value, a, b, !b));
      out.push_back(base64(value, a, b));
      out.push_back(percent(value, a, b && !a ? "$&+,/:;=@" : "", b));
      out.push_back(percent(value, a, "!'()*", b));
    }
  }
  out.push_back(json(json(value, false, false, true), true, false, false));
  out.push_back(json(go_quoted(value, false), false, false, false));
  return out;
}

TEST_CASE("two hundred odd values are found in every form") {
  const auto values = odd_values(200);
  Redactor redactor;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Words one{values[i]};
    redactor.set("secret " + std::to_string(i), one);
  }
  for (const std::string& value : values) {
    CAPTURE(value);
    for (const std::string& form : forms_of(value)) {
      const std::string text = redactor.redact("before <" + form + "> after");
      CHECK_MESSAGE(!text.contains(form), form, " -> ", text);
      CHECK(text.starts_with("before <"));
      CHECK(text.ends_with("> after"));
    }
    for (const std::string& before : {"u:", "ab:", "abc:"}) {
      const std::string together = base64(before + value + "\n", false, true);
      const std::string text = redactor.redact(together);
      // The digits without a bit of it may stay: five before, and two and their padding after.
      CHECK(text.size() <= Redactor::kMasked.size() + 9);
    }
  }
}

TEST_CASE("what overlaps is gone as a whole, the longest first") {
  CHECK(redacted("abcdefghij", {"abcdef", "defghij"}) == "[masked]");
  CHECK(redacted("hunter22x", {"hunte", "hunter22"}) == "[masked]x");
  CHECK(redacted("hunterX", {"hunte", "hunter22"}) == "[masked]rX");
  CHECK(redacted("abcdeabcde", {"abcde"}) == "[masked][masked]");
}

TEST_CASE("what is short, a part of a number or masked already stays") {
  CHECK(redacted("true 5432 prod", {"true", "5432", "prod"}) == "true 5432 prod");
  CHECK(redacted("pin 48151, at 1481512", {"48151"}) == "pin [masked], at 1481512");
  CHECK(redacted("[masked] masked", {"masked"}) == "[masked] [masked]");
  CHECK(redacted("nothing", {}) == "nothing");
}

TEST_CASE("of several lines each is one; of a long value a part") {
  CHECK(redacted("at: second line.", {"first\n  second line\r\nx"}) == "at: [masked].");
  const std::string key(300, 'k');
  CHECK(redacted("got " + key.substr(0, 100), {key}) == "got [masked]");
  CHECK(redacted("got " + key.substr(0, 20), {key}) == "got " + key.substr(0, 20));
}

TEST_CASE("in base64 within a longer word, of either alphabet, whatever its size") {
  std::string value = "begins?>";
  while (value.size() < 100'000) value += std::to_string(value.size() * 7919) + "~\xff?";
  for (const bool url : {false, true}) {
    const std::string whole = base64(value, url, true);
    for (const std::string& before : {"", "/", "-_", "dG9", "token", "a/b/c/d"}) {
      const std::string text = redacted("at " + before + whole + ", x", {value});
      CHECK_MESSAGE(text == "at " + before + "[masked], x", text.substr(0, 60));
    }
    // Its beginning is enough.
    const std::string cut = redacted("at " + whole.substr(0, 60) + " x", {value});
    CHECK(cut == "at [masked] x");
  }
  CHECK(redacted("at ZHVt and YWRtaW4=", {"admin"}) == "at ZHVt and [masked]");
}

TEST_CASE("base64 over several lines") {
  std::string key;
  for (int i = 0; i < 200; ++i) key += "line " + std::to_string(i * 7919) + "\n";
  const Words one{key};
  Redactor redactor;
  redactor.set("key", one);
  for (const std::string& before : {"", "a", "ab"}) {
    const std::string whole = base64(before + key + "more", false, true);
    for (const std::size_t width : {60, 64, 76}) {
      for (const std::string& end : {"\n", "\r\n"}) {
        std::string wrapped;
        for (std::size_t at = 0; at < whole.size(); at += width)
          wrapped += whole.substr(at, width) + end;
        const std::string text = redactor.redact("it is\n" + wrapped + "end\n");
        CAPTURE(text);
        CHECK(text.starts_with("it is\n"));
        CHECK(text.ends_with("end\n"));
        CHECK(text.size() < 50);
      }
    }
  }
  const std::string lines = std::string(70, 'x') + "\n" + std::string(70, 'y') + "\n";
  CHECK(redactor.redact(lines) == lines);
}

TEST_CASE("an answer with a million values costs no multiple of itself") {
  std::vector<std::string> values;
  for (int i = 0; i < 1'000'000; ++i) values.push_back(std::to_string(10'000'000 + i));
  Redactor redactor;
  redactor.set("s", Words(values.begin(), values.end()));
  CHECK(redactor.redact("the first is 10000000.") == "the first is [masked].");
}

TEST_CASE("a value that was replaced is known until the next is") {
  Redactor redactor;
  redactor.set("s", Words{"first-value"});
  redactor.set("s", Words{"second-value"});
  CHECK(redactor.redact("first-value second-value") == "[masked] [masked]");
  redactor.set("s", Words{"third-value"});
  CHECK(redactor.redact("first-value second-value") == "first-value [masked]");
  redactor.set("s", {});
  CHECK(redactor.redact("second-value third-value") == "second-value third-value");
}

TEST_CASE("what was let go is known for a while, and not forever") {
  Redactor redactor;
  redactor.set("s", Words{"first-value"});
  redactor.retire("s");
  redactor.retire("never there");
  CHECK(redactor.redact("first-value") == "[masked]");
  for (int i = 0; i < 100; ++i) {
    redactor.set("other", Words{"another-value"});
    redactor.retire("other");
  }
  CHECK(redactor.redact("first-value another-value") == "first-value [masked]");
}

TEST_CASE("the configuration's words stay in our texts, but for credentials") {
  Redactor redactor;
  redactor.set("s", Words{"postgres", "hunter22"});
  redactor.add_credential("s3cr3t-token");
  const std::string config = "kv/postgres s3cr3t-token";
  redactor.set_own_words([&](std::string_view word) { return config.contains(word); });
  CHECK(redactor.redact_ours("kv/postgres: hunter22, s3cr3t-token") ==
        "kv/postgres: [masked], [masked]");
  CHECK(redactor.redact("role postgres") == "role [masked]");
  CHECK(redactor.is_own_word("postgres"));
  CHECK(!redactor.is_own_word("s3cr3t-token"));
}

TEST_CASE("what we asked for may be repeated") {
  Redactor redactor;
  redactor.set("s", Words{"example", "web.example.org"});
  const Words shown{"web.example.org"};
  CHECK(redactor.redact("name web.example.org of example", shown) ==
        "name web.example.org of [masked]");
}

TEST_CASE("a cut loses the last word, and what may begin a value") {
  Redactor redactor;
  redactor.set("s", Words{"correct horse battery", "hunter22"});
  CHECK(redactor.redact_cut("is hunter22 and hunte") == "is [masked] and ");
  CHECK(redactor.redact_cut("is correct horse bat") == "is ");
  CHECK(redactor.redact_cut("hunte").empty());
}

// Far below what a cost of text times values would be, and far above what a busy machine needs.
TEST_CASE("the cost is linear in the text") {
  using Clock = std::chrono::steady_clock;
  constexpr std::size_t kText = 8 << 20;
  std::mt19937 random(3);
  Redactor redactor;
  std::vector<std::string> values;
  for (int i = 0; i < 1000; ++i) {
    std::string value = "same-beginning-";
    for (int k = 0; k < 24; ++k) value += static_cast<char>('!' + random() % 90);
    values.push_back(std::move(value));
  }
  values.push_back(std::string(1 << 20, 'a') + "b");
  redactor.set("s", Words(values.begin(), values.end()));

  const auto filled = [&](std::string_view piece) {
    std::string text;
    while (text.size() < kText) text += piece;
    return text;
  };
  for (const char* piece : {"same-beginning-", "a", "the quick brown fox, ", "\\u0041\\\\%41+"}) {
    const std::string text = filled(piece);
    const auto begun = Clock::now();
    const std::string out = redactor.redact(text);
    CHECK_MESSAGE(Clock::now() - begun < std::chrono::seconds(20), piece);
    CHECK(out.size() <= text.size());
  }
}

}  // namespace
}  // namespace keybearer
