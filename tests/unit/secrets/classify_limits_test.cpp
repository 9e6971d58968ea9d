// Where each rule about answers begins and ends: the last that is good and the first that is not.

#include <doctest/doctest.h>

#include "json/json.hpp"
#include "secrets/classify.hpp"

namespace keybearer::secrets {
namespace {

using namespace std::chrono_literals;
using Of = tmpl::Dependency::Kind;

const WallTime kNow = parse_time("2026-11-21T12:00:00Z").value();

vault::Reply reply_of(const std::string& data) {
  vault::Reply reply;
  reply.body = json::parse(R"({"data":)" + data + "}").value();
  return reply;
}

TEST_CASE("each field of a server's time stamp is a number of its own, in a usable year") {
  for (const char* good : {"1970-01-01T00:00:00Z", "2200-12-31T23:59:59Z"}) CHECK(parse_time(good));
  for (const char* bad : {"1969-12-31T23:59:59Z", "2201-01-01T00:00:00Z", "x026-11-21T12:21:08Z",
                          "2026-x1-21T12:21:08Z", "2026-11-x1T12:21:08Z", "2026-11-21Tx2:21:08Z",
                          "2026-11-21T12:x1:08Z", "2026-11-21T12:21:x8Z", "2026-11-21T12:21:08",
                          "2026-11-21T12:21:08.xZ"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_time(bad));
  }
  CHECK(parse_time("2026-12-31T23:59:59Z").value() + 1s == parse_time("2027-01-01T00:00:00Z"));
  CHECK(parse_time("2026-11-21T12:21:08.1234567891Z").value() -
            parse_time("2026-11-21T12:21:08Z").value() ==
        std::chrono::nanoseconds(123456789));
}

TEST_CASE("KV 2 is told by both its parts") {
  CHECK(kv_version(reply_of(R"({"data":{},"metadata":{"version":3}})")) == 3);
  CHECK(kv_version(reply_of(R"({"data":null,"metadata":{"version":4}})")) == 4);
  CHECK(kv_version(reply_of(R"({"metadata":{"version":3}})")) == 0);
  CHECK(kv_version(reply_of(R"({"data":{},"metadata":5})")) == 0);
  CHECK(kv_version(reply_of(R"({"data":{}})")) == 0);
}

TEST_CASE("what counts as the same content") {
  const struct {
    Kind kind;
    const char *a, *b;
    bool same;
  } rows[] = {
      {Kind::kv2, R"({"a":1,"request_id":"x"})", R"({"a":1,"request_id":"y"})", true},
      {Kind::kv2, R"({"a":1})", R"({"a":1,"request_id":"y"})", true},
      {Kind::kv2, R"({"z":1,"request_id":"y"})", R"({"z":1})", true},
      {Kind::kv2, R"({"a":1})", R"({"a":2})", false},
      {Kind::kv2, R"({"a":1})", R"({"b":1})", false},
      {Kind::kv2, R"({"a":1})", R"({"a":1,"b":1})", false},
      {Kind::kv2, R"({"a":1,"b":1})", R"({"a":1})", false},
      {Kind::kv2, R"({})", R"({})", true},
      {Kind::kv2, R"([1])", R"([1])", true},
      {Kind::kv2, R"([1])", R"({})", false},
      {Kind::kv2, R"({})", R"([1])", false},
      {Kind::kv2, R"({"ttl":1})", R"({"ttl":2})", false},
      {Kind::static_role, R"({"data":{"p":"x","ttl":3}})", R"({"data":{"p":"x","ttl":1}})", true},
      {Kind::static_role, R"({"data":{"p":"x","ttl":3}})", R"({"data":{"p":"x"}})", true},
      {Kind::static_role, R"({"data":{"p":"x"}})", R"({"data":{"p":"y"}})", false},
      {Kind::static_role, R"({"a":1,"data":{"p":"x"}})", R"({"a":2,"data":{"p":"x"}})", false},
      {Kind::unleased, R"({"data":{"ttl":3}})", R"({"data":{"ttl":1}})", false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.a);
    CAPTURE(row.b);
    CHECK(same_content(row.kind, json::parse(row.a).value(), json::parse(row.b).value()) ==
          row.same);
  }
}

TEST_CASE("whose mount is asked for, and whose path is taken as it is") {
  const struct {
    Of kind;
    const char* path;
    bool asked;
    Assumed assumed;
  } rows[] = {
      {Of::read, "kv/app", true, Assumed::no},
      {Of::list, "kv/app", true, Assumed::no},
      {Of::write, "kv/app", false, Assumed::no},
      {Of::pki, "pki/issue/web", false, Assumed::no},
      {Of::file, "kv/app", false, Assumed::no},
      {Of::read, "auth/x", false, Assumed::no},
      {Of::read, "sys/x", false, Assumed::no},
      {Of::read, "identity/x", false, Assumed::no},
      {Of::read, "cubbyhole/x", false, Assumed::no},
      {Of::read, "auth", false, Assumed::no},
      {Of::read, "authx/y", true, Assumed::no},
      {Of::read, "kv/data", true, Assumed::no},
      {Of::list, "kv/data", false, Assumed::likely},
      {Of::read, "kv/metadata", true, Assumed::no},
      {Of::list, "kv/metadata", false, Assumed::likely},
      {Of::read, "kv/data/x", false, Assumed::likely},
      {Of::read, "kv/metadata/x", false, Assumed::likely},
      {Of::read, "a/kv/metadata/x", false, Assumed::unlikely},
      {Of::read, "sys/data/x", false, Assumed::no},
      {Of::read, "identity/data/x", false, Assumed::no},
      {Of::read, "cubbyhole/metadata/x", false, Assumed::no},
  };
  for (const auto& row : rows) {
    CAPTURE(row.path);
    const tmpl::Dependency dependency{.kind = row.kind, .path = row.path};
    CHECK(needs_mount(dependency) == row.asked);
    CHECK(path_is_assumed(dependency) == row.assumed);
  }
}

TEST_CASE("a certificate lives for a second at least, where it says when it ends") {
  const auto life = [](const std::string& data) {
    return lifetime_of({.kind = Of::pki}, reply_of(data), kNow);
  };
  CHECK(life(R"({"certificate":"PEM","expiration":1})").kind == Kind::certificate);
  CHECK(life(R"({"certificate":"PEM","expiration":1})").ttl == 1min);  // no new one each second
  CHECK(life(R"({"certificate":"PEM","expiration":1})").ended);
  CHECK(life(R"({"certificate":"PEM","expiration":0})").kind == Kind::written_once);
  CHECK(life(R"({"certificate":"","expiration":1})").kind == Kind::written_once);
  CHECK(life(R"({"expiration":1})").kind == Kind::written_once);
  const auto far = life(R"({"certificate":"PEM","expiration":9000000000000000000})");
  CHECK(far.ttl > 24h * 365 * 40);
  CHECK(far.ttl < 24h * 366 * 100);
}

TEST_CASE("a lease is what has an id, whatever else the answer says") {
  vault::Reply reply = reply_of(R"({"certificate":"PEM","expiration":1})");
  reply.lease = {"id", 90s, false};
  CHECK(lifetime_of({.kind = Of::pki}, reply, kNow).kind == Kind::non_renewable);
  CHECK(lifetime_of({.kind = Of::pki}, reply, kNow).ttl == 90s);
  reply.lease.renewable = true;
  CHECK(lifetime_of({.kind = Of::pki}, reply, kNow).kind == Kind::dynamic);
  CHECK(lifetime_of({.kind = Of::pki}, reply, kNow).renewable);
}

TEST_CASE("a static role's clock is trusted within seconds, its time stamp within an hour") {
  const auto life = [](const std::string& rotated, const std::string& more = "") {
    return lifetime_of({.kind = Of::read},
                       reply_of(R"({"last_vault_rotation":")" + rotated +
                                R"(","rotation_period":10,"ttl":3)" + more + "}"),
                       kNow);
  };
  const struct {
    const char* rotated;  // ten seconds before the next
    Duration left;
    bool known;
  } rows[] = {
      {"2026-11-21T11:59:51.500Z", 3s, true},  // 1.5 s: no more
      {"2026-11-21T11:59:51.501Z", 1501ms, true}, {"2026-11-21T11:59:55.499Z", 5499ms, true},
      {"2026-11-21T11:59:55.500Z", 3s, true},  // 5.5 s: no more
      {"2026-11-21T12:59:53.000Z", 3s, true},  // an hour from ttl
      {"2026-11-21T12:59:53.001Z", 3s, false},    {"2026-11-21T10:59:53.000Z", 3s, true},
      {"2026-11-21T10:59:52.999Z", 3s, false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.rotated);
    const auto of = life(row.rotated);
    CHECK(of.kind == Kind::static_role);
    CHECK(of.to_rotation == row.left);
    CHECK(of.rotated.has_value() == row.known);
  }
  CHECK(lifetime_of({}, reply_of(R"({"last_vault_rotation":"2026-11-21T11:00:00Z"})"), kNow).kind ==
        Kind::unleased);
  CHECK(lifetime_of({}, reply_of(R"({"ttl":5})"), kNow).kind == Kind::unleased);
  const auto odd = lifetime_of(
      {}, reply_of(R"({"last_vault_rotation":"x","rotation_period":10,"ttl":3})"), kNow);
  CHECK(odd.kind == Kind::static_role);
  CHECK(odd.to_rotation == 3s);
  CHECK_FALSE(odd.rotated);
  const auto century = lifetime_of(
      {}, reply_of(R"({"last_vault_rotation":"x","rotation_period":9000000000000000000,"ttl":3})"),
      kNow);
  CHECK(century.period == std::chrono::hours(24) * 36600);
}

TEST_CASE("lists and chains of odd things") {
  CHECK(value_of({.kind = Of::list}, reply_of(R"({"keys":5})")).size() == 0);
  const auto chain = value_of({.kind = Of::pki}, reply_of(R"({"ca_chain":["A",true,"B"]})"));
  CHECK(value_at(chain, "CAChain").size() == 2);
  CHECK(value_at(value_of({.kind = Of::pki}, reply_of(R"({"ca_chain":"A"})")), "CAChain").size() ==
        0);
  CHECK_FALSE(has_two_data("kv/x"));
  CHECK_FALSE(has_two_data("data/x/data/y"));
  CHECK(metadata_path("kv/app", "kv/") == std::nullopt);
  CHECK(metadata_path("kv/data/x", "other/") == "kv/metadata/x");
}

}  // namespace
}  // namespace keybearer::secrets
