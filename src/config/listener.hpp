#pragma once
// What we serve to others: [[listener]], [api_proxy], [cache], [metrics], [control]. Part of
// config.hpp.

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "config/location.hpp"

namespace keybearer::config {

using namespace std::chrono_literals;

// [[listener]]: where programs reach the proxy, health, metrics and the page.
struct Listener {
  enum class Type { tcp, unix_socket };
  enum class Role { standard, metrics_only };
  enum class AllowMode { enforce, log };
  // Who may send what: all of `who` ("uid:1000", "CN=pos-1", "spiffe://..."), or everybody.
  struct Rule {
    std::string who;
    std::vector<std::string> requests;  // "METHOD path-glob"
    friend bool operator==(const Rule&, const Rule&) = default;
  };
  Type type = Type::tcp;
  std::string address = "127.0.0.1:8200";  // or a path
  bool allow_plain = false;
  Role role = Role::standard;
  std::optional<bool> require_request_header;  // default: true for tcp
  std::vector<Rule> allow;                     // empty: all
  AllowMode allow_mode = AllowMode::enforce;
  std::vector<std::string> allow_hosts, allow_origins;
  unsigned socket_mode = 0600;
  std::string socket_user, socket_group;
  std::vector<unsigned> allow_uids;
  std::string tls_cert_file, tls_key_file, tls_client_ca_file, tls_crl_file;
  bool tls13_only = false;
  bool tls_require_client_cert = false;
  bool tls_disable = false;
  std::size_t max_request_size = 1u << 20;
  int max_connections = 256;
  int rate_limit = 0;  // requests per second and peer; 0: none
  Duration header_timeout = 10s;
  Duration idle_timeout = 90s;
  Duration progress_timeout = 30s;  // of a body that does not move, either way
  bool enable_quit = false;         // agent_api
  DeclaredAt place;
  friend bool operator==(const Listener&, const Listener&) = default;
};

struct ApiProxy {
  enum class UseToken { no, yes, force };
  UseToken use_auto_auth_token = UseToken::yes;
  bool allow_token_creation = false;  // with our token, without an allow rule that names it
  friend bool operator==(const ApiProxy&, const ApiProxy&) = default;
};

struct Cache {
  bool enabled = false;  // by the table's presence
  Duration kv_ttl{};     // 0: KV is not cached
  bool lists = false, tokens = false;
  std::size_t max_entries = 10'000;
  std::size_t max_size = 64u << 20;
  std::optional<Duration> check_interval;  // of looking a cached lease up
  std::optional<Duration> max_stale;       // of KV, while the server is away
  friend bool operator==(const Cache&, const Cache&) = default;
};

struct Metrics {
  std::optional<bool> enabled;  // default: true with a listener
  friend bool operator==(const Metrics&, const Metrics&) = default;
};

struct Control {
  bool enabled = true;
  std::string socket;  // empty: the default place
  friend bool operator==(const Control&, const Control&) = default;
};

}  // namespace keybearer::config
