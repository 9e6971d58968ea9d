#pragma once
// The secrets that templates ask for: a watcher and a machine per secret, and the store that
// templates read.
//
// A secret's failure concerns it alone, and its last good value stays in force. Identical requests
// share one watcher, also when they are spelled differently (kv/app, kv/data/app). A new token
// disturbs nothing that is still valid. What is not asked for any more is let go (S2). One
// executor, one thread; client, revocations and random must outlive it. Rules: behaviour sections
// 2, 5 and 7.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/event.hpp"
#include "base/histogram.hpp"
#include "base/outcomes.hpp"
#include "base/random.hpp"
#include "config/config.hpp"
#include "lease/revocations.hpp"
#include "lease/saved.hpp"
#include "lease/secret_schedule.hpp"
#include "secrets/rules.hpp"
#include "secrets/snapshot.hpp"
#include "tmpl/template.hpp"
#include "vault/client.hpp"

namespace keybearer::secrets {

using lease::InUse;
using lease::Kind;

struct Status {
  enum class State {
    pending,  // no answer yet
    fresh,
    failing,  // the last request failed; the value, if there is one, is the last good
    absent,   // the server says: not there, or without a key that is used
    denied,   // the server says: not permitted
  };
  std::string id, path;
  Kind kind = Kind::unleased;
  State state = State::pending;
  std::uint64_t generation = 0;  // of what is served, defaults too, as a Snapshot has it; 0: none
  bool fetched = false;          // the server has given a value once
  int kv_version = 0;
  std::string lease_id;
  std::optional<Instant> lease_end;
  std::optional<Instant> next_at;  // of the next request
  lease::Step::Do next_action = lease::Step::Do::nothing;
  bool renewable = false;
  std::optional<Error> error;  // while failing, absent or denied
  std::string advice;          // what can be done about it, where the kind of secret tells
  std::optional<Instant> last_success;
  // Of the newest generation: "first read", "version 7 -> 8", "maximum life reached: new
  // credentials", "rotated" ...
  std::string why;
  bool required = true;   // not optional
  bool defaults = false;  // what is served are its defaults
  std::optional<Duration> max_stale;
  Outcomes fetches = {};  // reads and comparisons
};

// What the store needs of the configuration, by value: a reload gives it another.
struct Settings {
  Rules rules;
  config::Interval interval;
  config::Lease lease;
  config::Stale stale;
  config::Retry retry;
  Duration start_grace = std::chrono::seconds(15);
  bool exit_on_retry_failure = true;
  std::size_t concurrent = 16;  // secrets that ask at a time
  bool once = false;            // a job or a single rendering: num_retries ends a first read
};
[[nodiscard]] Settings settings_of(const config::Config& config, bool once);

struct Callbacks {
  // After a 403: is the token still good (then the path is denied)?
  std::function<boost::asio::awaitable<bool>()> token_is_good;
  std::function<void(std::string_view event, std::string_view reason)> alarm;
  // The token can be used so many times only: none is spent on looking for changes.
  std::function<bool()> token_is_limited = [] { return false; };
  // on_error = "exit": the server has it no more, or refuses it.
  std::function<void(const Error& error)> fatal = [](const Error&) {};
  // What save() gives has changed.
  std::function<void()> state_changed = [] {};
  // Only when a value was last seen to be in force.
  std::function<void()> value_seen = [] {};
};

class SecretStore {
 public:
  SecretStore(boost::asio::any_io_executor executor, vault::Client& client,
              lease::Revocations& revocations, Settings settings, Random& random,
              Callbacks callbacks);
  ~SecretStore();

  // What the last run had ([state]); before anything is required. It is served when the server says
  // that it is still so: what has a version is compared, a lease is looked up; nothing is issued.
  void resume(std::vector<lease::SavedSecret> saved);
  // What has not been confirmed yet is served as it was: the server is away
  // (outage.on_start = "state").
  void use_state();
  // Whether revoke_all(deadline, by_default) ends its lease.
  [[nodiscard]] bool revokes(const std::string& id, bool by_default) const;
  // What a restart resumes from.
  [[nodiscard]] std::vector<lease::SavedSecret> save() const;

  // Starts its watcher if there is none.
  void require(const tmpl::Dependency& dependency);
  // Lets go of all others: `ids` is what the last complete evaluation asked for. Their watchers end,
  // their leases are revoked once nothing uses them.
  void retain(const std::set<std::string>& ids);

  // What templates see now.
  [[nodiscard]] Snapshot snapshot() const;
  [[nodiscard]] Event& changed();  // a new value, or another state

  [[nodiscard]] const Status* status(const std::string& id) const;
  [[nodiscard]] std::vector<const Status*> all() const;  // each secret once
  [[nodiscard]] const Histogram& fetch_time() const;     // of all reads

  // Leased secrets are fetched again at once: somebody found them not to work. False: there are
  // none.
  bool refetch_leased(const std::string& why);
  // Would another read find what somebody may have added meanwhile, and nothing be issued for it?
  [[nodiscard]] bool can_refetch_freely(const std::string& id) const;
  // The newest values of these lack what is used: a failed refresh. The ones before come back, with
  // an alarm. False: there is nothing to come back.
  bool reject(const std::vector<std::string>& ids);
  // These lack a key that is used: they are looked at again with growing pauses, where that issues
  // nothing. False: none of them can be.
  bool missing_key(const std::vector<std::string>& ids);
  // Whose values are too old for the child to run on (on_stale = "stop"): their paths; "": none.
  [[nodiscard]] std::string must_stop() const;
  // The newest values are good: reject() can't bring back what was before.
  void commit();
  // Optional secrets that could not be asked for count as absent.
  void use_defaults();
  // The earliest end of a lease that has a successor which is not in use yet; Instant::max(): none.
  [[nodiscard]] Instant earliest_superseded_expiry() const;

  // Has every secret asked for had an answer of some kind (a value, absent, denied)?
  [[nodiscard]] bool all_answered() const;
  // It was never there and is given up for this start; its status has the error. And is any?
  [[nodiscard]] bool start_failed(const std::string& id) const;
  [[nodiscard]] bool any_start_failed() const;

  void token_changed();  // the client has another token
  // What is superseded and older than all that is in use may be revoked after its drain.
  void applied(const InUse& in_use);
  void refresh(const std::string& id);  // fetch now
  // The ids of what somebody calls `name`: a path (kv/app and kv/data/app are one), or the name of a
  // [[secret]].
  [[nodiscard]] std::vector<std::string> find(std::string_view name) const;
  // All that can be looked at without issuing anything is fetched now; `leased` too: new
  // credentials.
  void refresh_all(bool leased = false);
  // Other rules: schedules follow without a request; nothing is dropped (retain()).
  void configure(Settings settings);

  // The watchers, until cancelled.
  [[nodiscard]] boost::asio::awaitable<void> run();
  // Revokes the leases that are ours, as lease.revoke_on_exit says or `by_default`, and what is
  // superseded. After run() has been cancelled.
  [[nodiscard]] boost::asio::awaitable<lease::Revoked> revoke_all(Instant deadline,
                                                                  bool by_default = true);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace keybearer::secrets
