#pragma once
// What the control socket answers: GET /status, POST /rotate, /reload, /stop, and what inspection.hpp
// has. Who may ask is the server's business (0600, peer credentials). Answers are JSON; an error is
// {"errors": [...]}, as Vault's.

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "http/server.hpp"
#include "serve/inspection.hpp"
#include "serve/snapshot.hpp"

namespace keybearer::serve {

struct RotateRequest {
  std::optional<std::string> secret = {};  // a path, or the name of a [[secret]]
  std::optional<std::string> target = {};  // a template: its destination or source
};
// What came of it for one secret.
struct Rotated {
  std::string path = {};
  bool done = false;      // else: `text` says why not, or that it takes longer
  std::string text = {};  // "version 7 -> 8", "unchanged", an error
};
struct ReloadOutcome {
  bool applied = false;
  int code = 0;                                 // exit code of `keybearer reload`
  std::vector<std::string> errors = {};         // with their places
  std::vector<std::string> changed = {};        // sections
  std::vector<std::string> needs_restart = {};  // keys
};

// All of it must outlive the handler's last answer.
struct ControlActions {
  Inspected inspected = {};  // /livez, /readyz, /metrics, the page ...
  // Error: there is no such secret or template.
  std::function<boost::asio::awaitable<result<std::vector<Rotated>>>(RotateRequest)> rotate = {};
  std::function<boost::asio::awaitable<ReloadOutcome>()> reload = {};
  std::function<void()> stop = {};
};

[[nodiscard]] boost::asio::awaitable<http::ServerResponse> control(const ControlActions& actions,
                                                                   http::ServerRequest request);

}  // namespace keybearer::serve
