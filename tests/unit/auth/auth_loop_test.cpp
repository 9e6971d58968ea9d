#include "auth/auth_loop.hpp"

#include <doctest/doctest.h>

#include "house.hpp"

namespace keybearer::auth {
namespace {

using config::OnRenewFailure;
using Phase = TokenState::Phase;

TEST_CASE("one login, then renewals when due: two days of an hour's token") {
  House house;
  house.http->answer(kLogin, 200, granted("T1", 3600));
  house.http->answer(kRenew, 200, granted("T1", 3600));
  house.start();
  CHECK(house.token() == "T1");
  CHECK(house.in(Phase::valid));
  CHECK(house.state().expires == test::Io::start + 1h);
  CHECK(house.state().accessor == "acc-T1");
  CHECK(house.state().mount == "auth/approle");
  house.io.advance(2700s, 1s);
  CHECK(house.http->asked.size() == 1);  // nothing is asked before it is due
  house.io.advance(48h - 2700s, 1s);
  CHECK(house.http->count(kLogin) == 1);
  CHECK(house.http->count(kLookup) == 0);
  CHECK(house.http->count(kRenew) >= 60);
  CHECK(house.http->count(kRenew) <= 65);
  CHECK(house.state().renewals == house.http->count(kRenew));
  CHECK(house.state().token_number == 1);
  CHECK(house.http->asked[1].token == "T1");
  CHECK(house.lines("logged in") == 1);
  CHECK(house.lines("WARN") == 0);
}

TEST_CASE("near its maximum TTL a token is replaced by one login while it still works") {
  House house;
  house.config.min_remaining = 0s;
  house.http->answer(kLogin, 200, granted("T1", 20));
  house.http->answer(kLogin, 200, granted("T2", 20));
  house.http->answer(kRenew, 200, granted("T1", 20));
  house.http->answer(kRenew, 200, granted("T1", 12));
  house.http->answer(kRenew, 200, granted("T2", 20));
  house.start();
  house.io.advance(33s);
  CHECK(house.in(Phase::ending));
  CHECK(house.token() == "T1");
  house.io.advance(9s);
  CHECK(house.token() == "T2");
  CHECK(house.in(Phase::valid));
  CHECK(house.http->count(kLogin) == 2);
  CHECK(house.http->count(kRevoke) == 0);  // its leases may still be in use
  CHECK(house.state().token_number == 2);
  CHECK(house.alarms.empty());
}

TEST_CASE("a batch token is replaced in time, without a renewal") {
  House house;
  house.http->answer(kLogin, 200, granted("B1", 100, false));
  house.http->answer(kLogin, 200, granted("B2", 100, false));
  house.start();
  house.io.advance(81s);
  CHECK(house.token() == "B2");
  CHECK(house.http->asked.size() == 2);
}

TEST_CASE("a token without end is left alone") {
  House house;
  house.http->answer(kLogin, 200, granted("R", 0, false));
  house.start();
  house.io.advance(100h, 1min);
  CHECK(house.http->asked.size() == 1);
  CHECK_FALSE(house.state().expires);
}

TEST_CASE("a hiccup is not a failure: renewal is tried again with growing pauses") {
  House house;
  house.http->answer(kLogin, 200, granted("T1", 40));
  house.http->answer(kRenew, 503, R"({"errors":["Vault is sealed"]})");
  house.http->fail(kRenew, ErrorKind::network, "connection refused");
  house.http->answer(kRenew, 429);
  house.http->answer(kRenew, 200, granted("T1", 40));
  house.start();
  house.io.advance(39s, 10ms);
  const auto times = house.times(kRenew);
  REQUIRE(times.size() == 4);
  CHECK(times[2] - times[1] > times[1] - times[0]);
  CHECK(house.http->count(kLogin) == 1);
  CHECK(house.in(Phase::valid));
  CHECK(house.lines("the server answers again") == 1);
}

TEST_CASE("a server that is away for long is asked seldom, and the token's end does not end us") {
  House house;
  house.http->answer(kLogin, 200, granted("T1", 60));
  house.http->fail(kRenew, ErrorKind::network, "connection refused");
  house.http->fail(kLogin, ErrorKind::network, "connection refused");
  house.start();
  house.io.advance(2h, 1s);
  CHECK_FALSE(house.ended);
  CHECK(house.in(Phase::logging_in));
  CHECK(house.token() == "(none)");
  CHECK(house.http->asked.size() < 60);
  CHECK(house.lines("WARN") <= 3);

  house.http->reset(kLogin);
  house.http->answer(kLogin, 200, granted("T2", 60));
  house.io.advance(5min, 1s);
  CHECK(house.token() == "T2");

  // The pauses of the outage are forgotten: a token that is lost now has its successor at once.
  house.http->answer(kLookup, 403, kDenied);
  house.io.advance(2s);
  CHECK_FALSE(house.token_is_good());
  house.io.advance(1s);
  CHECK(house.token() == "T2");
  CHECK(house.in(Phase::valid));
}

TEST_CASE("a renewal that hangs leaves time for others before the end") {
  House house;
  house.http->answer(kLogin, 200, granted("T1", 60));
  house.http->delay(kRenew, 1h);
  house.http->answer(kRenew, 200, granted("T1", 60));
  house.start();
  house.io.advance(57s);
  CHECK(house.http->count(kRenew) >= 3);
  CHECK(house.token() == "T1");
}

TEST_CASE("a first login that is refused") {
  House house;
  house.http->answer(kLogin, 400, R"({"errors":["invalid role or secret ID"]})");
  SUBCASE("is tried three times, because servers lock a role after five") {
    house.start();
    house.io.advance(15s);
    CHECK(house.http->count(kLogin) == 3);
  }
  SUBCASE("ends a job that runs once at the first") {
    house.rules.once = true;
    house.start();
    CHECK(house.http->count(kLogin) == 1);
  }
  SUBCASE("ends at the first with exit_on_err") {
    house.config.exit_on_err = true;
    house.start();
    CHECK(house.http->count(kLogin) == 1);
  }
  SUBCASE("is not tried beyond the grace of the start") {
    house.rules.start_grace = 0s;
    house.start();
    CHECK(house.http->count(kLogin) == 1);
  }
  REQUIRE(house.ended);
  CHECK(house.ended->kind == ErrorKind::denied);
  CHECK(house.ended->text.contains("400 invalid role or secret ID"));
  CHECK(house.ended->text.contains("the secret_id may have expired"));
  CHECK_FALSE(house.log().contains("canary"));
}

TEST_CASE("a server that is away at the start") {
  House house;
  house.http->fail(kLogin, ErrorKind::network, "127.0.0.1:8200: connection refused");
  SUBCASE("is waited for, for ever, and seldom asked; the log says why at once, and once") {
    house.start();
    CHECK(house.lines("connection refused") == 1);
    house.io.advance(10h, 1s);
    CHECK_FALSE(house.ended);
    CHECK(house.http->count(kLogin) < 250);
    CHECK(house.lines("WARN") == 1);
    house.http->answer(kLogin, 200, granted("T1", 3600));
    house.io.advance(10min, 1s);
    CHECK(house.token() == "T1");
  }
  SUBCASE("ends us after start_timeout, with its cause") {
    house.rules.outage.start_timeout = 30s;
    house.start();
    house.io.advance(29s);
    CHECK_FALSE(house.ended);
    house.io.advance(1s);
    REQUIRE(house.ended);
    CHECK(house.ended->kind == ErrorKind::network);
    CHECK(house.ended->text.contains("connection refused"));
  }
  SUBCASE("ends us at once where that is wished for") {
    house.rules.outage.on_start = config::Outage::OnStart::fail;
    house.start();
    REQUIRE(house.ended);
    CHECK(house.ended->kind == ErrorKind::network);
  }
  SUBCASE("ends a job that runs once after so many retries") {
    house.rules.once = true;
    house.rules.num_retries = 3;
    house.start();
    house.io.advance(60s);
    REQUIRE(house.ended);
    CHECK(house.ended->kind == ErrorKind::network);
    CHECK(house.http->count(kLogin) == 4);
  }
}

TEST_CASE("a login that hangs ends with start_timeout") {
  House house;
  house.http->delay(kLogin, 1h);
  house.rules.outage.start_timeout = 10s;
  house.start();
  house.io.advance(10s);
  REQUIRE(house.ended);
  CHECK(house.ended->kind == ErrorKind::timeout);
  CHECK(house.ended->text.contains("POST auth/approle/login: no answer in time"));
}

TEST_CASE("Retry-After is obeyed at a login") {
  House house;
  house.http->answer(kLogin, 429, R"({"errors":["quota"]})", 60s);
  house.http->answer(kLogin, 200, granted("T1", 3600));
  house.start();
  house.io.advance(59s);
  CHECK(house.http->count(kLogin) == 1);
  house.io.advance(2s);
  CHECK(house.token() == "T1");
}

TEST_CASE(
    "after a 403 one look-up decides, for all who ask at the same time, and not again for ten "
    "seconds") {
  House house;
  house.http->answer(kLogin, 200, granted("T1", 3600));
  house.http->answer(kLookup, 200, looked_up(3000));
  house.http->delay(kLookup, 1s);
  house.start();
  std::vector<bool> out;
  for (int i = 0; i < 50; ++i) house.io.start_task(House::ask(house, out));
  house.io.advance(2s);
  CHECK(out == std::vector<bool>(50, true));
  CHECK(house.token_is_good());
  house.io.advance(7s);
  CHECK(house.token_is_good());
  CHECK(house.http->count(kLookup) == 1);
  house.io.advance(2s);
  house.io.start_task(House::ask(house, out));
  house.io.advance(2s);
  CHECK(house.http->count(kLookup) == 2);
}

TEST_CASE("all who ask while the look-up is on its way hear that the token is gone") {
  House house;
  house.config.on_renew_failure = OnRenewFailure::exit;
  house.http->answer(kLogin, 200, granted("T1", 3600));
  house.http->answer(kLookup, 403, kDenied);
  house.http->delay(kLookup, 1s);
  house.start();
  std::vector<bool> out;
  for (int i = 0; i < 50; ++i) house.io.start_task(House::ask(house, out));
  house.io.advance(2s);
  CHECK(out == std::vector<bool>(50, false));
  CHECK(house.http->count(kLookup) == 1);
}

TEST_CASE("what was found before a refused renewal does not count") {
  House house;
  house.http->answer(kLogin, 200, granted("T1", 60));
  house.http->answer(kLogin, 200, granted("T2", 60));
  house.http->answer(kRenew, 403, kDenied);
  house.http->answer(kLookup, 200, looked_up(20));
  house.http->answer(kLookup, 403, kDenied);
  house.start();
  house.io.advance(44s);
  CHECK(house.token_is_good());
  house.io.advance(5s);
  CHECK(house.http->count(kLookup) == 2);
  CHECK(house.lines("not valid any more") == 1);
  CHECK(house.token() == "T2");
}

TEST_CASE(
    "no answer to the look-up condemns no token, nor does a 403 where the policies forbid the "
    "look-up") {
  House house;
  SUBCASE("outage") {
    house.http->answer(kLogin, 200, granted("T1", 3600));
    house.http->fail(kLookup, ErrorKind::network);
  }
  SUBCASE("no default policy") {
    house.http->answer(
        kLogin, 200,
        R"({"auth":{"client_token":"T1","policies":["app"],"lease_duration":3600,"renewable":true}})");
    house.http->answer(kLookup, 403, kDenied);
  }
  house.start();
  CHECK(house.token_is_good());
  house.io.advance(1min);
  CHECK(house.token() == "T1");
}

TEST_CASE("a token that was revoked") {
  House house;
  house.http->answer(kLogin, 200, granted("T1", 3600));
  house.http->answer(kLogin, 200, granted("T2", 3600));
  house.http->answer(kLookup, 403, kDenied);
  SUBCASE("is replaced by one login, within a second") {
    house.start();
    house.io.advance(1min);
    CHECK_FALSE(house.token_is_good());
    house.io.run();
    CHECK(house.token() == "T2");
    CHECK(house.http->count(kLogin) == 2);
    CHECK(house.alarms.empty());
    CHECK(house.lines("not valid any more") == 1);
  }
  SUBCASE("ends us at once with exit, after one login in all") {
    house.config.on_renew_failure = OnRenewFailure::exit;
    house.start();
    house.io.advance(1min);
    CHECK_FALSE(house.token_is_good());
    house.io.run();
    REQUIRE(house.ended);
    CHECK(house.ended->kind == ErrorKind::denied);
    CHECK(house.in(Phase::lost));
    CHECK(house.http->count(kLogin) == 1);
    CHECK(house.alarms == std::vector<std::string>{"token.lost"});
    CHECK(house.lines("ERROR") == 1);
  }
  SUBCASE("is mourned once with keep, and nothing else happens") {
    house.config.on_renew_failure = OnRenewFailure::keep;
    house.start();
    house.io.advance(1min);
    CHECK_FALSE(house.token_is_good());
    house.io.advance(10h, 1min);
    CHECK_FALSE(house.ended);
    CHECK(house.in(Phase::lost));
    CHECK(house.token() == "(none)");
    CHECK_FALSE(house.token_is_good());
    CHECK(house.http->asked.size() == 2);
    CHECK(house.alarms == std::vector<std::string>{"token.lost"});
  }
}

TEST_CASE("a server that kills every new token is not hammered") {
  House house;
  house.http->answer(kLogin, 200, granted("T", 3600));
  house.http->answer(kLookup, 403, kDenied);
  house.start();
  for (int second = 0; second < 600; ++second) {
    (void)house.token_is_good();
    house.io.advance(1s, 250ms);
  }
  CHECK(house.http->count(kLogin) < 15);
}

TEST_CASE("a renewal that is refused") {
  House house;
  house.http->answer(kLogin, 200, granted("T1", 60));
  house.http->answer(kRenew, 403, kDenied);
  house.http->answer(kLookup, 200, looked_up(12));
  SUBCASE("leads to one login while the old token still works") {
    house.http->answer(kLogin, 200, granted("T2", 60));
    house.start();
    house.io.advance(48s);
    CHECK(house.token() == "T2");
    CHECK(house.http->count(kRenew) == 1);
    CHECK(house.http->count(kLogin) == 2);
  }
  SUBCASE("ends us with exit when the token ends, less the time of the child's stop") {
    house.config.on_renew_failure = OnRenewFailure::exit;
    house.start();
    house.io.advance(54s);
    CHECK_FALSE(house.ended);
    CHECK(house.in(Phase::ending));
    house.io.advance(1s);
    REQUIRE(house.ended);
    CHECK(house.ended->kind == ErrorKind::denied);
    CHECK(house.token() == "T1");  // good enough to revoke with
    CHECK(house.http->count(kLogin) == 1);
    CHECK(house.lines("token can't be renewed any further") == 1);
  }
  SUBCASE("is lost with keep when the token ends") {
    house.config.on_renew_failure = OnRenewFailure::keep;
    house.start();
    house.io.advance(59s);
    CHECK(house.in(Phase::ending));
    house.io.advance(1h, 1s);
    CHECK(house.in(Phase::lost));
    CHECK_FALSE(house.ended);
    CHECK(house.http->count(kLogin) == 1);
    CHECK(house.alarms == std::vector<std::string>{"token.lost"});
  }
}

TEST_CASE("a renewal that is refused because the token is gone leads to one login") {
  House house;
  house.http->answer(kLogin, 200, granted("T1", 60));
  house.http->answer(kLogin, 200, granted("T2", 60));
  house.http->answer(kRenew, 403, kDenied);
  house.http->answer(kLookup, 403, kDenied);
  house.start();
  house.io.advance(48s);
  CHECK(house.token() == "T2");
  CHECK(house.http->count(kLookup) == 1);
  CHECK(house.http->count(kLogin) == 2);
}

TEST_CASE("a spent secret_id is not sent again while the old token lives, and then it is over") {
  House house;
  house.http->answer(kLogin, 200, granted("T1", 600, false));
  house.http->answer(kLogin, 400, R"({"errors":["invalid secret id"]})");
  house.start();
  house.io.advance(590s);
  CHECK_FALSE(house.ended);
  CHECK(house.http->count(kLogin) == 2);
  CHECK(house.token() == "T1");
  house.io.advance(6s);
  REQUIRE(house.ended);
  CHECK(house.ended->kind == ErrorKind::denied);
  CHECK(house.http->count(kLogin) == 2);
  CHECK(house.alarms == std::vector<std::string>{"login.refused", "token.lost"});
}

TEST_CASE("a spent secret_id and a token that is gone: it is over at once") {
  House house;
  house.http->answer(kLogin, 200, granted("T1", 600));
  house.http->answer(kLogin, 400, R"({"errors":["invalid secret id"]})");
  house.http->answer(kLookup, 403, kDenied);
  house.start();
  house.io.advance(10s);
  CHECK_FALSE(house.token_is_good());
  house.io.advance(1s);
  REQUIRE(house.ended);
  CHECK(house.http->count(kLogin) == 2);
}

TEST_CASE("a new secret_id in the file is tried within a second") {
  House house;
  house.config.method.erase("secret_id");
  house.config.method.set("secret_id_file_path",
                          std::string(house.folder.write("secret-id", "first\n")));
  house.http->answer(kLogin, 200, granted("T1", 600, false));
  house.http->answer(kLogin, 400, R"({"errors":["invalid secret id"]})");
  house.http->answer(kLogin, 200, granted("T2", 600));
  house.start();
  house.io.advance(500s);
  CHECK(house.http->count(kLogin) == 2);
  house.folder.write("secret-id", "  second\n");
  house.io.advance(1s);
  CHECK(house.http->count(kLogin) == 3);
  CHECK(house.http->asked.back().body == R"({"role_id":"role-1","secret_id":"second"})");
  CHECK(house.token() == "T2");
}

TEST_CASE(
    "at the exit the tokens that were made are revoked, the replaced one that still lives too") {
  House house;
  house.http->answer(kLogin, 200, granted("T1", 100, false));
  house.http->answer(kLogin, 200, granted("T2", 100, false));
  house.http->answer(kRevoke, 204);
  house.start();
  house.io.advance(85s);
  SUBCASE("by default") {
    house.stop();
    house.io.start_task(House::revoke(house));
    house.io.run();
    REQUIRE(house.http->count(kRevoke) == 2);
    CHECK(house.http->asked[2].token == "T2");
    CHECK(house.http->asked[3].token == "T1");
  }
  SUBCASE("not where it is not wished for") {
    house.config.revoke_on_exit = false;
    REQUIRE(house.loop->configure(house.config));
    house.stop();
    house.io.start_task(House::revoke(house));
    house.io.run();
    CHECK(house.http->count(kRevoke) == 0);
  }
  CHECK(house.token() == "(none)");
}

TEST_CASE("what can't be revoked or has ended is not revoked at the exit") {
  House house;
  SUBCASE("a batch token") {
    house.http->answer(
        kLogin, 200,
        R"({"auth":{"client_token":"hvb.B","policies":["default"],"token_type":"batch",)"
        R"("lease_duration":100,"renewable":false}})");
    house.start();
    house.io.advance(85s);
  }
  SUBCASE("a token that has ended by itself") {
    house.http->answer(kLogin, 200, granted("T1", 100));
    house.start();
    house.stop();
    house.io.advance(101s);
  }
  SUBCASE("a token that is known to be gone") {
    house.config.on_renew_failure = OnRenewFailure::exit;
    house.http->answer(kLogin, 200, granted("T1", 100));
    house.http->answer(kLookup, 403, kDenied);
    house.start();
    CHECK_FALSE(house.token_is_good());
    house.io.run();
    CHECK(house.ended);
  }
  house.stop();
  house.io.start_task(House::revoke(house));
  house.io.run();
  CHECK(house.http->count(kRevoke) == 0);
  CHECK(house.lines("lives on") == 0);
  CHECK(house.token() == "(none)");
}

TEST_CASE("a lifetime counts from the request: a slow answer does not cost the token") {
  House house;
  house.http->answer(kLogin, 200, granted("T1", 10));
  house.http->answer(kRenew, 200, granted("T1", 10));
  house.http->delay(kLogin, 4s);
  house.start();
  house.io.advance(4s);
  CHECK(house.state().expires == test::Io::start + 10s);
  house.io.advance(60s);
  const auto times = house.times(kRenew);
  REQUIRE(times.size() > 5);
  CHECK(times[0] <= 5s);
  CHECK(house.http->count(kLogin) == 1);
}

TEST_CASE("a renewal that leaves less than a second is the last: zero is not without end") {
  House house;
  house.http->answer(kLogin, 200, granted("T1", 60));
  house.http->answer(kLogin, 200, granted("T2", 60));
  house.http->answer(kRenew, 200, granted("T1", 0));
  house.start();
  house.io.advance(50s);
  CHECK(house.token() == "T2");
  CHECK(house.state().expires);
}

TEST_CASE("a token that may not be renewed: the policy that is missing is named") {
  House house;
  house.http->answer(kLogin, 200, granted("T1", 60));
  house.http->answer(kLogin, 200, granted("T2", 600));
  house.http->answer(kRenew, 403, kDenied);
  house.http->answer(kLookup, 200, looked_up(12));
  house.start();
  house.io.advance(50s);
  CHECK(house.token() == "T2");
  CHECK(house.lines("renewal refused: the policy lacks update on auth/token/renew-self") == 1);
}

TEST_CASE("a server that hangs holds up the exit for five seconds") {
  House house;
  house.http->answer(kLogin, 200, granted("T1", 100));
  house.http->delay(kRevoke, 1h);
  house.start();
  house.stop();
  bool done = false;
  const auto revoke = [](House& h, bool& out) -> boost::asio::awaitable<void> {
    co_await h.loop->revoke();
    out = true;
  };
  house.io.start_task(revoke(house, done));
  house.io.advance(4900ms);
  CHECK_FALSE(done);
  house.io.advance(200ms);
  CHECK(done);
  CHECK(house.lines("lives on until its TTL ends") == 1);
}

TEST_CASE("a stop is obeyed in every state") {
  House house;
  SUBCASE("while a login hangs") {
    house.http->delay(kLogin, 1h);
    house.start();
  }
  SUBCASE("while a login with a deadline hangs") {
    house.http->delay(kLogin, 1h);
    house.rules.outage.start_timeout = 1h;
    house.start();
  }
  SUBCASE("between two logins") {
    house.http->fail(kLogin, ErrorKind::network);
    house.start();
  }
  SUBCASE("between two renewals") {
    house.http->answer(kLogin, 200, granted("T1", 3600));
    house.start();
  }
  SUBCASE("while a renewal hangs") {
    house.http->answer(kLogin, 200, granted("T1", 60));
    house.http->delay(kRenew, 1h);
    house.start();
    house.io.advance(48500ms);
    CHECK(house.http->count(kRenew) == 1);
  }
  SUBCASE("when the token is lost") {
    house.config.on_renew_failure = OnRenewFailure::keep;
    house.http->answer(kLogin, 200, granted("T1", 10, false));
    house.start();
    house.io.advance(20s);
    CHECK(house.in(Phase::lost));
  }
  const auto asked = house.http->asked.size();
  house.stop();  // checks that nothing is left running
  house.io.advance(1h, 1s);
  CHECK(house.http->asked.size() == asked);
  CHECK_FALSE(house.ended);
}

TEST_CASE("changes of the state can be waited for") {
  House house;
  house.http->answer(kLogin, 200, granted("T1", 60));
  house.http->answer(kRenew, 200, granted("T1", 60));
  house.start();
  const auto seen = house.loop->changed().generation();
  house.io.advance(49s);
  CHECK(house.loop->changed().generation() > seen);
}

TEST_CASE("no token and no secret_id is in the log, whatever happens") {
  House house;
  house.http->answer(kLogin, 500, R"({"errors":["broken: secret-id-canary"]})");
  house.http->answer(kLogin, 200, granted("token-canary", 60));
  house.http->answer(kRenew, 500, R"({"errors":["broken: token-canary"]})");
  house.http->answer(kLookup, 403, R"({"errors":["token-canary"]})");
  house.http->answer(kRevoke, 500, R"({"errors":["token-canary"]})");
  house.start();
  house.io.advance(59s);
  (void)house.token_is_good();
  house.stop();
  house.io.start_task(House::revoke(house));
  house.io.run();
  auto text = house.log();
  for (auto at = text.find("acc-token-canary"); at != text.npos;
       at = text.find("acc-token-canary")) {
    text.replace(at, 16, "accessor");
  }
  CHECK_FALSE(text.contains("canary"));
  CHECK(text.contains("[masked]"));
}

}  // namespace
}  // namespace keybearer::auth
