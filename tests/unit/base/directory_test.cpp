#include "base/directory.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

namespace keybearer {
namespace {

namespace fs = std::filesystem;

struct TempDirectory {
  fs::path path;
  TempDirectory() {
    char name[] = "/tmp/keybearer-way-XXXXXX";
    path = mkdtemp(name);
  }
  ~TempDirectory() { fs::remove_all(path); }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
};

std::string opened(const fs::path& path) {
  const auto directory = open_directory(path, {}, Missing::nothing);
  if (!directory) return "refused";
  return *directory ? (**directory).path : "nothing";
}

TEST_CASE("a way is walked to where it really leads") {
  const TempDirectory at;
  fs::create_directories(at.path / "a/b");
  fs::create_symlink("a", at.path / "relative");
  fs::create_symlink(at.path / "a/b", at.path / "absolute");
  fs::create_symlink("../relative/b/..", at.path / "a/round");
  fs::create_symlink("loop", at.path / "loop");
  const std::string a = at.path / "a";
  for (const char* way : {"a", "a/", "./a/.", "a/b/..", "relative", "absolute/..", "a/round"})
    CHECK_MESSAGE(opened(at.path / way) == a, way);
  CHECK(opened(at.path / "relative/none") == "nothing");
  CHECK(opened(at.path / "loop") == "refused");
  CHECK(opened("/") == "/");
  CHECK(opened("/proc/self/fd/0/x") == "refused");
}

TEST_CASE("a sandbox holds, and nothing is made outside") {
  const TempDirectory at;
  fs::create_directory(at.path / "box");
  fs::create_symlink("..", at.path / "box/out");
  const std::string box = at.path / "box";
  CHECK(open_directory(box + "/x/y", {}, Missing::make, box).has_value());
  for (const char* way : {"boxes/x", "box/out/x", "box/../x", "x"}) {
    CHECK_FALSE(open_directory(at.path / way, {}, Missing::make, box).has_value());
  }
  CHECK_FALSE(fs::exists(at.path / "x"));
  CHECK_FALSE(fs::exists(at.path / "boxes"));
}

TEST_CASE("for a log it is enough that no link is another user's") {
  const TempDirectory at;
  fs::create_directory(at.path / "open");
  fs::create_symlink("open", at.path / "ours");
  REQUIRE(chmod((at.path / "open").c_str(), 0777) == 0);
  for (const char* way : {"open/log", "ours/log", "none/log", "open"})
    CHECK_MESSAGE(refuse_links_of_others(at.path / way).has_value(), way);
  for (const char* way : {"/dev/null", "/dev/stderr", "/proc/self/fd/2"})
    CHECK_MESSAGE(refuse_links_of_others(way).has_value(), way);
  if (geteuid() != 0) return;
  fs::create_symlink("open", at.path / "theirs");
  fs::create_symlink("none", at.path / "open/log");
  REQUIRE(lchown((at.path / "theirs").c_str(), 65534, 65534) == 0);
  REQUIRE(lchown((at.path / "open/log").c_str(), 65534, 65534) == 0);
  for (const char* way : {"theirs/log", "open/log", "ours/log"})
    CHECK_MESSAGE(!refuse_links_of_others(at.path / way).has_value(), way);
}

}  // namespace
}  // namespace keybearer
