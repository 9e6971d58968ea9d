#include "base/log_rotation.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/log.hpp"

namespace keybearer::log {
namespace {

using namespace std::chrono_literals;

struct TempDir {
  std::string path = "/tmp/keybearer-rotation-XXXXXX";
  TempDir() {
    REQUIRE(mkdtemp(path.data()) != nullptr);
    Clock::freeze(Instant{1000h});
  }
  ~TempDir() {
    REQUIRE(open({}));
    Clock::thaw();
    std::filesystem::remove_all(path);
  }
  void use(const Rotation& rotation) const {
    REQUIRE(
        open({.level = Level::info, .file = path + "/app.log", .rotation = rotation, .name = {}}));
  }
  // Sorted: the rotated ones, oldest first, then app.log.
  [[nodiscard]] std::vector<std::string> files() const {
    std::vector<std::string> out;
    for (const auto& entry : std::filesystem::directory_iterator(path))
      out.push_back(entry.path().filename().string());
    std::ranges::sort(out);
    return out;
  }
  [[nodiscard]] std::string all() const {
    std::stringstream text;
    for (const std::string& name : files()) text << std::ifstream(path + "/" + name).rdbuf();
    return text.str();
  }
};

// Each line at its own millisecond.
void say(int n) {
  Clock::freeze(Clock::now() + 1ms);
  info("some.event", "line " + std::to_string(n) + ".");
}

TEST_CASE("when a log file is rotated") {
  struct {
    Rotation rotation;
    std::size_t written, next;
    Duration age;
    bool due;
  } rows[] = {
      {{}, 1u << 30, 100, 10000h, false},
      {{.bytes = 1000}, 900, 100, 0s, false},
      {{.bytes = 1000}, 901, 100, 0s, true},
      {{.bytes = 1000}, 0, 5000, 0s, false},  // a line that fits nowhere has its own file
      {{.age = 1h}, 1, 1, 59min, false},
      {{.age = 1h}, 1, 1, 1h, true},
      {{.age = 1h}, 0, 1, 10h, false},  // nothing in it
  };
  for (const auto& row : rows)
    CHECK(is_due(row.rotation, row.written, row.next, row.age) == row.due);
}

TEST_CASE("a rotated file's name") {
  const WallTime at{1764412800s + 5ns};
  CHECK(rotated_name("agent.log", at) == "agent-1764412800000000005.log");
  CHECK(rotated_name("agent", at) == "agent-1764412800000000005.log");
  CHECK(rotated_name("a.b.txt", at) == "a.b-1764412800000000005.txt");
}

TEST_CASE("which rotated files are too many: the oldest, and no file of another name") {
  const std::vector<std::string> names = {"a-10.log", "a-9.log", "a.log",  "a-x.log",
                                          "b-1.log",  "a-8.log", "a-.log", "a-8.txt"};
  using Names = std::vector<std::string>;
  CHECK(surplus(names, "a.log", 0).empty());
  CHECK(surplus(names, "a.log", 3).empty());
  CHECK(surplus(names, "a.log", 1) == Names{"a-8.log", "a-9.log"});
  CHECK(surplus(names, "a.log", -1) == Names{"a-8.log", "a-9.log", "a-10.log"});
}

TEST_CASE("by size: no file is larger, no line is lost, none is cut, and modes are 0600") {
  const TempDir directory;
  directory.use({.bytes = 500});
  for (int i = 0; i < 100; ++i) say(i);
  CHECK(directory.files().size() > 5);
  for (const std::string& name : directory.files()) {
    const std::filesystem::path path = directory.path + "/" + name;
    CHECK(std::filesystem::file_size(path) <= 500);
    CHECK(std::filesystem::status(path).permissions() == std::filesystem::perms(0600));
  }
  const std::string text = directory.all();
  for (int i = 0; i < 100; ++i) CHECK(text.contains("line " + std::to_string(i) + "."));
}

TEST_CASE("how many are kept: all, so many, none") {
  for (const int most : {0, 2, -1}) {
    CAPTURE(most);
    const TempDir directory;
    directory.use({.bytes = 200, .max_files = most});
    for (int i = 0; i < 60; ++i) say(i);
    const auto count = directory.files().size();
    CHECK((most == 0 ? count > 10 : count == static_cast<std::size_t>(std::max(most, 0)) + 1));
    CHECK(directory.all().contains("line 59."));
  }
}

TEST_CASE("by age, on a clock that jumps") {
  const TempDir directory;
  directory.use({.age = 24h});
  say(1);
  Clock::freeze(Clock::now() + 23h);
  say(2);
  CHECK(directory.files().size() == 1);
  Clock::freeze(Clock::now() + 100h);
  say(3);
  say(4);
  CHECK(directory.files().size() == 2);
  Clock::freeze(Clock::now() - 50h);
  say(5);
  CHECK(directory.files().size() == 2);
}

TEST_CASE("a size counts what an earlier run has written") {
  const TempDir directory;
  directory.use({});
  for (int i = 0; i < 20; ++i) say(i);
  directory.use({.bytes = 500});
  say(20);
  CHECK(directory.files().size() == 2);
}

TEST_CASE("somebody else's rotation: the file that was moved away is not moved again") {
  const TempDir directory;
  directory.use({.bytes = 300});
  say(1);
  std::filesystem::rename(directory.path + "/app.log", directory.path + "/moved");
  std::ofstream(directory.path + "/app.log") << "another's";
  for (int i = 2; i < 5; ++i) say(i);
  CHECK(directory.all().contains("another's"));
  CHECK(std::filesystem::exists(directory.path + "/moved"));
}

TEST_CASE("a file that can't be rotated goes on, and one line says so") {
  const TempDir directory;
  const std::string pipe = directory.path + "/app.log";
  directory.use({.bytes = 200});
  say(0);
  // The name that it would get is a directory that is not empty.
  for (int i = 0; i < 4; ++i) {
    Clock::freeze(Clock::now() + 1ms);
    std::filesystem::create_directories(directory.path + "/" + rotated_name("app.log", wall_now()) +
                                        "/x");
    info("some.event", std::string(150, 'x'));
  }
  const std::string text = [&] {
    std::stringstream out;
    out << std::ifstream(pipe).rdbuf();
    return out.str();
  }();
  CHECK(text.contains("renaming it"));
  CHECK(text.find("renaming it") == text.rfind("renaming it"));
}

}  // namespace
}  // namespace keybearer::log
