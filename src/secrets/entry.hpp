#pragma once
// What the watchers share, and what each has of its own. Internal to secrets/.

#include <deque>

#include "base/task_group.hpp"
#include "secrets/secrets.hpp"

namespace keybearer::secrets {

struct Entry {
  Entry(tmpl::Dependency d, config::SecretRule r, const config::Retry& retry, double early)
      : dependency(std::move(d)),
        rule(std::move(r)),
        schedule({rule.lease, rule.interval, {retry.min_backoff, retry.max_backoff}}, early) {
    // [[secret]] data: what a template reads is written.
    if (dependency.kind == tmpl::Dependency::Kind::read && !rule.data.empty()) {
      dependency.kind = tmpl::Dependency::Kind::write;
      dependency.args.assign(rule.data.begin(), rule.data.end());
    }
    status.id = dependency.id;
    status.path = dependency.path;
  }

  tmpl::Dependency dependency;
  config::SecretRule rule;
  SecretSchedule schedule;
  Status status;
  Value value;                    // the last good one
  std::optional<Value> before;    // the value until everybody has taken over the newest
  std::optional<Value> rejected;  // an answer that lacks what is used
  bool using_defaults = false;    // `value` is the rule's stand-in, while there is no answer
  bool start_failed = false;      // the first read, for this start
  vault::Token token;             // that the value was read with
  vault::Token issued_token;      // that the answer gave (auth/token/create ...)
  bool orphan = false;            // `issued_token` does not end with its maker
  std::string data_path;          // what is really asked: with data/ for KV v2
  bool metadata_denied = false;
  bool wrapped = false;  // what is written to KV v2 stands below "data"
  bool token_changed = false;
  bool refresh = false;
  std::string refresh_why = {};
  bool waits_its_turn = false;
  Event wakeup;  // one of the two above, or its turn
};

// So many watchers ask the server at a time; the others wait where they need no memory for it.
class ConcurrencyLimit {
 public:
  // Hands its place over when it goes.
  class Turn {
   public:
    explicit Turn(ConcurrencyLimit& turns) : turns_(turns) { ++turns_.taken_; }
    ~Turn() {
      --turns_.taken_;
      turns_.call_next();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    ConcurrencyLimit& turns_;
  };

  explicit ConcurrencyLimit(std::size_t places) : places_(places) {}
  // False: `entry` is poked once there may be a place.
  [[nodiscard]] bool free_for(Entry& entry) {
    if (taken_ < places_) return true;
    if (!std::exchange(entry.waits_its_turn, true)) waiting_.push_back(&entry);
    return false;
  }

 private:
  void call_next() {
    if (waiting_.empty()) return;
    Entry* next = waiting_.front();
    waiting_.pop_front();
    next->waits_its_turn = false;
    next->wakeup.set();
  }

  std::size_t places_, taken_ = 0;
  std::deque<Entry*> waiting_;  // entries live as long as what they are shared by
};

// A lease or minted token that has a successor.
struct Replaced {
  std::string path;
  std::string lease_id;  // empty: `token` itself
  vault::Token token;
  Instant end;
  Duration drain;
  std::optional<Instant> revoke_at;  // set once the successor is in use
};

struct Shared {
  Shared(boost::asio::any_io_executor executor, vault::Client& c, const config::Config& cfg, bool o,
         Random& r, Hooks h)
      : client(c),
        config(cfg),
        once(o),
        random(r),
        hooks(std::move(h)),
        turns(2 * static_cast<std::size_t>(cfg.vault.max_connections)),  // no connection waits
        watchers(std::move(executor)) {}

  vault::Client& client;
  const config::Config& config;
  bool once;
  Random& random;
  Hooks hooks;
  ConcurrencyLimit turns;
  TaskGroup watchers;
  Event changed;
  std::vector<Replaced> replaced;
  Event replaced_changed;
  std::size_t unsettled = 0;     // entries in State::pending
  std::size_t start_failed = 0;  // entries given up for this start
};

// A lease in logs: 12 hex digits of the SHA-256 of its id, so that the id itself is nowhere;
// "token" of a minted token, which has none.
[[nodiscard]] std::string lease_hash(std::string_view lease_id);
// The one way into another state: one log line and one event per change.
void set_state(Shared& shared, Entry& entry, Status::State state, std::optional<Error> error);
// An optional secret that is not there, or not any more: its defaults, as if the server had
// answered them.
void apply_defaults(Entry& entry);
// What the entry has in force is in no log from now on.
void tell_redactor(const Entry& entry);
// A first read that will not come good: the start has failed, unless the configuration says "for
// ever".
void give_up(Shared& shared, Entry& entry);

// The [[secret]] for a dependency, or the file's defaults.
[[nodiscard]] config::SecretRule rule_for(const config::Config& config,
                                          const tmpl::Dependency& dependency);

}  // namespace keybearer::secrets
