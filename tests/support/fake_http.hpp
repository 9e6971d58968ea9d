#pragma once
// An HTTP client for tests: answers by route as it was told, and records what was asked and when.
//
//     auto http = std::make_unique<test::FakeHttp>();
//     test::FakeHttp& fake = *http;
//     fake.answer("GET /v1/kv/data/app", 200, R"({"data":{...}})");   // the last answer of a route
//     is repeated fake.fail("GET /v1/kv/data/app", ErrorKind::network); vault::Client
//     client(std::move(http), "");
//     ...
//     CHECK(fake.count("GET /v1/kv/data/app") == 1);
//
// A route that was told nothing is answered 404. Routes are "METHOD TARGET", the target with its
// query.

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/timer.hpp"
#include "http/client.hpp"

namespace keybearer::test {

class FakeHttp : public http::Client {
 public:
  struct Asked {
    std::string route;
    std::vector<std::pair<std::string, std::string>> headers;
    std::string token;  // "" when none was sent
    std::string body;
    Instant at;
  };
  struct Reply {
    int status = 200;
    std::string body;
    std::optional<Duration> retry_after = {};
    std::string wanted_header = {};
  };
  using Answer = std::function<result<Reply>(const Asked&)>;

  // Adds to what the route answers, in turn; the last one stays.
  void answer(const std::string& route, int status, std::string body = {},
              std::optional<Duration> retry_after = {}) {
    answer(route,
           [reply = Reply{status, std::move(body), retry_after}](const Asked&) -> result<Reply> {
             return reply;
           });
  }
  void fail(const std::string& route, ErrorKind kind, std::string text = "no answer") {
    answer(route, [error = Error{kind, std::move(text)}](const Asked&) -> result<Reply> {
      return std::unexpected(error);
    });
  }
  void answer(const std::string& route, Answer answer) {
    routes_[route].push_back(std::move(answer));
  }
  // Forgets what the route was told.
  void reset(const std::string& route) { routes_.erase(route); }
  // The route takes this long to answer from now on; the request's own timeout comes first.
  void delay(const std::string& route, Duration time) { delays_[route] = time; }

  [[nodiscard]] long count(const std::string& route) const {
    return std::ranges::count(asked, route, &Asked::route);
  }
  std::vector<Asked> asked;

  boost::asio::awaitable<result<http::Response>> send(http::Request request) override {
    if (request.gate != nullptr) {
      if (auto allowed = co_await request.gate->enter(Instant::max()); !allowed)
        co_return std::unexpected(allowed.error());
    }
    Asked now{.route = request.method + " " + request.target,
              .headers = std::move(request.headers),
              .token = request.token ? std::string(request.token->reveal()) : "",
              .body = std::string(request.body.reveal()),
              .at = Clock::now()};
    for (const auto& [name, value] : request.secret_headers)
      now.headers.emplace_back(name, value->reveal());
    if (!request.body.empty()) now.headers.emplace_back("Content-Type", request.content_type);
    asked.push_back(now);
    if (const auto slow = delays_.find(now.route); slow != delays_.end()) {
      const auto limit = request.timeout.value_or(std::chrono::seconds(30));
      const auto time = slow->second;
      co_await sleep_for(std::min(time, limit));
      if (time > limit) co_return keybearer::fail(ErrorKind::timeout, "no answer in time");
    }
    auto& answers = routes_[now.route];
    if (answers.empty()) co_return response({.status = 404, .body = R"({"errors":[]})"}, now.at);
    const auto next = answers.front();
    if (answers.size() > 1) answers.pop_front();
    auto reply = next(now);
    if (!reply) co_return std::unexpected(std::move(reply).error());
    co_return response(*reply, now.at);
  }
  const http::Url& address() const override { return url_; }

 private:
  static http::Response response(const Reply& reply, Instant asked) {
    return {.status = reply.status,
            .retry_after = reply.retry_after,
            .content_type = "application/json",
            .body = Secret(reply.body),
            .asked = asked,
            .wanted_header = reply.wanted_header};
  }

  std::map<std::string, std::deque<Answer>> routes_;
  std::map<std::string, Duration> delays_;
  http::Url url_ = http::parse_url("http://127.0.0.1:8200").value();
};

}  // namespace keybearer::test
