#pragma once
// What one keybearer is and does at one moment, without any value of a secret: for `status`, the
// page, health and metrics, which are pure functions of it. agent/snapshot.cpp fills it when
// somebody asks; nothing is pushed, and nothing is made while nobody looks.

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/histogram.hpp"
#include "base/log_events.hpp"
#include "base/outcomes.hpp"
#include "base/time.hpp"
#include "serve/serving_stats.hpp"

namespace keybearer::serve {

struct Snapshot {
  // The same moment, by both clocks.
  Instant now{};
  WallTime wall{};

  struct Instance {
    std::string name = {}, version = {};
    std::string mode = {};  // "run", "run --once", "render"
    pid_t pid = 0;
    Instant started{};
    std::vector<std::string> config = {};  // files, absolute
    bool ready = false;                    // the first complete set is where it belongs
    bool stopping = false;
    bool reload_failed = false;  // the last one; the configuration before it is in force
  } instance = {};

  struct Token {
    enum class Phase { logging_in, valid, ending, lost };
    Phase phase = Phase::logging_in;
    std::string method = {}, mount = {};
    std::string accessor = {};  // not for metrics and the page
    Duration ttl{};             // as last granted; zero: without an end
    std::optional<Instant> expires = {};
    std::optional<Instant> next_at = {};  // of the next renewal or login
    bool renewable = false;
    std::string error = {};  // of the last login or renewal, while it is not overcome
    std::map<std::string, Outcomes> attempts = {};  // logins, by method
    Outcomes renewals = {};
  } token = {};

  struct Server {
    std::string address = {}, version = {};  // version "": not known
    std::optional<Instant> reachable_since = {};
    std::optional<Instant> answered_at = {};  // when the last answer came; none yet
    std::string error = {};                   // of the last request without an answer
  } server = {};

  struct Secret {
    enum class State { pending, fresh, failing, absent, denied };
    std::string path = {};
    std::string kind = {};        // "kv", "dynamic", "static-role", "cert", "token", "write"
    std::string lease_hash = {};  // as the log names it; "": no lease
    std::string lease_id = {};    // shown only when it is asked for
    bool renewable = false;
    State state = State::pending;
    std::uint64_t generation = 0;  // 0: there is no value
    int version = 0;               // of KV v2; 0: none
    bool required = true;
    bool defaults = false;                  // what is served are its defaults
    std::optional<Instant> lease_end = {};  // of a lease, or a certificate
    std::optional<Instant> next_at = {};    // of the next request
    std::string next_action = {};           // "renew", "read", "compare", "look up"
    std::optional<Instant> last_success = {};
    std::optional<Duration> max_stale = {};
    std::string reason = {};  // of the newest generation: "version 7 -> 8"
    std::string error = {};   // while failing, absent or denied
    Outcomes fetches = {};
  };
  std::vector<Secret> secrets = {};

  struct File {
    std::string path = {};
    unsigned mode = 0;                        // 0: not written yet
    std::optional<WallTime> written_at = {};  // by this run
    std::string error = {};                   // of the last write
    std::uint64_t written = 0, unchanged = 0, failed = 0;
  };
  std::vector<File> files = {};

  struct Child {
    std::string state = {};    // "running"
    bool alive = false;        // it runs, and is not being stopped
    pid_t pid = -1;            // -1: none
    std::string command = {};  // its name only
    Instant since{};           // the last start
    std::uint64_t starts = 0;
    bool outdated = false;  // it has old values and, as configured, is not told
    struct Exit {
      bool signaled = false;
      int code = 0;
      auto operator<=>(const Exit&) const = default;
    };
    std::optional<Exit> last_exit = {};
    std::map<std::string, std::uint64_t> restarts = {};  // by reason
    std::map<Exit, std::uint64_t> exits = {};
    std::uint64_t roll_backs = 0;
  };
  std::optional<Child> child = {};  // none: files only

  struct Requests {
    std::uint64_t succeeded = 0, refused = 0, failed = 0, unanswered = 0;  // 2xx, 4xx, 5xx, none
    std::uint64_t throttled = 0;
  } requests = {};
  Histogram fetch_time = {};
  std::uint64_t redactions = 0;

  std::vector<std::string> listeners = {};  // addresses
  struct Serving {
    ListenerStats listeners = {};
    http::ServerStats connections = {};
    ProxyStats proxy = {};
    bool proxies = false;       // a listener passes requests on
    bool lends_token = false;   // ... with our token where they have none
    bool serves_stale = false;  // from the cache while the server is away
    struct Cache {
      CacheStats stats = {};
      std::size_t entries = 0, bytes = 0;
    };
    std::optional<Cache> cache = {};  // none: off
  };
  std::optional<Serving> serving = {};  // none: no listener
  std::vector<log::Event> events = {};  // the oldest first

  [[nodiscard]] WallTime wall_at(Instant at) const { return wall + (at - now); }
};

}  // namespace keybearer::serve
