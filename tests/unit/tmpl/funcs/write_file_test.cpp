#include "tmpl/funcs/write_file.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tmpl/funcs/plugin.hpp"

namespace keybearer::tmpl {
namespace {

namespace fs = std::filesystem;

class Folder {
 public:
  Folder() { REQUIRE(mkdtemp(path_.data()) != nullptr); }
  ~Folder() { fs::remove_all(path_); }
  [[nodiscard]] std::string at(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] std::size_t count() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(path_), {}));
  }

 private:
  std::string path_ = (fs::temp_directory_path() / "write-file-XXXXXX").string();
};

std::string content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}
struct stat info(const std::string& path) {
  struct stat out{};
  REQUIRE(stat(path.c_str(), &out) == 0);
  return out;
}
void put(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

TEST_CASE("a file is replaced at once: who has it open keeps the old") {
  const Folder folder;
  const std::string path = folder.at("f");
  put(path, "old");
  std::ifstream reader(path);
  const auto before = info(path).st_ino;
  REQUIRE(write_file({.path = path, .mode = 0640, .content = "new"}));
  std::string seen;
  reader >> seen;
  CHECK(seen == "old");
  CHECK(content(path) == "new");
  CHECK(info(path).st_ino != before);
  CHECK((info(path).st_mode & 07777) == 0640);
  CHECK(folder.count() == 1);  // nothing is left beside it
}

TEST_CASE("a file with several names is written in place") {
  const Folder folder;
  put(folder.at("a"), "old");
  REQUIRE(link(folder.at("a").c_str(), folder.at("b").c_str()) == 0);
  REQUIRE(write_file({.path = folder.at("a"), .content = "new"}));
  CHECK(content(folder.at("b")) == "new");
}

TEST_CASE("our own link is followed, also one that leads nowhere yet") {
  const Folder folder;
  put(folder.at("real"), "old");
  REQUIRE(symlink("real", folder.at("link").c_str()) == 0);
  REQUIRE(symlink("fresh", folder.at("dangling").c_str()) == 0);
  REQUIRE(write_file({.path = folder.at("link"), .content = "new"}));
  REQUIRE(write_file({.path = folder.at("dangling"), .content = "x"}));
  CHECK(fs::is_symlink(folder.at("link")));
  CHECK(content(folder.at("real")) == "new");
  CHECK(content(folder.at("fresh")) == "x");
}

TEST_CASE("another user's link is refused") {
  if (geteuid() != 0) return;  // only root can make one
  const Folder folder;
  put(folder.at("real"), "old");
  REQUIRE(symlink("real", folder.at("link").c_str()) == 0);
  REQUIRE(lchown(folder.at("link").c_str(), 12345, 12345) == 0);
  CHECK(write_file({.path = folder.at("link"), .content = "new"}).error() ==
        "open " + folder.at("link") + ": is a link of another user; name the file itself");
  CHECK(content(folder.at("real")) == "old");
}

TEST_CASE("the owner stays, or is the one that is asked for") {
  if (geteuid() != 0) return;
  const Folder folder;
  put(folder.at("f"), "old");
  REQUIRE(chown(folder.at("f").c_str(), 12345, 23456) == 0);
  REQUIRE(write_file({.path = folder.at("f"), .content = "new"}));
  CHECK(info(folder.at("f")).st_uid == 12345);
  CHECK(info(folder.at("f")).st_gid == 23456);
  REQUIRE(write_file({.path = folder.at("f"), .user = "54321", .content = "new"}));
  CHECK(info(folder.at("f")).st_uid == 54321);
}

TEST_CASE("errors are Go's; an unknown owner is one after the file is written") {
  const Folder folder;
  CHECK(write_file({.path = folder.at("")}).error() ==
        "open " + folder.at("") + ": is a directory");
  put(folder.at("f"), "");
  CHECK(write_file({.path = folder.at("f/g")}).error() ==
        "open " + folder.at("f/g") + ": not a directory");
  CHECK(write_file({.path = folder.at("no/f"), .append = true}).error() ==
        "open " + folder.at("no/f") + ": no such file or directory");
  CHECK(write_file({.path = folder.at("u"), .user = "no-such-user", .content = "x"}).error() ==
        "user: unknown user no-such-user");
  CHECK(content(folder.at("u")) == "x");
}

TEST_CASE("appending and a device write in place") {
  const Folder folder;
  for (int i = 0; i < 2; ++i)
    REQUIRE(write_file({.path = folder.at("f"), .append = true, .content = "ab"}));
  CHECK(content(folder.at("f")) == "abab");
  CHECK(fs::is_character_file("/dev/null"));
}

TEST_CASE("a file is where the sandbox is, whatever links say, and nothing is made outside") {
  const Folder folder;
  fs::create_directories(folder.at("box/sub"));
  fs::create_directory(folder.at("out"));
  REQUIRE(symlink("../out", folder.at("box/link").c_str()) == 0);
  REQUIRE(symlink("../out/f", folder.at("box/file").c_str()) == 0);
  REQUIRE(symlink("box", folder.at("alias").c_str()) == 0);
  const auto wrote = [&](const std::string& path, const std::string& box) {
    return write_file({.path = folder.at(path), .content = "x", .sandbox = folder.at(box)})
        .has_value();
  };
  for (const char* box : {"box", "alias"}) {
    CHECK(wrote("box/f", box));
    CHECK(wrote("box/sub/new/f", box));
    CHECK(wrote("alias/sub/../f", box));
    for (const char* path :
         {"f", "out/f", "box/link/f", "box/link/new/f", "box/file", "box/../out/f", "boxes/f"})
      CHECK_MESSAGE(!wrote(path, box), path);
  }
  CHECK(!wrote("box/f", "no-such-box"));  // nothing is allowed by a sandbox that is not there
  CHECK(fs::is_empty(folder.at("out")));
  CHECK(!fs::exists(folder.at("boxes")));
}

TEST_CASE("directories are made for the owner, and modes are narrowed before the content") {
  const Folder folder;
  const mode_t before = umask(0);
  CHECK(write_file({.path = folder.at("a/b/f"), .content = "x"}));
  umask(before);
  CHECK((info(folder.at("a/b")).st_mode & 07777) == 0700);
  put(folder.at("two"), "old");
  REQUIRE(link(folder.at("two").c_str(), folder.at("names").c_str()) == 0);
  REQUIRE(chmod(folder.at("two").c_str(), 0666) == 0);
  CHECK(write_file({.path = folder.at("two"), .mode = 0600, .content = "x"}));
  CHECK((info(folder.at("names")).st_mode & 07777) == 0600);
}

TEST_CASE("plugin: output, exit status, time limit, no shell") {
  using std::chrono::milliseconds;
  CHECK(run_plugin({"/bin/echo", "$HOME;x"}, milliseconds(5000)).value() == "$HOME;x\n");
  CHECK(run_plugin({"sh", "-c", "echo no; exit 3"}, milliseconds(5000)).error() == "exit status 3");
  CHECK(run_plugin({"/no/such"}, milliseconds(5000)).error() == "No such file or directory");
  const auto begin = std::chrono::steady_clock::now();
  CHECK(run_plugin({"sh", "-c", "sleep 60 & sleep 60"}, milliseconds(200)).error() ==
        "did not finish in 0s");
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(20));
  setenv("VAULT_TOKEN", "hunter2", 1);
  CHECK(run_plugin({"sleep", "60"}, milliseconds(60'000), []() noexcept { return true; }).error() ==
        "broken off");
  CHECK(run_plugin({"sh", "-c", "echo \"[$VAULT_TOKEN]\""}, milliseconds(5000)).value() == "[]\n");
  unsetenv("VAULT_TOKEN");
}

}  // namespace
}  // namespace keybearer::tmpl
