#include "process/pid_file.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "support/temp_directory.hpp"

namespace keybearer {
namespace {

TEST_CASE("a pid file names us, refuses a second, replaces a stale one and goes at the end") {
  const test::TempDirectory directory;
  const std::string path = directory / "pid";
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
  CHECK(file.error().text == "/nonexistent/pid: directory /nonexistent: No such file or directory");
}

TEST_CASE("nothing of another user is written into, and no link is followed") {
  if (getuid() != 0) return;
  constexpr uid_t kOther = 65534;
  const test::TempDirectory directory;
  const std::string place = directory / "run", path = place + "/pid";
  struct Row {
    const char* what;
    mode_t mode;
    uid_t owner;  // of the directory
    std::function<void()> plant;
    const char* said;  // null: it is written
    Recipient trusted = {};
  };
  const auto write = [&] { std::ofstream(path) << "precious"; };
  const auto give = [&](const std::string& name) {
    REQUIRE(lchown(name.c_str(), kOther, kOther) == 0);
  };
  const auto theirs = [&] { write(), give(path); };
  const auto victim = [&] { return directory.write("victim", "precious"); };
  const auto link = [&] { REQUIRE(symlink(victim().c_str(), path.c_str()) == 0); };
  for (const Row& row : std::initializer_list<Row>{
           {"ours", 0755, 0, write, nullptr},
           {"sticky", 01777, 0, [] {}, nullptr},
           {"sticky, and ours is there", 01777, 0, write, nullptr},
           {"sticky, theirs is there", 01777, 0, theirs, "belongs to another user"},
           {"theirs in ours", 0755, 0, theirs, "belongs to another user"},
           {"writable by all", 0777, 0, [] {}, "writable by others"},
           {"of a stranger", 0755, kOther, [] {}, "belongs to another user"},
           {"of the program's user", 0755, kOther, theirs, nullptr, {kOther, {}}},
           {"a link of theirs", 01777, 0, [&] { link(), give(path); }, "is a link"},
           {"a link of ours", 0755, 0, link, "is a link"},
           {"another name", 01777, 0, [&] { std::filesystem::create_hard_link(victim(), path); },
            "has another name"},
           {"a pipe", 0755, 0, [&] { REQUIRE(mkfifo(path.c_str(), 0600) == 0); },
            "not a regular file"},
           {"a directory", 0755, 0, [&] { std::filesystem::create_directory(path); },
            "not a regular file"}}) {
    CAPTURE(row.what);
    std::filesystem::remove_all(place);
    std::filesystem::create_directory(place);
    REQUIRE(chmod(place.c_str(), row.mode) == 0);
    REQUIRE(chown(place.c_str(), row.owner, row.owner) == 0);
    row.plant();
    const auto checked = PidFile::check(path, row.trusted);
    CHECK(bool(checked) == (row.said == nullptr));
    {
      const auto file = PidFile::write(path, row.trusted);
      REQUIRE(bool(file) == (row.said == nullptr));
      if (file) continue;
      CHECK(file.error().kind == ErrorKind::config);
      CHECK(file.error().text.starts_with(path + ": "));
      CHECK(file.error().text.contains(row.said));
      CHECK(file.error().text == checked.error().text);
    }
    if (std::filesystem::is_regular_file(path)) CHECK(directory.read("run/pid") == "precious");
  }
}

TEST_CASE("a pid file that was replaced is not ours to remove") {
  const test::TempDirectory directory;
  {
    const auto file = PidFile::write(directory / "pid");
    REQUIRE(file);
    directory.write("pid", "another's");
  }
  CHECK(directory.read("pid") == "another's");
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
