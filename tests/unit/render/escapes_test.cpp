// Which characters the nested formats escape, and how.

#include <doctest/doctest.h>

#include "base/utf8.hpp"
#include "render/format.hpp"

using namespace keybearer;
using namespace keybearer::render;
using config::Format;

namespace {

std::string utf8(char32_t code) {
  std::string out;
  const auto add = [&out](char32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    add(code);
  } else if (code < 0x800) {
    add(0xc0 | code >> 6);
    add(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    add(0xe0 | code >> 12);
    add(0x80 | (code >> 6 & 0x3f));
    add(0x80 | (code & 0x3f));
  } else {
    add(0xf0 | code >> 18);
    add(0x80 | (code >> 12 & 0x3f));
    add(0x80 | (code >> 6 & 0x3f));
    add(0x80 | (code & 0x3f));
  }
  return out;
}

std::string written(Format format, const std::string& key, const std::string& text) {
  const Secret value(text);
  const std::vector<FormatEntry> entries = {{{key}, &value}};
  const auto out = write_format(format, entries);
  return out ? std::string(out->reveal()) : "refused";
}

std::string escape(char32_t code) {
  char out[8];
  std::snprintf(out, sizeof out, "\\u%04x", static_cast<unsigned>(code));
  return out;
}

}  // namespace

TEST_CASE("JSON, YAML and TOML: what a reader could take for a break or a control is escaped") {
  for (const char32_t code :
       {0x00,   0x09,   0x0a,   0x1f,   0x20,   0x21,    0x22,    0x5c,    0x7e,
        0x7f,   0x80,   0x9f,   0xa0,   0x2027, 0x2028,  0x2029,  0x202a,  0xfefe,
        0xfeff, 0xff00, 0xfffd, 0xfffe, 0xffff, 0x10000, 0x1f511, 0x10ffff}) {
    CAPTURE(static_cast<unsigned>(code));
    const bool must = code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 ||
                      code == 0x2029 || code == 0xfeff || code == 0xfffe || code == 0xffff;
    const bool slash = code == '"' || code == '\\';
    const std::string shown = must ? escape(code) : (slash ? "\\" : "") + utf8(code);
    CHECK(written(Format::json, "k", utf8(code)) == "{\n  \"k\": \"" + shown + "\"\n}\n");
    CHECK(written(Format::yaml, "k", utf8(code)) == "\"k\": \"" + shown + "\"\n");
    CHECK(written(Format::toml, "k", utf8(code)) == "\"k\" = \"" + shown + "\"\n");
    CHECK(written(Format::json, "a" + utf8(code), "v") == "{\n  \"a" + shown + "\": \"v\"\n}\n");
  }
  for (const char* bad : {"\xff", "a\xc3", "\xed\xa0\x80"}) {
    for (const Format format : {Format::json, Format::yaml, Format::toml, Format::properties}) {
      CHECK(written(format, "k", bad) == "refused");
      CHECK(written(format, bad, "v") == "refused");
    }
  }
}

TEST_CASE("properties: what a reader of ISO 8859-1 with escapes gives back") {
  const struct {
    std::string key, value, written;
  } rows[] = {
      {"k", "v", "k=v\n"},
      {"k", "", "k=\n"},
      {"k", "  a b ", "k=\\ \\ a b \n"},
      {"a b", "v", "a\\ b=v\n"},
      {"a=b", "a=b", "a\\=b=a=b\n"},
      {"a:b", "a:b", "a\\:b=a:b\n"},
      {"#a", "#a", "\\#a=#a\n"},
      {"!a", "!a", "\\!a=!a\n"},
      {"a\\", "\\", "a\\\\=\\\\\n"},
      {"k", "\n\t\x1f", "k=\\u000a\\u0009\\u001f\n"},
      {"k", "\x7e\x7f", "k=~\\u007f\n"},
      {"k", utf8(0xe4), "k=\\u00e4\n"},
      {"k", utf8(0xffff), "k=\\uffff\n"},
      {"k", utf8(0x10000), "k=\\ud800\\udc00\n"},
      {"k", utf8(0x1f511), "k=\\ud83d\\udd11\n"},
      {"k", utf8(0x10ffff), "k=\\udbff\\udfff\n"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.written);
    CHECK(written(Format::properties, row.key, row.value) == row.written);
  }
}

TEST_CASE("sections are opened and closed as the paths say") {
  const Secret a("1"), b("2");
  const std::vector<FormatEntry> entries = {{{"s", "t", "a"}, &a},
                                            {{"s", "t", "b"}, &b},
                                            {{"s", "c"}, &a},
                                            {{"u", "d"}, nullptr},
                                            {{"e"}, &b}};
  CHECK(write_format(Format::json, entries)->reveal() ==
        "{\n  \"s\": {\n    \"t\": {\n      \"a\": \"1\",\n      \"b\": \"2\"\n    },\n    \"c\": "
        "\"1\"\n  },\n  \"u\": {\n    \"d\": null\n  },\n  \"e\": \"2\"\n}\n");
  CHECK(write_format(Format::yaml, entries)->reveal() ==
        "\"s\":\n  \"t\":\n    \"a\": \"1\"\n    \"b\": \"2\"\n  \"c\": \"1\"\n\"u\":\n  \"d\": "
        "null\n"
        "\"e\": \"2\"\n");
  CHECK(
      write_format(Format::toml, entries)->reveal() ==
      "\"s\".\"t\".\"a\" = \"1\"\n\"s\".\"t\".\"b\" = \"2\"\n\"s\".\"c\" = \"1\"\n\"e\" = \"2\"\n");
  CHECK(write_format(Format::properties, entries)->reveal() == "s.t.a=1\ns.t.b=2\ns.c=1\ne=2\n");
  CHECK(write_format(Format::json, {})->reveal() == "{\n}\n");
}
