#pragma once
// Which paths the listeners serve, each with its handler: the one table of them.

#include <functional>

#include "auth/auth_loop.hpp"
#include "serve/inspection.hpp"
#include "serve/listener.hpp"
#include "serve/proxy.hpp"
#include "serve/router.hpp"

namespace keybearer {

struct RouteParts {
  serve::Proxy& proxy;
  serve::Inspected inspected;  // health, metrics, page
  std::function<void()> quit;  // POST /agent/v1/quit, where agent_api.enable_quit allows it
};
// What the proxy needs to know of our login.
[[nodiscard]] serve::Login login_of(auth::AuthLoop& auth);
void add_routes(serve::Router& router, RouteParts parts);

}  // namespace keybearer
