#include "auth/method.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "house.hpp"

namespace keybearer::auth {
namespace {

using Phase = TokenState::Phase;
namespace fs = std::filesystem;

constexpr auto kWrapLookup = "POST /v1/sys/wrapping/lookup";
constexpr auto kUnwrap = "POST /v1/sys/wrapping/unwrap";
constexpr auto kPath = "auth/approle/role/app/secret-id";
constexpr auto kUsedUp = R"({"errors":["wrapping token is not valid or does not exist"]})";

std::string wrap_info(std::string_view path) {
  return R"({"data":{"creation_path":")" + std::string(path) + R"(","creation_ttl":60}})";
}

struct Wrapped : House {
  Wrapped() {
    config.method.erase("secret_id");
    config.method.set("secret_id_file_path", std::string(folder.write("wrapped", "hvs.WRAP\n")));
    config.method.set("secret_id_response_wrapping_path", std::string(kPath));
    http->answer(kLogin, 200, granted("T1", 100, false));
  }
};

struct TokenFile : House {
  TokenFile() {
    config.method = {};
    config.method.type = "token_file";
    config.method.set("token_file_path", std::string(folder.write("token", " hvs.FIRST \n")));
  }
};

TEST_CASE("a method that is not known is an error that names the known ones") {
  config::Method method;
  method.type = "kerberos";
  method.place = config::SourceLocation::in_file("agent.toml", 3, 1);
  const auto made = make_auth_method(method);
  REQUIRE_FALSE(made);
  CHECK(made.error().kind == ErrorKind::config);
  CHECK(made.error().text.starts_with("agent.toml:3:1: auto_auth.method.type: \"kerberos\""));
  for (const auto* known : {"approle", "token", "token_file"})
    CHECK(made.error().text.contains(known));
}

TEST_CASE("a mount is meant with and without auth/") {
  config::Method method;
  method.type = "approle";
  CHECK(mount_path(method) == "auth/approle");
  for (const auto* path : {"auth/team/approle", "team/approle", "/auth/team/approle/"}) {
    method.mount_path = path;
    CHECK(mount_path(method) == "auth/team/approle");
  }
}

TEST_CASE(
    "AppRole takes its ids from files, without the white space around them, and removes the "
    "secret_id's") {
  House house;
  house.config.method.erase("role_id");
  house.config.method.set("role_id_file_path",
                          std::string(house.folder.write("role-id", "role-2\n")));
  house.config.method.erase("secret_id");
  house.config.method.set("secret_id_file_path",
                          std::string(house.folder.write("secret-id", "\tsecret-2\r\n")));
  house.http->answer(kLogin, 200, granted("T1", 100, false));
  SUBCASE("removed by default, and what was read stays known") {
    house.start();
    CHECK_FALSE(fs::exists(house.folder / "secret-id"));
    house.io.advance(81s);
    CHECK(house.http->count(kLogin) == 2);
    CHECK(house.http->asked.back().body == R"({"role_id":"role-2","secret_id":"secret-2"})");
    CHECK_FALSE(house.log().contains("credential.remove_failed"));
  }
  SUBCASE("kept where it is wished for, and read anew at each login") {
    house.config.method.set_flag("remove_secret_id_file_after_reading", false);
    house.start();
    CHECK(fs::exists(house.folder / "secret-id"));
    house.folder.write("secret-id", "secret-3");
    house.io.advance(81s);
    CHECK(house.http->asked.back().body == R"({"role_id":"role-2","secret_id":"secret-3"})");
  }
  CHECK(house.http->asked[0].body == R"({"role_id":"role-2","secret_id":"secret-2"})");
  CHECK(fs::exists(house.folder / "role-id"));
}

TEST_CASE("a login that is refused names the key that is to be changed") {
  struct {
    int status;
    const char* answer;
    const char* names;
  } rows[] = {
      {400, R"({"errors":["invalid secret id"]})", "put a new one in VAULT_SECRET_ID"},
      {400, R"({"errors":["invalid role or secret ID"]})", "put a new one in VAULT_SECRET_ID"},
      {400, R"({"errors":["invalid role ID"]})", "the role_id in VAULT_ROLE_ID or auto_auth"},
      {403, kDenied, "AppRole mounted at auth/approle? See auto_auth.method.mount_path"},
      {404, R"({"errors":["no handler for route \"auth/x/login\""]})",
       "auto_auth.method.mount_path"},
  };
  for (const auto& [status, answer, names] : rows) {
    CAPTURE(answer);
    House house;
    house.rules.once = true;
    house.http->answer(kLogin, status, answer);
    house.start();
    REQUIRE(house.ended);
    CHECK(house.ended->text.contains(names));
    CHECK(house.ended->text.contains("secret_id may have expired") ==
          (std::string(names).contains("SECRET")));
  }
}

TEST_CASE("an empty secret_id that was given is sent: roles may not ask for one") {
  House house;
  house.config.method.set("secret_id", Secret());
  house.http->answer(kLogin, 200, granted("T1", 100));
  house.start();
  CHECK(house.http->asked[0].body == R"({"role_id":"role-1","secret_id":""})");
}

TEST_CASE(
    "a credential file that can't be used at the start is a configuration error that names it") {
  House house;
  house.config.method.erase("secret_id");
  house.config.method.set("secret_id_file_path", std::string(house.folder / "secret-id"));
  SUBCASE("missing") {}
  SUBCASE("empty") {
    house.folder.write("secret-id", " \n");
  }
  SUBCASE("a folder") {
    fs::create_directory(house.folder / "secret-id");
  }
  SUBCASE("a FIFO does not block") {
    REQUIRE(mkfifo((house.folder / "secret-id").c_str(), 0600) == 0);
  }
  SUBCASE("far too large") {
    house.folder.write("secret-id", std::string(100'000, 'x'));
  }
  house.start();
  REQUIRE(house.ended);
  CHECK(house.ended->kind == ErrorKind::config);
  CHECK(house.ended->text.contains(house.folder / "secret-id"));
  CHECK(house.ended->text.contains("secret_id_file_path"));
  CHECK(house.http->asked.empty());
}

TEST_CASE("a wrapped secret_id is looked at, unwrapped once, and used") {
  Wrapped house;
  house.http->answer(kWrapLookup, 200, wrap_info(kPath));
  house.http->answer(kUnwrap, 200, R"({"data":{"secret_id":"inner","secret_id_num_uses":0}})");
  house.start();
  CHECK(house.token() == "T1");
  CHECK(house.http->asked[2].body == R"({"role_id":"role-1","secret_id":"inner"})");
  CHECK_FALSE(fs::exists(house.folder / "wrapped"));
  house.io.advance(85s);
  CHECK(house.http->count(kUnwrap) == 1);
  CHECK(house.http->count(kLogin) == 2);
}

TEST_CASE("a wrapping token that is given itself, not in a file, is unwrapped as well") {
  Wrapped house;
  house.config.method.erase("secret_id_file_path");
  house.config.method.set("secret_id", Secret("hvs.WRAP"));
  house.http->answer(kWrapLookup, 200, wrap_info(kPath));
  house.http->answer(kUnwrap, 200, R"({"data":{"secret_id":"inner","secret_id_num_uses":0}})");
  house.start();
  CHECK(house.token() == "T1");
  CHECK(house.http->asked[2].body == R"({"role_id":"role-1","secret_id":"inner"})");
  house.io.advance(85s);
  CHECK(house.http->count(kUnwrap) == 1);
  CHECK(house.http->count(kLogin) == 2);
}

TEST_CASE("a wrapped secret_id for one use is not tried twice") {
  Wrapped house;
  house.http->answer(kWrapLookup, 200, wrap_info(kPath));
  house.http->answer(kUnwrap, 200, R"({"data":{"secret_id":"inner","secret_id_num_uses":1}})");
  house.start();
  house.io.advance(96s);
  CHECK(house.http->count(kLogin) == 1);
  REQUIRE(house.ended);
  CHECK(house.ended->kind == ErrorKind::denied);
}

TEST_CASE(
    "a wrapped secret_id that was made elsewhere, or that somebody has used, is an alarm and the "
    "end") {
  Wrapped house;
  SUBCASE("made elsewhere: it is not even unwrapped") {
    house.http->answer(kWrapLookup, 200, wrap_info("auth/approle/role/evil/secret-id"));
  }
  SUBCASE("a path that only begins alike") {
    house.http->answer(kWrapLookup, 200, wrap_info(std::string(kPath) + "/x"));
  }
  SUBCASE("used") {
    house.http->answer(kWrapLookup, 400, kUsedUp);
  }
  SUBCASE("used between look-up and unwrapping") {
    house.http->answer(kWrapLookup, 200, wrap_info(kPath));
    house.http->answer(kUnwrap, 400, kUsedUp);
  }
  house.start();
  house.io.advance(1min);
  REQUIRE(house.ended);
  CHECK(house.ended->kind == ErrorKind::denied);
  CHECK(house.alarms == std::vector<std::string>{"security.wrapping"});
  CHECK(house.http->count(kLogin) == 0);
  CHECK(house.http->count(kWrapLookup) == 1);
  CHECK(house.http->count(kUnwrap) <= 1);
  CHECK_FALSE(house.ended->text.contains("hvs.WRAP"));
}

TEST_CASE("an outage does not cost the wrapping token") {
  Wrapped house;
  house.http->fail(kWrapLookup, ErrorKind::network);
  house.http->answer(kWrapLookup, 200, wrap_info(kPath));
  house.http->answer(kUnwrap, 503);
  house.http->answer(kUnwrap, 200, R"({"data":{"secret_id":"inner"}})");
  house.start();
  house.io.advance(10s);
  CHECK(house.token() == "T1");
  CHECK(house.alarms.empty());
}

TEST_CASE("an answer to the unwrapping that is lost is no theft") {
  Wrapped house;
  house.http->answer(kWrapLookup, 200, wrap_info(kPath));
  house.http->answer(kWrapLookup, 400, kUsedUp);
  SUBCASE("a reset") {
    house.http->answer(kUnwrap, [](const test::FakeHttp::Asked&) -> result<test::FakeHttp::Reply> {
      return std::unexpected(
          Error{.kind = ErrorKind::network, .text = "reset", .reason = Reason::lost_answer});
    });
  }
  SUBCASE("a gateway's page") {
    house.http->answer(kUnwrap, 502, "<html>bad gateway</html>");
  }
  house.start();
  house.io.advance(1min);
  REQUIRE(house.ended);
  CHECK(house.ended->kind == ErrorKind::denied);
  CHECK(house.ended->text.contains("lost on the way"));
  CHECK(house.alarms.empty());
  CHECK(house.http->count(kUnwrap) == 1);
  CHECK(house.http->count(kLogin) == 0);
}

TEST_CASE("a token that was given is looked up once, renewed, and never revoked") {
  House house;
  house.config.method = {};
  house.config.method.type = "token";
  house.config.method.set("token", Secret("hvs.GIVEN"));
  house.http->answer(kLookup, 200, looked_up(3600));
  house.http->answer(kRenew, 200, granted("hvs.GIVEN", 3600));
  house.start();
  CHECK(house.token() == "hvs.GIVEN");
  CHECK(house.state().mount.empty());
  house.io.advance(2h, 1s);
  CHECK(house.http->count(kLookup) == 1);
  CHECK(house.http->count(kRenew) == 2);
  house.stop();
  house.io.start_task(House::revoke(house));
  house.io.run();
  CHECK(house.http->count(kRevoke) == 0);
}

TEST_CASE("a token that was given and is not valid ends the start at once") {
  House house;
  house.config.method = {};
  house.config.method.type = "token";
  house.config.method.set("token", Secret("hvs.GIVEN"));
  house.http->answer(kLookup, 403, kDenied);
  house.start();
  REQUIRE(house.ended);
  CHECK(house.ended->kind == ErrorKind::denied);
  CHECK(house.ended->text.contains("VAULT_TOKEN"));
  CHECK(house.http->asked.size() == 1);
}

TEST_CASE("a token that was given and can't be renewed is used to its end, with a warning") {
  House house;
  house.config.method = {};
  house.config.method.type = "token";
  house.config.method.set("token", Secret("hvs.GIVEN"));
  house.http->answer(kLookup, 200, looked_up(100, false));
  house.start();
  CHECK(house.lines("can't be renewed any further") == 1);
  house.io.advance(94s);
  CHECK_FALSE(house.ended);
  house.io.advance(2s);
  CHECK(house.ended->kind == ErrorKind::denied);
  CHECK(house.http->asked.size() == 1);
}

TEST_CASE("a token from a file is trimmed and looked up once") {
  TokenFile house;
  house.http->answer(kLookup, 200, looked_up(3600));
  house.start();
  CHECK(house.token() == "hvs.FIRST");
  CHECK(house.http->asked.size() == 1);
  CHECK(house.lines("others may read") == 0);
}

TEST_CASE("a token file that others may read is warned about, once") {
  TokenFile house;
  fs::permissions(house.folder / "token", fs::perms(0644));
  house.http->answer(kLookup, 503);
  house.http->answer(kLookup, 200, looked_up(3600));
  house.start();
  house.io.advance(5s);
  CHECK(house.token() == "hvs.FIRST");
  CHECK(house.lines("others may read") == 1);
}

TEST_CASE("a missing token file ends the start with its path") {
  TokenFile house;
  fs::remove(house.folder / "token");
  house.start();
  REQUIRE(house.ended);
  CHECK(house.ended->kind == ErrorKind::config);
  CHECK(house.ended->text.contains(house.folder / "token"));
}

TEST_CASE("a new token in the file is taken when the old one fails") {
  TokenFile house;
  house.http->answer(kLookup, 200, looked_up(3600));
  house.http->answer(kLookup, 403, kDenied);
  house.http->answer(kLookup, 200, looked_up(3600));
  house.start();
  house.io.advance(1min);
  house.folder.write("token", "hvs.SECOND");
  CHECK_FALSE(house.token_is_good());
  house.io.run();
  CHECK(house.token() == "hvs.SECOND");
  CHECK(house.state().token_number == 2);
  CHECK(house.in(Phase::valid));
}

TEST_CASE("a new token in the file is taken within ten seconds while the old one is good") {
  TokenFile house;
  house.http->answer(kLookup, 200, looked_up(3600));
  house.http->answer(kRenew, 200, granted("hvs.FIRST", 3600));
  const auto replaced = [&](std::string_view text) {
    house.start();
    house.io.advance(1min);
    house.folder.write("token", text);
    house.io.advance(10s);
  };
  SUBCASE("and looked up once") {
    replaced("hvs.SECOND");
    CHECK(house.token() == "hvs.SECOND");
    CHECK(house.state().token_number == 2);
    house.io.advance(10min);
    CHECK(house.http->count(kLookup) == 2);
  }
  SUBCASE("when the server answers again") {
    house.http->answer(kLookup, 503, R"({"errors":["Vault is sealed"]})");
    house.http->answer(kLookup, 200, looked_up(3600));
    replaced("hvs.SECOND");
    CHECK(house.token() == "hvs.FIRST");
    house.io.advance(11s);
    CHECK(house.token() == "hvs.SECOND");
  }
  SUBCASE("but not when it is none: the old one stays and is renewed") {
    house.http->answer(kLookup, 403, kDenied);
    replaced("hvs.SECOND");
    house.io.advance(1h);
    CHECK(house.token() == "hvs.FIRST");
    CHECK(house.http->count(kLookup) == 2);
    CHECK(house.http->count(kRenew) >= 1);
    CHECK(house.lines("the token in use stays") == 1);
  }
  SUBCASE("nor when the file is empty: the next content counts") {
    replaced("\n");
    CHECK(house.token() == "hvs.FIRST");
    CHECK(house.http->count(kLookup) == 1);
    house.folder.write("token", "hvs.THIRD");
    house.io.advance(10s);
    CHECK(house.token() == "hvs.THIRD");
  }
}

TEST_CASE(
    "a token that may not renew itself: one refusal, one warning, and the file is watched until "
    "the end") {
  TokenFile house;
  house.http->answer(kLookup, 200, looked_up(40));
  house.http->answer(kRenew, 403, kDenied);
  house.start();
  SUBCASE("a new token that is put there is taken") {
    house.io.advance(31s);
    house.folder.write("token", "hvs.SECOND");
    house.io.advance(4s);  // the stop is due at 35 s; it is not too late before that
    CHECK(house.token() == "hvs.SECOND");
    CHECK_FALSE(house.ended);
  }
  SUBCASE("else it is over at the end") {
    house.io.advance(36s);
    REQUIRE(house.ended);
    CHECK(house.ended->kind == ErrorKind::denied);
  }
  CHECK(house.http->count(kRenew) == 1);
  CHECK(house.lines("renew-self: 403") == 1);
}

}  // namespace
}  // namespace keybearer::auth
