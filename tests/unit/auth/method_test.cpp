#include "auth/method.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "fixture.hpp"

// Rules: T9, T12 (src/RULES.md).
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

struct Wrapped : Fixture {
  Wrapped() {
    config.method.erase("secret_id");
    config.method.set("secret_id_file_path", std::string(directory.write("wrapped", "hvs.WRAP\n")));
    config.method.set("secret_id_response_wrapping_path", std::string(kPath));
    http->answer(kLogin, 200, granted("T1", 100, false));
  }
};

struct TokenFile : Fixture {
  TokenFile() {
    config.method = {};
    config.method.type = "token_file";
    config.method.set("token_file_path", std::string(directory.write("token", " hvs.FIRST \n")));
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
  Fixture fixture;
  fixture.config.method.erase("role_id");
  fixture.config.method.set("role_id_file_path",
                            std::string(fixture.directory.write("role-id", "role-2\n")));
  fixture.config.method.erase("secret_id");
  fixture.config.method.set("secret_id_file_path",
                            std::string(fixture.directory.write("secret-id", "\tsecret-2\r\n")));
  fixture.http->answer(kLogin, 200, granted("T1", 100, false));
  SUBCASE("removed by default, and what was read stays known") {
    fixture.start();
    CHECK_FALSE(fs::exists(fixture.directory / "secret-id"));
    fixture.io.advance(81s);
    CHECK(fixture.http->count(kLogin) == 2);
    CHECK(fixture.http->asked.back().body == R"({"role_id":"role-2","secret_id":"secret-2"})");
    CHECK_FALSE(fixture.log().contains("credential.remove_failed"));
  }
  SUBCASE("kept where it is wished for, and read again at each login") {
    fixture.config.method.set_flag("remove_secret_id_file_after_reading", false);
    fixture.start();
    CHECK(fs::exists(fixture.directory / "secret-id"));
    fixture.directory.write("secret-id", "secret-3");
    fixture.io.advance(81s);
    CHECK(fixture.http->asked.back().body == R"({"role_id":"role-2","secret_id":"secret-3"})");
  }
  CHECK(fixture.http->asked[0].body == R"({"role_id":"role-2","secret_id":"secret-2"})");
  CHECK(fs::exists(fixture.directory / "role-id"));
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
      {400,
       R"({"errors":["source address \"10.1.2.3\" unauthorized by CIDR restrictions on the role: no"]})",
       "role's secret_id_bound_cidrs"},
      {403, kDenied, "AppRole mounted at auth/approle? See auto_auth.method.mount_path"},
      {404, R"({"errors":["no handler for route \"auth/x/login\""]})",
       "auto_auth.method.mount_path"},
  };
  for (const auto& [status, answer, names] : rows) {
    CAPTURE(answer);
    Fixture fixture;
    fixture.rules.once = true;
    fixture.http->answer(kLogin, status, answer);
    fixture.start();
    REQUIRE(fixture.ended);
    CHECK(fixture.ended->text.contains(names));
    CHECK(fixture.ended->text.contains("secret_id may have expired") ==
          (std::string(names).contains("SECRET")));
  }
}

TEST_CASE("an empty secret_id that was given is sent: roles may not ask for one") {
  Fixture fixture;
  fixture.config.method.set("secret_id", Secret());
  fixture.http->answer(kLogin, 200, granted("T1", 100));
  fixture.start();
  CHECK(fixture.http->asked[0].body == R"({"role_id":"role-1","secret_id":""})");
}

TEST_CASE(
    "a credential file that can't be used at the start is a configuration error that names it") {
  Fixture fixture;
  fixture.config.method.erase("secret_id");
  fixture.config.method.set("secret_id_file_path", std::string(fixture.directory / "secret-id"));
  SUBCASE("missing") {}
  SUBCASE("empty") {
    fixture.directory.write("secret-id", " \n");
  }
  SUBCASE("a directory") {
    fs::create_directory(fixture.directory / "secret-id");
  }
  SUBCASE("a FIFO does not block") {
    REQUIRE(mkfifo((fixture.directory / "secret-id").c_str(), 0600) == 0);
  }
  SUBCASE("far too large") {
    fixture.directory.write("secret-id", std::string(100'000, 'x'));
  }
  fixture.start();
  REQUIRE(fixture.ended);
  CHECK(fixture.ended->kind == ErrorKind::config);
  CHECK(fixture.ended->text.contains(fixture.directory / "secret-id"));
  CHECK(fixture.ended->text.contains("secret_id_file_path"));
  CHECK(fixture.http->asked.empty());
}

TEST_CASE("a wrapped secret_id is looked at, unwrapped once, and used") {
  Wrapped fixture;
  fixture.http->answer(kWrapLookup, 200, wrap_info(kPath));
  fixture.http->answer(kUnwrap, 200, R"({"data":{"secret_id":"inner","secret_id_num_uses":0}})");
  fixture.start();
  CHECK(fixture.token() == "T1");
  CHECK(fixture.http->asked[2].body == R"({"role_id":"role-1","secret_id":"inner"})");
  CHECK_FALSE(fs::exists(fixture.directory / "wrapped"));
  fixture.io.advance(85s);
  CHECK(fixture.http->count(kUnwrap) == 1);
  CHECK(fixture.http->count(kLogin) == 2);
}

TEST_CASE("a wrapping token that is given itself, not in a file, is unwrapped as well") {
  Wrapped fixture;
  fixture.config.method.erase("secret_id_file_path");
  fixture.config.method.set("secret_id", Secret("hvs.WRAP"));
  fixture.http->answer(kWrapLookup, 200, wrap_info(kPath));
  fixture.http->answer(kUnwrap, 200, R"({"data":{"secret_id":"inner","secret_id_num_uses":0}})");
  fixture.start();
  CHECK(fixture.token() == "T1");
  CHECK(fixture.http->asked[2].body == R"({"role_id":"role-1","secret_id":"inner"})");
  fixture.io.advance(85s);
  CHECK(fixture.http->count(kUnwrap) == 1);
  CHECK(fixture.http->count(kLogin) == 2);
}

TEST_CASE("a wrapped secret_id for one use is not tried twice") {
  Wrapped fixture;
  fixture.http->answer(kWrapLookup, 200, wrap_info(kPath));
  fixture.http->answer(kUnwrap, 200, R"({"data":{"secret_id":"inner","secret_id_num_uses":1}})");
  fixture.start();
  fixture.io.advance(96s);
  CHECK(fixture.http->count(kLogin) == 1);
  REQUIRE(fixture.ended);
  CHECK(fixture.ended->kind == ErrorKind::denied);
}

TEST_CASE("the uses of one wrapped secret_id are not those of the next") {
  Wrapped fixture;
  fixture.http->answer(kWrapLookup, 200, wrap_info(kPath));
  fixture.http->answer(kUnwrap, 200, R"({"data":{"secret_id":"inner","secret_id_num_uses":1}})");
  fixture.start();
  CHECK(fixture.http->count(kLogin) == 1);
  fixture.directory.write("wrapped", "hvs.WRAP-2\n");
  fixture.http->reset(kUnwrap);
  fixture.http->answer(kUnwrap, 200, R"({"data":{"secret_id":"second","secret_id_num_uses":0}})");
  fixture.io.advance(400s, 1s);  // four lives of a token
  CHECK_MESSAGE(!fixture.ended, fixture.ended->text);
  CHECK(fixture.http->count(kUnwrap) == 2);
  CHECK(fixture.http->count(kLogin) >= 4);
}

TEST_CASE(
    "a wrapped secret_id that was made elsewhere, or that somebody has used, is an alarm and the "
    "end") {
  Wrapped fixture;
  SUBCASE("made elsewhere: it is not even unwrapped") {
    fixture.http->answer(kWrapLookup, 200, wrap_info("auth/approle/role/evil/secret-id"));
  }
  SUBCASE("a path that only begins alike") {
    fixture.http->answer(kWrapLookup, 200, wrap_info(std::string(kPath) + "/x"));
  }
  SUBCASE("used") {
    fixture.http->answer(kWrapLookup, 400, kUsedUp);
  }
  SUBCASE("used between look-up and unwrapping") {
    fixture.http->answer(kWrapLookup, 200, wrap_info(kPath));
    fixture.http->answer(kUnwrap, 400, kUsedUp);
  }
  fixture.start();
  fixture.io.advance(1min);
  REQUIRE(fixture.ended);
  CHECK(fixture.ended->kind == ErrorKind::denied);
  CHECK(fixture.alarms == std::vector<std::string>{"security.wrapping"});
  CHECK(fixture.http->count(kLogin) == 0);
  CHECK(fixture.http->count(kWrapLookup) == 1);
  CHECK(fixture.http->count(kUnwrap) <= 1);
  CHECK_FALSE(fixture.ended->text.contains("hvs.WRAP"));
}

TEST_CASE("an outage does not cost the wrapping token") {
  Wrapped fixture;
  fixture.http->fail(kWrapLookup, ErrorKind::network);
  fixture.http->answer(kWrapLookup, 204);  // half an answer tells of no theft
  fixture.http->answer(kWrapLookup, 200, R"({"data":{"creation_path":null}})");
  fixture.http->answer(kWrapLookup, 200, wrap_info(kPath));
  fixture.http->answer(kUnwrap, 503);
  fixture.http->answer(kUnwrap, 200, R"({"data":{"secret_id":"inner"}})");
  fixture.start();
  fixture.io.advance(1min);
  CHECK(fixture.token() == "T1");
  CHECK(fixture.alarms.empty());
}

TEST_CASE("an answer to the unwrapping that is lost is no theft") {
  Wrapped fixture;
  fixture.http->answer(kWrapLookup, 200, wrap_info(kPath));
  fixture.http->answer(kWrapLookup, 400, kUsedUp);
  SUBCASE("a reset") {
    fixture.http->answer(
        kUnwrap, [](const test::FakeHttp::Asked&) -> result<test::FakeHttp::Reply> {
          return std::unexpected(
              Error{.kind = ErrorKind::network, .text = "reset", .reason = Reason::lost_answer});
        });
  }
  SUBCASE("a gateway's page") {
    fixture.http->answer(kUnwrap, 502, "<html>bad gateway</html>");
  }
  SUBCASE("a gateway without words") {
    fixture.http->answer(kUnwrap, 504);
  }
  SUBCASE("a gateway that lost patience") {
    fixture.http->answer(kUnwrap, 408);
  }
  SUBCASE("half of it") {
    fixture.http->answer(kUnwrap, 200, R"({"data":null})");
  }
  SUBCASE("nothing of it") {
    fixture.http->answer(kUnwrap, 204);
  }
  fixture.start();
  fixture.io.advance(1min);
  REQUIRE(fixture.ended);
  CHECK(fixture.ended->kind == ErrorKind::denied);
  CHECK(fixture.ended->text.contains("lost on the way"));
  CHECK(fixture.alarms.empty());
  CHECK(fixture.http->count(kUnwrap) == 1);
  CHECK(fixture.http->count(kLogin) == 0);
}

TEST_CASE("a token that was given is looked up once, renewed, and never revoked") {
  Fixture fixture;
  fixture.config.method = {};
  fixture.config.method.type = "token";
  fixture.config.method.set("token", Secret("hvs.GIVEN"));
  fixture.http->answer(kLookup, 200, looked_up(3600));
  fixture.http->answer(kRenew, 200, granted("hvs.GIVEN", 3600));
  fixture.start();
  CHECK(fixture.token() == "hvs.GIVEN");
  CHECK(fixture.state().mount.empty());
  fixture.io.advance(2h, 1s);
  CHECK(fixture.http->count(kLookup) == 1);
  CHECK(fixture.http->count(kRenew) == 2);
  fixture.stop();
  fixture.io.start_task(Fixture::revoke(fixture));
  fixture.io.run();
  CHECK(fixture.http->count(kRevoke) == 0);
}

TEST_CASE("a token that was given and is not valid ends the start at once") {
  Fixture fixture;
  fixture.config.method = {};
  fixture.config.method.type = "token";
  fixture.config.method.set("token", Secret("hvs.GIVEN"));
  fixture.http->answer(kLookup, 403, kDenied);
  fixture.start();
  REQUIRE(fixture.ended);
  CHECK(fixture.ended->kind == ErrorKind::denied);
  CHECK(fixture.ended->text.contains("VAULT_TOKEN"));
  CHECK(fixture.http->asked.size() == 1);
}

TEST_CASE("a token that was given and can't be renewed is used to its end, with a warning") {
  Fixture fixture;
  fixture.config.method = {};
  fixture.config.method.type = "token";
  fixture.config.method.set("token", Secret("hvs.GIVEN"));
  fixture.http->answer(kLookup, 200, looked_up(100, false));
  fixture.start();
  CHECK(fixture.lines("can't be renewed any further") == 1);
  fixture.io.advance(94s);
  CHECK_FALSE(fixture.ended);
  fixture.io.advance(2s);
  CHECK(fixture.ended->kind == ErrorKind::denied);
  CHECK(fixture.http->asked.size() == 1);
}

TEST_CASE("a token from a file is trimmed and looked up once") {
  TokenFile fixture;
  fixture.http->answer(kLookup, 200, looked_up(3600));
  fixture.start();
  CHECK(fixture.token() == "hvs.FIRST");
  CHECK(fixture.http->asked.size() == 1);
  CHECK(fixture.lines("others may read") == 0);
}

TEST_CASE("a token file that others may read is warned about, once") {
  TokenFile fixture;
  fs::permissions(fixture.directory / "token", fs::perms(0644));
  fixture.http->answer(kLookup, 503);
  fixture.http->answer(kLookup, 200, looked_up(3600));
  fixture.start();
  fixture.io.advance(5s);
  CHECK(fixture.token() == "hvs.FIRST");
  CHECK(fixture.lines("may read this credential") == 1);
}

TEST_CASE("a missing token file ends the start with its path") {
  TokenFile fixture;
  fs::remove(fixture.directory / "token");
  fixture.start();
  REQUIRE(fixture.ended);
  CHECK(fixture.ended->kind == ErrorKind::config);
  CHECK(fixture.ended->text.contains(fixture.directory / "token"));
}

TEST_CASE("a new token in the file is taken when the old one fails") {
  TokenFile fixture;
  fixture.http->answer(kLookup, 200, looked_up(3600));
  fixture.http->answer(kLookup, 403, kDenied);
  fixture.http->answer(kLookup, 200, looked_up(3600));
  fixture.start();
  fixture.io.advance(1min);
  fixture.directory.write("token", "hvs.SECOND");
  CHECK_FALSE(fixture.token_is_good());
  fixture.io.run();
  CHECK(fixture.token() == "hvs.SECOND");
  CHECK(fixture.state().token_number == 2);
  CHECK(fixture.in(Phase::valid));
}

TEST_CASE("a new token in the file is taken within ten seconds while the old one is good") {
  TokenFile fixture;
  fixture.http->answer(kLookup, 200, looked_up(3600));
  fixture.http->answer(kRenew, 200, granted("hvs.FIRST", 3600));
  const auto replaced = [&](std::string_view text) {
    fixture.start();
    fixture.io.advance(1min);
    fixture.directory.write("token", text);
    fixture.io.advance(10s);
  };
  SUBCASE("and looked up once") {
    replaced("hvs.SECOND");
    CHECK(fixture.token() == "hvs.SECOND");
    CHECK(fixture.state().token_number == 2);
    fixture.io.advance(10min);
    CHECK(fixture.http->count(kLookup) == 2);
  }
  SUBCASE("when the server answers again") {
    fixture.http->answer(kLookup, 503, R"({"errors":["Vault is sealed"]})");
    fixture.http->answer(kLookup, 200, looked_up(3600));
    replaced("hvs.SECOND");
    CHECK(fixture.token() == "hvs.FIRST");
    fixture.io.advance(11s);
    CHECK(fixture.token() == "hvs.SECOND");
  }
  SUBCASE("but not when it is none: the old one stays and is renewed") {
    fixture.http->answer(kLookup, 403, kDenied);
    replaced("hvs.SECOND");
    fixture.io.advance(1h);
    CHECK(fixture.token() == "hvs.FIRST");
    CHECK(fixture.http->count(kLookup) == 2);
    CHECK(fixture.http->count(kRenew) >= 1);
    CHECK(fixture.lines("the token in use stays") == 1);
  }
  SUBCASE("nor when the file is empty: the next content counts") {
    replaced("\n");
    CHECK(fixture.token() == "hvs.FIRST");
    CHECK(fixture.http->count(kLookup) == 1);
    fixture.directory.write("token", "hvs.THIRD");
    fixture.io.advance(10s);
    CHECK(fixture.token() == "hvs.THIRD");
  }
}

TEST_CASE(
    "a token that may not renew itself: one refusal, one warning, and the file is watched until "
    "the end") {
  TokenFile fixture;
  fixture.http->answer(kLookup, 200, looked_up(40));
  fixture.http->answer(kRenew, 403, kDenied);
  fixture.start();
  SUBCASE("a new token that is put there is taken") {
    fixture.io.advance(31s);
    fixture.directory.write("token", "hvs.SECOND");
    fixture.io.advance(4s);  // the stop is due at 35 s; it is not too late before that
    CHECK(fixture.token() == "hvs.SECOND");
    CHECK_FALSE(fixture.ended);
  }
  SUBCASE("else it is over at the end") {
    fixture.io.advance(36s);
    REQUIRE(fixture.ended);
    CHECK(fixture.ended->kind == ErrorKind::denied);
  }
  CHECK(fixture.http->count(kRenew) == 1);
  CHECK(fixture.lines("renew-self: 403") == 1);
}

}  // namespace
}  // namespace keybearer::auth
