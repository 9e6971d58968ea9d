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

#include "fixture.hpp"
#include "support/log_file.hpp"

// Rules: R2, R3, R9, R10 (src/RULES.md).
using namespace keybearer;
using namespace keybearer::delivery;
namespace asio = boost::asio;

TEST_CASE("a new file has its content, mode 0600 and no company") {
  const TestDirectory directory;
  const auto spec = directory.spec("app.env");
  umask(0);
  CHECK(write_one(spec, "A=1\n") == true);
  umask(022);
  CHECK(directory.read("app.env") == "A=1\n");
  CHECK((info_of(spec.destination).st_mode & 07777) == 0600);
  CHECK(directory.names() == std::vector<std::string>{"app.env"});
}

TEST_CASE("bytes stay bytes, also none of them") {
  const TestDirectory directory;
  const std::string bytes("\xff\xfe\0\r\n\x80", 6);
  CHECK(write_one(directory.spec("raw"), bytes) == true);
  CHECK(directory.read("raw") == bytes);
  CHECK(write_one(directory.spec("empty"), "") == true);
  CHECK(directory.read("empty").empty());
}

TEST_CASE("what is already on the disk is not touched") {
  const TestDirectory directory;
  auto spec = directory.spec("app.env");
  REQUIRE(write_one(spec, "A=1\n") == true);
  const auto before = info_of(spec.destination);
  CHECK(write_one(spec, "A=1\n") == false);
  const auto after = info_of(spec.destination);
  CHECK(after.st_ino == before.st_ino);
  CHECK(after.st_mtim.tv_nsec == before.st_mtim.tv_nsec);
  CHECK(after.st_ctim.tv_nsec == before.st_ctim.tv_nsec);

  CHECK(write_one(spec, "A=2\n") == true);
  CHECK(directory.read("app.env") == "A=2\n");
  CHECK(info_of(spec.destination).st_ino != before.st_ino);
}

TEST_CASE("a wider mode is narrowed, also when the content is the same") {
  const TestDirectory directory;
  const auto spec = directory.spec("app.env");
  directory.put("app.env", "A=1\n");
  REQUIRE(chmod(spec.destination.c_str(), 0644) == 0);
  CHECK(write_one(spec, "A=1\n") == true);
  CHECK((info_of(spec.destination).st_mode & 07777) == 0600);
}

TEST_CASE("perms, user and group are set as configured") {
  const TestDirectory directory;
  auto spec = directory.spec("app.env");
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

TEST_CASE("directories that are not there are made for us alone") {
  const TestDirectory directory;
  auto spec = directory.spec("a/b/app.env");
  CHECK(check_destination(spec).has_value());
  CHECK_FALSE(fs::exists(directory.path / "a"));  // a check makes nothing
  CHECK(write_one(spec, "x") == true);
  CHECK((info_of(directory.path / "a").st_mode & 07777) == 0700);
  CHECK((info_of(directory.path / "a/b").st_mode & 07777) == 0700);
  spec = directory.spec("c/app.env");
  spec.create_dest_dirs = false;
  CHECK(refusal(spec).find("No such file or directory") != std::string::npos);
  CHECK_FALSE(fs::exists(directory.path / "c"));
}

TEST_CASE("a check passes what a write would: a link to what is not there yet") {
  const TestDirectory directory;
  const auto spec = directory.spec("link");
  fs::create_symlink("later/app.env", spec.destination);
  CHECK(check_destination(spec).has_value());
  CHECK(write_one(spec, "x") == true);
  CHECK(directory.read("later/app.env") == "x");
}

TEST_CASE("in place the same inode gets the new content") {
  const TestDirectory directory;
  auto spec = directory.spec("mounted");
  spec.in_place = true;
  directory.put("mounted", "something longer");
  const auto before = info_of(spec.destination).st_ino;
  CHECK(write_one(spec, "short") == true);
  CHECK(directory.read("mounted") == "short");
  CHECK(info_of(spec.destination).st_ino == before);
  CHECK((info_of(spec.destination).st_mode & 07777) == 0600);
  CHECK(write_one(spec, "short") == false);
}

TEST_CASE("a backup keeps the previous file") {
  const TestDirectory directory;
  auto spec = directory.spec("app.env");
  spec.backup = true;
  CHECK(write_one(spec, "1") == true);
  CHECK(directory.names() == std::vector<std::string>{"app.env"});
  CHECK(write_one(spec, "2") == true);
  CHECK(write_one(spec, "3") == true);
  CHECK(directory.read("app.env") == "3");
  CHECK(directory.read("app.env.bak") == "2");
  CHECK((info_of(directory.path / "app.env.bak").st_mode & 07777) == 0600);

  chmod((directory.path / "app.env").c_str(), 0666);  // somebody else's doing
  CHECK(write_one(spec, "third") == true);
  CHECK((info_of(directory.path / "app.env.bak").st_mode & 07777) == 0600);
}

TEST_CASE("a disk that is full leaves the old file and nothing else") {
  const TestDirectory directory;
  const auto spec = directory.spec("app.env");
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
  CHECK(directory.read("app.env") == "old");
  CHECK(directory.names() == std::vector<std::string>{"app.env"});
}

TEST_CASE("what is said of a file is said once it is written") {
  const TestDirectory directory;
  const test::LogFile log;
  const auto spec = directory.spec("app.env");
  directory.put("app.env", "old");
  REQUIRE(chmod(spec.destination.c_str(), 0644) == 0);
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    rlimit limit{};
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = 100'000;  // the log is a file, too
    setrlimit(RLIMIT_FSIZE, &limit);
    _exit(write_one(spec, std::string(200'000, 'x')) ? 1 : 0);
  }
  int status = -1;
  waitpid(child, &status, 0);
  CHECK(status == 0);
  CHECK(log.lines("narrowed") == 0);
  CHECK(write_one(spec, "new") == true);
  CHECK(log.lines("narrowed") == 1);
}

TEST_CASE("one file that can't be written stops no other") {
  const TestDirectory directory;
  fs::create_directory(directory.path / "b");
  const auto a = directory.spec("a"), b = directory.spec("b"), c = directory.spec("c");
  const auto results = Files().apply_now({write_of(a, "1"), write_of(b, "2"), write_of(c, "3")});
  CHECK(results[0].written == true);
  CHECK_FALSE(results[1].written.has_value());
  CHECK(results[2].written == true);
  CHECK(directory.read("a") + directory.read("c") == "13");
}

TEST_CASE("a thousand files need few descriptors") {
  const TestDirectory directory;
  std::vector<FileTarget> specs;
  std::vector<FileWrite> writes;
  for (int i = 0; i < 1000; ++i) specs.push_back(directory.spec("file" + std::to_string(i)));
  for (const auto& spec : specs) writes.push_back(write_of(spec, spec.destination));
  rlimit before{}, few{};
  getrlimit(RLIMIT_NOFILE, &before);
  few = before;
  few.rlim_cur = 200;
  setrlimit(RLIMIT_NOFILE, &few);
  const auto results = Files().apply_now(writes);
  setrlimit(RLIMIT_NOFILE, &before);
  CHECK(std::ranges::all_of(results, [](const FileResult& r) { return r.written && *r.written; }));
  CHECK(directory.names().size() == 1000);
}

TEST_CASE("many files are synced while others run, and when cancelled nothing is left behind") {
  const TestDirectory directory;
  std::vector<FileTarget> specs;
  std::vector<FileWrite> writes;
  for (int i = 0; i < 150; ++i) specs.push_back(directory.spec("file" + std::to_string(i)));
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
    CHECK(directory.names().size() == 150);
  }
  SUBCASE("cancelled while it waits") {
    context.run_one();
    cancel.emit(asio::cancellation_type::terminal);
    context.run();
    CHECK(results.empty());
    // The thread that writes is not waited for: it tidies up by itself.
    const auto tidy = [&directory] {
      return std::ranges::all_of(directory.names(),
                                 [](const std::string& name) { return name.starts_with("file"); });
    };
    for (int i = 0; i < 2000 && !tidy(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    CHECK(tidy());
  }
}

TEST_CASE(
    "what we left behind when we were killed is swept; what others have or still write is not") {
  const TestDirectory directory;
  const auto spec = directory.spec("app.env");
  directory.put(".app.env.keybearer-abcdefghij01", "half");
  directory.put(".app.env.keybearer-short", "theirs");
  directory.put("app.env.keybearer-abcdefghij01", "theirs");
  directory.put(".app.env.keybearer-busybusybusy", "being written");
  fs::create_symlink("app.env", directory.path / ".app.env.keybearer-symlinkslink");
  const int busy =
      open((directory.path / ".app.env.keybearer-busybusybusy").c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(flock(busy, LOCK_EX) == 0);
  sweep_leftovers({spec});
  close(busy);
  CHECK(directory.names() == std::vector<std::string>{".app.env.keybearer-busybusybusy",
                                                      ".app.env.keybearer-short",
                                                      ".app.env.keybearer-symlinkslink",
                                                      "app.env.keybearer-abcdefghij01"});
}

TEST_CASE("kill -9 at any moment leaves the old file or the new one") {
  const TestDirectory directory;
  const auto spec = directory.spec("app.env");
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
    const std::string there = directory.read("app.env");
    CHECK((there == old_text || there == new_text));
    sweep_leftovers({spec});
    CHECK(directory.names() == std::vector<std::string>{"app.env"});
  }
}

TEST_CASE("files that go at the end are removed where they were written, others stay") {
  const TestDirectory directory;
  fs::create_directory(directory.path / "real");
  auto stays = directory.spec("stays"), goes = directory.spec("goes"),
       link = directory.spec("link"), never = directory.spec("never"),
       theirs = directory.spec("theirs");
  fs::create_symlink("real/file", link.destination);
  for (FileTarget* target : {&goes, &link, &never, &theirs}) target->remove_on_exit = true;
  directory.put("never", "not ours");
  Files files;
  (void)files.apply_now(
      {write_of(stays, "1"), write_of(goes, "2"), write_of(link, "3"), write_of(theirs, "4")});
  fs::remove(theirs.destination);
  directory.put("theirs", "put there by somebody else");
  fs::remove(link.destination);  // it leads elsewhere by then
  fs::create_symlink("stays", link.destination);
  files.remove_on_exit();
  CHECK(directory.names() == std::vector<std::string>{"link", "never", "real", "stays", "theirs"});
  CHECK(fs::is_empty(directory.path / "real"));
}

TEST_CASE("files that go at the end go while the thread that writes them is in the middle") {
  const TestDirectory directory;
  std::vector<FileWrite> writes;
  for (int i = 0; i < 200; ++i) {
    FileTarget spec = directory.spec("file" + std::to_string(i));
    spec.remove_on_exit = spec.in_place = true;
    directory.put("file" + std::to_string(i), "old");
    writes.push_back(write_of(spec, "new"));
  }
  asio::io_context context;
  Files files;
  bool ended = false;
  asio::co_spawn(context, files.apply(writes), [&](auto, auto) { ended = true; });
  context.poll();
  while (directory.read("file1") != "new") std::this_thread::yield();
  files.remove_on_exit();
  CHECK(!fs::exists(writes.front().target.destination));
  while (!ended) context.run_one();
}

TEST_CASE("what this run has written is not looked at again, but for another target or content") {
  const TestDirectory directory;
  const auto spec = directory.spec("app.env");
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

TEST_CASE("a change whose command has not succeeded is due again in the next run") {
  for (const bool in_place : {false, true}) {
    for (const unsigned perms : {0600U, 0400U}) {
      const TestDirectory directory;
      auto spec = directory.spec("app.env");
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
      CHECK(directory.names() == std::vector<std::string>{"app.env"});
      spec.command.argv.clear();
      CHECK_FALSE(apply(spec, "2").written == false);
    }
  }
}
