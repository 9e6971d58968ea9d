#include "state/records.hpp"

#include <doctest/doctest.h>

#include <random>

#include "json/json.hpp"
#include "state/codec.hpp"
#include "tmpl/template.hpp"

namespace keybearer::state {
namespace {

using namespace std::chrono_literals;

constexpr Instant kBoot{1000h};
const WallTime kWall{std::chrono::hours(500000)};
const Now kSaved{kBoot, kWall, "boot-1"};

vault::Token token(std::string_view text) {
  return std::make_shared<const Secret>(text);
}

lease::SavedState example() {
  lease::SavedState state;
  state.token = lease::SavedToken{
      .login = "login",
      .token = token("canary-token"),
      .accessor = "acc",
      .entity_id = "e",
      .type = "service",
      .policies = {"default", "app"},
      .renewable = true,
      .limited = false,
      .schedule = {
          .end = kBoot + 1h, .ttl = 1h, .max_granted = 1h, .ending = false, .due = kBoot + 48min}};
  lease::SavedSecret leased;
  leased.ids = {"vault.read(database/creds/app)"};
  leased.request = "r";
  leased.value = std::make_shared<const Value>(
      *json::parse(R"({"lease_duration":3600,"data":{"username":"u","password":"canary-pw"}})"));
  leased.lease_id = "database/creds/app/1";
  leased.token = state.token->token;
  leased.last_success = kBoot - 1min;
  leased.schedule = {.lifetime = {.kind = lease::Kind::dynamic, .ttl = 1h, .renewable = true},
                     .end = kBoot + 59min,
                     .granted_at = kBoot - 1min,
                     .granted = 1h,
                     .max_granted = 1h,
                     .pending = {lease::Step::Do::renew, kBoot + 40min, lease::Cause::interval}};
  lease::SavedSecret kv;
  kv.ids = {"vault.read(kv/data/app)", "vault.read(kv/app)"};
  kv.value = std::make_shared<const Value>(*json::parse(R"({"data":{"data":{"k":null}}})"));
  kv.kv_version = 7;
  kv.schedule.lifetime = {.kind = lease::Kind::kv2};
  state.secrets = {leased, kv};
  state.superseded = {
      {.secret = "s", .path = "p", .lease_id = "old", .end = kBoot + 1min, .drain = 30s}};
  return state;
}

Restored restored(const Now& now, lease::SavedState state = example()) {
  auto read = decode(encode({.counter = 5, .state = std::move(state)}, kSaved), now);
  REQUIRE(read);
  return std::move(*read);
}

TEST_CASE("within a boot the boot clock counts, whatever the wall clock says") {
  for (const WallTime wall : {kWall - 1000h, kWall, kWall + 1000h}) {
    const Restored read = restored({kBoot + 8h, wall, "boot-1"});  // a suspend, too
    CHECK(read.age == 8h);
    CHECK(!read.clock_went_back);
    CHECK(read.record.counter == 5);
    REQUIRE(read.record.state.token);
    CHECK(read.record.state.token->schedule.end == kBoot + 1h);
    CHECK(read.record.state.token->token->reveal() == "canary-token");
    CHECK(read.record.state.token->policies == std::vector<std::string>{"default", "app"});
    REQUIRE(read.record.state.secrets.size() == 2);
    const lease::SavedSecret& leased = read.record.state.secrets[0];
    CHECK(*leased.value == *example().secrets[0].value);
    CHECK(leased.schedule.end == kBoot + 59min);
    CHECK(leased.schedule.pending.what == lease::Step::Do::renew);
    CHECK(leased.schedule.lifetime.kind == lease::Kind::dynamic);
    CHECK(read.record.state.secrets[1].ids.size() == 2);
    CHECK(read.record.state.secrets[1].kv_version == 7);
    CHECK(read.record.state.superseded.at(0).end == kBoot + 1min);
  }
}

TEST_CASE("across boots the wall clock tells how much has passed") {
  const Restored read = restored({Instant(5min), kWall + 20min, "boot-2"});
  CHECK(read.age == 20min);
  CHECK(read.record.state.token->schedule.end == Instant(45min));
  CHECK(read.record.state.token->schedule.due == Instant(33min));
  CHECK(read.record.state.secrets[0].schedule.end == Instant(44min));
  // No step is planned for the second: never stays never.
  CHECK(read.record.state.secrets[1].schedule.pending.at == Instant::max());
}

TEST_CASE("a clock that was set back leaves the values, and nothing that has an end") {
  const Restored read = restored({Instant(5min), kWall - 3h, "boot-2"});
  CHECK(read.clock_went_back);
  CHECK(!read.record.state.token);
  CHECK(read.record.state.superseded.empty());
  REQUIRE(read.record.state.secrets.size() == 1);
  CHECK(read.record.state.secrets[0].kv_version == 7);
  // A few seconds are no reason.
  CHECK(!restored({Instant(5min), kWall - 5s, "boot-2"}).clock_went_back);
}

TEST_CASE("a value that can't be written is left out, the others stay") {
  struct Thing : Object {
    std::string_view type_name() const override { return "thing"; }
  };
  lease::SavedState state = example();
  state.secrets[0].value = std::make_shared<const Value>(Value::object(std::make_shared<Thing>()));
  CHECK(restored(kSaved, std::move(state)).record.state.secrets.size() == 1);
}

// Whatever is done to the bytes: an error or a state, and no more memory than they hold.
TEST_CASE("changed and cut records are refused or read, never more") {
  const std::string good = encode({.counter = 5, .state = example()}, kSaved);
  for (std::size_t n = 0; n < good.size(); ++n) CHECK(!decode(good.substr(0, n), kSaved));
  std::mt19937 random(1);
  for (int round = 0; round < 20'000; ++round) {
    std::string changed = good;
    for (int n = 0; n < 3; ++n) changed[random() % changed.size()] = static_cast<char>(random());
    (void)decode(changed, kSaved);
  }
}

TEST_CASE("values of every kind come back as they were") {
  Value any = Value::map(Type::any_map);
  any.set_key(Value::integer(3), Value("three"));
  Value map = Value::map();
  map.set("b", Value(true));
  map.set("a", Value::number("1e400"));
  const Value values[] = {Value(),
                          Value(false),
                          Value(-7),
                          Value::int64(INT64_MIN),
                          Value::uint64(UINT64_MAX),
                          Value::byte(200),
                          Value(2.5),
                          Value::number("3600"),
                          Value(std::string("\0\xff text", 7)),
                          Value::list({Value(1), Value::list({})}),
                          Value::strings({Value("x")}),
                          Value::nil_of(Type::list),
                          Value::nil_of(Type::map),
                          any,
                          map};
  for (const Value& value : values) {
    Writer out;
    REQUIRE(out.value(value));
    Reader in(out.bytes());
    const Value back = in.value();
    CHECK(in.at_end());
    CHECK(back.type() == value.type());
    CHECK(back == value);
  }
  Value deep;
  for (int n = 0; n < 2 * kMaxDepth; ++n) deep = Value::list({deep});
  Writer out;
  CHECK(!out.value(deep));
}

}  // namespace
}  // namespace keybearer::state
