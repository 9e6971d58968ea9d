#include "render/format.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "written.hpp"

// Rules: R4 (src/RULES.md).
using namespace keybearer;
using namespace keybearer::render;
using config::Format;

namespace {

// Values that have broken a writer of such files somewhere.
const std::vector<std::string> kAwkward = {
    "plain",
    "",
    "two words",
    "quote \" and ' end",
    "back\\slash \\n \\",
    "$HOME ${HOME} $(id) `id`",
    "100% %(name)s %%",
    "# no comment ; nor this",
    "a=b:c",
    "[section]",
    "tab\tin",
    "p\xc3\xa4ss \xf0\x9f\x94\x91",
    "!history & | < > * ? ~ {a,b}",
    "\x01\x7f",
    "-n",
    "export X=1",
    "null",
    "true",
    "007",
    "1e3",
    "0x1F",
    "- item",
    "key: value",
    "---",
    "~",
    "@at",
    "%tag",
    "2001-01-01",
};
const std::vector<std::string> kManyLines = {"one\ntwo\n",
                                             "\n",
                                             "-----BEGIN-----\nab+/=\n-----END-----\n",
                                             "a\\\nb",
                                             "X\nINJECTED=1",
                                             "\"\nINJECTED=1\n\"",
                                             "cr\r\nlf",
                                             " blanks \t",
                                             "\ttab"};

struct Written {
  result<Secret> bytes;
  Written(Format format, const test::FormatValues& values) : bytes(test::written(format, values)) {}
  std::string text() const {
    return bytes ? std::string(bytes->reveal()) : "error: " + bytes.error().text;
  }
};

std::string one(Format format, std::vector<std::string> path, const std::string& value) {
  return Written(format, {{std::move(path), value}}).text();
}

// What a program prints when it gets the file's path in $F.
std::string output_of(const std::string& file_content, const std::string& command) {
  char path[] = "/tmp/keybearer-format-XXXXXX";
  const int fd = mkstemp(path);
  REQUIRE(fd >= 0);
  REQUIRE(write(fd, file_content.data(), file_content.size()) ==
          static_cast<ssize_t>(file_content.size()));
  close(fd);
  setenv("F", path, 1);
  std::FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string out;
  std::array<char, 4096> buffer{};
  for (std::size_t n = 0; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    out.append(buffer.data(), n);
  CHECK(pclose(pipe) == 0);
  unlink(path);
  return out;
}

// systemd's EnvironmentFile= (systemd.exec(5), src/basic/env-file.c): inside double quotes a
// backslash keeps its meaning before " \ ` $, is a continuation before a newline, and is itself
// elsewhere.
std::string read_as_systemd(const std::string& text, const std::string& name) {
  std::size_t at = text.find(name + "=\"");
  REQUIRE(at != std::string::npos);
  std::string value;
  for (at += name.size() + 2; text[at] != '"'; ++at) {
    if (text[at] != '\\') {
      value += text[at];
    } else if (const char next = text[++at]; next != '\n') {
      if (next != '"' && next != '\\' && next != '`' && next != '$') value += '\\';
      value += next;
    }
  }
  CHECK(text[at + 1] == '\n');
  return value;
}

}  // namespace

TEST_CASE("an env file is what a shell and systemd read back, byte for byte") {
  std::vector<std::string> values = kAwkward;
  values.insert(values.end(), kManyLines.begin(), kManyLines.end());
  std::vector<std::pair<std::vector<std::string>, std::string>> entries;
  std::string print = "set -eu; . \"$F\"; printf '%s\\0'", expected;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::string name = "V" + std::to_string(i);
    entries.push_back({{name}, values[i]});
    print += " \"$" + name + "\"";
    expected += values[i] + '\0';
  }
  print += "; test -z \"${INJECTED-}\"";
  const std::string text = Written(Format::env, entries).text();
  CHECK(output_of(text, print) == expected);
  for (std::size_t i = 0; i < values.size(); ++i)
    CHECK(read_as_systemd(text, "V" + std::to_string(i)) == values[i]);
}

TEST_CASE("an env file refuses what no variable can hold, and names the key without its value") {
  CHECK(one(Format::env, {"A"}, std::string("can\0ary", 7)) ==
        "error: A: its value has a NUL byte, which no variable can hold");
  CHECK(one(Format::env, {"1A"}, "v") == "error: 1A: not a variable name");
  CHECK(one(Format::env, {"A B"}, "v") == "error: A B: not a variable name");
  CHECK(one(Format::env, {""}, "v") == "error: : not a variable name");
  CHECK(one(Format::env, {"section", "A"}, "v") == "error: section.A: an env file has no sections");
}

TEST_CASE("docker's env file is raw and has one line per value") {
  CHECK(one(Format::docker_env, {"A"}, "it's \"$5\" #1 ") == "A=it's \"$5\" #1 \n");
  CHECK(one(Format::docker_env, {"A"}, "canary\nB=1")
            .starts_with("error: A: its value has a line break"));
  CHECK(one(Format::docker_env, {"A"}, "canary\nB=1").find("canary") == std::string::npos);
  CHECK(one(Format::docker_env, {"A"}, "a\rb").starts_with("error: A:"));
}

TEST_CASE("an ini file is what Python's configparser reads back") {
  std::vector<std::pair<std::vector<std::string>, std::string>> entries;
  std::string expected;
  for (std::size_t i = 0; i < kAwkward.size(); ++i) {
    entries.push_back({{i < 5 ? "first" : "second one", "k" + std::to_string(i)}, kAwkward[i]});
    expected += kAwkward[i] + '\0';
  }
  const std::string read =
      "/usr/bin/python3 -c 'import configparser, os, sys\n"
      "c = configparser.ConfigParser()\n"
      "c.read(os.environ[\"F\"], encoding=\"utf-8\")\n"
      "assert c.sections() == [\"first\", \"second one\"], c.sections()\n"
      "sys.stdout.buffer.write(b\"\".join(c[s][k].encode() + b\"\\0\" for s in c.sections() for k "
      "in c[s]))'";
  CHECK(output_of(Written(Format::ini, entries).text(), read) == expected);
}

TEST_CASE("an ini file refuses what its readers can't give back") {
  CHECK(one(Format::ini, {"s", "k"}, "v") == "[s]\nk = v\n");
  CHECK(one(Format::ini, {"s", "k"}, "").starts_with("[s]\nk ="));
  CHECK(one(Format::ini, {"k"}, "v").starts_with("error: k: an ini file needs one section"));
  CHECK(one(Format::ini, {"a", "b", "k"}, "v")
            .starts_with("error: a.b.k: an ini file needs one section"));
  for (const std::string& value :
       {std::string("x\ny"), std::string("x\r"), std::string(" x"), std::string("x\t"),
        std::string("x\xc2\xa0"), std::string("\xe3\x80\x80x")}) {
    CHECK(one(Format::ini, {"s", "k"}, value).starts_with("error: s.k: its value"));
  }
  for (const char* name : {"", "a=b", "a:b", " a", "[a", "#a", ";a", "a\nb"}) {
    CHECK(one(Format::ini, {"s", name}, "v").starts_with("error: "));
  }
  for (const char* section : {"", "a]b", "a\nb"})
    CHECK(one(Format::ini, {section, "k"}, "v").starts_with("error: "));
}

TEST_CASE("an ini file refuses keys and sections that come twice, as configparser does") {
  const auto twice =
      Written(Format::ini, {{{"s", "a"}, "1"}, {{"t", "a"}, "2"}, {{"s", "b"}, "3"}});
  CHECK(twice.text() == "error: s: a section that comes twice");
  const auto key = Written(Format::ini, {{{"s", "Key"}, "1"}, {{"s", "key"}, "2"}});
  CHECK(key.text() ==
        "error: s.key: comes twice in its section (upper and lower case are the same there)");
}

TEST_CASE("a shell file exports what a shell reads back") {
  std::vector<std::string> values = kAwkward;
  values.insert(values.end(), kManyLines.begin(), kManyLines.end());
  std::vector<std::pair<std::vector<std::string>, std::string>> entries;
  std::string expected;
  for (std::size_t i = 0; i < values.size(); ++i) {
    entries.push_back({{"V" + std::to_string(i)}, values[i]});
    expected += values[i] + '\0';
  }
  const std::string print =
      "set -eu; . \"$F\"; /usr/bin/python3 -c 'import os, sys\n"
      "for i in range(" +
      std::to_string(values.size()) +
      "):\n"
      "    sys.stdout.buffer.write(os.environb[b\"V%d\" % i] + b\"\\0\")'";
  CHECK(output_of(Written(Format::shell, entries).text(), print) == expected);
}

TEST_CASE("json, yaml and toml are what their readers give back, nested") {
  std::vector<std::string> values = kAwkward;
  values.insert(values.end(), kManyLines.begin(), kManyLines.end());
  values.insert(values.end(), {std::string("nul\0in", 6), "c1 \xc2\x85 \xe2\x80\xa8 \xef\xbb\xbf",
                               "\xf0\x9f\x94\x91", "</script>"});
  std::vector<std::pair<std::vector<std::string>, std::string>> entries;
  std::string expected;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::string key = "k " + std::to_string(i) + " \"\\.#";
    if (i % 3 == 0) {
      entries.push_back({{"top" + key}, values[i]});
    } else if (i % 3 == 1) {
      entries.push_back({{"section" + std::to_string(i), key}, values[i]});
    } else {
      entries.push_back({{"section" + std::to_string(i - 1), "in ner", key}, values[i]});
    }
    expected += values[i] + '\0';
  }
  const std::string head =
      "/usr/bin/python3 -c 'import json, os, sys\n"
      "text = open(os.environ[\"F\"], \"rb\").read()\n";
  const std::string tail =
      "def walk(d):\n"
      "    for v in d.values():\n"
      "        if isinstance(v, dict): yield from walk(v)\n"
      "        else:\n"
      "            assert isinstance(v, str), v\n"
      "            yield v\n"
      "sys.stdout.buffer.write(b\"\".join(v.encode() + b\"\\0\" for v in walk(d)))'";
  const auto reads = [&](Format format, const std::string& how) {
    return output_of(Written(format, entries).text(), head + how + tail) == expected;
  };
  CHECK(reads(Format::json, "d = json.loads(text)\n"));
  CHECK(reads(Format::yaml, "import yaml\nd = yaml.safe_load(text)\n"));
  CHECK(reads(Format::toml, "import tomllib\nd = tomllib.loads(text.decode())\n"));
}

TEST_CASE("json and yaml are pleasant to read") {
  const std::vector<std::pair<std::vector<std::string>, std::string>> entries = {
      {{"a"}, "1"}, {{"db", "user"}, "u"}, {{"db", "deep", "x"}, "y"}, {{"z"}, "2"}};
  CHECK(Written(Format::json, entries).text() == R"({
  "a": "1",
  "db": {
    "user": "u",
    "deep": {
      "x": "y"
    }
  },
  "z": "2"
}
)");
  CHECK(Written(Format::yaml, entries).text() == R"("a": "1"
"db":
  "user": "u"
  "deep":
    "x": "y"
"z": "2"
)");
  CHECK(one(Format::json, {"k"}, "canary\xff") ==
        "error: k: it is not UTF-8, which this format needs");
}

TEST_CASE("properties have Java's escapes") {
  CHECK(one(Format::properties, {"db", "pass word"}, "  a=b:c #!\\\n\xc3\xa4\xf0\x9f\x94\x91 ") ==
        "db.pass\\ word=\\ \\ a=b:c #!\\\\\\u000a\\u00e4\\ud83d\\udd11 \n");
  CHECK(one(Format::properties, {"#a=b:c!"}, "") == "\\#a\\=b\\:c\\!=\n");
  CHECK(Written(Format::properties, {{{"a.b"}, "1"}, {{"a", "b"}, "2"}}).text() ==
        "error: a.b: a key that comes twice");
}

TEST_CASE("what a reader would drop or refuse is refused, with the reason") {
  const auto why = [](Format format, std::string_view value) {
    const Secret secret(value);
    std::vector<std::string> path = {"K"};
    if (format == Format::ini) path.insert(path.begin(), "S");
    const auto written = write_format(format, {{path, &secret}});
    return written ? std::string() : written.error().text;
  };
  for (const Format format : {Format::env, Format::docker_env, Format::ini, Format::json,
                              Format::yaml, Format::toml, Format::properties})
    CHECK(why(format, "secret\xff").find("is not UTF-8") != std::string::npos);
  CHECK(why(Format::shell, "secret\xff").empty());
  CHECK(why(Format::env, "\xef\xbf\xbf").find("is not UTF-8") != std::string::npos);  // U+FFFF
  CHECK(why(Format::docker_env, std::string(65533, 'x')).empty());
  CHECK(why(Format::docker_env, std::string(65534, 'x')).find("65535 bytes") != std::string::npos);
}
