#include "delivery/files.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

// Rules: R2, R3, R9, R10 (src/RULES.md).
using namespace keybearer;
using namespace keybearer::delivery;
namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

// A folder of its own, gone at the end.
struct Folder {
  fs::path path;
  Folder() {
    char name[] = "/tmp/keybearer-files-XXXXXX";
    path = mkdtemp(name);
  }
  ~Folder() { fs::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  FileTarget spec(const std::string& name) const {
    FileTarget out;
    out.destination = path / name;
    return out;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(path)) out.push_back(entry.path().filename());
    std::ranges::sort(out);
    return out;
  }
  std::string read(const std::string& name) const {
    std::ostringstream out;
    out << std::ifstream(path / name).rdbuf();
    return out.str();
  }
  void put(const std::string& name, const std::string& text) const {
    std::ofstream(path / name) << text;
  }
};

struct stat info_of(const fs::path& path) {
  struct stat info{};
  REQUIRE(lstat(path.c_str(), &info) == 0);
  return info;
}

FileWrite write_of(const FileTarget& spec, std::string_view content) {
  return {spec, std::make_shared<const Secret>(content), {}};
}

// As a process of its own would.
FileResult apply(const FileTarget& spec, std::string_view content) {
  return Files().apply_now({write_of(spec, content)}).front();
}
result<bool> write_one(const FileTarget& spec, std::string_view content) {
  return apply(spec, content).written;
}

std::string refusal(const FileTarget& spec) {
  const auto written = write_one(spec, "new");
  if (written) return "written";
  CHECK(written.error().kind == ErrorKind::io);
  CHECK(written.error().text.starts_with(spec.destination + ": "));
  return written.error().text.substr(spec.destination.size() + 2);
}

}  // namespace

TEST_CASE("a new file has its content, mode 0600 and no company") {
  const Folder folder;
  const auto spec = folder.spec("app.env");
  umask(0);
  CHECK(write_one(spec, "A=1\n") == true);
  umask(022);
  CHECK(folder.read("app.env") == "A=1\n");
  CHECK((info_of(spec.destination).st_mode & 07777) == 0600);
  CHECK(folder.names() == std::vector<std::string>{"app.env"});
}

TEST_CASE("bytes stay bytes, also none of them") {
  const Folder folder;
  const std::string bytes("\xff\xfe\0\r\n\x80", 6);
  CHECK(write_one(folder.spec("raw"), bytes) == true);
  CHECK(folder.read("raw") == bytes);
  CHECK(write_one(folder.spec("empty"), "") == true);
  CHECK(folder.read("empty").empty());
}

TEST_CASE("what is already on the disk is not touched") {
  const Folder folder;
  auto spec = folder.spec("app.env");
  REQUIRE(write_one(spec, "A=1\n") == true);
  const auto before = info_of(spec.destination);
  CHECK(write_one(spec, "A=1\n") == false);
  const auto after = info_of(spec.destination);
  CHECK(after.st_ino == before.st_ino);
  CHECK(after.st_mtim.tv_nsec == before.st_mtim.tv_nsec);
  CHECK(after.st_ctim.tv_nsec == before.st_ctim.tv_nsec);

  CHECK(write_one(spec, "A=2\n") == true);
  CHECK(folder.read("app.env") == "A=2\n");
  CHECK(info_of(spec.destination).st_ino != before.st_ino);
}

TEST_CASE("a wider mode is narrowed, also when the content is the same") {
  const Folder folder;
  const auto spec = folder.spec("app.env");
  folder.put("app.env", "A=1\n");
  REQUIRE(chmod(spec.destination.c_str(), 0644) == 0);
  CHECK(write_one(spec, "A=1\n") == true);
  CHECK((info_of(spec.destination).st_mode & 07777) == 0600);
}

TEST_CASE("perms, user and group are set as configured") {
  const Folder folder;
  auto spec = folder.spec("app.env");
  spec.perms = 04640;
  spec.user = std::to_string(geteuid());
  spec.group = std::to_string(getegid());
  CHECK(write_one(spec, "x") == true);
  CHECK((info_of(spec.destination).st_mode & 07777) == 04640);
  CHECK(write_one(spec, "x") == false);
  if (geteuid() == 0) {
    spec.user = "nobody";
    spec.group = "daemon";
    CHECK(write_one(spec, "x") == true);
    CHECK(info_of(spec.destination).st_uid != 0);
    CHECK(info_of(spec.destination).st_gid != 0);
    CHECK((info_of(spec.destination).st_mode & 07777) == 04640);
    CHECK(write_one(spec, "x") == false);
  }
  spec.user = "no-such-user";
  CHECK(refusal(spec) == "no user \"no-such-user\" in /etc/passwd");
}

TEST_CASE("folders that are not there are made for us alone") {
  const Folder folder;
  auto spec = folder.spec("a/b/app.env");
  CHECK(check_destination(spec).has_value());
  CHECK_FALSE(fs::exists(folder.path / "a"));  // a check makes nothing
  CHECK(write_one(spec, "x") == true);
  CHECK((info_of(folder.path / "a").st_mode & 07777) == 0700);
  CHECK((info_of(folder.path / "a/b").st_mode & 07777) == 0700);
  spec = folder.spec("c/app.env");
  spec.create_dest_dirs = false;
  CHECK(refusal(spec).find("No such file or directory") != std::string::npos);
  CHECK_FALSE(fs::exists(folder.path / "c"));
}

TEST_CASE("a check passes what a write would: a link to what is not there yet") {
  const Folder folder;
  const auto spec = folder.spec("link");
  fs::create_symlink("later/app.env", spec.destination);
  CHECK(check_destination(spec).has_value());
  CHECK(write_one(spec, "x") == true);
  CHECK(folder.read("later/app.env") == "x");
}

TEST_CASE("a check passes what a write would: in place, in a folder that is not ours to write") {
  if (geteuid() == 0) return;  // may write everywhere
  const Folder folder;
  auto spec = folder.spec("app.env");
  folder.put("app.env", "");
  REQUIRE(chmod(folder.path.c_str(), 0500) == 0);
  CHECK_FALSE(check_destination(spec).has_value());
  spec.in_place = true;
  CHECK(check_destination(spec).has_value());
  CHECK(write_one(spec, "x") == true);
  REQUIRE(chmod(spec.destination.c_str(), 0400) == 0);
  CHECK_FALSE(check_destination(spec).has_value());
  REQUIRE(chmod(folder.path.c_str(), 0700) == 0);
}

TEST_CASE("a destination that is no regular file is refused, at the check too") {
  const Folder folder;
  fs::create_directory(folder.path / "folder");
  REQUIRE(mkfifo((folder.path / "fifo").c_str(), 0600) == 0);
  for (const char* name : {"folder", "folder/", "fifo"}) {
    const auto spec = folder.spec(name);
    CHECK(refusal(spec).find("must be a") != std::string::npos);
    CHECK_FALSE(check_destination(spec).has_value());
  }
  FileTarget device;
  device.destination = "/dev/null";
  CHECK_FALSE(write_one(device, "x").has_value());
  CHECK(S_ISCHR(info_of("/dev/null").st_mode));
}

TEST_CASE("a folder that others may write is refused; a shared one with the sticky bit is not") {
  const Folder folder;
  const auto spec = folder.spec("app.env");
  REQUIRE(chmod(folder.path.c_str(), 0777) == 0);
  CHECK(refusal(spec).find("writable by others") != std::string::npos);
  CHECK_FALSE(check_destination(spec).has_value());
  CHECK(folder.names().empty());
  REQUIRE(chmod(folder.path.c_str(), 01777) == 0);
  CHECK(write_one(spec, "x") == true);
}

TEST_CASE("the target of a link is replaced, the link stays") {
  const Folder folder;
  fs::create_directory(folder.path / "real");
  folder.put("real/file", "old");
  fs::create_symlink("real/file", folder.path / "link");
  fs::create_symlink("link", folder.path / "twice");
  CHECK(write_one(folder.spec("twice"), "new") == true);
  CHECK(fs::is_symlink(folder.path / "link"));
  CHECK(folder.read("real/file") == "new");
  CHECK(write_one(folder.spec("twice"), "new") == false);
  fs::create_symlink("real/none", folder.path / "dangling");
  CHECK(write_one(folder.spec("dangling"), "made") == true);
  CHECK(folder.read("real/none") == "made");
}

TEST_CASE("links that others may have made, or that lead nowhere, are refused") {
  const Folder folder;
  fs::create_directory(folder.path / "open");
  folder.put("file", "old");
  fs::create_symlink(folder.path / "file", folder.path / "open/link");
  fs::create_symlink("loop", folder.path / "loop");
  CHECK(refusal(folder.spec("loop")).find("too many links") != std::string::npos);
  // In a shared folder with the sticky bit anybody may make a link.
  REQUIRE(chmod((folder.path / "open").c_str(), 01777) == 0);
  CHECK(refusal(folder.spec("open/link")).find("link") != std::string::npos);
  REQUIRE(chmod((folder.path / "open").c_str(), 0777) == 0);
  CHECK(refusal(folder.spec("open/link")).find("writable by others") != std::string::npos);
  CHECK(folder.read("file") == "old");
  if (geteuid() == 0) {  // a folder of somebody else is writable by somebody else
    REQUIRE(chmod((folder.path / "open").c_str(), 0755) == 0);
    REQUIRE(chown((folder.path / "open").c_str(), 65534, 65534) == 0);
    CHECK(refusal(folder.spec("open/link")).find("another user") != std::string::npos);
    CHECK(folder.read("file") == "old");
    CHECK(refusal(folder.spec("open/own")).find("another user") != std::string::npos);
  }
}

TEST_CASE("in place the same inode gets the new content") {
  const Folder folder;
  auto spec = folder.spec("mounted");
  spec.in_place = true;
  folder.put("mounted", "something longer");
  const auto before = info_of(spec.destination).st_ino;
  CHECK(write_one(spec, "short") == true);
  CHECK(folder.read("mounted") == "short");
  CHECK(info_of(spec.destination).st_ino == before);
  CHECK((info_of(spec.destination).st_mode & 07777) == 0600);
  CHECK(write_one(spec, "short") == false);
}

TEST_CASE("a backup keeps the previous file") {
  const Folder folder;
  auto spec = folder.spec("app.env");
  spec.backup = true;
  CHECK(write_one(spec, "1") == true);
  CHECK(folder.names() == std::vector<std::string>{"app.env"});
  CHECK(write_one(spec, "2") == true);
  CHECK(write_one(spec, "3") == true);
  CHECK(folder.read("app.env") == "3");
  CHECK(folder.read("app.env.bak") == "2");
  CHECK((info_of(folder.path / "app.env.bak").st_mode & 07777) == 0600);

  chmod((folder.path / "app.env").c_str(), 0666);  // somebody else's doing
  CHECK(write_one(spec, "third") == true);
  CHECK((info_of(folder.path / "app.env.bak").st_mode & 07777) == 0600);
}

TEST_CASE("a disk that is full leaves the old file and nothing else") {
  const Folder folder;
  const auto spec = folder.spec("app.env");
  REQUIRE(write_one(spec, "old") == true);
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    rlimit limit{};
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = 4096;
    setrlimit(RLIMIT_FSIZE, &limit);
    const auto written = write_one(spec, std::string(10000, 'x'));
    _exit(!written && written.error().kind == ErrorKind::io &&
                  written.error().text.starts_with(spec.destination)
              ? 0
              : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  CHECK(status == 0);
  CHECK(folder.read("app.env") == "old");
  CHECK(folder.names() == std::vector<std::string>{"app.env"});
}

TEST_CASE("one file that can't be written stops no other") {
  const Folder folder;
  fs::create_directory(folder.path / "b");
  const auto a = folder.spec("a"), b = folder.spec("b"), c = folder.spec("c");
  const auto results = Files().apply_now({write_of(a, "1"), write_of(b, "2"), write_of(c, "3")});
  CHECK(results[0].written == true);
  CHECK_FALSE(results[1].written.has_value());
  CHECK(results[2].written == true);
  CHECK(folder.read("a") + folder.read("c") == "13");
}

TEST_CASE("a thousand files need few descriptors") {
  const Folder folder;
  std::vector<FileTarget> specs;
  std::vector<FileWrite> writes;
  for (int i = 0; i < 1000; ++i) specs.push_back(folder.spec("file" + std::to_string(i)));
  for (const auto& spec : specs) writes.push_back(write_of(spec, spec.destination));
  rlimit before{}, few{};
  getrlimit(RLIMIT_NOFILE, &before);
  few = before;
  few.rlim_cur = 200;
  setrlimit(RLIMIT_NOFILE, &few);
  const auto results = Files().apply_now(writes);
  setrlimit(RLIMIT_NOFILE, &before);
  CHECK(std::ranges::all_of(results, [](const FileResult& r) { return r.written && *r.written; }));
  CHECK(folder.names().size() == 1000);
}

TEST_CASE("many files are synced while others run, and when cancelled nothing is left behind") {
  const Folder folder;
  std::vector<FileTarget> specs;
  std::vector<FileWrite> writes;
  for (int i = 0; i < 150; ++i) specs.push_back(folder.spec("file" + std::to_string(i)));
  for (const auto& spec : specs) writes.push_back(write_of(spec, spec.destination));
  asio::io_context context;
  std::vector<FileResult> results;
  Files files;
  asio::cancellation_signal cancel;
  asio::co_spawn(context, files.apply(writes),
                 asio::bind_cancellation_slot(cancel.slot(),
                                              [&](const std::exception_ptr& failure, auto written) {
                                                if (!failure) results = std::move(written);
                                              }));
  SUBCASE("to the end") {
    context.run();
    CHECK(std::ranges::count_if(results, [](const auto& r) { return r.written && *r.written; }) ==
          150);
    CHECK(folder.names().size() == 150);
  }
  SUBCASE("cancelled while it waits") {
    context.run_one();
    cancel.emit(asio::cancellation_type::terminal);
    context.run();
    CHECK(results.empty());
    // The thread that writes is not waited for: it tidies up by itself.
    const auto tidy = [&folder] {
      return std::ranges::all_of(folder.names(),
                                 [](const std::string& name) { return name.starts_with("file"); });
    };
    for (int i = 0; i < 2000 && !tidy(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    CHECK(tidy());
  }
}

TEST_CASE(
    "what we left behind when we were killed is swept; what others have or still write is not") {
  const Folder folder;
  const auto spec = folder.spec("app.env");
  folder.put(".app.env.keybearer-abcdefghij01", "half");
  folder.put(".app.env.keybearer-short", "theirs");
  folder.put("app.env.keybearer-abcdefghij01", "theirs");
  folder.put(".app.env.keybearer-busybusybusy", "being written");
  fs::create_symlink("app.env", folder.path / ".app.env.keybearer-symlinkslink");
  const int busy =
      open((folder.path / ".app.env.keybearer-busybusybusy").c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(flock(busy, LOCK_EX) == 0);
  sweep_leftovers({spec});
  close(busy);
  CHECK(folder.names() == std::vector<std::string>{
                              ".app.env.keybearer-busybusybusy", ".app.env.keybearer-short",
                              ".app.env.keybearer-symlinkslink", "app.env.keybearer-abcdefghij01"});
}

TEST_CASE("kill -9 at any moment leaves the old file or the new one") {
  const Folder folder;
  const auto spec = folder.spec("app.env");
  const std::string old_text(300'000, 'o'), new_text(300'000, 'n');
  REQUIRE(write_one(spec, old_text) == true);
  for (int i = 0; i < 25; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      for (;;) {
        (void)write_one(spec, new_text);
        (void)write_one(spec, old_text);
      }
    }
    usleep(static_cast<useconds_t>(1000 + 700 * i));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    const std::string there = folder.read("app.env");
    CHECK((there == old_text || there == new_text));
    sweep_leftovers({spec});
    CHECK(folder.names() == std::vector<std::string>{"app.env"});
  }
}

TEST_CASE("files that go at the end are removed where they were written, others stay") {
  const Folder folder;
  fs::create_directory(folder.path / "real");
  auto stays = folder.spec("stays"), goes = folder.spec("goes"), link = folder.spec("link"),
       never = folder.spec("never"), theirs = folder.spec("theirs");
  fs::create_symlink("real/file", link.destination);
  for (FileTarget* target : {&goes, &link, &never, &theirs}) target->remove_on_exit = true;
  folder.put("never", "not ours");
  Files files;
  (void)files.apply_now(
      {write_of(stays, "1"), write_of(goes, "2"), write_of(link, "3"), write_of(theirs, "4")});
  fs::remove(theirs.destination);
  folder.put("theirs", "put there by somebody else");
  fs::remove(link.destination);  // it leads elsewhere by then
  fs::create_symlink("stays", link.destination);
  files.remove_on_exit();
  CHECK(folder.names() == std::vector<std::string>{"link", "never", "real", "stays", "theirs"});
  CHECK(fs::is_empty(folder.path / "real"));
}

TEST_CASE("what this run has written is not looked at again, but for another target or content") {
  const Folder folder;
  const auto spec = folder.spec("app.env");
  const FileWrite write = write_of(spec, "1");
  Files files;
  CHECK(files.apply_now({write}).front().written == true);
  fs::remove(spec.destination);
  CHECK(files.apply_now({write}).front().written == false);
  FileWrite other = write;
  other.target.perms = 0640;
  other.target.perms_given = true;
  CHECK(files.apply_now({other}).front().written == true);
  CHECK(files.apply_now({write_of(other.target, "2")}).front().written == true);
}

TEST_CASE("an existing file keeps its owner and group, and its mode is only narrowed") {
  struct Case {
    unsigned before, perms;
    bool given;
    unsigned after;
  };
  const Folder folder;
  for (const Case& c : {Case{0440, 0600, false, 0400},
                        {0400, 0600, false, 0400},
                        {0644, 0600, false, 0600},
                        {0600, 0640, true, 0640},
                        {0666, 0640, true, 0640}}) {
    auto spec = folder.spec("app.env");
    spec.perms = c.perms;
    spec.perms_given = c.given;
    folder.put("app.env", "old");
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
  const Folder folder;
  auto spec = folder.spec("app.env");
  spec.user = "4294967295";
  CHECK(refusal(spec).find("4294967295") != std::string::npos);
  spec.user.clear();
  spec.group = "4294967295";
  CHECK(refusal(spec).find("4294967295") != std::string::npos);
}

TEST_CASE("directories that are made are the file's user's, whatever the umask") {
  for (const mode_t mask : {0, 022, 077, 0777}) {
    const Folder folder;
    auto spec = folder.spec("a/b/app.env");
    const mode_t before = umask(mask);
    const bool root = geteuid() == 0;
    if (root) spec.user = "1234";
    spec.group = root ? "1235" : std::to_string(getegid());
    const auto written = write_one(spec, "x");
    umask(before);
    CHECK_MESSAGE(written == true, mask);
    for (const char* name : {"a", "a/b"}) {
      const auto info = info_of(folder.path / name);
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
      const Folder folder;
      fs::create_directories(folder.path / "d/sub");
      fs::create_directory(folder.path / "sub");
      fs::create_symlink("d", folder.path / "l");
      REQUIRE(chown((folder.path / "d").c_str(), c.owner, c.group) == 0);
      REQUIRE(chmod((folder.path / "d").c_str(), c.mode) == 0);
      auto spec = folder.spec(way);
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
  const Folder folder;
  fs::create_directories(folder.path / "mine");
  fs::create_directories(folder.path / "pub/theirs");
  fs::create_symlink("../mine", folder.path / "pub/link");
  fs::create_symlink("../mine/file", folder.path / "pub/file");
  folder.put("pub/planted", "");
  const fs::path pub = folder.path / "pub";
  for (const char* name : {"theirs", "link", "file", "planted"})
    REQUIRE(lchown((pub / name).c_str(), 65534, 65534) == 0);
  REQUIRE(chmod(pub.c_str(), 01777) == 0);
  REQUIRE(chown(pub.c_str(), 65534, 65534) == 0);  // so that the file itself is looked at
  for (const char* way : {"pub/theirs/o", "pub/link/o", "pub/file", "pub/planted"}) {
    CAPTURE(way);
    CHECK(refusal(folder.spec(way)) != "written");
    CHECK_FALSE(check_destination(folder.spec(way)).has_value());
  }
  CHECK(fs::is_empty(folder.path / "mine"));
  // A link of another user is none to follow, wherever it is.
  REQUIRE(chown(pub.c_str(), 0, 0) == 0);
  REQUIRE(chmod(pub.c_str(), 0755) == 0);
  CHECK(refusal(folder.spec("pub/link/o")).find("link of another user") != std::string::npos);
  CHECK(refusal(folder.spec("pub/file")).find("link of another user") != std::string::npos);
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

TEST_CASE("a change whose command has not succeeded is due again in the next run") {
  for (const bool in_place : {false, true}) {
    for (const unsigned perms : {0600U, 0400U}) {
      const Folder folder;
      auto spec = folder.spec("app.env");
      spec.in_place = in_place;
      spec.perms = perms;
      spec.command.argv = {"true"};
      CHECK(apply(spec, "1").action_due);
      CHECK(apply(spec, "1").action_due);  // it never came to it
      Files run;
      const auto again = run.apply_now({write_of(spec, "1")}).front();
      CHECK(again.written == false);
      CHECK(again.action_due);
      run.action_done(spec.destination);
      CHECK_FALSE(apply(spec, "1").action_due);
      CHECK((info_of(spec.destination).st_mode & 07777) == perms);
      CHECK(folder.names() == std::vector<std::string>{"app.env"});
      spec.command.argv.clear();
      CHECK_FALSE(apply(spec, "2").written == false);
    }
  }
}
