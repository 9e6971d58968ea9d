#pragma once
// The log of a test, in a file that goes away again.

#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "base/log.hpp"

namespace keybearer::test {

class LogFile {
 public:
  LogFile() {
    std::string directory = (std::filesystem::temp_directory_path() / "kb-log-XXXXXX").string();
    REQUIRE(mkdtemp(directory.data()) != nullptr);
    directory_ = directory;
    REQUIRE(log::open({.level = log::Level::debug, .file = directory_ + "/log", .name = {}}));
  }
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;
  ~LogFile() {
    (void)log::open({});
    std::filesystem::remove_all(directory_);
  }

  [[nodiscard]] std::string text() const {
    std::stringstream out;
    out << std::ifstream(directory_ + "/log").rdbuf();
    return out.str();
  }
  [[nodiscard]] int lines(std::string_view part) const {
    int count = 0;
    std::stringstream in(text());
    for (std::string line; std::getline(in, line);) count += line.contains(part) ? 1 : 0;
    return count;
  }

 private:
  std::string directory_;
};

}  // namespace keybearer::test
