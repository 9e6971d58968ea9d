#pragma once
// Files are written into a directory of the test's own.

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "delivery/files.hpp"

namespace keybearer::delivery {

namespace fs = std::filesystem;

// Gone at the end.
struct TestDirectory {
  fs::path path;
  TestDirectory() {
    char name[] = "/tmp/keybearer-files-XXXXXX";
    path = mkdtemp(name);
  }
  ~TestDirectory() { fs::remove_all(path); }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;

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

inline struct stat info_of(const fs::path& path) {
  struct stat info{};
  REQUIRE(lstat(path.c_str(), &info) == 0);
  return info;
}

inline FileWrite write_of(const FileTarget& spec, std::string_view content) {
  return {spec, std::make_shared<const Secret>(content), {}};
}

// As a process of its own would.
inline FileResult apply(const FileTarget& spec, std::string_view content) {
  return Files().apply_now({write_of(spec, content)}).front();
}
inline result<bool> write_one(const FileTarget& spec, std::string_view content) {
  return apply(spec, content).written;
}

inline std::string refusal(const FileTarget& spec) {
  const auto written = write_one(spec, "new");
  if (written) return "written";
  CHECK(written.error().kind == ErrorKind::io);
  CHECK(written.error().text.starts_with(spec.destination + ": "));
  return written.error().text.substr(spec.destination.size() + 2);
}

}  // namespace keybearer::delivery
