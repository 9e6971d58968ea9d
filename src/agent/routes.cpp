#include "agent/routes.hpp"

#include "base/log.hpp"

namespace keybearer {
namespace {

using boost::asio::awaitable;

// As Vault Agent's: 404 unless it is enabled, 405 but for POST, 200 without a body.
awaitable<void> answer_quit(http::Exchange& exchange, bool enabled, std::function<void()>& quit) {
  const bool post = exchange.head().method == "POST";
  const int status = !enabled ? 404 : !post ? 405 : 200;
  (void)co_await exchange.respond({.status = status});
  if (status != 200) co_return;
  if (!quit) co_return;  // asked twice: a second one would cut the first one's cleaning short
  log::info("agent.stopping", "stopping", {{"asked_by", exchange.peer().text()}});
  std::exchange(quit, {})();
}

// Its own parameters: the coroutine lives on without whoever made it.
awaitable<http::ServerResponse> show(std::shared_ptr<const serve::Inspected> inspected,
                                     http::ServerRequest request) {
  auto shown = serve::inspect(*inspected, request);
  co_return shown ? std::move(*shown) : http::error_response(404, "no such path");
}

}  // namespace

serve::Login login_of(auth::AuthLoop& auth) {
  return {.changed = auth.changed(),
          .accessor = [&auth] { return auth.state().accessor; },
          .mount = [&auth] { return auth.state().mount; },
          .number = [&auth] { return auth.state().token_number; },
          .trouble =
              [&auth] {
                const auto& trouble = auth.state().trouble;
                return trouble ? trouble->text : std::string();
              },
          .token_is_good = [&auth] { return auth.token_is_good(); }};
}

void add_routes(serve::Router& router, RouteParts parts) {
  router.add(
      {.path = "/v1/*",
       .methods = {},
       .handler = parts.proxy.handler(),
       .at_once = [&proxy = parts.proxy](http::Exchange& exchange, const serve::Request& request) {
         return proxy.answer_at_once(exchange, request);
       }});
  for (const char* path : {"/agent/v1/cache-clear", "/proxy/v1/cache-clear"})
    router.add({.path = path, .methods = {}, .handler = parts.proxy.clear_handler()});
  const auto inspected = std::make_shared<const serve::Inspected>(std::move(parts.inspected));
  for (const std::string& path : serve::inspection_paths()) {
    router.add({.path = path,
                .open = true,
                .handler = serve::simple(http::whole_bodies(
                    [inspected](http::ServerRequest request) {
                      return show(inspected, std::move(request));
                    },
                    0))});
  }
  const auto quit = std::make_shared<std::function<void()>>(std::move(parts.quit));
  router.add({.path = "/agent/v1/quit",
              .methods = {},
              .handler = [quit](http::Exchange& exchange, const serve::Request& request) {
                return answer_quit(exchange, request.rules.quit_enabled(), *quit);
              }});
}

}  // namespace keybearer
