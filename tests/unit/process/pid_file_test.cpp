#include "process/pid_file.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace keybearer {
namespace {

struct TempDir {
  std::string path = "/tmp/keybearer-test-XXXXXX";
  TempDir() { REQUIRE(mkdtemp(path.data()) != nullptr); }
  ~TempDir() { rmdir(path.c_str()); }
};

TEST_CASE("a pid file names us, refuses a second, replaces a stale one and goes at the end") {
  const TempDir directory;
  const std::string path = directory.path + "/pid";
  std::ofstream(path) << "999999\n";  // left behind by a process that is gone
  {
    const auto file = PidFile::write(path);
    REQUIRE(file.has_value());
    std::string text;
    std::getline(std::ifstream(path), text);
    CHECK(text == std::to_string(getpid()));

    const auto second = PidFile::write(path);
    REQUIRE_FALSE(second.has_value());
    CHECK(second.error().kind == ErrorKind::config);
    CHECK(second.error().text.find("another keybearer") != std::string::npos);
  }
  CHECK(access(path.c_str(), F_OK) != 0);
}

TEST_CASE("a directory that is not there is named") {
  const auto file = PidFile::write("/nonexistent/pid");
  REQUIRE_FALSE(file.has_value());
  CHECK(file.error().text == "/nonexistent/pid: No such file or directory");
}

TEST_CASE("a daemon's pid file") {
  char path[] = "/tmp/keybearer_pid_XXXXXX";
  close(mkstemp(path));
  const auto pid_in = [&path](std::string_view text) {
    std::ofstream(path, std::ios::trunc) << text;
    return read_pid_file(path).value_or(-1);
  };
  CHECK(pid_in("123\n") == 123);
  CHECK(pid_in(" 123") == 123);
  CHECK(pid_in("123 nginx\n") == 123);
  for (const char* bad : {"", "\n", "nginx", "-5", "0", "1", "12x", "99999999999999999999"}) {
    CAPTURE(bad);
    CHECK(pid_in(bad) == -1);
  }
  unlink(path);
  CHECK_FALSE(read_pid_file(path).has_value());
}

}  // namespace
}  // namespace keybearer
