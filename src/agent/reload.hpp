#pragma once
// SIGHUP, and `keybearer reload`: the configuration and all template sources are read again, and
// the difference is applied. A broken one is reported with all its errors, and the running one
// stays. Values, leases and schedules of secrets that are still asked for are kept. Rules: section
// 7 of RULES.md (HUP).

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>

#include "agent/agent.hpp"
#include "agent/delivery_loop.hpp"
#include "agent/notifier.hpp"
#include "agent/token_sinks.hpp"
#include "auth/auth_loop.hpp"
#include "base/event.hpp"
#include "child/supervisor.hpp"
#include "secrets/secret_store.hpp"
#include "serve/listener.hpp"
#include "serve/proxy.hpp"
#include "vault/session.hpp"

namespace keybearer {

// The parts that a new configuration concerns.
struct ReloadTargets {
  const Parts& parts;
  Mode mode;
  vault::Session& session;
  auth::AuthLoop& auth;
  secrets::SecretStore& secrets;
  TokenSinks& sinks;
  DeliveryLoop& delivery;
  child::Supervisor* supervisor;  // null: no child
  Notifier& notifier;
  serve::Listeners& listeners;
  serve::Proxy& proxy;
  serve::Cache& cache;
};

// What came of it, for the log and for who asked.
struct ReloadReport {
  bool applied = false;
  std::string refused = {};                     // why nothing was read
  std::vector<config::Problem> problems = {};   // why not
  std::vector<std::string> changed = {};        // sections, applied
  std::vector<std::string> needs_restart = {};  // keys whose change a restart of keybearer needs
};
ReloadReport reload(const ReloadTargets& targets);

// Reloads when asked, by SIGHUP or by `keybearer reload`: opens the log file again, reloads, looks
// at what has no lease. However often it is asked: once in a second. In an ending run nothing new is
// begun: then only the log file is opened again.
class Reloader {
 public:
  struct Callbacks {
    std::function<void()> begin;                     // before each
    std::function<void(const ReloadReport&)> ended;  // and after it
    std::function<bool()> is_ending;
  };
  explicit Reloader(ReloadTargets targets, Callbacks callbacks = {})
      : targets_(targets), callbacks_(std::move(callbacks)) {}

  void ask() { asked_.set(); }
  // The same, and what came of it.
  [[nodiscard]] boost::asio::awaitable<ReloadReport> ask_and_wait();
  // Until cancelled.
  [[nodiscard]] boost::asio::awaitable<void> run();

 private:
  ReloadTargets targets_;
  Callbacks callbacks_;
  Event asked_, done_;
  ReloadReport last_;
};

}  // namespace keybearer
