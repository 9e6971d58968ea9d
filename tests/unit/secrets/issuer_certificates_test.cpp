// One look per issuer, however many certificates wait for it (S1, S6).

#include "secrets/issuer_certificates.hpp"

#include "fixture.hpp"

namespace keybearer::secrets {
namespace {

constexpr auto kCa = "GET /v1/pki/cert/ca";
constexpr auto kOther = "GET /v1/pki2/cert/ca";

struct IssuerFixture : Fixture {
  IssuerCertificates issuers;
  std::vector<std::string> told;

  static boost::asio::awaitable<void> ask(IssuerFixture& f, std::string path) {
    f.told.push_back(co_await f.issuers.get(f.client, std::move(path)));
  }
  void ask(int times, const std::string& path = "pki/cert/ca") {
    for (int i = 0; i < times; ++i) group.spawn(ask(*this, path));
    io.run();
  }
};

TEST_CASE_FIXTURE(IssuerFixture, "an issuer is asked for once by all who wait, then remembered") {
  http->answer(kCa, 200, R"({"data":{"certificate":"PEM 1"}})");
  http->answer(kCa, 200, R"({"data":{"certificate":"PEM 2"}})");
  http->answer(kOther, 200, R"({"data":{"certificate":"PEM other"}})");
  http->delay(kCa, 300ms);
  ask(20);
  ask(1, "pki2/cert/ca");
  CHECK(told == std::vector<std::string>{"PEM other"});
  io.advance(100ms);
  ask(20);
  CHECK(http->count(kCa) == 1);
  io.advance(1s);
  CHECK(told.size() == 41);
  CHECK(std::ranges::count(told, "PEM 1") == 40);
  io.advance(50s, 1s);
  ask(1);
  CHECK(told.back() == "PEM 1");
  CHECK(http->count(kCa) == 1);
  io.advance(20s, 1s);
  ask(3);
  io.advance(1s);
  CHECK(told.back() == "PEM 2");
  CHECK(http->count(kCa) == 2);
  CHECK(http->count(kOther) == 1);
}

TEST_CASE("a server that does not tell is not asked again and again") {
  for (const int status : {400, 403, 404}) {
    CAPTURE(status);
    IssuerFixture f;
    f.http->answer(kCa, status, R"({"errors":["permission denied"]})");
    for (int i = 0; i < 10; ++i) {
      f.ask(2);
      f.io.advance(1s);
    }
    CHECK(f.told == std::vector<std::string>(20, ""));
    CHECK(f.http->count(kCa) == 1);
  }
}

TEST_CASE("who asks first may be let go: the others have their answer all the same") {
  IssuerFixture f;
  f.http->answer(kCa, 200, R"({"data":{"certificate":"PEM"}})");
  f.http->delay(kCa, 1s);
  TaskGroup first(f.io.context.get_executor());
  first.spawn(IssuerFixture::ask(f, "pki/cert/ca"));
  f.io.run();
  f.ask(2);
  first.cancel();
  f.io.advance(5s);
  CHECK(f.told == std::vector<std::string>{"PEM", "PEM"});
  CHECK(f.http->count(kCa) == 2);
  CHECK(f.group.live() == 0);
}

}  // namespace
}  // namespace keybearer::secrets
