// One look in flight per secret: what asks for a look while one is on its way is answered by it,
// unless the look was sent with another token than the one in force.

#include "fixture.hpp"

namespace keybearer::secrets {
namespace {

const auto kApp = read("kv/data/app");
constexpr auto kData = "GET /v1/kv/data/app";
constexpr Duration kAnswerTime = 50ms;

struct Wakeup {
  const char* name;
  void (*wake)(Fixture&);
  bool other_token = false;
};

const Wakeup kWakeups[] = {
    {"the login is announced once more", [](Fixture& f) { f.secrets->token_changed(); }},
    {"the same token under another pointer",
     [](Fixture& f) {
       f.set_token("hvs.1");
       f.secrets->token_changed();
     }},
    {"another token",
     [](Fixture& f) {
       f.set_token("hvs.2");
       f.secrets->token_changed();
     },
     true},
    {"a refresh", [](Fixture& f) { f.secrets->refresh(kApp.id); }},
    {"a look at all", [](Fixture& f) { f.secrets->refresh_all(); }},
    {"other settings", [](Fixture& f) { f.secrets->configure(settings_of(f.config, false)); }},
    {"asked for by one more template", [](Fixture& f) { f.secrets->require(kApp); }},
    {"asked for in another spelling",
     [](Fixture& f) { f.secrets->require(read("/kv/data/app/")); }},
    {"all of them, in one turn",
     [](Fixture& f) {
       f.secrets->token_changed();
       f.secrets->refresh(kApp.id);
       f.secrets->refresh_all(true);
     }},
};

struct Reply {
  int status;
  std::string body;
};

const Reply kReplies[] = {{200, kv2(1)},
                          {404, R"({"errors":[]})"},
                          {403, kDenied},
                          {400, R"({"errors":["no"]})"},
                          {500, R"({"errors":["internal error"]})"},
                          {200, "not JSON"}};

TEST_CASE("a wake-up during a look is no second look, unless the token is another") {
  for (const Wakeup& wakeup : kWakeups) {
    for (const Reply& reply : kReplies) {
      for (const Duration when : {0ms, 1ms, 20ms, 49ms}) {
        CAPTURE(wakeup.name);
        CAPTURE(reply.status);
        CAPTURE(reply.body);
        CAPTURE(when.count());
        Fixture f;
        f.config.vault.retry.min_backoff = 1s;
        f.http->delay(kData, kAnswerTime);
        f.http->answer(kData, reply.status, reply.body);
        f.start({kApp});
        REQUIRE(f.http->count(kData) == 1);
        f.io.advance(when, 1ms);
        wakeup.wake(f);
        f.io.advance(400ms, 1ms);  // the next step of any back-off is later
        // What was answered well is as good for the other token.
        const bool again = wakeup.other_token && !(reply.status == 200 && reply.body != "not JSON");
        CHECK(f.http->count(kData) == (again ? 2 : 1));
      }
    }
  }
}

TEST_CASE("a refresh that is asked for long after the look was sent is a look of its own") {
  Fixture f;
  f.http->delay(kData, 5s);
  f.http->answer(kData, 200, kv2(1));
  f.http->answer(kData, 200, kv2(2, "canary-2"));
  f.start({kApp});
  f.io.advance(3s);
  f.secrets->refresh(kApp.id);
  f.secrets->refresh(kApp.id);
  f.io.advance(1s);
  CHECK(f.http->count(kData) == 1);  // never two at once
  f.io.advance(10s);
  CHECK(f.http->count(kData) == 2);
  CHECK(f.value(kApp) == "canary-2");
}

TEST_CASE("the login's announcement after the first look was answered asks nothing again") {
  for (const Reply& reply : kReplies) {
    CAPTURE(reply.status);
    Fixture f;
    f.config.vault.retry.min_backoff = 10s;
    f.http->answer(kData, reply.status, reply.body);
    f.start({kApp});
    const long before = f.http->count(kData);
    f.secrets->token_changed();
    f.io.advance(2s);
    CHECK(f.http->count(kData) == before);
  }
}

TEST_CASE("new credentials that are on their way are those that a failed check asks for") {
  constexpr auto kCreds = "GET /v1/database/creds/app";
  const auto creds = read("database/creds/app");
  Fixture f;
  f.http->answer(kCreds, 200, lease("l1", 100, "u1"));
  f.http->answer(kCreds, 200, lease("l2", 100, "u2"));
  f.http->answer(kCreds, 200, lease("l3", 100, "u3"));
  f.start({creds});
  f.http->delay(kCreds, 1s);
  f.secrets->refresh(creds.id);
  f.io.advance(500ms);
  CHECK(f.secrets->refetch_leased("exec.verify failed"));
  f.io.advance(5s);
  CHECK(f.http->count(kCreds) == 2);
  CHECK(f.value(creds, "username") == "u2");
}

}  // namespace
}  // namespace keybearer::secrets
