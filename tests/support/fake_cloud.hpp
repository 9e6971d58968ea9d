#pragma once
// The metadata and token services of a cloud for tests: one FakeHttp behind all addresses, whose
// routes begin with the method and the whole URL, and an environment.
//
//     test::FakeCloud cloud;
//     cloud.variables["AWS_REGION"] = "eu-west-1";
//     cloud.http.answer("GET http://169.254.169.254:80/latest/meta-data/iam/...", 200, "role");
//     auto method = auth::make_auth_method(configured, cloud.parts());   // or AuthLoop(..., parts())
//     CHECK(cloud.options["http://169.254.169.254:80"].timeout == 2s);
//
// Must outlive what was made with its parts.

#include <map>
#include <memory>
#include <string>

#include "auth/cloud.hpp"
#include "support/fake_http.hpp"

namespace keybearer::test {

struct FakeCloud {
  FakeHttp http;
  std::map<std::string, std::string> variables;
  std::map<std::string, http::ClientOptions> options;  // of the clients that were made, by address
  http::ProxyOptions proxy;
  WallTime wall{std::chrono::sys_days(std::chrono::year(2026) / 11 / 29)};  // moves with the clock
  Instant began = Clock::now();

  [[nodiscard]] auth::CloudParts parts() {
    return {.make_http = [this](http::ClientOptions made) -> std::unique_ptr<http::Client> {
              auto address = made.addresses.at(0);
              options[address.text()] = std::move(made);
              return std::make_unique<Forwarding>(http, std::move(address));
            },
            .variable =
                [this](const std::string& name) {
                  const auto found = variables.find(name);
                  return found == variables.end() ? std::string() : found->second;
                },
            .proxy = proxy,
            .now = [this] { return wall + (Clock::now() - began); }};
  }

 private:
  struct Forwarding : http::Client {
    Forwarding(http::Client& to, http::Url url) : target(to), own(std::move(url)) {}
    boost::asio::awaitable<result<http::Response>> send(http::Request request) override {
      request.target.insert(0, own.text());
      return target.send(std::move(request));
    }
    [[nodiscard]] const http::Url& address() const override { return own; }
    http::Client& target;
    http::Url own;
  };
};

}  // namespace keybearer::test
