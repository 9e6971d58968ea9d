#include "base/log.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/escapes.hpp"
#include "base/fd.hpp"
#include "support/temp_directory.hpp"

namespace keybearer::log {
namespace {

std::string line(Format format, std::string_view message, Fields fields) {
  return format_line(format, "T", Level::info, "some.event", message, fields, "app");
}

TEST_CASE("a text line has time, level, message and fields") {
  CHECK(line(Format::text, "token renewed", {{"ttl", "1h"}, {"path", "a b"}}) ==
        "T INFO  token renewed ttl=1h path=\"a b\"\n");
}

TEST_CASE("a JSON line is one object with the event's name") {
  CHECK(line(Format::json, "token \"renewed\"", {{"ttl", "1h"}}) ==
        "{\"time\":\"T\",\"level\":\"info\",\"name\":\"app\",\"event\":\"some.event\","
        "\"message\":\"token \\\"renewed\\\"\",\"ttl\":\"1h\"}\n");
}

TEST_CASE("the journal gets a priority and no time") {
  CHECK(line(Format::journal, "hello", {}) == "<6>hello\n");
}

TEST_CASE("no value can forge a line or an escape sequence") {
  CHECK(line(Format::text, "a", {{"k", "x\nT ERROR forged \x1b[31m"}}) ==
        "T INFO  a k=\"x\\nT ERROR forged \\u001b[31m\"\n");
  CHECK(line(Format::json, "a\nb\x01", {}).find("a\\nb\\u0001") != std::string::npos);
  // Of terminals that know 8-bit controls, and of what writes from right to left.
  const std::string odd = "a\u009b31m b\u202ec d\u2028e f\u2066g h\u200fi";
  const std::string shown = "a\\u009b31m b\\u202ec d\\u2028e f\\u2066g h\\u200fi";
  for (const Format format : {Format::text, Format::json, Format::journal})
    CHECK(line(format, odd, {{"k", odd}}).find(shown) != std::string::npos);
  CHECK(visible_lines("\ta\x1b\nb\u009b\u00e4\u20ac") == "\ta\\x1b\nb\\u009b\u00e4\u20ac");
}

TEST_CASE("what is not UTF-8 does not spoil a JSON line") {
  const std::string good = "\xc3\xbc \xe2\x82\xac \xf0\x9f\x98\x80";
  CHECK(line(Format::json, good, {}).find(good) != std::string::npos);
  for (const char* bad :
       {"\xff", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"}) {
    const std::string with = line(Format::json, std::string("a") + bad + "b", {});
    CHECK(with.find("a\uFFFD") != std::string::npos);
    CHECK(with.find(bad) == std::string::npos);
    CHECK(with.find("b\"") != std::string::npos);
  }
}

TEST_CASE("a log into a pipe without a reader is an error, and no wait") {
  const test::TempDirectory directory;
  Options options;
  options.file = directory / "pipe";
  REQUIRE(mkfifo(options.file.c_str(), 0600) == 0);
  const auto opened = open(options);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().text.ends_with("/pipe: this pipe has no reader"));
  const UniqueFd reader(::open(options.file.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  REQUIRE(open(options));
  warn("some.event", "hello");
  char text[200] = "";
  CHECK(read(reader.get(), text, sizeof text - 1) > 0);
  CHECK(std::string_view(text).contains("hello"));
  REQUIRE(open({}));
}

TEST_CASE("a log file that was removed and can't be made again is not written to") {
  const test::TempDirectory directory;
  Options options;
  options.file = directory / "log";
  REQUIRE(open(options));
  std::filesystem::rename(options.file, directory / "log.1");
  std::filesystem::create_directory(options.file);
  CHECK_FALSE(reopen());
  warn("some.event", "to the file that is still there");
  CHECK(directory.read("log.1").contains("still there"));
  std::filesystem::remove(directory / "log.1");
  CHECK_FALSE(reopen());
  const UniqueFd kept(dup(STDERR_FILENO));
  const std::string caught = directory.write("stderr", "");
  const UniqueFd into(::open(caught.c_str(), O_WRONLY | O_CLOEXEC));
  REQUIRE(dup2(into.get(), STDERR_FILENO) >= 0);
  warn("some.event", "to standard error");
  dup2(kept.get(), STDERR_FILENO);
  CHECK(directory.read("stderr").contains("to standard error"));
  std::filesystem::remove(options.file);
  REQUIRE(reopen());
  warn("some.event", "to the new file");
  CHECK(directory.read("log").contains("to the new file"));
  REQUIRE(open({}));
}

TEST_CASE("a reader that has stopped stops nobody, and hears of what it missed") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const UniqueFd reader(ends[0]), writer(ends[1]);
  Options options;
  options.format = Format::json;
  options.file = "/proc/self/fd/" + std::to_string(writer.get());
  REQUIRE(open(options));
  for (int i = 0; i < 100; ++i) info("some.event", std::string(3000, 'x'));
  const auto drain = [&] {
    std::string text(1 << 20, '\0');
    text.resize(static_cast<std::size_t>(read(reader.get(), text.data(), text.size())));
    return text;
  };
  CHECK(drain().size() > 10'000);
  info("other.event", "later");
  const std::string after = drain();
  CHECK(after.find("\"event\":\"log.lost\"") != std::string::npos);
  CHECK(after.find("\"event\":\"other.event\"") != std::string::npos);
  REQUIRE(open({}));
}

}  // namespace
}  // namespace keybearer::log
