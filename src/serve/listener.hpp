#pragma once
// [[listener]]s: a server each, and the rules in front of a router's handlers.
//
//     Listeners listeners(executor, router);
//     if (auto ok = listeners.configure(config.listeners, vault_namespace); !ok) ...   // also later
//     ...
//     co_await listeners.stop(grace);    // finishes what is under way
//
// A listener that stays where it is keeps its socket and connections at a reload. The control
// socket is a listener of its own with another router. One executor, one thread; the router must
// outlive it.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/task_group.hpp"
#include "config/config.hpp"
#include "http/server.hpp"
#include "serve/router.hpp"
#include "serve/serving_stats.hpp"

namespace keybearer::serve {

// Whether its files are there and good; without TLS: yes. As TlsServerContext::set_up.
[[nodiscard]] result<> check_tls(const config::Listener& listener);

class Listeners {
 public:
  Listeners(boost::asio::any_io_executor executor, const Router& router);
  ~Listeners();
  Listeners(const Listeners&) = delete;
  Listeners& operator=(const Listeners&) = delete;

  // Opens what is new, closes what is gone, tells the others. At an error nothing has changed.
  // Errors: as http::Server::listen(), beginning with the listener's address.
  [[nodiscard]] result<> configure(const std::vector<config::Listener>& listeners,
                                   const std::string& vault_namespace);
  // No new requests; returns when those under way are answered, or after `grace`.
  [[nodiscard]] boost::asio::awaitable<void> stop(Duration grace);

  [[nodiscard]] std::size_t size() const;
  // Of a listener as it was configured: where it listens, with the port that it got.
  [[nodiscard]] std::vector<std::string> addresses() const;
  [[nodiscard]] const ListenerStats& stats() const;
  [[nodiscard]] http::ServerStats server_stats() const;  // of all together

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace keybearer::serve
