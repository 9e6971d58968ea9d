#pragma once
// One login of a method that asks a cloud: a fake cloud, a fake server, a frozen clock.
//
//     test::CloudLogin login("gcp");
//     login.method.set("role", std::string("app"));
//     login.cloud.http.answer("GET http://...", 200, "...");
//     login.server->answer("POST /v1/auth/gcp/login", 200, R"({"auth":{...}})");
//     const auto auth = login.run();
//     const Error error = login.refused();                     // where none comes of it
//     login.directory.write("key", "...");

#include <doctest/doctest.h>

#include <optional>
#include <string>

#include "auth/method.hpp"
#include "crypto/base64url.hpp"
#include "support/fake_cloud.hpp"
#include "support/fake_http.hpp"
#include "support/io.hpp"
#include "support/temp_directory.hpp"

namespace keybearer::test {

struct CloudLogin {
  Io io;
  TempDirectory directory;
  FakeCloud cloud;
  FakeHttp* server = nullptr;
  vault::Client client;
  config::Method method;
  std::unique_ptr<auth::AuthMethod> made;

  explicit CloudLogin(const char* type)
      : client(
            [this] {
              auto fake = std::make_unique<FakeHttp>();
              server = fake.get();
              return fake;
            }(),
            "") {
    method.type = type;
    method.set("role", std::string("app"));
    server->answer(route(), 200,
                   R"({"auth":{"client_token":"hvs.T","lease_duration":60,"renewable":true}})");
  }

  // What the server says to it instead.
  void server_says(int status, std::string_view reason) {
    server->reset(route());
    server->answer(route(), status, R"({"errors":[")" + std::string(reason) + "\"]}");
  }

  // Looks and logs in, with the method of the first call.
  result<vault::Auth> run() {
    if (!made) {
      auto fresh = auth::make_auth_method(method, cloud.parts());
      REQUIRE(fresh);
      made = *std::move(fresh);
    }
    if (auto seen = made->look(); !seen) return std::unexpected(std::move(seen).error());
    std::optional<result<vault::Auth>> out;
    io.start_task(send(*this, out));
    for (int i = 0; i < 40 && !out; ++i) io.advance(std::chrono::seconds(1));
    REQUIRE(out);
    return std::move(*out);
  }
  Error refused() {
    const auto auth = run();
    REQUIRE_FALSE(auth);
    return auth.error();
  }
  // The same for a row of a table: its kind and what it says, and what none may show.
  void check_refused(ErrorKind kind, std::string_view says, std::string_view hidden) {
    const Error error = refused();
    CAPTURE(error.text);
    CHECK(error.kind == kind);
    CHECK(error.text.contains(says));
    CHECK_FALSE(error.text.contains(hidden));
  }
  // Of the last login.
  std::string body() const { return server->asked.empty() ? "" : server->asked.back().body; }

 private:
  [[nodiscard]] std::string route() const { return "POST /v1/auth/" + method.type + "/login"; }
  static boost::asio::awaitable<void> send(CloudLogin& self,
                                           std::optional<result<vault::Auth>>& out) {
    auto auth = co_await self.made->login(self.client, std::nullopt);
    out.emplace(std::move(auth));
  }
};

// A JWT with these claims, unsigned.
inline std::string jwt_of(std::string_view claims) {
  return base64url(R"({"alg":"RS256"})") + "." + base64url(claims) + ".c2ln";
}

}  // namespace keybearer::test
