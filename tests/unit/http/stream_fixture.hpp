#pragma once
// A client whose requests and answers pass through in pieces, three servers that answer as told, and a
// body in pieces.

#include <doctest/doctest.h>

#include "base/timer.hpp"
#include "http/stream_client.hpp"
#include "script_server.hpp"

namespace keybearer::test {

using namespace std::chrono_literals;
using http::ClientOptions;
using http::StreamRequest;

struct CountingGate final : http::Gate {
  int entered = 0, given_back = 0;
  asio::awaitable<result<>> enter(Instant) override {
    ++entered;
    co_return result<>{};
  }
  void give_back() noexcept override { ++given_back; }
};

// A body in pieces; fails at its end where it is told to.
struct Pieces final : http::BodySource {
  explicit Pieces(std::vector<std::string> all) : pieces(std::move(all)) {}
  std::vector<std::string> pieces;
  std::size_t next = 0;
  bool can_rewind = false, broken = false;

  asio::awaitable<result<std::string_view>> read() override {
    if (next < pieces.size()) co_return pieces[next++];
    if (broken) co_return fail(ErrorKind::io, "the body broke off");
    co_return std::string_view{};
  }
  bool rewind() override {
    if (can_rewind) next = 0;
    return can_rewind || next == 0;
  }
};

using Opened = result<std::unique_ptr<http::Incoming>>;

struct StreamFixture {
  Loop loop;
  ScriptServer first{loop}, second{loop}, third{loop};
  CountingGate gate;
  ClientOptions options;
  std::unique_ptr<http::Client> client;

  explicit StreamFixture(int servers = 1, void (*change)(ClientOptions&) = [](ClientOptions&) {}) {
    const http::Url urls[] = {first.url(), second.url(), third.url()};
    options.addresses.assign(urls, urls + servers);
    change(options);
    use();
  }
  void use() { client = http::make_client(loop.context.get_executor(), options); }
  Opened open(StreamRequest request) {
    request.gate = &gate;
    return loop.run(http::open(*client, std::move(request)));
  }
  Opened get() { return open({.method = "GET", .target = "/v1/x"}); }
  result<std::string> read(http::Incoming& answer) {
    return loop.run([](http::Incoming& a) -> asio::awaitable<result<std::string>> {
      auto piece = co_await a.read();
      if (!piece) co_return std::unexpected(piece.error());
      co_return std::string(*piece);
    }(answer));
  }
  // All of it, or the error's text.
  std::string whole(const Opened& opened) {
    if (!opened) return opened.error().text;
    std::string all;
    for (;;) {
      const auto piece = read(**opened);
      if (!piece) return all + "; " + piece.error().text;
      if (piece->empty()) return all;
      all += *piece;
    }
  }
};

inline std::string closed_address(Loop& loop) {
  asio::ip::tcp::acceptor acceptor(loop.context, {asio::ip::address_v4::loopback(), 0});
  return "http://127.0.0.1:" + std::to_string(acceptor.local_endpoint().port());
}

struct Frozen {
  Frozen() { Clock::freeze(Clock::now()); }
  ~Frozen() { Clock::thaw(); }
};

}  // namespace keybearer::test
