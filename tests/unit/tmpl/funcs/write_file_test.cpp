#include "tmpl/funcs/write_file.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
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

class TempDir {
 public:
  TempDir() { REQUIRE(mkdtemp(path_.data()) != nullptr); }
  ~TempDir() { fs::remove_all(path_); }
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
  const TempDir directory;
  const std::string path = directory.at("f");
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
  CHECK(directory.count() == 1);  // nothing is left beside it
}

TEST_CASE("in a directory that all may write, nothing of another's gets the content") {
  if (geteuid() != 0) return;  // needs others
  const TempDir directory;
  const std::string pub = directory.at("pub"), planted = pub + "/planted", name = pub + "/name";
  fs::create_directory(pub);
  put(planted, "");
  put(directory.at("mine"), "old");
  REQUIRE(link(directory.at("mine").c_str(), name.c_str()) == 0);
  REQUIRE(chown(planted.c_str(), 65534, 65534) == 0);
  REQUIRE(chmod(pub.c_str(), 01777) == 0);
  CHECK_FALSE(write_file({.path = planted, .append = true, .content = "more"}));
  CHECK_FALSE(write_file({.path = name, .append = true, .content = "more"}));
  CHECK(content(planted).empty());
  REQUIRE(write_file({.path = planted, .content = "new"}));  // replaced, and ours
  CHECK(info(planted).st_uid == geteuid());
  CHECK(content(planted) == "new");
  REQUIRE(write_file({.path = name, .content = "new"}));
  CHECK(content(name) == "new");
  CHECK(content(directory.at("mine")) == "old");
  const std::string pipe = pub + "/pipe";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  REQUIRE(chown(pipe.c_str(), 65534, 65534) == 0);
  const int reader = open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  CHECK_FALSE(write_file({.path = pipe, .content = "new"}));
  close(reader);
}

TEST_CASE("a file with several names is written in place") {
  const TempDir directory;
  put(directory.at("a"), "old");
  REQUIRE(link(directory.at("a").c_str(), directory.at("b").c_str()) == 0);
  REQUIRE(write_file({.path = directory.at("a"), .content = "new"}));
  CHECK(content(directory.at("b")) == "new");
}

TEST_CASE("our own link is followed, also one that leads nowhere yet") {
  const TempDir directory;
  put(directory.at("real"), "old");
  REQUIRE(symlink("real", directory.at("link").c_str()) == 0);
  REQUIRE(symlink("fresh", directory.at("dangling").c_str()) == 0);
  REQUIRE(write_file({.path = directory.at("link"), .content = "new"}));
  REQUIRE(write_file({.path = directory.at("dangling"), .content = "x"}));
  CHECK(fs::is_symlink(directory.at("link")));
  CHECK(content(directory.at("real")) == "new");
  CHECK(content(directory.at("fresh")) == "x");
}

TEST_CASE("another user's link is refused") {
  if (geteuid() != 0) return;  // only root can make one
  const TempDir directory;
  put(directory.at("real"), "old");
  REQUIRE(symlink("real", directory.at("link").c_str()) == 0);
  REQUIRE(lchown(directory.at("link").c_str(), 12345, 12345) == 0);
  CHECK(write_file({.path = directory.at("link"), .content = "new"}).error() ==
        "open " + directory.at("link") + ": is a link of another user; name the file itself");
  CHECK(content(directory.at("real")) == "old");
}

TEST_CASE("the owner stays, or is the one that is asked for") {
  if (geteuid() != 0) return;
  const TempDir directory;
  put(directory.at("f"), "old");
  REQUIRE(chown(directory.at("f").c_str(), 12345, 23456) == 0);
  REQUIRE(write_file({.path = directory.at("f"), .content = "new"}));
  CHECK(info(directory.at("f")).st_uid == 12345);
  CHECK(info(directory.at("f")).st_gid == 23456);
  REQUIRE(write_file({.path = directory.at("f"), .user = "54321", .content = "new"}));
  CHECK(info(directory.at("f")).st_uid == 54321);
}

TEST_CASE("errors are Go's; an unknown owner is one after the file is written") {
  const TempDir directory;
  CHECK(write_file({.path = directory.at("")}).error() ==
        "open " + directory.at("") + ": is a directory");
  put(directory.at("f"), "");
  CHECK(write_file({.path = directory.at("f/g")}).error() ==
        "open " + directory.at("f/g") + ": not a directory");
  CHECK(write_file({.path = directory.at("no/f"), .append = true}).error() ==
        "open " + directory.at("no/f") + ": no such file or directory");
  CHECK(write_file({.path = directory.at("u"), .user = "no-such-user", .content = "x"}).error() ==
        "user: unknown user no-such-user");
  CHECK(content(directory.at("u")) == "x");
}

TEST_CASE("appending and a device write in place") {
  const TempDir directory;
  for (int i = 0; i < 2; ++i)
    REQUIRE(write_file({.path = directory.at("f"), .append = true, .content = "ab"}));
  CHECK(content(directory.at("f")) == "abab");
  CHECK(fs::is_character_file("/dev/null"));
}

TEST_CASE("a file is where the sandbox is, whatever links say, and nothing is made outside") {
  const TempDir directory;
  fs::create_directories(directory.at("box/sub"));
  fs::create_directory(directory.at("out"));
  REQUIRE(symlink("../out", directory.at("box/link").c_str()) == 0);
  REQUIRE(symlink("../out/f", directory.at("box/file").c_str()) == 0);
  REQUIRE(symlink("box", directory.at("alias").c_str()) == 0);
  const auto wrote = [&](const std::string& path, const std::string& box) {
    return write_file({.path = directory.at(path), .content = "x", .sandbox = directory.at(box)})
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
  CHECK(fs::is_empty(directory.at("out")));
  CHECK(!fs::exists(directory.at("boxes")));
}

TEST_CASE("directories are made for the owner, and modes are narrowed before the content") {
  const TempDir directory;
  const mode_t before = umask(0);
  CHECK(write_file({.path = directory.at("a/b/f"), .content = "x"}));
  umask(before);
  CHECK((info(directory.at("a/b")).st_mode & 07777) == 0700);
  put(directory.at("two"), "old");
  REQUIRE(link(directory.at("two").c_str(), directory.at("names").c_str()) == 0);
  REQUIRE(chmod(directory.at("two").c_str(), 0666) == 0);
  CHECK(write_file({.path = directory.at("two"), .mode = 0600, .content = "x"}));
  CHECK((info(directory.at("names")).st_mode & 07777) == 0600);
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
