#include "base/file.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/text.hpp"

namespace keybearer {
namespace {

struct TempDirectory {
  std::filesystem::path path;
  TempDirectory() {
    char name[] = "/tmp/keybearer-read-XXXXXX";
    path = mkdtemp(name);
  }
  ~TempDirectory() { std::filesystem::remove_all(path); }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
};

TEST_CASE("a file is read as a whole, or it is said why not") {
  const TempDirectory directory;
  const std::string path = directory.path / "file";
  const std::string content = std::string(100'000, 'x') + '\0' + "end\n";
  std::ofstream(path) << content;
  CHECK(read_file(path) == content);
  CHECK(read_file(path, {.limit = 100'005}) == content);
  CHECK(read_file(path, {.limit = 64 << 10}).error().text == "larger than 64 KiB");
  CHECK(read_file(path + "x").error().number == ENOENT);
  CHECK(read_file(path + "x").error().as(ErrorKind::config, "p").error().text ==
        "p: No such file or directory");
  CHECK(read_file(directory.path).error().number == EISDIR);
  const std::string fifo = directory.path / "fifo";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  CHECK(read_file(fifo).error().text == "not a regular file");  // and nobody waits for a writer
  CHECK(read_file("/dev/null", {.regular = false}) == "");
}

TEST_CASE(
    "a pipe is read to its end; one without a writer and a device without an end are let go") {
  const TempDirectory directory;
  const std::string fifo = directory.path / "fifo";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  const ReadOptions any{.limit = 64 << 10, .regular = false, .silence_ms = 20};
  CHECK(read_file(fifo, any).error().number == ETIMEDOUT);
  wait_for_pipes(false);  // as while the loop runs
  CHECK(read_file(fifo, {.regular = false}).error().text ==
        "a pipe or device that has nothing to read");
  wait_for_pipes(true);
  CHECK(read_file("/dev/zero", any).error().text == "larger than 64 KiB");
  const std::string content(50'000, 'x');
  std::thread writer([&] { std::ofstream(fifo) << content; });  // waits for its reader
  CHECK(read_file(fifo, {.regular = false}) == content);
  writer.join();
  // A shell's <( ), with a writer that does not end, and one that does.
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  REQUIRE(write(ends[1], "text", 4) == 4);
  CHECK(read_file("/proc/self/fd/" + std::to_string(ends[0]), any).error().number == ETIMEDOUT);
  REQUIRE(write(ends[1], "text", 4) == 4);
  close(ends[1]);
  CHECK(read_file("/proc/self/fd/" + std::to_string(ends[0]), any) == "text");
  close(ends[0]);
}

TEST_CASE("small things with texts") {
  CHECK(trimmed(" \t a b\r\n") == "a b");
  CHECK(trimmed(" \n").empty());
  CHECK(joined({"a", "b", "c"}) == "a, b, c");
  CHECK(joined({}).empty());
  CHECK(joined({"a", "b"}, "; ") == "a; b");
  using Lines = std::vector<std::string_view>;
  CHECK(split_lines("a\n\nb") == Lines{"a", "", "b"});
  CHECK(split_lines("a\n") == Lines{"a"});
  CHECK(split_lines("").empty());
}

}  // namespace
}  // namespace keybearer
