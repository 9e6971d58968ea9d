#include "http/resolver.hpp"

#include <doctest/doctest.h>

#include "script_server.hpp"

using namespace keybearer;
using namespace std::chrono_literals;
using http::Addresses;
using http::Limit;
using http::Resolver;
namespace asio = boost::asio;

namespace {

struct House {
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
  House house;
  CHECK(house.ask("127.0.0.1", 0s).value() == Addresses{kFour});
  CHECK(house.ask("::1", 0s).value() == Addresses{kSix});
  CHECK(house.ask("localhost", 0s).value() == Addresses{kFour, kSix});
}

TEST_CASE("the address that was good last is the first") {
  House house;
  house.resolver.remember_working("localhost", kSix);
  CHECK(house.ask("localhost").value() == Addresses{kSix, kFour});
  house.resolver.remember_working("localhost", kFour);
  CHECK(house.ask("localhost").value() == Addresses{kFour, kSix});
  house.resolver.remember_working("localhost",
                                  asio::ip::make_address("10.0.0.1"));  // not its any more
  CHECK(house.ask("localhost").value() == Addresses{kFour, kSix});
}

TEST_CASE("a name that does not exist is told to all who asked for it, also who comes later") {
  House house;
  const std::string name = "no-such-host.invalid";
  for (int i = 0; i < 2; ++i) {
    const auto found = house.ask(name);
    REQUIRE_FALSE(found);
    CHECK(found.error().kind == ErrorKind::network);
    CHECK(found.error().text == "name not found");
  }
}

TEST_CASE("the time for a look-up is kept, whatever becomes of it") {
  House house;
  const auto found = house.ask("no-such-host.invalid", 0s);
  REQUIRE_FALSE(found);
  if (found.error().kind == ErrorKind::timeout)
    CHECK(found.error().text == "no answer within 0 s (looking up the name)");
}
