#include "auth/credential.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "house.hpp"

namespace keybearer::auth {
namespace {

namespace fs = std::filesystem;
using config::OnRenewFailure;
using Phase = TokenState::Phase;

constexpr auto kBadId = R"({"errors":["invalid secret id"]})";

// What may be done to a credential's file without giving another content.
struct NotNew {
  const char* name;
  void (*apply)(const Folder& folder, const std::string& file, const std::string& content);
};
const NotNew kNotNew[] = {
    {"touched",
     [](const Folder& folder, const std::string& file, const std::string&) {
       fs::last_write_time(folder / file, fs::file_time_type::clock::now());
     }},
    {"written again with the same content",
     [](const Folder& folder, const std::string& file, const std::string& content) {
       folder.write(file, content);
     }},
    {"written again with other white space around it",
     [](const Folder& folder, const std::string& file, const std::string& content) {
       folder.write(file, "\n  " + content + "\r\n");
     }},
    {"empty", [](const Folder& folder, const std::string& file,
                 const std::string&) { folder.write(file, ""); }},
    {"too large", [](const Folder& folder, const std::string& file,
                     const std::string&) { folder.write(file, std::string(100'000, 'x')); }},
    {"a directory",
     [](const Folder& folder, const std::string& file, const std::string&) {
       fs::remove_all(folder / file);
       fs::create_directory(folder / file);
     }},
    {"a FIFO",
     [](const Folder& folder, const std::string& file, const std::string&) {
       fs::remove_all(folder / file);
       REQUIRE(mkfifo((folder / file).c_str(), 0600) == 0);
     }},
    {"a link to nothing",
     [](const Folder& folder, const std::string& file, const std::string&) {
       fs::remove_all(folder / file);
       fs::create_symlink("/nowhere/at/all", folder / file);
     }},
    {"gone", [](const Folder& folder, const std::string& file,
                const std::string&) { fs::remove_all(folder / file); }},
};

TEST_CASE("a token file that is touched or can't be used is not new: nothing is asked, no storm") {
  for (const auto& what : kNotNew) {
    CAPTURE(what.name);
    House house;
    house.config.method = {};
    house.config.method.type = "token_file";
    house.config.method.set("token_file_path", std::string(house.folder.write("token", "hvs.A")));
    house.http->answer(kLookup, 200, looked_up(3600));
    house.http->answer(kRenew, 200, granted("hvs.A", 3600));
    house.start();
    for (int i = 0; i < 20; ++i) {
      what.apply(house.folder, "token", "hvs.A");
      house.io.advance(3min, 1s);
    }
    CHECK(house.http->count(kLookup) == 1);
    CHECK(house.http->count(kRenew) == 1);
    CHECK(house.lines("ERROR") == 0);
    CHECK(house.alarms.empty());
    CHECK(house.token() == "hvs.A");
    if (fs::exists(house.folder / "token")) fs::remove_all(house.folder / "token");
    house.folder.write("token", "hvs.B");
    house.io.advance(10s);
    CHECK(house.token() == "hvs.B");
  }
}

TEST_CASE("a secret_id that was refused is not sent again because its file is touched") {
  for (const auto& what : kNotNew) {
    for (const bool other : {false, true}) {  // the role_id's file beside it, or its own
      CAPTURE(what.name);
      CAPTURE(other);
      House house;
      house.config.method.erase("secret_id");
      house.config.method.erase("role_id");
      house.config.method.set("role_id_file_path",
                              std::string(house.folder.write("role-id", "role-1")));
      house.config.method.set("secret_id_file_path",
                              std::string(house.folder.write("secret-id", "first")));
      house.config.method.set_flag("remove_secret_id_file_after_reading", false);
      house.http->answer(kLogin, 200, granted("T1", 600, false));
      house.http->answer(kLogin, 400, kBadId);
      house.start();
      house.io.advance(481s, 1s);
      CHECK(house.http->count(kLogin) == 2);
      for (int i = 0; i < 10; ++i) {
        what.apply(house.folder, other ? "role-id" : "secret-id", other ? "role-1" : "first");
        house.io.advance(10s, 500ms);
      }
      CHECK(house.http->count(kLogin) == 2);
      CHECK(house.alarms == std::vector<std::string>{"login.refused"});
      house.io.advance(20s, 500ms);
      REQUIRE(house.ended);
      CHECK(house.ended->kind == ErrorKind::denied);
      CHECK(house.http->count(kLogin) == 2);
    }
  }
}

TEST_CASE("while a refused login waits, a new secret_id is tried at once, however it comes") {
  House house;
  house.config.method.erase("secret_id");
  fs::create_directory(house.folder / "..1");
  house.folder.write("..1/secret-id", "first");
  fs::create_directory_symlink("..1", house.folder / "..data");  // as Kubernetes mounts it
  fs::create_symlink("..data/secret-id", house.folder / "secret-id");
  house.config.method.set("secret_id_file_path", house.folder / "secret-id");
  house.config.method.set_flag("remove_secret_id_file_after_reading", false);
  house.http->answer(kLogin, 200, granted("T1", 600, false));
  house.http->answer(kLogin, 400, kBadId);
  house.http->answer(kLogin, 200, granted("T2", 600));
  house.start();
  house.io.advance(500s);
  CHECK(house.http->count(kLogin) == 2);
  SUBCASE("a symbolic link is swapped") {
    fs::create_directory(house.folder / "..2");
    house.folder.write("..2/secret-id", "second");
    fs::create_directory_symlink("..2", house.folder / "..new");
    fs::rename(house.folder / "..new", house.folder / "..data");
  }
  SUBCASE("the file is replaced") {
    fs::remove(house.folder / "secret-id");
    house.folder.write("secret-id", "second");
  }
  SUBCASE("the file is written in place, with a content of the same length") {
    std::ofstream(house.folder / "..1/secret-id") << "other";
  }
  house.io.advance(1s);
  CHECK(house.http->count(kLogin) == 3);
  CHECK(house.token() == "T2");
}

TEST_CASE("each new content is tried once, with growing pauses: servers lock a role") {
  House house;
  house.config.method.erase("secret_id");
  house.config.method.set("secret_id_file_path", std::string(house.folder.write("secret-id", "0")));
  house.config.method.set_flag("remove_secret_id_file_after_reading", false);
  house.http->answer(kLogin, 200, granted("T1", 3600, false));
  house.http->answer(kLogin, 400, kBadId);
  house.start();
  house.io.advance(2900s, 1s);
  CHECK(house.http->count(kLogin) == 2);
  for (int second = 1; second <= 300; ++second) {
    house.folder.write("secret-id", std::to_string(second));
    house.io.advance(1s, 500ms);
  }
  CHECK(house.http->count(kLogin) < 14);
  CHECK(house.http->count(kLogin) > 5);
}

TEST_CASE(
    "a credential's file is removed after the login only if it is still the one that was read") {
  House house;
  house.config.method.erase("secret_id");
  const std::string path = house.folder.write("secret-id", "first");
  house.config.method.set("secret_id_file_path", std::string(path));
  house.http->answer(kLogin, 200, granted("T1", 100, false));
  house.http->delay(kLogin, 2s);
  house.start();
  house.io.advance(1s);
  const char* next = "first";
  SUBCASE("untouched: removed, and said so") {
    house.io.advance(2s);
    CHECK_FALSE(fs::exists(path));
    CHECK(house.lines("secret_id file removed after the login") == 1);
    CHECK(house.lines("remove_secret_id_file_after_reading") == 1);
    CHECK(house.lines(path) >= 1);
  }
  SUBCASE("replaced while the login was on its way: kept, and used by the next login") {
    house.folder.write("secret-id", next = "second");
    house.io.advance(2s);
    CHECK(fs::exists(path));
    CHECK(house.lines("secret_id file removed") == 0);
  }
  SUBCASE("written in place: kept") {
    std::ofstream(path) << (next = "third-and-longer");
    house.io.advance(2s);
    CHECK(fs::exists(path));
  }
  SUBCASE("removed by somebody else: no complaint") {
    fs::remove(path);
    house.io.advance(2s);
    CHECK(house.lines("could not be removed") == 0);
  }
  house.io.advance(81s);
  REQUIRE(house.http->count(kLogin) == 2);
  CHECK(house.http->asked.back().body ==
        R"({"role_id":"role-1","secret_id":")" + std::string(next) + "\"}");
}

TEST_CASE("a missing secret_id file says that keybearer removes it, unless told not to") {
  for (const bool removes : {true, false}) {
    House house;
    house.config.method.erase("secret_id");
    house.config.method.set("secret_id_file_path", house.folder / "secret-id");
    house.config.method.set_flag("remove_secret_id_file_after_reading", removes);
    house.start();
    REQUIRE(house.ended);
    CHECK(house.ended->kind == ErrorKind::config);
    CHECK(house.ended->text.contains(
              "; keybearer removes it after a login unless remove_secret_id_file_after_reading = "
              "false") == removes);
  }
}

}  // namespace
}  // namespace keybearer::auth
