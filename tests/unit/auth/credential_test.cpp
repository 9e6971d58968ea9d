#include "auth/credential.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "fixture.hpp"

// Rules: T10, T13 (src/RULES.md).
namespace keybearer::auth {
namespace {

namespace fs = std::filesystem;
using config::OnRenewFailure;
using Phase = TokenState::Phase;

constexpr auto kBadId = R"({"errors":["invalid secret id"]})";

// What may be done to a credential's file without giving another content.
struct NotNew {
  const char* name;
  void (*apply)(const TempDirectory& directory, const std::string& file,
                const std::string& content);
};
const NotNew kNotNew[] = {
    {"touched",
     [](const TempDirectory& directory, const std::string& file, const std::string&) {
       fs::last_write_time(directory / file, fs::file_time_type::clock::now());
     }},
    {"written again with the same content",
     [](const TempDirectory& directory, const std::string& file, const std::string& content) {
       directory.write(file, content);
     }},
    {"written again with other white space around it",
     [](const TempDirectory& directory, const std::string& file, const std::string& content) {
       directory.write(file, "\n  " + content + "\r\n");
     }},
    {"empty", [](const TempDirectory& directory, const std::string& file,
                 const std::string&) { directory.write(file, ""); }},
    {"too large", [](const TempDirectory& directory, const std::string& file,
                     const std::string&) { directory.write(file, std::string(100'000, 'x')); }},
    {"a directory",
     [](const TempDirectory& directory, const std::string& file, const std::string&) {
       fs::remove_all(directory / file);
       fs::create_directory(directory / file);
     }},
    {"a FIFO",
     [](const TempDirectory& directory, const std::string& file, const std::string&) {
       fs::remove_all(directory / file);
       REQUIRE(mkfifo((directory / file).c_str(), 0600) == 0);
     }},
    {"a link to nothing",
     [](const TempDirectory& directory, const std::string& file, const std::string&) {
       fs::remove_all(directory / file);
       fs::create_symlink("/nowhere/at/all", directory / file);
     }},
    {"gone", [](const TempDirectory& directory, const std::string& file,
                const std::string&) { fs::remove_all(directory / file); }},
};

TEST_CASE("a token file that is touched or can't be used is not new: nothing is asked, no storm") {
  for (const auto& what : kNotNew) {
    CAPTURE(what.name);
    Fixture fixture;
    fixture.config.method = {};
    fixture.config.method.type = "token_file";
    fixture.config.method.set("token_file_path",
                              std::string(fixture.directory.write("token", "hvs.A")));
    fixture.http->answer(kLookup, 200, looked_up(3600));
    fixture.http->answer(kRenew, 200, granted("hvs.A", 3600));
    fixture.start();
    for (int i = 0; i < 20; ++i) {
      what.apply(fixture.directory, "token", "hvs.A");
      fixture.io.advance(3min, 1s);
    }
    CHECK(fixture.http->count(kLookup) == 1);
    CHECK(fixture.http->count(kRenew) == 1);
    CHECK(fixture.lines("ERROR") == 0);
    CHECK(fixture.alarms.empty());
    CHECK(fixture.token() == "hvs.A");
    if (fs::exists(fixture.directory / "token")) fs::remove_all(fixture.directory / "token");
    fixture.directory.write("token", "hvs.B");
    fixture.io.advance(10s);
    CHECK(fixture.token() == "hvs.B");
  }
}

TEST_CASE("a secret_id that was refused is not sent again because its file is touched") {
  for (const auto& what : kNotNew) {
    for (const bool other : {false, true}) {  // the role_id's file beside it, or its own
      CAPTURE(what.name);
      CAPTURE(other);
      Fixture fixture;
      fixture.config.method.erase("secret_id");
      fixture.config.method.erase("role_id");
      fixture.config.method.set("role_id_file_path",
                                std::string(fixture.directory.write("role-id", "role-1")));
      fixture.config.method.set("secret_id_file_path",
                                std::string(fixture.directory.write("secret-id", "first")));
      fixture.config.method.set_flag("remove_secret_id_file_after_reading", false);
      fixture.http->answer(kLogin, 200, granted("T1", 600, false));
      fixture.http->answer(kLogin, 400, kBadId);
      fixture.start();
      fixture.io.advance(481s, 1s);
      CHECK(fixture.http->count(kLogin) == 2);
      for (int i = 0; i < 10; ++i) {
        what.apply(fixture.directory, other ? "role-id" : "secret-id", other ? "role-1" : "first");
        fixture.io.advance(10s, 500ms);
      }
      CHECK(fixture.http->count(kLogin) == 2);
      CHECK(fixture.alarms == std::vector<std::string>{"login.refused"});
      fixture.io.advance(20s, 500ms);
      REQUIRE(fixture.ended);
      CHECK(fixture.ended->kind == ErrorKind::denied);
      CHECK(fixture.http->count(kLogin) == 2);
    }
  }
}

TEST_CASE("while a refused login waits, a new secret_id is tried at once, however it comes") {
  Fixture fixture;
  fixture.config.method.erase("secret_id");
  fs::create_directory(fixture.directory / "..1");
  fixture.directory.write("..1/secret-id", "first");
  fs::create_directory_symlink("..1", fixture.directory / "..data");  // as Kubernetes mounts it
  fs::create_symlink("..data/secret-id", fixture.directory / "secret-id");
  fixture.config.method.set("secret_id_file_path", fixture.directory / "secret-id");
  fixture.config.method.set_flag("remove_secret_id_file_after_reading", false);
  fixture.http->answer(kLogin, 200, granted("T1", 600, false));
  fixture.http->answer(kLogin, 400, kBadId);
  fixture.http->answer(kLogin, 200, granted("T2", 600));
  fixture.start();
  fixture.io.advance(500s);
  CHECK(fixture.http->count(kLogin) == 2);
  SUBCASE("a symbolic link is swapped") {
    fs::create_directory(fixture.directory / "..2");
    fixture.directory.write("..2/secret-id", "second");
    fs::create_directory_symlink("..2", fixture.directory / "..new");
    fs::rename(fixture.directory / "..new", fixture.directory / "..data");
  }
  SUBCASE("the file is replaced") {
    fs::remove(fixture.directory / "secret-id");
    fixture.directory.write("secret-id", "second");
  }
  SUBCASE("the file is written in place, with a content of the same length") {
    std::ofstream(fixture.directory / "..1/secret-id") << "other";
  }
  fixture.io.advance(1s);
  CHECK(fixture.http->count(kLogin) == 3);
  CHECK(fixture.token() == "T2");
}

TEST_CASE("each new content is tried once, with growing pauses: servers lock a role") {
  Fixture fixture;
  fixture.config.method.erase("secret_id");
  fixture.config.method.set("secret_id_file_path",
                            std::string(fixture.directory.write("secret-id", "0")));
  fixture.config.method.set_flag("remove_secret_id_file_after_reading", false);
  fixture.http->answer(kLogin, 200, granted("T1", 3600, false));
  fixture.http->answer(kLogin, 400, kBadId);
  fixture.start();
  fixture.io.advance(2900s, 1s);
  CHECK(fixture.http->count(kLogin) == 2);
  for (int second = 1; second <= 300; ++second) {
    fixture.directory.write("secret-id", std::to_string(second));
    fixture.io.advance(1s, 500ms);
  }
  CHECK(fixture.http->count(kLogin) < 14);
  CHECK(fixture.http->count(kLogin) > 5);
}

TEST_CASE(
    "a credential's file is removed after the login only if it is still the one that was read") {
  Fixture fixture;
  fixture.config.method.erase("secret_id");
  const std::string path = fixture.directory.write("secret-id", "first");
  fixture.config.method.set("secret_id_file_path", std::string(path));
  fixture.http->answer(kLogin, 200, granted("T1", 100, false));
  fixture.http->delay(kLogin, 2s);
  fixture.start();
  fixture.io.advance(1s);
  const char* next = "first";
  SUBCASE("untouched: removed, and said so") {
    fixture.io.advance(2s);
    CHECK_FALSE(fs::exists(path));
    CHECK(fixture.lines("secret_id file removed after the login") == 1);
    CHECK(fixture.lines("remove_secret_id_file_after_reading") == 1);
    CHECK(fixture.lines(path) >= 1);
  }
  SUBCASE("replaced while the login was on its way: kept, and used by the next login") {
    fixture.directory.write("secret-id", next = "second");
    fixture.io.advance(2s);
    CHECK(fs::exists(path));
    CHECK(fixture.lines("secret_id file removed") == 0);
  }
  SUBCASE("written in place: kept") {
    std::ofstream(path) << (next = "third-and-longer");
    fixture.io.advance(2s);
    CHECK(fs::exists(path));
  }
  SUBCASE("removed by somebody else: no complaint") {
    fs::remove(path);
    fixture.io.advance(2s);
    CHECK(fixture.lines("could not be removed") == 0);
  }
  fixture.io.advance(81s);
  REQUIRE(fixture.http->count(kLogin) == 2);
  CHECK(fixture.http->asked.back().body ==
        R"({"role_id":"role-1","secret_id":")" + std::string(next) + "\"}");
}

TEST_CASE(
    "a file that is replaced during a login is not removed, whoever asks for the token meanwhile") {
  Fixture fixture;
  fixture.config.method.erase("secret_id");
  const std::string path = fixture.directory.write("secret-id", "first");
  fixture.config.method.set("secret_id_file_path", std::string(path));
  fixture.config.method.set_flag("remove_secret_id_file_after_reading", true);
  fixture.http->answer(kLogin, 200, granted("T1", 100, false));
  fixture.http->answer(kLookup, 403, kDenied);
  fixture.start();
  CHECK_FALSE(fs::exists(path));
  fixture.directory.write("secret-id", "second");
  fixture.http->delay(kLogin, 2s);
  fixture.io.advance(81s);
  REQUIRE(fixture.http->count(kLogin) == 2);
  fixture.directory.write("secret-id", "third");
  CHECK_FALSE(fixture.token_is_good());  // looks at what a login could be tried with
  fixture.io.advance(3s);
  CHECK(fs::exists(path));
  CHECK(fixture.http->asked.back().route == std::string(kLookup));
  fixture.io.advance(81s);
  CHECK(fixture.http->asked.back().body == R"({"role_id":"role-1","secret_id":"third"})");
}

TEST_CASE("what editors, shells and tools put around a credential is no part of it") {
  using namespace std::string_view_literals;
  const std::string_view contents[] = {
      "canary"sv,
      "canary\r\n"sv,
      " \tcanary\v\f"sv,
      "\xEF\xBB\xBF"
      "canary\n"sv,
      "canary\0"sv,
      "canary\n\0\0\0"sv,
      "\xEF\xBB\xBF\r\n canary"sv,
  };
  for (const std::string_view content : contents) {
    CAPTURE(content);
    const TempDirectory directory;
    CredentialFile file(directory.write("credential", content));
    REQUIRE(file.look());
    CHECK(file.content().reveal() == "canary");
  }
}

TEST_CASE("a file that holds no text is a configuration error that shows nothing of it") {
  using namespace std::string_view_literals;
  const std::pair<std::string_view, const char*> rows[] = {
      {"\xFF\xFE"
       "c\0a\0n\0a\0r\0y\0\r\0\n\0"sv,
       "it is UTF-16"},  // Out-File of Windows
      {"\xFE\xFF\0c\0a\0n"sv, "it is UTF-16"},
      {"can\0ary"sv, "NUL bytes"},
      {"\xEF\xBB\xBF"sv, "the file is empty"},
      {"\0\0\r\n"sv, "the file is empty"},
  };
  for (const auto& [content, says] : rows) {
    CAPTURE(says);
    Fixture fixture;
    fixture.config.method.erase("secret_id");
    fixture.config.method.set("secret_id_file_path",
                              std::string(fixture.directory.write("secret-id", content)));
    fixture.start();
    REQUIRE(fixture.ended);
    CHECK(fixture.ended->kind == ErrorKind::config);
    CHECK(fixture.ended->text.contains(says));
    CHECK(fixture.ended->text.contains(fixture.directory / "secret-id"));
    CHECK_FALSE(fixture.ended->text.contains("can"));
    CHECK(fixture.http->asked.empty());
  }
}

TEST_CASE("a missing secret_id file says that keybearer removes it, unless told not to") {
  for (const bool removes : {true, false}) {
    Fixture fixture;
    fixture.config.method.erase("secret_id");
    fixture.config.method.set("secret_id_file_path", fixture.directory / "secret-id");
    fixture.config.method.set_flag("remove_secret_id_file_after_reading", removes);
    fixture.start();
    REQUIRE(fixture.ended);
    CHECK(fixture.ended->kind == ErrorKind::config);
    CHECK(fixture.ended->text.contains(
              "; keybearer removes it after a login unless remove_secret_id_file_after_reading = "
              "false") == removes);
  }
}

}  // namespace
}  // namespace keybearer::auth
