#include "base/file.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

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
