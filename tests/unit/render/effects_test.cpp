#include "render/effects.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace keybearer::render {
namespace {

class Directory {
 public:
  Directory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "effects-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::string at(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] std::string text(const std::string& name) const {
    std::stringstream out;
    out << std::ifstream(at(name)).rdbuf();
    return out.str();
  }

 private:
  std::string path_;
};

tmpl::FileEffect write(const std::string& path, const std::string& content, bool append = false) {
  return {.path = path,
          .mode = 0640,
          .append = append,
          .content = std::make_shared<const Secret>(content),
          .context = "template: a.conf:3:9"};
}

TEST_CASE("what is written beside the output is a change when its bytes differ") {
  const Directory directory;
  const std::vector<tmpl::FileEffect> both = {write(directory.at("a"), "1"),
                                              write(directory.at("b"), "2")};
  CHECK(carry_out(both).value());
  CHECK(directory.text("a") + directory.text("b") == "12");
  CHECK_FALSE(carry_out(both).value());
  const std::vector<tmpl::FileEffect> other = {both[0], write(directory.at("b"), "3")};
  CHECK(carry_out(other).value());
  CHECK(directory.text("b") == "3");
  const std::vector<tmpl::FileEffect> more = {write(directory.at("b"), "4", true)};
  CHECK(carry_out(more).value());
  CHECK(directory.text("b") == "34");
  CHECK_FALSE(carry_out({}).value());
}

TEST_CASE("the first that can't be written ends it, with the template's place") {
  const Directory directory;
  std::filesystem::create_directory(directory.at("d"));
  const std::vector<tmpl::FileEffect> all = {write(directory.at("a"), "1"),
                                             write(directory.at("d"), "hunter2"),
                                             write(directory.at("b"), "2")};
  const auto done = carry_out(all);
  REQUIRE_FALSE(done);
  CHECK(done.error().kind == ErrorKind::io);
  CHECK(done.error().text.starts_with("template: a.conf:3:9: error calling writeToFile: "));
  CHECK(done.error().text.find("hunter2") == std::string::npos);
  CHECK(directory.text("a") == "1");
  CHECK_FALSE(std::filesystem::exists(directory.at("b")));
}

TEST_CASE("a fingerprint is that of the output and of all that is written beside it") {
  const Secret output("text");
  const std::vector<tmpl::FileEffect> one = {write("f", "1")}, other = {write("f", "2")},
                                      elsewhere = {write("g", "1")};
  CHECK(fingerprint_of(output, one) == fingerprint_of(output, one));
  CHECK(fingerprint_of(output, one) != fingerprint_of(output, other));
  CHECK(fingerprint_of(output, one) != fingerprint_of(output, elsewhere));
  CHECK(fingerprint_of(output, one) != fingerprint_of(output, {}));
  CHECK(fingerprint_of(output, {}) != fingerprint_of(Secret("other"), {}));
}

}  // namespace
}  // namespace keybearer::render
