#pragma once
// What the log is told of a login and its token: one place for the events and their words. Events:
// auth.login, auth.failed, auth.refused, auth.recovered; token.renewed, token.renewal_failed,
// token.renewal_refused, token.ending, token.invalid, token.lost, token.limited.

#include <optional>
#include <string>
#include <string_view>

#include "auth/auth_fsm.hpp"
#include "base/error.hpp"
#include "vault/client.hpp"

namespace keybearer::auth {

class AuthLog {
 public:
  // What becomes of us when the token ends.
  [[nodiscard]] static std::string expiry_action(config::OnRenewFailure rule, bool relogin_allowed);
  // Why a token is no more.
  [[nodiscard]] static std::string loss(End end);

  // One line when the reason changes, not one for each try; the next try is at `at`.
  void failure(std::string_view event, const Error& error, Instant at);
  void recovered();

  static void login(std::string_view method, std::string_view mount, const vault::Auth& auth);
  static void renewed(const vault::Auth& auth, const std::string& accessor);
  // `warns`: nothing else will be said of it.
  static void renewal_refused(const Error& error, const std::string& accessor, bool warns);
  static void refused(const Error& error, std::string next);
  static void ending(Duration left, std::string next);
  static void invalid(const std::string& accessor);
  static void lost(End end, const std::string& accessor, std::string next);

 private:
  std::optional<ErrorKind> failing_;
};

}  // namespace keybearer::auth
