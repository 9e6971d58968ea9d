#pragma once
// What a listener lets pass: [[listener]] compiled, and the checks that every request goes through
// before a route's handler sees it. Pure.
//
// In this order: the peer (allow_uids), signs of a proxy or a browser in front (Forwarded,
// X-Forwarded-*, X-Real-Ip, Origin, Sec-Fetch-Site), the method, Host, the path; then, for what can
// show or change anything, the header guard and the allow rules. No CORS header is ever sent.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "config/config.hpp"
#include "config/request_pattern.hpp"
#include "http/message.hpp"
#include "http/peer.hpp"
#include "serve/path.hpp"

namespace keybearer::serve {

// Why a request is not served. `check` names what refused it, for logs and counters.
struct Refusal {
  int status = 403;
  std::string text;
  std::string_view check;
  std::string rule = {};  // of the allow rules
  http::Headers headers = {};
};

using config::parse_pattern;
using config::RequestPattern;
[[nodiscard]] bool matches_path(std::string_view pattern, std::string_view path);

// What a request asks for, as rules and cache see it.
struct Asked {
  std::string method;  // GET ?list=true is LIST
  std::string path;    // below /v1/, with the client's own namespace in front
};

class Rules {
 public:
  // `address`: where it listens. `vault_namespace`: what requests without one of their own get.
  explicit Rules(const config::Listener& listener, std::string vault_namespace = {});

  // Nullopt: it may go on.
  [[nodiscard]] std::optional<Refusal> check_client(const http::RequestHead& head,
                                                    const http::Peer& peer) const;
  [[nodiscard]] std::optional<Refusal> check_host(const http::RequestHead& head,
                                                  const Target& target,
                                                  const http::Peer& peer) const;
  [[nodiscard]] std::optional<Refusal> check_guard(const http::RequestHead& head) const;
  // Which rule lets it pass, or a refusal; with allow_mode "log" never one (`dry_run` is set).
  [[nodiscard]] std::optional<Refusal> check_allowed(const Asked& asked, const http::Peer& peer,
                                                     bool& dry_run) const;
  // Does a rule other than a bare `*` name this path? Upgrades and the like need one.
  [[nodiscard]] bool names(const Asked& asked, const http::Peer& peer) const;

  [[nodiscard]] bool metrics_only() const { return metrics_only_; }
  [[nodiscard]] bool quit_enabled() const { return quit_enabled_; }
  [[nodiscard]] std::size_t max_request_size() const { return max_request_size_; }
  [[nodiscard]] std::string_view vault_namespace() const { return namespace_; }
  [[nodiscard]] Asked asked(const http::RequestHead& head, const Target& target) const;

 private:
  struct Rule {
    std::string who;  // empty: everybody
    std::vector<RequestPattern> requests;
  };
  [[nodiscard]] const RequestPattern* allowed_by(const Asked& asked, const http::Peer& peer) const;

  bool local_ = false, guard_ = true, metrics_only_ = false, log_only_ = false,
       quit_enabled_ = false;
  std::size_t max_request_size_ = 1u << 20;
  std::vector<std::string> hosts_, origins_;
  std::vector<unsigned> uids_;
  std::vector<Rule> rules_;
  std::string namespace_;
};

}  // namespace keybearer::serve
