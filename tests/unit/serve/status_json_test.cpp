#include "serve/status_json.hpp"

#include <doctest/doctest.h>

#include "json/json.hpp"
#include "sample.hpp"
#include "serve/texts.hpp"

namespace keybearer::serve {
namespace {

// The documented schema (keybearer(1), STATUS): every key of it, and no other.
const std::map<std::string, std::vector<std::string>> kSchema = {
    {"",
     {"child", "events", "files", "instance", "listeners", "ready", "reasons", "requests", "schema",
      "secrets", "server", "time", "token"}},
    {"child",
     {"command", "last_exit", "outdated", "pid", "restarts", "roll_backs", "since", "state",
      "uptime"}},
    {"events", {"event", "fields", "level", "message", "time"}},
    {"files", {"error", "last_written", "mode", "path", "result", "written"}},
    {"instance",
     {"config", "config_reload", "mode", "name", "pid", "started", "uptime", "version"}},
    {"requests", {"failed", "refused", "succeeded", "throttled", "unanswered"}},
    {"secrets",
     {"defaults",        "error",      "fetches",       "generation", "kind",        "last_success",
      "lease",           "lease_ends", "lease_ends_in", "lease_id",   "next_action", "next_refresh",
      "next_refresh_in", "path",       "reason",        "renewable",  "required",    "stale",
      "state",           "ttl",        "version"}},
    {"server", {"address", "error", "reachable", "reachable_since", "version"}},
    {"token",
     {"accessor", "error", "expires", "expires_in", "logins", "method", "mount", "next", "next_in",
      "phase", "renewable", "renewals", "ttl"}},
};

std::vector<std::string> keys_of(const Value& map) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : map.entries()) keys.emplace_back(key.as_text());
  return keys;
}

TEST_CASE("status --json has exactly the keys that the manual names") {
  const auto parsed = json::parse(status_json(sample(), Audience::owner));
  REQUIRE(parsed);
  CHECK(keys_of(*parsed) == kSchema.at(""));
  for (const auto& [name, keys] : kSchema) {
    if (name.empty()) continue;
    CAPTURE(name);
    const Value& part = value_at(*parsed, name);
    CHECK(keys_of(part.is_list() ? part.items().at(0) : part) == keys);
  }
}

TEST_CASE("numbers, times and nulls") {
  const auto parsed = json::parse(status_json(sample(), Audience::owner));
  REQUIRE(parsed);
  const Value& token = value_at(*parsed, "token");
  CHECK(text_at(token, "expires") == "2026-11-29T12:40:00.000Z");
  CHECK(text_at(token, "expires_in") == "2400");
  CHECK(text_at(token, "next_in") == "1680");
  CHECK(text_at(token, "accessor") == "the-accessor");
  const Value& kv = value_at(*parsed, "secrets").items().at(1);
  CHECK(int_at(kv, "version") == 7);
  CHECK(value_at(kv, "lease_ends").is_nil());
  CHECK_FALSE(bool_at(kv, "stale"));
  const Value& child = value_at(*parsed, "child");
  CHECK(int_at(child, "restarts") == 2);
  CHECK(text_at(value_at(child, "last_exit"), "kind") == "signal");
  CHECK(text_at(value_at(*parsed, "files").items().at(0), "mode") == "0640");
  CHECK(bool_at(*parsed, "ready"));
}

TEST_CASE("without a child, a token, a server") {
  Snapshot s = sample();
  s.child.reset();
  s.token = {};
  s.server = {};
  s.secrets.clear();
  const auto parsed = json::parse(status_json(s, Audience::owner));
  REQUIRE(parsed);
  CHECK(value_at(*parsed, "child").is_nil());
  CHECK(value_at(value_at(*parsed, "token"), "expires").is_nil());
  CHECK_FALSE(bool_at(value_at(*parsed, "server"), "reachable"));
}

TEST_CASE("a secret whose refresh fails is stale, one that was never there is not") {
  Snapshot s = sample();
  s.secrets[0].state = Snapshot::Secret::State::failing;
  s.secrets[1].state = Snapshot::Secret::State::denied;
  s.secrets[1].generation = 0;
  const auto parsed = json::parse(status_json(s, Audience::owner));
  REQUIRE(parsed);
  const List& secrets = value_at(*parsed, "secrets").items();
  CHECK(bool_at(secrets.at(0), "stale"));
  CHECK_FALSE(bool_at(secrets.at(1), "stale"));
}

TEST_CASE("who only reaches a listener sees no accessor; nobody a lease's id unasked") {
  CHECK(status_json(sample(), Audience::anyone).find("accessor") == std::string::npos);
  for (const Audience audience : {Audience::anyone, Audience::owner})
    CHECK(status_json(sample(), audience).find("the-lease-id") == std::string::npos);
  CHECK(status_json(sample(), Audience::owner_ids).find("the-lease-id") != std::string::npos);
}

TEST_CASE("the time to live falls to 0 and no further; then it is expired (S0-09)") {
  Snapshot s = sample();
  const auto first = [&] {
    const auto parsed = json::parse(status_json(s, Audience::owner));
    REQUIRE(parsed);
    return value_at(*parsed, "secrets").items().at(0).deep_copy();
  };
  CHECK(text_at(first(), "ttl") == "1800");
  s.now += 3s;
  CHECK(text_at(first(), "ttl") == "1797");
  CHECK(text_at(first(), "state") == "fresh");
  s.now += 1h;
  CHECK(text_at(first(), "ttl") == "0");
  CHECK(text_at(first(), "lease_ends_in") == "0");
  CHECK(text_at(first(), "state") == "expired");
}

TEST_CASE("times for people") {
  CHECK(short_text(0ms) == "0s");
  CHECK(short_text(250ms) == "250ms");
  CHECK(short_text(59s) == "59s");
  CHECK(short_text(61s) == "1m 1s");
  CHECK(short_text(2h) == "2h");
  CHECK(short_text(49h) == "2d 1h");
  CHECK(short_text(-3s) == "-3s");
}

}  // namespace
}  // namespace keybearer::serve
