#pragma once
// /v1/*: requests of programs to the server, with our token where they have none.
//
//     Proxy proxy(session, login, config.api_proxy);
//     router.add({.path = "/v1/*", .methods = {}, .handler = proxy.handler()});
//
// Bodies pass in pieces both ways. What the server says is passed on as it came; what we say
// ourselves is {"errors": ["keybearer: ..."]} with X-Keybearer-Error. Nothing is repeated but reads,
// once; a client that leaves takes its request upstream along. Which token: serve/token_guard.
// One executor, one thread. Session and what Login refers to must outlive it.

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "base/event.hpp"
#include "config/config.hpp"
#include "serve/cache.hpp"
#include "serve/router.hpp"
#include "serve/serving_stats.hpp"
#include "serve/token_guard.hpp"
#include "vault/session.hpp"

namespace keybearer::serve {

// Our login, as auth/ has it.
struct Login {
  Event& changed;                         // after every change of what follows
  std::function<std::string()> accessor;  // of the token in force
  std::function<std::string()> mount;     // "auth/approle"
  std::function<std::uint64_t()> number;  // grows with each login
  std::function<std::string()> trouble;   // why there is none yet; "" when nothing is known
  // After a 403: false when the token is gone, and another is being fetched.
  std::function<boost::asio::awaitable<bool>()> token_is_good;
};

class Proxy {
 public:
  Proxy(vault::Session& session, Login login, config::ApiProxy config, Cache& cache)
      : session_(session), login_(std::move(login)), config_(config), cache_(cache) {
    cache_.send_by([this](Cache::Errand errand) { return run_errand(std::move(errand)); });
  }
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  [[nodiscard]] RouteHandler handler();
  // What the cache has, for Route::at_once: a read that no rule and no wait stands before.
  [[nodiscard]] bool answer_at_once(http::Exchange& exchange, const Request& request);
  // POST /agent/v1/cache-clear.
  [[nodiscard]] RouteHandler clear_handler();
  void configure(config::ApiProxy config) { config_ = config; }
  [[nodiscard]] const ProxyStats& stats() const { return stats_; }

 private:
  struct Job;
  struct Outgoing;
  static boost::asio::awaitable<void> serve(Proxy* proxy, http::Exchange* exchange,
                                            const Request* request);
  boost::asio::awaitable<void> run(Job* job);
  boost::asio::awaitable<bool> prepare(Job& job);
  boost::asio::awaitable<bool> wait_for_token(Job& job, vault::Token gone);
  boost::asio::awaitable<result<vault::StreamAnswer>> ask(Job& job);
  boost::asio::awaitable<bool> token_died(Job& job, http::Incoming& incoming);
  boost::asio::awaitable<void> relay(Job& job, http::Incoming& incoming);
  boost::asio::awaitable<void> relay_whole(Job& job, http::Incoming& incoming, Secret body);
  boost::asio::awaitable<void> relay_pieces(Job& job, http::Incoming& incoming, Secret first,
                                            bool ended);
  boost::asio::awaitable<void> tunnel(Job& job, http::Incoming& incoming);
  [[nodiscard]] std::shared_ptr<const Outgoing> outgoing(const Job& job) const;
  [[nodiscard]] bool may_be_cached(const Job& job) const;
  [[nodiscard]] std::string key_of(const http::RequestHead& head, const Request& request, bool ours,
                                   std::string_view method, std::string_view body) const;
  boost::asio::awaitable<bool> run_cached(Job& job);
  boost::asio::awaitable<void> respond(Job& job, const Served& served);
  static boost::asio::awaitable<Fetched> fetch(Proxy* proxy, std::shared_ptr<const Outgoing> out);
  static boost::asio::awaitable<result<std::string>> current_version(
      Proxy* proxy, std::shared_ptr<const Outgoing> out, std::string metadata);
  // For the cache's renewals, which end before it does.
  boost::asio::awaitable<Fetched> run_errand(Cache::Errand errand);
  static boost::asio::awaitable<void> clear_cache(Proxy* proxy, http::Exchange* exchange);
  void observe(const Job& job, int status, std::string_view answer, Instant asked);
  boost::asio::awaitable<void> refuse(Job& job, Refusal refusal);
  boost::asio::awaitable<void> refuse_repeat(Job& job);
  boost::asio::awaitable<void> fail(Job& job, const Error& error);

  vault::Session& session_;
  Login login_;
  config::ApiProxy config_;
  Cache& cache_;
  ProxyStats stats_;
};

}  // namespace keybearer::serve
