#pragma once
// One secret that is watched, and what all watchers share. Internal to secrets/.

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/task_group.hpp"
#include "lease/revocations.hpp"
#include "secrets/classify.hpp"
#include "secrets/concurrency_limit.hpp"
#include "secrets/issuer_certificates.hpp"
#include "secrets/secret_store.hpp"

namespace keybearer::secrets {

// What templates get of a secret. A published value is never changed nor copied from.
struct NoValue {};
struct Held {
  std::shared_ptr<const Value> value;
  std::uint64_t generation = 0;
};
struct Default : Held {};  // the rule's defaults, while the server has none
struct Current : Held {};  // the server's newest, or the last good one while it answers nothing
using Served = std::variant<NoValue, Default, Current>;

// What a watcher is woken for, since it looked last.
struct Wakeups {
  bool token_changed = false;
  bool refresh = false;  // fetch it now
  bool look = false;     // compare its version now, and fetch it if that is another
  bool missing_key = false;
  bool reconfigured = false;
};

// A look that is on its way: what asks for a look meanwhile is answered by it.
struct Look {
  Instant sent;
  bool whole = false;  // it fetches the value, and does not only compare or renew
};

struct WatchedSecret {
  class Ticket final : public ConcurrencyLimit::Ticket {
   public:
    explicit Ticket(Event& wakeup) : wakeup_(wakeup) {}

   protected:
    void granted() override { wakeup_.set(); }

   private:
    Event& wakeup_;
  };

  WatchedSecret(tmpl::Dependency d, config::SecretRule r, const config::Retry& retry,
                double jitter);

  void note_rule();  // to the status
  // As a template asks for it: before [[secret]] data made it a write.
  [[nodiscard]] tmpl::Dependency as_written() const;
  [[nodiscard]] const Held* held() const;
  [[nodiscard]] bool using_defaults() const { return std::holds_alternative<Default>(served); }
  [[nodiscard]] bool leased() const { return !status.lease_id.empty() || issued_token != nullptr; }

  tmpl::Dependency dependency;
  bool written_by_rule = false;  // [[secret]] data: what a template reads is written
  config::SecretRule rule;
  lease::SecretSchedule schedule;
  Status status;
  Served served;
  std::uint64_t generations = 0;                // the newest that was ever served
  std::optional<Current> previous;              // until everybody has taken over the newest
  std::shared_ptr<const Value> rejected;        // an answer that lacks what is used
  std::optional<std::uint64_t> missing_key_in;  // the generation that lacks a key
  std::vector<std::string> destinations;        // pki: files that may hold the certificate
  bool start_failed = false;                    // the first read, for this start
  bool dropped = false;                         // nobody asks for it any more
  bool expiry_reported = false;                 // that its lease ended in use
  bool revoked = false;                         // by us, at the exit
  bool stale = false;                           // older than max_stale, and said so
  std::optional<Current> withheld;              // not to be used until it is good again
  vault::Token token;                           // that the value was read with
  vault::Token issued_token;                    // that the answer gave (auth/token/create ...)
  bool orphan = false;                          // `issued_token` does not end with its maker
  std::string data_path;                        // what is really asked: with data/ for KV v2
  std::string listed_as;                        // the path that WatchContext::by_path has it under
  std::string mount;                            // "kv/", where it is known
  Assumed assumed;                              // that data_path is what is written, unasked
  // Of the last run ([state]): served once the server says that it is still so, or is away.
  std::shared_ptr<const Value> resumed;
  bool metadata_denied = false;
  bool wrapped = false;  // what is written to KV v2 stands below "data"
  std::string refresh_reason;
  std::optional<Look> look;  // in flight: never more than one
  Wakeups wakeups;
  Event wakeup;
  Ticket ticket{wakeup};
};

// By id; several ids may be one secret (kv/app and kv/data/app).
using WatchedSecrets = std::map<std::string, std::shared_ptr<WatchedSecret>, std::less<>>;

struct WatchContext {
  WatchContext(boost::asio::any_io_executor executor, vault::Client& c, lease::Revocations& r,
               Settings s, Random& rnd, Callbacks cb);

  vault::Client& client;
  lease::Revocations& revocations;
  Settings settings;
  Random& random;
  Callbacks callbacks;
  ConcurrencyLimit limit;
  IssuerCertificates issuers;
  std::map<std::string, std::shared_ptr<const lease::SavedSecret>> saved;  // of the last run, by id
  TaskGroup watchers;
  Event changed;
  WatchedSecrets secrets;
  // Those of `secrets` whose path is known, by it; its key is their `listed_as`.
  std::multimap<std::string_view, std::shared_ptr<WatchedSecret>> by_path;
  // Generations of new secrets begin after it: one that was dropped and comes again does not use the
  // numbers of what may still be in use.
  std::uint64_t generation_floor = 0;
  std::size_t pending = 0;       // secrets in State::pending
  std::size_t start_failed = 0;  // secrets given up for this start
  Histogram fetch_time;
  std::shared_ptr<const Snapshot::Items> snapshot;  // nullptr: to be made again
};

// The door that it is asked for at: in its own namespace, where it has one.
[[nodiscard]] vault::Client& client_of(WatchContext& context, const WatchedSecret& secret);
// Something that templates may see has changed.
void announce(WatchContext& context);
// The one way into another state: one log line and one event per change.
void set_state(WatchContext& context, WatchedSecret& secret, Status::State state,
               std::optional<Error> error);
// As threads may look at it at once: reading changes nothing in it.
[[nodiscard]] std::shared_ptr<const Value> published(Value value);
// Another value for templates. The one before stays at hand until it is known to be good.
void serve(WatchContext& context, WatchedSecret& secret, Served served);
// An optional secret that is not there, or not any more: its defaults, as if the server had
// answered them.
void apply_defaults(WatchContext& context, WatchedSecret& secret);
// What is served is not to be used any more: the rule's defaults, or none, so that those of [env]
// and `values` stand in. It comes back with the state fresh.
void withhold(WatchContext& context, WatchedSecret& secret);
// When it becomes too old (max_stale), as things are; Instant::max(): never. A lease that lives is
// not too old.
[[nodiscard]] Instant stale_at(const WatchedSecret& secret);
// What its schedule goes by.
[[nodiscard]] lease::ScheduleRules schedule_rules(const config::SecretRule& rule,
                                                  const config::Retry& retry);
// A first read that will not come good: the start has failed, unless the configuration says
// "forever".
void give_up(WatchContext& context, WatchedSecret& secret);
// The lease or token that it holds is superseded: revoked once nobody uses it. `always`: at the
// exit and when it is dropped, else as lease.revoke_replaced says.
void retire_lease(WatchContext& context, WatchedSecret& secret, bool always = false);

// Its path is known, or another one than before; or it is let go, and no twin of any.
void list_by_path(WatchContext& context, const std::shared_ptr<WatchedSecret>& secret);
void unlist(WatchContext& context, WatchedSecret& secret);
// Another spelling of the same read that is watched already (kv/app and kv/data/app); nullptr: none,
// or its real path is not known yet.
[[nodiscard]] std::shared_ptr<WatchedSecret> twin_of(const WatchContext& context,
                                                     const WatchedSecret& secret);
// The version of KV v2 that is asked for; "": the newest.
[[nodiscard]] const std::string& pinned_version(const WatchedSecret& secret);

// Another rule, at a reload; defaults that are served follow it.
void take_rule(WatchContext& context, WatchedSecret& secret, config::SecretRule rule);
// By these settings: is it another thing to ask for? (Another version is compared and read like a
// new one.)
[[nodiscard]] bool is_asked_otherwise(const WatchedSecret& secret, const Settings& settings);
// The [[secret]] for a dependency, or the file's defaults.
[[nodiscard]] config::SecretRule rule_for(const Settings& settings,
                                          const tmpl::Dependency& dependency);

}  // namespace keybearer::secrets
