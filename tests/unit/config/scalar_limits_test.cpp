// Where each kind of value begins and ends: the last that is good and the first that is not.

#include <doctest/doctest.h>

#include "config/load.hpp"
#include "config/scalars.hpp"

namespace keybearer::config {
namespace {

using namespace std::chrono_literals;

TEST_CASE("durations: each unit, sums, and where they end") {
  const struct {
    const char* text;
    Duration value;
  } good[] = {{"0", 0s},
              {"1", 1s},
              {"9", 9s},
              {"1.5", 1500ms},
              {".5", 500ms},
              {"1ms", 1ms},
              {"1000us", 1ms},
              {"1000µs", 1ms},
              {"1000000ns", 1ms},
              {"1h", 1h},
              {"1m", 1min},
              {"1s", 1s},
              {"1h1m1s1ms", 3'661'001ms},
              {"1.5h", 90min},
              {"0s", 0s},
              {"3200000000", 3'200'000'000s}};
  for (const auto& row : good) {
    CAPTURE(row.text);
    REQUIRE(parse_duration(row.text));
    CHECK(*parse_duration(row.text) == row.value);
  }
  for (const char* bad :
       {"", "-1", "+1", "-", ".", "s", "1x", "1s1", "1d", "3200000001", "/s", ":s"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_duration(bad));
  }
}

TEST_CASE("durations as they are shown") {
  const struct {
    Duration value;
    const char* text;
  } rows[] = {{0s, "0s"},         {1ms, "1ms"},      {999ms, "999ms"}, {1000ms, "1s"},
              {1001ms, "1001ms"}, {59s, "59s"},      {60s, "1m"},      {61s, "1m1s"},
              {3599s, "59m59s"},  {3600s, "1h"},     {3601s, "1h1s"},  {3659s, "1h59s"},
              {3660s, "1h1m"},    {3661s, "1h1m1s"}, {24h, "24h"}};
  for (const auto& row : rows) CHECK(duration_text(row.value) == row.text);
}

TEST_CASE("sizes: each unit, and where they end") {
  const struct {
    const char* text;
    std::size_t value;
  } good[] = {{"1", 1},
              {"1B", 1},
              {"1KB", 1000},
              {"1MB", 1'000'000},
              {"1GB", 1'000'000'000},
              {"1KiB", 1024},
              {"1MiB", 1u << 20},
              {"1GiB", 1u << 30},
              {"2  KiB", 2048},
              {"1.5KB", 1500},
              {"999999999999", 999'999'999'999},
              {"999GB", 999'000'000'000}};
  for (const auto& row : good) {
    CAPTURE(row.text);
    REQUIRE(parse_size(row.text));
    CHECK(*parse_size(row.text) == row.value);
  }
  for (const char* bad : {"0.9", "1000000000000", "1000GB", "1kb", "1K", "KB", " 1", "1 1", "-1"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_size(bad));
  }
}

TEST_CASE("modes") {
  for (const auto& [mode, text] : {std::pair(0u, "0000"),
                                   {07u, "0007"},
                                   {077u, "0077"},
                                   {0640u, "0640"},
                                   {0777u, "0777"},
                                   {04755u, "4755"}})
    CHECK(mode_text(mode) == text);
  CHECK(*parse_mode("000") == 0);
  CHECK(*parse_mode("7777") == 07777);
  CHECK(*parse_mode("07777") == 07777);
  for (const char* bad : {"10000", "77", "6 40", "64a"}) CHECK_FALSE(parse_mode(bad));
}

TEST_CASE("what is shown of a text that could deceive") {
  const struct {
    std::string text, shown;
  } rows[] = {
      {"a b~", "a b~"},
      {"\n\r\t", "\\n\\r\\t"},
      {std::string(1, '\0'), "\\u0000"},
      {"\x1f", "\\u001f"},
      {"\x7f", "\\u007f"},
      {"\xc2\x9f", "\\u009f"},
      {"\xc2\xa0", "\xc2\xa0"},
      {"\xff", "\\xff"},
      {"a\xc3", "a\\xc3"},
      {"\xef\xbf\xbd", "\xef\xbf\xbd"},  // the replacement character itself
      {"\xe2\x80\x8d", "\xe2\x80\x8d"},  // 200d
      {"\xe2\x80\x8e", "\\u200e"},
      {"\xe2\x80\x8f", "\\u200f"},
      {"\xe2\x80\x90", "\xe2\x80\x90"},  // 2010
      {"\xe2\x80\xa7", "\xe2\x80\xa7"},  // 2027
      {"\xe2\x80\xa8", "\\u2028"},
      {"\xe2\x80\xae", "\\u202e"},
      {"\xe2\x80\xaf", "\xe2\x80\xaf"},  // 202f
      {"\xe2\x81\xa5", "\xe2\x81\xa5"},  // 2065
      {"\xe2\x81\xa6", "\\u2066"},
      {"\xe2\x81\xa9", "\\u2069"},
      {"\xe2\x81\xaa", "\xe2\x81\xaa"},  // 206a
  };
  for (const auto& row : rows) {
    CAPTURE(row.shown);
    CHECK(escaped(row.text) == row.shown);
  }
}

TEST_CASE("control characters in a text") {
  for (int c = 0; c < 256; ++c) {
    CAPTURE(c);
    const std::string text = "a" + std::string(1, static_cast<char>(c)) + "b";
    CHECK(has_control(text) == ((c < 0x20 && c != '\t') || c == 0x7f));
  }
}

TEST_CASE("each byte in a variable's name, first and later") {
  for (int c = 0; c < 256; ++c) {
    CAPTURE(c);
    const std::string byte(1, static_cast<char>(c));
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    CHECK(valid_variable_name(byte) == letter);
    CHECK(valid_variable_name("A" + byte) == (letter || (c >= '0' && c <= '9')));
  }
}

TEST_CASE("names that steer programs") {
  for (const char* name :
       {"PATH", "LD_X", "DYLD_X", "HOME", "XDG_RUNTIME_DIR", "PYTHONHOME", "GIT_DIR",
        "AWS_CONFIG_FILE", "http_proxy", "Https_Proxy", "X_PROXY", "NODE_OPTIONS", "JAVA_OPTS",
        "GUILE_LOAD_PATH", "AWS_CA_BUNDLE", "SPRING_APPLICATION_JSON"})
    CHECK_MESSAGE(steering_variable_name(name), name);
  for (const char* name :
       {"DB_HOME", "home", "LD", "XLD_", "PROXY", "MY_PATH", "AWS_REGION", "zz_proxies"})
    CHECK_MESSAGE(!steering_variable_name(name), name);
  CHECK(reserved_variable_name("DYLD_X"));
  CHECK_FALSE(reserved_variable_name("HOME"));
}

TEST_CASE("dollars in a value") {
  const auto env = [](const std::string& name) -> std::optional<std::string> {
    return name == "A" ? std::optional<std::string>("x") : std::nullopt;
  };
  const struct {
    const char *text, *value;
  } rows[] = {{"$", "$"},       {"$$", "$"},    {"a$", "a$"},       {"$$$", "$$"},
              {"$$$$", "$$"},   {"$a", "$a"},   {"${A}", "x"},      {"${A}b${A}", "xbx"},
              {"${A:-d}", "x"}, {"${B:-}", ""}, {"${B:-:-}", ":-"}, {"$${A}", "${A}"},
              {"$$${A}", "$x"}};
  for (const auto& row : rows) {
    CAPTURE(row.text);
    REQUIRE(expand(row.text, env));
    CHECK(*expand(row.text, env) == row.value);
  }
  for (const char* bad : {"${", "${A", "${B}", "${:-x}", "x${A"}) CHECK_FALSE(expand(bad, env));
}

TEST_CASE("on_change with a signal") {
  CHECK(parse_on_change("signal")->action == OnChange::Action::signal);
  CHECK(parse_on_change("signal:HUP")->action == OnChange::Action::signal);
  CHECK(parse_on_change("signal:HUP")->signal == 1);
  CHECK(parse_on_change("restart")->signal == 0);
  CHECK_FALSE(parse_on_change("signalx"));
}

TEST_CASE("a path with data/ as its last part is a secret called data") {
  CHECK(plain_path("kv/data") == "kv/data");
  CHECK(plain_path("kv/data/") == "kv/");
  CHECK(plain_path("data/x") == "data/x");
}

}  // namespace
}  // namespace keybearer::config
