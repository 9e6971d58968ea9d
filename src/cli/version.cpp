#include <gnu/libc-version.h>
#include <CLI/Version.hpp>
#include <boost/version.hpp>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/exit_code.hpp"
#include "cli/commands.hpp"
#include "config/library.hpp"
#include "crypto/library.hpp"

#ifndef KEYBEARER_COMMIT
#define KEYBEARER_COMMIT ""
#endif
#ifndef KEYBEARER_DATE
#define KEYBEARER_DATE ""
#endif

namespace keybearer::cli {
namespace {

// As linked, not as found on the system: who has the binary can tell whether a fault of a library
// concerns it.
std::vector<std::pair<std::string, std::string>> libraries() {
  std::string boost = BOOST_LIB_VERSION;
  for (char& c : boost) c = c == '_' ? '.' : c;
  return {
      {"boost", boost},
      {"cli11", CLI11_VERSION},
      {"glibc", gnu_get_libc_version()},
      {"libstdc++", std::to_string(_GLIBCXX_RELEASE) + " (" + std::to_string(__GLIBCXX__) + ")"},
      {"openssl", openssl_version()},
      {"toml++", config::toml_version()}};
}

std::string compiler() {
#ifdef __clang__
  return "clang " __clang_version__;
#else
  return "gcc " __VERSION__;
#endif
}

}  // namespace

int version(bool json) {
  const std::string commit = KEYBEARER_COMMIT, date = KEYBEARER_DATE;
  if (json) {
    std::string out = R"({"name":"keybearer","version":")" KEYBEARER_VERSION R"(","commit":")" +
                      commit + R"(","date":")" + date + R"(","compiler":")" + compiler() +
                      R"(","libraries":{)";
    const char* comma = "";
    for (const auto& [name, text] : libraries()) {
      out += std::string(comma) + "\"" + name + "\":\"" + text + "\"";
      comma = ",";
    }
    std::puts((out + "}}").c_str());
    return kOk;
  }
  std::puts("keybearer " KEYBEARER_VERSION);
  if (!commit.empty()) std::printf("commit     %s %s\n", commit.c_str(), date.c_str());
  for (const auto& [name, text] : libraries())
    std::printf("%-10s %s\n", name.c_str(), text.c_str());
  return kOk;
}

}  // namespace keybearer::cli
