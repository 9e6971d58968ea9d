#pragma once
// What AuthLoop is made of: auth_loop.cpp has what takes time and the loop, auth_loop_token.cpp what the
// machine decides and the token in force. For these two only.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/auth_fsm.hpp"
#include "auth/auth_log.hpp"
#include "auth/auth_loop.hpp"
#include "auth/method.hpp"
#include "auth/own_token.hpp"

namespace keybearer::auth {

// What was just asked for and came back, while its event is handled.
struct AuthOutcome {
  Instant asked = Clock::now();
  std::optional<ContentId> sent = {};
  std::optional<vault::Auth> auth = {};
  std::optional<Error> error = {};
};

struct AuthLoop::Impl {
  using Outcome = AuthOutcome;
  using Kind = AuthEvent::Kind;
  using Phase = TokenState::Phase;

  vault::Client& client;
  Settings settings;
  Random& random;
  const Alarm alarm;
  const CloudParts cloud;

  std::unique_ptr<AuthMethod> method = {};
  std::unique_ptr<AuthMethod> next_method = {};  // taken by the next login
  std::optional<AuthFsm> fsm = {};
  TokenState state = {};
  Event changed = {};
  Event wake = {};  // something was told to the machine from outside of run()

  OwnToken current = {};                  // token is null when it is not ours
  std::vector<OwnToken> superseded = {};  // ours
  AuthLog log = {};

  std::optional<Error> last_error = {};  // of a login or a renewal

  std::optional<lease::SavedToken> saved = {};  // of the last run, until run() takes it

  bool login_in_flight = false;
  std::optional<ContentId> known_content = {};  // what a login would send

  bool checking = false;  // a lookup-self is in flight
  Event checked = {};
  std::optional<Instant> last_check = {};

  // --- the machine -----------------------------------------------------------------------------

  [[nodiscard]] AuthRules rules() const;
  AuthMethod& next() { return next_method ? *next_method : *method; }

  void tell(Kind kind, Outcome outcome = {});

  [[nodiscard]] std::optional<ContentId> content_now();

  void execute(Action action, Outcome& outcome);

  [[nodiscard]] std::string expiry_action() const;
  void log_failure(std::string_view event, const Error& error, Instant at);
  void recovered();
  void renewed(const vault::Auth& auth);

  // --- what others see -------------------------------------------------------------------------

  [[nodiscard]] Phase phase() const;
  void publish();

  // --- the token -------------------------------------------------------------------------------

  void adopt(vault::Auth auth);
  void drop_token();

  // --- from one run to the next ------------------------------------------------------------------

  [[nodiscard]] std::string login_id() const;

  void resume();

  [[nodiscard]] std::optional<lease::SavedToken> save() const;

  // --- what takes time -------------------------------------------------------------------------

  boost::asio::awaitable<result<vault::Auth>> send_login(std::optional<Duration> limit);

  boost::asio::awaitable<result<>> identified(const vault::Auth& auth);

  boost::asio::awaitable<void> log_in();

  boost::asio::awaitable<void> renew();

  boost::asio::awaitable<void> verify();

  [[nodiscard]] bool may_look_itself_up() const;

  boost::asio::awaitable<bool> token_is_good();

  // --- the loop --------------------------------------------------------------------------------

  boost::asio::awaitable<void> wait();

  boost::asio::awaitable<void> tend();

  boost::asio::awaitable<void> step();

  boost::asio::awaitable<Error> run();

  [[nodiscard]] Error final_error() const;

  result<> configure(Settings next);

  boost::asio::awaitable<void> revoke();
};

[[nodiscard]] MethodTraits traits_of(const AuthMethod& method);

}  // namespace keybearer::auth
