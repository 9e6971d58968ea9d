#pragma once
// Logs in, keeps the token alive and gets a new one when it ends. The only writer of the client's
// token.
//
//     AuthLoop auth(client,
//                   {.auto_auth = config.auto_auth, .start = {.outage = config.outage, ...},
//                    .stop_margin = 30s},
//                   random, alarm);
//     group.spawn(keep(auth));                     // co_await auth.run(): an Error means: no
//                                                  // token, and there will be none
//     co_await auth.changed().wait(seen);          // then look at auth.state()
//     if (answer was 403 && !co_await auth.token_is_good()) wait for the next state;
//     else this path is denied
//     co_await auth.revoke();                      // at exit, after run() has been cancelled
//
// One executor, one thread. Owns a copy of its settings; client, random and alarm's captures must
// outlive it. When to do what is auth/auth_fsm (pure), how to log in is
// auth/method. Rules: behaviour T1-T13, sections 5 and 7.

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "auth/auth_fsm.hpp"
#include "auth/cloud.hpp"
#include "base/error.hpp"
#include "base/event.hpp"
#include "base/outcomes.hpp"
#include "base/random.hpp"
#include "config/config.hpp"
#include "lease/saved.hpp"
#include "vault/client.hpp"

namespace keybearer::auth {

struct TokenState {
  enum class Phase {
    logging_in,  // no token yet, or the old one is gone and the next is being fetched
    valid,
    ending,  // still valid, but it can't be renewed any further
    lost,    // gone, and there will be no other
  };
  Phase phase = Phase::logging_in;
  std::string method, mount;  // "approle", "auth/approle"
  std::string accessor, entity_id;
  std::vector<std::string> policies;
  Duration ttl{};                  // as last granted; zero: without an end
  std::optional<Instant> expires;  // nullopt: never
  std::optional<Instant> next_at;  // of the next renewal or login
  bool renewable = false;
  int logins = 0;                     // that succeeded
  int renewals = 0;                   // of all tokens
  bool limited = false;               // can be used so many times only
  std::optional<Error> trouble = {};  // why the last login or renewal did not come through
  std::uint64_t token_number = 0;     // grows with each new token; 0: none yet
  std::map<std::string, Outcomes> login_outcomes = {};  // by method
  Outcomes renewal_outcomes = {};
};

// What it needs of the configuration, by value: a reload gives it another.
struct Settings {
  config::AutoAuth auto_auth;
  StartRules start = {};
  // The time that the child needs to stop: with on_renew_failure "exit" run() returns this much
  // before the token's end.
  Duration stop_margin{};
};

class AuthLoop {
 public:
  // Called at most once per loss: ("token.lost" | "login.refused" | "security.wrapping", a sentence
  // without secrets).
  using Alarm = std::function<void(std::string_view event, std::string_view reason)>;

  // `cloud`: what methods need that ask a metadata service or the like.
  AuthLoop(vault::Client& client, Settings settings, Random& random, Alarm alarm,
           CloudParts cloud = {});
  ~AuthLoop();

  // Returns only when there is no token and will be none. Kinds: denied (exit 77), config (78), an
  // outage kind (69). Ends by exception when cancelled.
  [[nodiscard]] boost::asio::awaitable<Error> run();

  // Before run(): begins with the token of the last run ([state]), if it lives and was got by the
  // login that is configured now; else it is dropped, with a line that says why. Whether the server
  // still knows it is found by token_is_good().
  void resume(lease::SavedToken saved);
  // The token in force, as a restart resumes it; nullopt: none, or it is not ours to keep.
  [[nodiscard]] std::optional<lease::SavedToken> save() const;

  // Others, at a reload: rules hold at once, for the start that still waits, too; other credentials
  // are tried at once, and the token in force stays until they have given another. Error kind
  // config: the method can't be used, and nothing has changed.
  [[nodiscard]] result<> configure(Settings settings);

  [[nodiscard]] Event& changed();  // after every change of state()
  [[nodiscard]] const TokenState& state() const;

  // After a 403: is the token still good, so that the path alone is denied? One lookup-self decides
  // for all who ask at the same time, at most one in 10 s. False: the token is gone, and run() acts
  // on it. True also when no answer came.
  [[nodiscard]] boost::asio::awaitable<bool> token_is_good();

  // Revokes what we made and what still lives, if revoke_on_exit allows (default: yes), in at most
  // 5 s, and takes the token from the client. Batch tokens can't be revoked.
  [[nodiscard]] boost::asio::awaitable<void> revoke();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace keybearer::auth
