#pragma once
// The secrets that templates ask for: a watcher and a machine per secret, and the store that
// templates read.
//
// A secret's failure concerns it alone, and its last good value stays in force. Identical requests
// share one watcher. A new token disturbs nothing that is still valid. One executor, one thread;
// client, config and random must outlive it. Rules: behaviour.md sections 2, 5 and 7.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/event.hpp"
#include "base/random.hpp"
#include "config/config.hpp"
#include "secrets/secret_schedule.hpp"
#include "tmpl/template.hpp"
#include "vault/client.hpp"

namespace keybearer::secrets {

struct Status {
  enum class State {
    pending,  // no answer yet
    fresh,
    failing,  // the last request failed; the value, if there is one, is the last good
    absent,   // the server says: not there
    denied,   // the server says: not permitted
  };
  std::string id, path;
  Kind kind = Kind::plain;
  State state = State::pending;
  std::uint64_t generation = 0;  // of the value; 0: none yet
  int kv_version = 0;
  std::string lease_id;
  std::optional<Instant> lease_end;
  std::optional<Instant> next_at;  // of the next request
  std::optional<Error> error;      // while failing, absent or denied
  std::optional<Instant> last_success;
  std::string why;  // of the newest generation: "first read", "version 7 -> 8", "lease ended",
                    // "rotated" ...
};

struct Hooks {
  // After a 403: is the token still good (then the path is denied)?
  std::function<boost::asio::awaitable<bool>()> token_is_good;
  std::function<void(std::string_view event, std::string_view reason)> alarm;
  // The token can be used so many times only: none is spent on looking for changes.
  std::function<bool()> token_is_limited = [] { return false; };
};

class Secrets final : public tmpl::DataSource {
 public:
  // `once`: for a job or a single rendering: num_retries ends a first read.
  Secrets(boost::asio::any_io_executor executor, vault::Client& client,
          const config::Config& config, bool once, Random& random, Hooks hooks);
  ~Secrets() override;

  // Starts its watcher if there is none.
  void require(const tmpl::Dependency& dependency);

  [[nodiscard]] const Value* find(const tmpl::Dependency& dependency) override;
  [[nodiscard]] std::uint64_t generation(const tmpl::Dependency& dependency) const override;
  [[nodiscard]] Absence absence(const tmpl::Dependency& dependency) const override;

  [[nodiscard]] Event& changed();  // a new value, or another state
  [[nodiscard]] const Status* status(const std::string& id) const;
  [[nodiscard]] std::vector<const Status*> all() const;

  // Leased secrets are read anew at once: somebody found them not to work. False: there are none.
  bool refetch_leased(const std::string& why);
  // Would another read find what somebody may have added meanwhile, and nothing be issued for it?
  [[nodiscard]] bool can_refetch_freely(const std::string& id) const;
  // The newest values of these lack what is used: a failed refresh. The ones before come back, with
  // an alarm. False: there is nothing to come back.
  bool reject(const std::vector<std::string>& ids);
  // The newest values are in use everywhere: reject() can't bring back what was before.
  void commit();
  // Optional secrets that could not be asked for count as absent.
  void use_defaults();
  // The earliest end of a lease that has a successor which is not in use yet; Instant::max(): none.
  [[nodiscard]] Instant earliest_superseded_expiry() const;

  // Has every secret asked for had an answer of some kind (a value, absent, denied)?
  [[nodiscard]] bool settled() const;
  // It was never there and is given up for this start; its status has the error. And is any?
  [[nodiscard]] bool start_failed(const std::string& id) const;
  [[nodiscard]] bool any_start_failed() const;

  void token_changed();  // the client has another token
  void applied();        // all values are in use: what they replaced may be revoked after the drain
  void refresh(const std::string& id);  // fetch now

  // The watchers, until cancelled.
  [[nodiscard]] boost::asio::awaitable<void> run();
  // Revokes the leases that are ours, all at once, in at most 5 s. After run() has been cancelled.
  [[nodiscard]] boost::asio::awaitable<void> revoke_all();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace keybearer::secrets
