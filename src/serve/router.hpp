#pragma once
// Which handler answers a request, or why none does. Pure but for the table of handlers.
//
//     Router router;
//     router.add({.path = "/livez", .methods = {"GET"}, .open = true, .handler = livez});
//     router.add({.path = "/v1/*", .methods = {}, .handler = proxy});
//     auto found = router.find(head, peer, rules);
//
// A route is one place: its path, its methods, whether it is open. Handlers get the Exchange of
// http/server.hpp; for whole bodies http::whole_bodies() makes one.

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "http/server.hpp"
#include "serve/rules.hpp"

namespace keybearer::serve {

// Its parts live as long as the handler runs.
struct Request {
  const Rules& rules;
  const Target& target;
  const Asked& asked;
};
using RouteHandler = std::function<boost::asio::awaitable<void>(http::Exchange&, const Request&)>;
// Of a handler that needs no more than the exchange.
[[nodiscard]] RouteHandler simple(http::Handler handler);

struct Route {
  std::string path;  // exact, with or without a slash at its end; "/v1/*": and all below
  std::vector<std::string> methods = {"GET"};  // GET: HEAD too; none: any
  // Shows no value and changes nothing (health, metrics, page): no header guard, no allow rules,
  // served by role "metrics_only".
  bool open = false;
  RouteHandler handler;
  // Asked first, without a coroutine: true when it has answered (Exchange::answer()).
  std::function<bool(http::Exchange&, const Request&)> at_once = {};
};

struct Found {
  const Route* route;
  Target target;
  Asked asked;
  std::optional<Refusal> dry_run = {};  // what allow_mode "log" lets pass
};

class Router {
 public:
  void add(Route route) { routes_.push_back(std::move(route)); }
  [[nodiscard]] std::expected<Found, Refusal> find(const http::RequestHead& head,
                                                   const http::Peer& peer,
                                                   const Rules& rules) const;

 private:
  std::vector<Route> routes_;  // the first that fits
};

}  // namespace keybearer::serve
