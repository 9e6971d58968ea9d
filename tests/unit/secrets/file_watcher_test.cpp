// Files that a template reads.

#include "fixture.hpp"

namespace keybearer::secrets {
namespace {

TEST_CASE_FIXTURE(Fixture, "a file is read again when it changes") {
  const std::string path = directory + "/ca.pem";
  const tmpl::Dependency file{
      .kind = tmpl::Dependency::Kind::file, .path = path, .id = "file(" + path + ")"};
  std::ofstream(path) << "one";
  start({file});
  REQUIRE(secrets->snapshot().find(file) != nullptr);
  CHECK(secrets->snapshot().find(file)->as_text() == "one");
  std::ofstream(path) << "other";
  io.advance(3s);
  CHECK(secrets->snapshot().find(file)->as_text() == "other");
  CHECK(status(file).generation == 2);
  SUBCASE("and keeps its last content when it is gone, until it is back") {
    std::filesystem::rename(path, path + ".away");
    io.advance(3s);
    CHECK(secrets->snapshot().find(file)->as_text() == "other");
    CHECK(status(file).state == State::absent);
    std::filesystem::rename(path + ".away", path);
    io.advance(3s);
    CHECK(status(file).state == State::fresh);
    CHECK(status(file).generation == 2);
  }
  CHECK(http->asked.empty());
}

TEST_CASE_FIXTURE(Fixture, "a file that is not there at the start is given up after the grace") {
  const tmpl::Dependency file{
      .kind = tmpl::Dependency::Kind::file, .path = directory + "/none", .id = "file(none)"};
  start({file});
  io.advance(14s);
  CHECK_FALSE(start_failure());
  io.advance(3s);
  REQUIRE(start_failure());
  CHECK(start_failure()->kind == ErrorKind::not_found);
}

}  // namespace
}  // namespace keybearer::secrets
