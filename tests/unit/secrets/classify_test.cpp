#include "secrets/classify.hpp"

#include <doctest/doctest.h>

#include "json/json.hpp"

namespace keybearer::secrets {
namespace {

using namespace std::chrono_literals;
using Of = tmpl::Dependency::Kind;

vault::Reply reply_of(std::string_view body) {
  vault::Reply reply;
  reply.body = json::parse(body).value();
  return reply;
}
vault::Reply leased(std::string id, Duration ttl, bool renewable) {
  auto reply = reply_of(R"({"data":{"username":"u","password":"p"}})");
  reply.lease = {std::move(id), ttl, renewable};
  return reply;
}
const WallTime kNow = parse_time("2026-11-21T12:00:00Z").value();
lease::Lifetime life(const vault::Reply& reply, Of kind = Of::read) {
  return lifetime_of({.kind = kind}, reply, kNow);
}

TEST_CASE("time stamps of servers are read to the nanosecond") {
  CHECK(parse_time("1970-01-01T00:00:01Z") == WallTime(1s));
  CHECK(parse_time("2026-11-21T12:21:08.448453254Z").value() -
            parse_time("2026-11-21T12:21:08Z").value() ==
        std::chrono::nanoseconds(448453254));
  CHECK(parse_time("2026-11-21T12:21:08.5Z").value() - parse_time("2026-11-21T12:21:08Z").value() ==
        500ms);
  for (const char* wrong :
       {"", "now", "2026-11-21", "2026-11-21T12:21:08+01:00", "2026-11-21T12:21:xxZ"}) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_time(wrong));
  }
  CHECK_FALSE(parse_time("1013-01-02T03:04:05Z"));  // would not fit
}

TEST_CASE("the kind of a secret is told by its answer") {
  CHECK(life(leased("database/creds/r/x", 1h, true)).kind == Kind::dynamic);
  CHECK(life(leased("aws/sts/r/x", 1h, false)).kind == Kind::non_renewable);
  CHECK(life(reply_of(R"({"data":{"data":{"k":"v"},"metadata":{"version":3}}})")).kind ==
        Kind::kv2);
  CHECK(life(reply_of(R"({"data":{"k":"v"}})")).kind == Kind::unleased);
  CHECK(life(reply_of(R"({"data":{"plaintext":"x"}})"), Of::write).kind == Kind::written_once);
  CHECK(life({}, Of::write).kind == Kind::written_once);  // a 204
}

TEST_CASE("KV 1 says a month and means nothing: there is no lease without an id") {
  auto reply = reply_of(R"({"data":{"k":"v"}})");
  reply.lease = {"", 2764800s, false};
  CHECK(life(reply).kind == Kind::unleased);
}

TEST_CASE("a certificate ends when it says so") {
  const auto end =
      std::chrono::duration_cast<std::chrono::seconds>((kNow + 90s).time_since_epoch()).count();
  const auto reply =
      reply_of(R"({"data":{"certificate":"PEM","expiration":)" + std::to_string(end) + "}}");
  const lease::Lifetime of = life(reply, Of::pki);
  CHECK(of.kind == Kind::certificate);
  CHECK(of.ttl == 90s);
}

TEST_CASE("a minted token's life is its own") {
  vault::Reply reply;
  reply.auth.emplace();
  reply.auth->ttl = 12s;
  reply.auth->renewable = true;
  const lease::Lifetime of = life(reply, Of::write);
  CHECK(of.kind == Kind::token);
  CHECK(of.ttl == 12s);
  CHECK(of.renewable);
}

vault::Reply static_role(const std::string& rotated, int ttl) {
  return reply_of(R"({"data":{"last_vault_rotation":")" + rotated +
                  R"(","password":"p","rotation_period":10,"username":"u","ttl":)" +
                  std::to_string(ttl) + "}}");
}

TEST_CASE("a static role's next rotation") {
  SUBCASE("is known to the millisecond") {
    const lease::Lifetime of = life(static_role("2026-11-21T11:59:53.250Z", 3));
    CHECK(of.kind == Kind::static_role);
    CHECK(of.to_rotation == 3250ms);
    CHECK(of.period == 10s);
  }
  SUBCASE("is the server's own count where the clocks differ") {
    CHECK(life(static_role("2026-11-21T11:00:00Z", 3)).to_rotation == 3s);
  }
  SUBCASE("may be over already") {
    CHECK(life(static_role("2026-11-21T11:59:49.500Z", 0)).to_rotation == -500ms);
  }
  SUBCASE("may go by a calendar") {
    const auto reply = reply_of(
        R"({"data":{"last_vault_rotation":"2026-11-21T11:00:00Z","rotation_schedule":"0 * * * SAT","ttl":60,"password":"p"}})");
    CHECK(life(reply).kind == Kind::static_role);
    CHECK(life(reply).to_rotation == 60s);
  }
}

TEST_CASE("a static role's countdown is no change, its new password is") {
  const auto value = [](const vault::Reply& reply) { return value_of({}, reply); };
  const Value before = value(static_role("2026-11-21T11:59:53Z", 3));
  CHECK(same_content(Kind::static_role, before, value(static_role("2026-11-21T11:59:53Z", 1))));
  CHECK_FALSE(
      same_content(Kind::static_role, before, value(static_role("2026-11-21T12:00:03Z", 10))));
}

TEST_CASE("paths of KV 2") {
  CHECK(metadata_path("kv/data/app/db") == "kv/metadata/app/db");
  CHECK(metadata_path("team/kv/data/data/x") == "team/kv/metadata/data/x");
  CHECK_FALSE(metadata_path("database/creds/x"));
  CHECK(with_data("kv/data", "kv/") == "kv/data/data");
  CHECK(with_data("kv/app/db", "kv/") == "kv/data/app/db");
  CHECK(with_data("kv/data/app", "kv/") == "kv/data/app");
  CHECK(with_data("kv/subkeys/app", "kv/") == "kv/subkeys/app");
  CHECK(metadata_path("team/data/kv/data/x", "team/data/kv/") == "team/data/kv/metadata/x");
  CHECK(metadata_path("kv/data/data/data", "kv/") == "kv/metadata/data/data");
  CHECK_FALSE(has_two_data("kv/data/app"));
  CHECK_FALSE(has_two_data("kv/data/data"));  // a secret called data
  CHECK(has_two_data("kv/data/data/app"));
}

TEST_CASE("the API's path of what has the names of the API's own parts") {
  const struct {
    const char *path, *mount, *read, *list;
  } rows[] = {
      {"kv", "kv/", "kv/data/", "kv/metadata/"},
      {"kv/app", "kv/", "kv/data/app", "kv/metadata/app"},
      {"kv/metadata", "kv/", "kv/data/metadata", "kv/metadata"},
      {"kv/subkeys", "kv/", "kv/data/subkeys", "kv/metadata/subkeys"},
      {"kv/data", "kv/", "kv/data/data", "kv/metadata/data"},
      {"kv/datas", "kv/", "kv/data/datas", "kv/metadata/datas"},
      {"kv/metadata/app", "kv/", "kv/metadata/app", "kv/metadata/app"},
      {"kv/team/data/x", "kv/", "kv/data/team/data/x", "kv/metadata/team/data/x"},
      {"kv/team/metadata", "kv/", "kv/data/team/metadata", "kv/metadata/team/metadata"},
      {"team/data/kv/x", "team/data/kv/", "team/data/kv/data/x", "team/data/kv/metadata/x"},
      {"team/data/kv/data/x", "team/data/kv/", "team/data/kv/data/x",
       "team/data/kv/metadata/data/x"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.path);
    CHECK(kv2_path(row.path, row.mount, false) == row.read);
    CHECK(kv2_path(row.path, row.mount, true) == row.list);
  }
}

TEST_CASE("what is taken as the API's path without a question") {
  const auto assumed = [](const char* path) {
    return path_is_assumed(tmpl::read_dependency(path).value());
  };
  CHECK(assumed("kv/app") == Assumed::no);
  CHECK(assumed("kv/data") == Assumed::no);
  CHECK(assumed("kv/data/app") == Assumed::likely);
  CHECK(assumed("kv/metadata/app") == Assumed::likely);
  CHECK(assumed("team/kv/data/app") == Assumed::unlikely);
  CHECK(assumed("kv/team/data/app") == Assumed::unlikely);
  CHECK(assumed("auth/x/data/y") == Assumed::no);
}

TEST_CASE("defaults stand in as an answer of the right shape") {
  const char* defaults = R"({"user":"nobody"})";
  const auto user = [](const Value& data) { return text_at(data, "user"); };
  const Value v1 = default_value(defaults, false);
  CHECK(user(value_at(v1, "data")) == "nobody");
  CHECK(value_at(v1, "data").size() == 1);
  const Value v2 = default_value(defaults, true);
  CHECK(user(value_at(value_at(v2, "data"), "data")) == "nobody");
  CHECK(user(value_at(v2, "data")).empty());
  const Value unknown = default_value(defaults, {});
  CHECK(user(value_at(unknown, "data")) == "nobody");
  CHECK(user(value_at(value_at(unknown, "data"), "data")) == "nobody");
  CHECK(default_value({}, true) == Value());
  const Value kinds = default_value(R"({"flag":false,"n":5})", false);
  CHECK(value_at(value_at(kinds, "data"), "flag") == Value(false));
  CHECK(value_at(value_at(kinds, "data"), "n") == Value::number("5"));
}

TEST_CASE("what a template sees") {
  const auto listed = value_of({.kind = Of::list}, reply_of(R"({"data":{"keys":["a","b/"]}})"));
  CHECK(listed.size() == 2);
  CHECK(value_of({.kind = Of::list}, {}).size() == 0);
  const auto pair = value_of(
      {.kind = Of::pki},
      reply_of(
          R"({"data":{"certificate":"C","private_key":"K","issuing_ca":"A","ca_chain":["A"]}})"));
  CHECK(text_at(pair, "Cert") == "C");
  CHECK(text_at(pair, "Key") == "K");
  CHECK(text_at(pair, "CA") == "A");
  CHECK(value_at(pair, "CAChain").size() == 1);
}

}  // namespace
}  // namespace keybearer::secrets
