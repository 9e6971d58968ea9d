#include "config/scalars.hpp"

#include <doctest/doctest.h>

#include <array>

#include "config/load.hpp"

namespace keybearer::config {
namespace {

using namespace std::chrono_literals;

TEST_CASE("a duration is Go's or seconds, and nothing that only looks like a number") {
  CHECK(*parse_duration(".5s") == 500ms);
  CHECK(*parse_duration("1m0s") == 1min);
  CHECK(*parse_duration("1500us") == 2ms);  // whole milliseconds, rounded
  for (const char* bad : {"inf", "nan", "infs", "nanh", "0s5", "99999999999999999999", "1h-5m",
                          "+1s", "5s ", "0x5s", "never", "99999999h"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_duration(bad).has_value());
  }
}

TEST_CASE("a duration reads back as it is shown") {
  for (const Duration value : {Duration(0), Duration(1), Duration(250ms), Duration(90s),
                               Duration(90min), Duration(25h), Duration(3'600'001)}) {
    CAPTURE(duration_text(value));
    CHECK(*parse_duration(duration_text(value)) == value);
  }
}

TEST_CASE("sizes") {
  CHECK(*parse_size("10MiB") == 10u << 20);
  CHECK(*parse_size("64KB") == 64'000);
  CHECK(*parse_size("1.5KiB") == 1536);
  CHECK(*parse_size("512") == 512);
  for (const char* bad : {"", "0", "-1", "10 megabytes", "inf", "nan", "MiB", "9999GiB"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_size(bad).has_value());
  }
}

TEST_CASE("modes are octal digits") {
  CHECK(*parse_mode("0640") == 0640);
  CHECK(*parse_mode("600") == 0600);
  for (const char* bad : {"", "8", "0888", "-644", "rw-", "0640 ", "77777", "0x1ff"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_mode(bad).has_value());
  }
}

TEST_CASE("every signal's name is read back, with and without SIG, in any case") {
  for (const int signal : {1, 2, 3, 9, 10, 12, 15, 28}) {
    const std::string name = signal_name(signal);
    CAPTURE(name);
    CHECK(*parse_signal(name) == signal);
    CHECK(*parse_signal(std::string_view(name).substr(3)) == signal);
  }
  CHECK(*parse_signal("sigterm") == 15);
  CHECK(*parse_signal("15") == 15);
  for (const char* bad : {"", "SIG", "0", "-1", "999", "TERM ", "SIGSIGTERM"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_signal(bad).has_value());
  }
}

TEST_CASE("on_change says what the program gets") {
  CHECK(parse_on_change("restart")->action == OnChange::Action::restart);
  CHECK(parse_on_change("none")->action == OnChange::Action::none);
  CHECK(parse_on_change("signal")->signal == 0);
  CHECK(parse_on_change("signal:USR1")->signal == 10);
  CHECK_FALSE(parse_on_change("signal:").has_value());
  CHECK_FALSE(parse_on_change("reload").has_value());
}

TEST_CASE("variables in a value come from the environment") {
  const auto env = [](const std::string& name) -> std::optional<std::string> {
    if (name == "A") return "x${B}";
    if (name == "EMPTY") return "";
    return std::nullopt;
  };
  CHECK(*expand("a ${A} b", env) == "a x${B} b");  // once only
  CHECK(*expand("${NONE:-d}${EMPTY:-e}${A:-f}", env) == "dex${B}");
  CHECK(*expand("${NONE:-}", env) == "");
  CHECK(*expand("$$ $${A} $A 5$", env) == "$ ${A} $A 5$");
  for (const char* bad : {"${NONE}", "${EMPTY}", "${A", "${}", "${1}", "${A B}"}) {
    CAPTURE(bad);
    CHECK_FALSE(expand(bad, env).has_value());
  }
}

TEST_CASE("a path of KV 2 with data/ and without it is one secret's") {
  CHECK(plain_path("kv/data/app") == "kv/app");
  CHECK(plain_path("team/kv/data/app/data/x") == "team/kv/app/data/x");
  CHECK(plain_path("kv/app") == "kv/app");
}

TEST_CASE("names of variables") {
  for (const char* good : {"A", "_", "a1_B"}) CHECK(valid_variable_name(good));
  for (const char* bad : {"", "1A", "A-B", "A B", "A=B", "\xc3\xa4"})
    CHECK_FALSE(valid_variable_name(bad));
  for (const char* name :
       {"PATH", "LD_PRELOAD", "IFS", "BASH_ENV", "ENV", "SHELLOPTS", "PS4", "GCONV_PATH"})
    CHECK(reserved_variable_name(name));
  CHECK_FALSE(reserved_variable_name("DB_PATH"));
}

TEST_CASE("the nearest name is suggested, a far one is not") {
  constexpr std::array<std::string_view, 3> kKnown = {"debounce", "debounce_max", "command"};
  CHECK(closest_match("debounse", kKnown) == "debounce");
  CHECK(closest_match("comand", kKnown) == "command");
  CHECK(closest_match("COMMAND", kKnown) == "command");
  CHECK(closest_match("zzz", kKnown).empty());
  CHECK(closest_match("", kKnown).empty());
}

}  // namespace
}  // namespace keybearer::config
