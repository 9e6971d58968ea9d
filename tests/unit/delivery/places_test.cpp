// Where a file may be written, and whose it is then: links, owners, directories on the way (R10).

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "fixture.hpp"

using namespace keybearer;
using namespace keybearer::delivery;

TEST_CASE("a check passes what a write would: in place, in a directory that is not ours to write") {
  if (geteuid() == 0) return;  // may write everywhere
  const TestDirectory directory;
  auto spec = directory.spec("app.env");
  directory.put("app.env", "");
  REQUIRE(chmod(directory.path.c_str(), 0500) == 0);
  CHECK_FALSE(check_destination(spec).has_value());
  spec.in_place = true;
  CHECK(check_destination(spec).has_value());
  CHECK(write_one(spec, "x") == true);
  REQUIRE(chmod(spec.destination.c_str(), 0400) == 0);
  CHECK_FALSE(check_destination(spec).has_value());
  REQUIRE(chmod(directory.path.c_str(), 0700) == 0);
}

TEST_CASE("a destination that is no regular file is refused, at the check too") {
  const TestDirectory directory;
  fs::create_directory(directory.path / "directory");
  REQUIRE(mkfifo((directory.path / "fifo").c_str(), 0600) == 0);
  for (const char* name : {"directory", "directory/", "fifo"}) {
    const auto spec = directory.spec(name);
    CHECK(refusal(spec).find("must be a") != std::string::npos);
    CHECK_FALSE(check_destination(spec).has_value());
  }
  FileTarget device;
  device.destination = "/dev/null";
  CHECK_FALSE(write_one(device, "x").has_value());
  CHECK(S_ISCHR(info_of("/dev/null").st_mode));
}

TEST_CASE("a directory that others may write is refused; a shared one with the sticky bit is not") {
  const TestDirectory directory;
  const auto spec = directory.spec("app.env");
  REQUIRE(chmod(directory.path.c_str(), 0777) == 0);
  CHECK(refusal(spec).find("writable by others") != std::string::npos);
  CHECK_FALSE(check_destination(spec).has_value());
  CHECK(directory.names().empty());
  REQUIRE(chmod(directory.path.c_str(), 01777) == 0);
  CHECK(write_one(spec, "x") == true);
}

TEST_CASE("the target of a link is replaced, the link stays") {
  const TestDirectory directory;
  fs::create_directory(directory.path / "real");
  directory.put("real/file", "old");
  fs::create_symlink("real/file", directory.path / "link");
  fs::create_symlink("link", directory.path / "twice");
  CHECK(write_one(directory.spec("twice"), "new") == true);
  CHECK(fs::is_symlink(directory.path / "link"));
  CHECK(directory.read("real/file") == "new");
  CHECK(write_one(directory.spec("twice"), "new") == false);
  fs::create_symlink("real/none", directory.path / "dangling");
  CHECK(write_one(directory.spec("dangling"), "made") == true);
  CHECK(directory.read("real/none") == "made");
}

TEST_CASE("links that others may have made, or that lead nowhere, are refused") {
  const TestDirectory directory;
  fs::create_directory(directory.path / "open");
  directory.put("file", "old");
  fs::create_symlink(directory.path / "file", directory.path / "open/link");
  fs::create_symlink("loop", directory.path / "loop");
  CHECK(refusal(directory.spec("loop")).find("too many links") != std::string::npos);
  // In a shared directory with the sticky bit anybody may make a link.
  REQUIRE(chmod((directory.path / "open").c_str(), 01777) == 0);
  CHECK(refusal(directory.spec("open/link")).find("link") != std::string::npos);
  REQUIRE(chmod((directory.path / "open").c_str(), 0777) == 0);
  CHECK(refusal(directory.spec("open/link")).find("writable by others") != std::string::npos);
  CHECK(directory.read("file") == "old");
  if (geteuid() == 0) {  // a directory of somebody else is writable by somebody else
    REQUIRE(chmod((directory.path / "open").c_str(), 0755) == 0);
    REQUIRE(chown((directory.path / "open").c_str(), 65534, 65534) == 0);
    CHECK(refusal(directory.spec("open/link")).find("another user") != std::string::npos);
    CHECK(directory.read("file") == "old");
    CHECK(refusal(directory.spec("open/own")).find("another user") != std::string::npos);
  }
}

TEST_CASE("an existing file keeps its owner and group, and its mode is only narrowed") {
  struct Case {
    unsigned before, perms;
    bool given;
    unsigned after;
  };
  const TestDirectory directory;
  for (const Case& c : {Case{0440, 0600, false, 0400},
                        {0400, 0600, false, 0400},
                        {0644, 0600, false, 0600},
                        {0600, 0640, true, 0640},
                        {0666, 0640, true, 0640}}) {
    auto spec = directory.spec("app.env");
    spec.perms = c.perms;
    spec.perms_given = c.given;
    directory.put("app.env", "old");
    REQUIRE(chmod(spec.destination.c_str(), c.before) == 0);
    const bool root = geteuid() == 0;
    if (root) REQUIRE(chown(spec.destination.c_str(), 1234, 1235) == 0);
    const auto done = apply(spec, "new");
    CHECK(done.written == true);
    CHECK(done.mode == c.after);
    const auto info = info_of(spec.destination);
    CHECK((info.st_mode & 07777) == c.after);
    if (root) CHECK(info.st_uid == 1234);
    if (root) CHECK(info.st_gid == 1235);
    CHECK(write_one(spec, "new") == false);
    fs::remove(spec.destination);
  }
}

TEST_CASE("a number that means nobody is refused") {
  const TestDirectory directory;
  auto spec = directory.spec("app.env");
  spec.user = "4294967295";
  CHECK(refusal(spec).find("4294967295") != std::string::npos);
  spec.user.clear();
  spec.group = "4294967295";
  CHECK(refusal(spec).find("4294967295") != std::string::npos);
}

TEST_CASE("directories that are made are the file's user's, whatever the umask") {
  for (const mode_t mask : {0, 022, 077, 0777}) {
    const TestDirectory directory;
    auto spec = directory.spec("a/b/app.env");
    const mode_t before = umask(mask);
    const bool root = geteuid() == 0;
    if (root) spec.user = "1234";
    spec.group = root ? "1235" : std::to_string(getegid());
    const auto written = write_one(spec, "x");
    umask(before);
    CHECK_MESSAGE(written == true, mask);
    for (const char* name : {"a", "a/b"}) {
      const auto info = info_of(directory.path / name);
      CHECK((info.st_mode & 07777) == 0750);
      if (root) CHECK(info.st_uid == 1234);
      if (root) CHECK(info.st_gid == 1235);
    }
    CHECK((info_of(spec.destination).st_mode & 07777) == 0600);
  }
}

TEST_CASE("each component of the way is ours or root's, or sticky and the next one ours") {
  if (geteuid() != 0) return;  // needs others
  constexpr uid_t kOther = 65534;
  struct Case {
    const char* what;
    mode_t mode;
    uid_t owner;
    gid_t group;
    const char* refusal;  // null: allowed
  };
  for (const Case& c : {Case{"ours", 0755, 0, 0, nullptr},
                        {"another's", 0755, kOther, 0, "another user"},
                        {"another's, closed", 0700, kOther, 0, "another user"},
                        {"open to all", 0777, 0, 0, "writable by others"},
                        {"open to another group", 0775, 0, 65534, "writable by others"},
                        {"open to our group", 0775, 0, 0, nullptr},
                        {"sticky", 01777, 0, 0, nullptr},
                        {"sticky of another group", 01775, 0, 65534, nullptr}}) {
    CAPTURE(c.what);
    for (const char* way :
         {"d/app.env", "d/sub/app.env", "sub/../d/sub/app.env", "l/sub/app.env"}) {
      CAPTURE(way);
      const TestDirectory directory;
      fs::create_directories(directory.path / "d/sub");
      fs::create_directory(directory.path / "sub");
      fs::create_symlink("d", directory.path / "l");
      REQUIRE(chown((directory.path / "d").c_str(), c.owner, c.group) == 0);
      REQUIRE(chmod((directory.path / "d").c_str(), c.mode) == 0);
      auto spec = directory.spec(way);
      if (c.refusal == nullptr) {
        CHECK(write_one(spec, "x") == true);
        continue;
      }
      CHECK(refusal(spec).find(c.refusal) != std::string::npos);
      CHECK_FALSE(check_destination(spec).has_value());
      if (c.owner == kOther) {  // whom the file is for may own the way to it
        spec.user = std::to_string(kOther);
        CHECK(write_one(spec, "x") == true);
      }
    }
  }
}

TEST_CASE("in a directory that all may write nothing of another's is used") {
  if (geteuid() != 0) return;
  const TestDirectory directory;
  fs::create_directories(directory.path / "mine");
  fs::create_directories(directory.path / "pub/theirs");
  fs::create_symlink("../mine", directory.path / "pub/link");
  fs::create_symlink("../mine/file", directory.path / "pub/file");
  directory.put("pub/planted", "");
  const fs::path pub = directory.path / "pub";
  for (const char* name : {"theirs", "link", "file", "planted"})
    REQUIRE(lchown((pub / name).c_str(), 65534, 65534) == 0);
  REQUIRE(chmod(pub.c_str(), 01777) == 0);
  REQUIRE(chown(pub.c_str(), 65534, 65534) == 0);  // so that the file itself is looked at
  for (const char* way : {"pub/theirs/o", "pub/link/o", "pub/file", "pub/planted"}) {
    CAPTURE(way);
    CHECK(refusal(directory.spec(way)) != "written");
    CHECK_FALSE(check_destination(directory.spec(way)).has_value());
  }
  CHECK(fs::is_empty(directory.path / "mine"));
  // A link of another user is none to follow, wherever it is.
  REQUIRE(chown(pub.c_str(), 0, 0) == 0);
  REQUIRE(chmod(pub.c_str(), 0755) == 0);
  CHECK(refusal(directory.spec("pub/link/o")).find("link of another user") != std::string::npos);
  CHECK(refusal(directory.spec("pub/file")).find("link of another user") != std::string::npos);
}

TEST_CASE("in place, in a directory that all may write: nothing of another's is written into") {
  if (geteuid() != 0) return;  // needs others
  const TestDirectory directory;
  fs::create_directories(directory.path / "pub");
  directory.put("pub/planted", "");
  directory.put("mine", "old");
  directory.put("pub/mine", "old");
  fs::create_hard_link(directory.path / "mine", directory.path / "pub/name");
  const fs::path pub = directory.path / "pub";
  REQUIRE(chown((pub / "planted").c_str(), 65534, 65534) == 0);
  REQUIRE(chmod(pub.c_str(), 01777) == 0);
  auto spec = directory.spec("pub/planted");
  spec.in_place = true;
  CHECK(refusal(spec).find("another user's") != std::string::npos);
  CHECK_FALSE(check_destination(spec).has_value());
  CHECK(fs::file_size(pub / "planted") == 0);
  spec.user = "65534";  // whom it is for
  CHECK(write_one(spec, "x") == true);
  spec = directory.spec("pub/name");
  spec.in_place = true;
  CHECK(refusal(spec).find("another name") != std::string::npos);
  CHECK_FALSE(check_destination(spec).has_value());
  spec = directory.spec("pub/mine");
  spec.in_place = true;
  CHECK(write_one(spec, "x") == true);
}

TEST_CASE("a file that was made for a content that has no room is not left behind, empty") {
  const TestDirectory directory;
  auto spec = directory.spec("out");
  spec.in_place = true;
  const rlimit before = [] {
    rlimit limit{};
    getrlimit(RLIMIT_FSIZE, &limit);
    return limit;
  }();
  const rlimit small{.rlim_cur = 10, .rlim_max = before.rlim_max};
  auto* const ignored = signal(SIGXFSZ, SIG_IGN);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  const auto written = write_one(spec, "more than ten bytes");
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  signal(SIGXFSZ, ignored);
  CHECK_FALSE(written);
  CHECK_FALSE(fs::exists(spec.destination));
}

TEST_CASE("standard output is no file, and no open descriptor is one") {
  FileTarget out;
  out.destination = "/dev/stdout";
  CHECK(refusal(out).find("destination = \"-\"") != std::string::npos);
  out.destination = "/proc/self/fd/1";
  CHECK(refusal(out) != "written");
  out.destination = "-";
  CHECK(check_destination(out).has_value());
  const int before = dup(STDOUT_FILENO);
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  dup2(ends[1], STDOUT_FILENO);
  const auto written = write_one(out, "to all\n");
  dup2(before, STDOUT_FILENO);
  for (const int fd : {before, ends[1]}) close(fd);
  char text[16] = {};
  CHECK(read(ends[0], text, sizeof text) == 7);
  close(ends[0]);
  CHECK(std::string(text) == "to all\n");
  CHECK(written == true);
  CHECK_FALSE(fs::exists("-"));
}
