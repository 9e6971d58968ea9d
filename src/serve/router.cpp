#include "serve/router.hpp"

#include <algorithm>

namespace keybearer::serve {
namespace {

bool fits(const Route& route, const Target& target) {
  if (route.path.ends_with("/*"))
    return target.path.starts_with(std::string_view(route.path).substr(0, route.path.size() - 1));
  std::string_view want = route.path;
  const std::string_view path = target.path;
  return path == want ||
         (want != "/" && path.ends_with('/') && path.substr(0, path.size() - 1) == want);
}

bool serves(const Route& route, std::string_view method) {
  const auto has = [&](std::string_view name) {
    return std::ranges::find(route.methods, name) != route.methods.end();
  };
  return route.methods.empty() || has(method) || (method == "HEAD" && has("GET"));
}

std::string joined(const std::vector<std::string>& methods) {
  std::string text;
  for (const std::string& method : methods) text += (text.empty() ? "" : ", ") + method;
  return text;
}

}  // namespace

RouteHandler simple(http::Handler handler) {
  return [handler = std::move(handler)](http::Exchange& exchange, const Request&) {
    return handler(exchange);
  };
}

std::expected<Found, Refusal> Router::find(const http::RequestHead& head, const http::Peer& peer,
                                           const Rules& rules) const {
  if (auto refused = rules.check_client(head, peer)) return std::unexpected(*std::move(refused));
  auto target = parse_target(head.target);
  if (!target) {
    return std::unexpected(
        Refusal{.status = 400, .text = "keybearer: " + target.error().text, .check = "path"});
  }
  if (auto refused = rules.check_host(head, *target, peer))
    return std::unexpected(*std::move(refused));
  const auto route = std::ranges::find_if(routes_, [&](const Route& candidate) {
    return fits(candidate, *target) && (candidate.open || !rules.metrics_only());
  });
  if (route == routes_.end())
    return std::unexpected(
        Refusal{.status = 404, .text = "keybearer: no such path", .check = "path"});
  Found found{.route = &*route, .target = *std::move(target), .asked = {}};
  if (!route->open) {
    if (auto refused = rules.check_guard(head)) return std::unexpected(*std::move(refused));
  }
  if (!serves(*route, head.method)) {
    return std::unexpected(Refusal{.status = 405,
                                   .text = "keybearer: this method is not served here",
                                   .check = "method",
                                   .headers = {{"Allow", joined(route->methods)}}});
  }
  found.asked = rules.asked(head, found.target);
  if (!route->open && found.target.path.starts_with("/v1/")) {
    bool dry_run = false;
    auto refused = rules.check_allowed(found.asked, peer, dry_run);
    if (refused && !dry_run) return std::unexpected(*std::move(refused));
    found.dry_run = std::move(refused);
  }
  return found;
}

}  // namespace keybearer::serve
