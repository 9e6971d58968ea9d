#pragma once
// [state]: what a restart resumes from is taken from auth, secrets and revocations and written
// whenever it changed; at the start it is given back to them.
//
//     auto keeper = StateKeeper::open(*config);        // error kind config: 78
//     keeper->resume(auth, secrets, revocations);      // before any of them runs
//     lifecycle.spawn(keeper->run());                  // writes, debounced, beside the loop
//     keeper->touch();                                 // something changed
//     co_await keeper->save_last(revoked, deadline);   // at the exit, before anything is revoked
//
// A state that can't be written is an alarm and is tried again; nothing waits for it and nothing
// ends of it. One executor, one thread.

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <string_view>

#include "auth/auth_loop.hpp"
#include "base/backoff.hpp"
#include "base/event.hpp"
#include "lease/revocations.hpp"
#include "secrets/secret_store.hpp"
#include "state/state_file.hpp"

namespace keybearer {

class StateKeeper {
 public:
  using Notify = std::function<void(std::string_view event, std::string_view reason)>;

  // Null: none is configured.
  [[nodiscard]] static result<std::unique_ptr<StateKeeper>> open(const config::Config& config);

  void resume(auth::AuthLoop& auth, secrets::SecretStore& secrets, lease::Revocations& revocations,
              Notify notify);
  // After a reload: the next state is of the addresses that are asked now.
  void configure(const config::Config& config);
  void touch() { dirty_.set(); }
  // When a value was last seen has changed: part of the next write, within a minute.
  void touch_later();
  // Until cancelled.
  [[nodiscard]] boost::asio::awaitable<void> run();

  // What the exit ends is not in the last state. After run() has been cancelled.
  struct Revoked {
    bool token = false;
    std::function<bool(const lease::SavedSecret& secret)> lease;
  };
  [[nodiscard]] boost::asio::awaitable<void> save_last(Revoked revoked, Instant deadline);

 private:
  explicit StateKeeper(state::StateFile file) : file_(std::move(file)) {}
  [[nodiscard]] lease::SavedState collect() const;
  boost::asio::awaitable<bool> write(lease::SavedState state);
  boost::asio::awaitable<void> write_last(lease::SavedState state);

  state::StateFile file_;
  auth::AuthLoop* auth_ = nullptr;
  secrets::SecretStore* secrets_ = nullptr;
  lease::Revocations* revocations_ = nullptr;
  Notify notify_;
  Event dirty_;
  Instant due_ = Instant::max();  // of a write that is in no hurry
  bool failed_ = false;           // and said so
  Backoff backoff_{{.min = std::chrono::seconds(1), .max = std::chrono::minutes(1)}};
};

// The state's own problems, found by `check` and before anything is contacted.
[[nodiscard]] result<> check_state(const config::Config& config);

}  // namespace keybearer
