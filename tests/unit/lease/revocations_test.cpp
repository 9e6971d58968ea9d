#include "lease/revocations.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "base/log.hpp"
#include "base/random.hpp"
#include "base/task_group.hpp"
#include "support/fake_http.hpp"
#include "support/io.hpp"

namespace keybearer::lease {
namespace {

using namespace std::chrono_literals;

constexpr auto kRevoke = "PUT /v1/sys/leases/revoke";
constexpr auto kRevokeSelf = "POST /v1/auth/token/revoke-self";

vault::Token token(const std::string& text) {
  return std::make_shared<const Secret>(text);
}

struct Fixture {
  test::Io io;
  test::FakeHttp* http = nullptr;
  vault::Client client;
  std::vector<std::string> expired;
  Revocations revocations;
  TaskGroup group{io.context.get_executor()};
  std::optional<Revoked> result;

  Fixture()
      : client(
            [this] {
              auto fake = std::make_unique<test::FakeHttp>();
              http = fake.get();
              return fake;
            }(),
            ""),
        revocations(io.context.get_executor(), client,
                    [this](const std::string& path) { expired.push_back(path); }) {
    REQUIRE(log::open({.level = log::Level::error, .file = {}, .name = {}}));
    client.set_token(token("hvs.1"));
    http->answer(kRevoke, 204);
    http->answer(kRevokeSelf, 204);
    group.spawn(revocations.run());
    io.run();
  }
  ~Fixture() {
    end();
    REQUIRE(log::open({}));
  }
  void stop() {
    group.cancel();
    io.run();
  }
  void end() {
    stop();
    io.start_task(revocations.stop());
    io.run();
  }
  void retire(const std::string& secret, std::uint64_t generation,
              std::optional<Duration> left = 1h, Duration drain = 30s) {
    revocations.retire({.secret = secret,
                        .generation = generation,
                        .path = "database/creds/" + secret,
                        .lease_id = secret + "/" + std::to_string(generation),
                        .end = left ? std::optional(Clock::now() + *left) : std::nullopt,
                        .drain = drain});
    io.run();
  }
  void revoke_all(Duration limit = 5s) {
    stop();
    io.start_task(ask(*this, Clock::now() + limit));
    io.run();
  }
  static boost::asio::awaitable<void> ask(Fixture& fixture, Instant deadline) {
    fixture.result = co_await fixture.revocations.revoke_all(deadline);
  }
  std::vector<std::string> revoked() const {
    std::vector<std::string> out;
    for (const auto& each : http->asked) {
      const auto begin = each.body.find(":\"");
      if (each.route == kRevoke)
        out.push_back(each.body.substr(begin + 2, each.body.size() - begin - 4));
    }
    return out;
  }
};

TEST_CASE_FIXTURE(Fixture, "what may go when: nothing in use is as old, and the drain is over") {
  const struct {
    const char* what;
    InUse in_use;
    bool goes;
  } rows[] = {
      {"its successor is in use", {{"a", 3}}, true},
      {"it is in use itself", {{"a", 2}}, false},
      {"an older one is in use: it may be on its way", {{"a", 1}}, false},
      {"nobody has the secret any more", {{"b", 1}}, true},
      {"nothing is in use", {}, true},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    http->asked.clear();
    retire("a", 2);
    io.advance(1min, 1s);
    CHECK(revoked().empty());  // nobody has told of anything
    revocations.applied(row.in_use);
    io.advance(29s, 1s);
    CHECK(revoked().empty());
    io.advance(2s, 1s);
    CHECK(revoked().size() == (row.goes ? 1 : 0));
    revocations.applied({{"a", 3}});
    io.advance(31s, 1s);
    REQUIRE(revoked().size() == 1);
    CHECK(revoked()[0] == "a/2");
    CHECK(revocations.size() == 0);
  }
}

TEST_CASE_FIXTURE(Fixture, "the drain is never longer than what is left of the lease, less 1 s") {
  retire("a", 1, 20s, 1h);
  CHECK(revocations.earliest_expiry() == Clock::now() + 20s);
  revocations.applied({{"a", 2}});
  CHECK(revocations.earliest_expiry() == Instant::max());
  io.advance(18900ms);
  CHECK(revoked().empty());
  io.advance(200ms);
  CHECK(revoked().size() == 1);
  CHECK(expired.empty());
}

TEST_CASE_FIXTURE(Fixture, "one that ends while it is in use is told, once, and is not revoked") {
  retire("a", 1, 20s);
  revocations.applied({{"a", 1}});
  io.advance(1min);
  CHECK(expired == std::vector<std::string>{"database/creds/a"});
  CHECK(revocations.size() == 0);
  CHECK(revoked().empty());
  retire("a", 2, -1s);
  CHECK(revocations.size() == 0);
}

TEST_CASE_FIXTURE(Fixture, "while a start still waits, nobody has what ends") {
  retire("a", 1, 20s);
  io.advance(1min);
  CHECK(expired.empty());
  CHECK(revocations.size() == 0);
}

TEST_CASE_FIXTURE(Fixture, "without an answer it is tried again, until it ends by itself") {
  http->reset(kRevoke);
  SUBCASE("the server comes back") {
    http->answer(kRevoke, 503, R"({"errors":["Vault is sealed"]})");
    http->answer(kRevoke, 503, R"({"errors":["Vault is sealed"]})");
    http->answer(kRevoke, 204);
    retire("a", 1, 1h, 0s);
    revocations.applied({});
    io.advance(1min);
    CHECK(http->count(kRevoke) == 3);
    CHECK(revocations.size() == 0);
  }
  SUBCASE("it does not") {
    http->fail(kRevoke, ErrorKind::network);
    retire("a", 1, 10min, 0s);
    revocations.applied({});
    io.advance(20min, 1s);
    CHECK(http->count(kRevoke) < 25);
    CHECK(revocations.size() == 0);
    CHECK(expired.empty());  // it was not in use
  }
  SUBCASE("a refusal is final") {
    http->answer(kRevoke, 403, R"({"errors":["permission denied"]})");
    retire("a", 1, 1h, 0s);
    revocations.applied({});
    io.advance(10min, 1s);
    CHECK(http->count(kRevoke) == 1);
    CHECK(revocations.size() == 0);
  }
  SUBCASE("without a token of ours nothing is asked") {
    client.set_token(nullptr);
    http->answer(kRevoke, 204);
    retire("a", 1, 1h, 0s);
    revocations.applied({});
    io.advance(1min);
    CHECK(http->asked.empty());
    client.set_token(token("hvs.2"));
    io.advance(1min);
    CHECK(revoked().size() == 1);
  }
}

TEST_CASE_FIXTURE(Fixture, "an issued token is revoked with itself") {
  revocations.retire({.secret = "k",
                      .generation = 1,
                      .path = "auth/token/create",
                      .lease_id = {},
                      .token = token("hvs.issued")});
  revocations.applied({{"k", 2}});
  io.advance(1s);
  REQUIRE(http->count(kRevokeSelf) == 1);
  CHECK(http->asked.back().token == "hvs.issued");
}

TEST_CASE_FIXTURE(Fixture, "at the exit a time-out is told from being done") {
  for (int i = 0; i < 5; ++i) retire("s" + std::to_string(i), 1);
  SUBCASE("nothing to do") {
    revocations.applied({});
    io.advance(1min);
    revoke_all();
    CHECK(result == Revoked::all);
  }
  SUBCASE("all") {
    revoke_all();
    CHECK(result == Revoked::all);
    CHECK(revoked().size() == 5);
  }
  SUBCASE("refused") {
    http->reset(kRevoke);
    http->answer(kRevoke, 403, R"({"errors":["permission denied"]})");
    revoke_all();
    CHECK(result == Revoked::some);
  }
  SUBCASE("a server that hangs costs the time limit, and no more") {
    http->delay(kRevoke, 1h);
    revoke_all();
    io.advance(4900ms);
    CHECK_FALSE(result);
    io.advance(200ms);
    CHECK(result == Revoked::timed_out);
  }
}

TEST_CASE_FIXTURE(Fixture, "one that is on its way at the stop is waited for, and sent once") {
  http->delay(kRevoke, 2s);
  retire("a", 1, 1h, 0s);
  retire("b", 1, 1h);
  revocations.applied({{"b", 1}});
  io.advance(10ms);
  REQUIRE(http->count(kRevoke) == 1);
  SUBCASE("all that is left is asked for beside it") {
    revoke_all();
    io.advance(1s);
    CHECK_FALSE(result);
    io.advance(1100ms);
    CHECK(result == Revoked::all);
    CHECK(revoked() == std::vector<std::string>{"a/1", "b/1"});
  }
  SUBCASE("no longer than there is time") {
    revoke_all(1s);
    io.advance(1100ms);
    CHECK(result == Revoked::timed_out);
  }
  SUBCASE("a stop without revocations breaks it off") {
    end();
    io.advance(5s);
    CHECK(http->count(kRevoke) == 1);
  }
}

TEST_CASE_FIXTURE(Fixture, "a lease that is handed over twice is revoked once") {
  retire("a", 1);
  retire("a", 1);
  revoke_all();
  CHECK(revoked().size() == 1);
}

// Generations are superseded, change sets are accepted, fail, are taken over late, in any order; the
// model knows what the program has at each moment.
TEST_CASE("whatever happens, no lease is revoked that is in use") {
  Random random(7);
  const auto below = [&random](std::uint64_t n) {
    return static_cast<std::uint64_t>(random.fraction() * static_cast<double>(n));
  };
  for (int round = 0; round < 30; ++round) {
    Fixture f;
    const std::vector<std::string> names{"a", "b", "c"};
    InUse newest, program;
    for (const auto& name : names) newest[name] = 1;
    program = newest;
    std::set<std::string> revoked_before;
    for (int step = 0; step < 200; ++step) {
      const std::string& name = names[below(names.size())];
      const double what = random.fraction();
      if (what < 0.4) {  // a new lease comes
        f.retire(name, newest[name]++, Duration(1000 * static_cast<long>(30 + below(600))),
                 Duration(1000 * static_cast<long>(below(20))));
      } else if (what < 0.6) {  // the program takes the newest of all
        program = newest;
        f.revocations.applied(program);
      } else if (what < 0.8) {  // a supervisor's event without a change
        f.revocations.applied(program);
      } else if (what < 0.85) {
        f.client.set_token(below(2) == 0 ? nullptr : token("hvs.2"));
      }
      f.io.advance(Duration(1000 * static_cast<long>(1 + below(10))), 1s);
      for (const std::string& lease : f.revoked()) {
        if (!revoked_before.insert(lease).second) continue;
        const auto slash = lease.find('/');
        const std::uint64_t generation = std::stoull(lease.substr(slash + 1));
        REQUIRE(generation < program.at(lease.substr(0, slash)));
      }
    }
  }
}

}  // namespace
}  // namespace keybearer::lease
