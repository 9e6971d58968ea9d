#pragma once
// The cache of [cache]: what the core decides, carried out. One request for all who ask the same at
// the same time; renewals, look-ups and ends of the leases that are kept.
//
//     auto served = co_await cache.get(key, about, fetch, compare);
//
// Fetches belong to the cache and not to who asked first: that one may leave. One executor, one
// thread; client must outlive it, and stop() come before its end.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/event.hpp"
#include "base/random.hpp"
#include "base/task_group.hpp"
#include "config/config.hpp"
#include "lease/revocations.hpp"
#include "lease/secret_schedule.hpp"
#include "serve/cache_core.hpp"
#include "vault/client.hpp"

namespace keybearer::serve {

// An answer, or why there is none.
struct Fetched {
  int status = 0;
  http::Headers headers = {};  // as they may be passed on
  std::shared_ptr<const Secret> body = {};
  Instant asked{};
  std::optional<Error> error = {};
  bool too_large = false;  // not read: who asked fetches it without the cache
  bool leaks = false;      // holds our token: for nobody
};

// How an answer came to who asked.
struct Served {
  Fetched answer;
  bool hit = false, stale = false;
  Duration age{};
};

class Cache {
 public:
  using Fetch = std::function<boost::asio::awaitable<Fetched>()>;
  // The version at the server now; "": it can't be told; an Error: the server is away.
  using Compare = std::function<boost::asio::awaitable<result<std::string>>(std::string metadata)>;
  // What an entry is known by, beside its key.
  struct About {
    std::string method, path, raw_path, query;  // `path` with the client's namespace
    std::string token;                          // its digest
    std::uint64_t maker = 0;                    // number of our login; 0: a client's own token
    std::string vault_namespace = {};           // that the client named
    Secret bearer = {};                         // the client's own token itself
    bool makes_token = false;                   // a login or the like
  };
  // A request of the cache's own, with the token of whom it is made for: keybearer's where it is
  // empty. Counted as the clients' requests are, so that their leases starve none of ours.
  struct Errand {
    std::string method, path;
    std::string vault_namespace;  // else the session's
    Secret token, body;
  };
  using Send = std::function<boost::asio::awaitable<Fetched>(Errand)>;

  Cache(boost::asio::any_io_executor executor, vault::Client& client, Random& random);
  ~Cache();
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  void configure(const config::Cache& config, const config::Lease& lease);
  void send_by(Send send) { send_ = std::move(send); }
  [[nodiscard]] bool enabled() const { return config_.enabled; }
  [[nodiscard]] bool keeps_tokens() const { return config_.enabled && config_.tokens; }

  // What can be served from memory at once, or null: then get(). Good until the next call.
  [[nodiscard]] const CacheEntry* fresh(const std::string& key, std::uint64_t maker) {
    return core_.fresh(key, Clock::now(), maker);
  }
  [[nodiscard]] boost::asio::awaitable<Served> get(std::string key, About about, Fetch fetch,
                                                   Compare compare);
  // A request that may have ended or renewed something has been answered (or its answer was lost).
  void observe(std::string_view method, std::string_view path, std::string_view request_body,
               int status, std::string_view answer, Instant asked);
  // A client's token was refused: where it came from memory, the next one does not; and it is looked
  // up whether it is gone, with all that it took.
  void denied(std::string_view token, std::string_view vault_namespace);
  // POST /agent/v1/cache-clear, as Vault Agent has it: status, and an error's text.
  struct Cleared {
    int status = 200;
    std::string error = {};
  };
  [[nodiscard]] Cleared clear(std::string_view body, std::string_view own_accessor);

  // Renewals and ends, until cancelled.
  [[nodiscard]] boost::asio::awaitable<void> run();
  // No fetch is left; the leases that our token took go to `revocations`.
  [[nodiscard]] boost::asio::awaitable<void> stop(lease::Revocations* revocations);

  [[nodiscard]] const CacheStats& stats() const { return core_.stats(); }
  [[nodiscard]] std::size_t entries() const { return core_.size(); }
  [[nodiscard]] std::size_t bytes() const { return core_.bytes(); }

 private:
  struct Flight;
  // Of a lease, by its id, or of a token that was issued, by its digest.
  struct Renewal {
    lease::SecretSchedule schedule;
    lease::Step step;
    std::string path;
    bool is_token = false;
    Secret bearer = {};  // a client's, or the token itself; empty: ours
    std::string vault_namespace = {};
    [[nodiscard]] bool is_ours() const { return bearer.empty() && vault_namespace.empty(); }
  };
  struct Grant {
    Duration ttl{};
    Instant asked{};
  };

  static boost::asio::awaitable<void> fly(Cache* cache, std::string key, About about, Fetch fetch,
                                          Compare compare, std::string metadata,
                                          std::string version, std::shared_ptr<Flight> flight);
  [[nodiscard]] Served from_entry(const CacheEntry& entry, bool stale) const;
  void keep(const std::string& key, const About& about, const Fetched& fetched);
  void watch(const CacheEntry& entry, const About& about, Instant now);
  boost::asio::awaitable<void> renew(std::string id);
  boost::asio::awaitable<void> look_up(std::string id);
  [[nodiscard]] boost::asio::awaitable<result<Grant>> ask_for_more(const std::string& id,
                                                                   const Renewal& renewal);
  [[nodiscard]] boost::asio::awaitable<result<>> ask_whether_there(const std::string& id,
                                                                   const Renewal& renewal);
  [[nodiscard]] boost::asio::awaitable<result<Grant>> run_errand(Errand errand);
  void drop(const std::string& id);
  boost::asio::awaitable<void> verify(std::string digest, Secret token,
                                      std::string vault_namespace);
  [[nodiscard]] lease::ScheduleRules lease_rules() const;
  [[nodiscard]] Instant next_due() const;
  void forget_gone_leases();

  boost::asio::any_io_executor executor_;
  vault::Client& client_;
  Random& random_;
  config::Cache config_;
  config::Lease lease_;
  CacheCore core_{{}};
  std::map<std::string, std::shared_ptr<Flight>> flights_;
  std::map<std::string, Renewal> renewals_;
  std::map<std::string, bool> verifying_;  // digests of tokens; refused again meanwhile?
  Send send_;
  Event changed_;
  TaskGroup tasks_;
};

}  // namespace keybearer::serve
