#include "http/resolver.hpp"

#include <doctest/doctest.h>

#include "script_server.hpp"
#include "support/stale_event.hpp"

using namespace keybearer;
using namespace std::chrono_literals;
using http::Addresses;
using http::Limit;
using http::Resolver;
namespace asio = boost::asio;

namespace {

struct Fixture {
  test::Loop loop;
  Resolver resolver;

  result<Addresses> ask(const std::string& host, Duration time = 4s) {
    return loop.run(resolver.addresses(host, Limit::in(time)));
  }
};

const auto kFour = asio::ip::make_address("127.0.0.1");
const auto kSix = asio::ip::make_address("::1");

}  // namespace

TEST_CASE("a numeric address and localhost need no look-up, and so no time") {
  Fixture fixture;
  CHECK(fixture.ask("127.0.0.1", 0s).value() == Addresses{kFour});
  CHECK(fixture.ask("::1", 0s).value() == Addresses{kSix});
  CHECK(fixture.ask("localhost", 0s).value() == Addresses{kFour, kSix});
}

TEST_CASE("the address that was good last is the first") {
  Fixture fixture;
  fixture.resolver.remember_working("localhost", kSix);
  CHECK(fixture.ask("localhost").value() == Addresses{kSix, kFour});
  fixture.resolver.remember_working("localhost", kFour);
  CHECK(fixture.ask("localhost").value() == Addresses{kFour, kSix});
  fixture.resolver.remember_working("localhost",
                                    asio::ip::make_address("10.0.0.1"));  // not its any more
  CHECK(fixture.ask("localhost").value() == Addresses{kFour, kSix});
}

TEST_CASE("a name that does not exist is told to all who asked for it, also who comes later") {
  Fixture fixture;
  const std::string name = "no-such-host.invalid";
  for (int i = 0; i < 2; ++i) {
    const auto found = fixture.ask(name);
    REQUIRE_FALSE(found);
    CHECK(found.error().kind == ErrorKind::network);
    CHECK(found.error().text == "name not found");
  }
}

TEST_CASE("the time for a look-up is kept, whatever becomes of it") {
  Fixture fixture;
  const auto found = fixture.ask("no-such-host.invalid", 0s);
  REQUIRE_FALSE(found);
  if (found.error().kind == ErrorKind::timeout)
    CHECK(found.error().text == "no answer within 0 s (looking up the name)");
}

TEST_CASE("who is woken by another's descriptor waits on for the look-up") {
  Fixture fixture;
  std::optional<result<Addresses>> found;
  const test::StaleEvent stale(fixture.loop.context, [&] {
    asio::co_spawn(fixture.loop.context,
                   fixture.resolver.addresses("no-such-host.invalid", Limit::in(4s)),
                   [&](const std::exception_ptr& failure, auto answer) {
                     REQUIRE(!failure);
                     found = std::move(answer);
                   });
  });
  while (!found && fixture.loop.context.run_one_for(5s) != 0) {
  }
  REQUIRE(found);
  REQUIRE_FALSE(*found);
  CHECK(found->error().text == "name not found");
}
