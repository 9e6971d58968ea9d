#pragma once
// Auth methods: how to come by a token. One file method_NAME.cpp per method (method_password.cpp for
// those with a user name and a password), which registers itself; its keys are data in
// config/methods/NAME.cpp, and no other file names it.
//
//     const AuthMethodRegistration registration(
//         "jwt", [](const config::Method& method) -> std::unique_ptr<AuthMethod> { ... });
//
// A method owns its credentials in memory. Files are looked at again before each login; a file that
// has gone since is no error as long as the last good content is known (behaviour section 7,
// "missing token_file").
//
// Source: Vault HTTP API, auth/METHOD/login; rules T9, T10, T13.

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "auth/cloud.hpp"
#include "auth/credential.hpp"
#include "base/error.hpp"
#include "config/config.hpp"
#include "vault/client.hpp"

namespace keybearer::auth {

class AuthMethod {
 public:
  virtual ~AuthMethod() = default;

  // Looks at the credentials and says what a login would send now. Reads files only when they are
  // others than at the last look. Error kind config: there is nothing to log in with.
  [[nodiscard]] virtual result<ContentId> look() = 0;

  // Sends what the last look() found. Kinds: denied, refused, not_found when the server answered
  // no; the outage kinds when no answer came. `timeout`: of each request.
  [[nodiscard]] virtual boost::asio::awaitable<result<vault::Auth>> login(
      vault::Client& client, std::optional<Duration> timeout) = 0;

  // True: tokens are made for us, and are ours to revoke. False: we were handed a token that
  // belongs to somebody else.
  [[nodiscard]] virtual bool owns_token() const = 0;

  // False when the present content can't log in (again): spent, stolen, or nothing to log in with.
  [[nodiscard]] virtual bool reusable() const = 0;

  // False where a refusal may pass by itself, because a third party is asked (LDAP, TokenReview):
  // tried again, slowly. True: a refused content is not sent again while the old token lives.
  [[nodiscard]] virtual bool refusal_is_final() const { return true; }

  // True when new credentials replace the token as soon as they are there, not only when it ends.
  [[nodiscard]] virtual bool watches_credentials() const { return false; }

  // True when the credentials are in files, so that others may come.
  [[nodiscard]] virtual bool changeable() const { return false; }

  // Now and then while nothing is due, for credentials that somebody has to be asked for: fetches
  // their successors before they end, and after a refusal looks whether there are others (which is
  // what look() says then). What it gives is an alarm: they are about to end, and nothing has come in
  // their place; "": none.
  [[nodiscard]] virtual boost::asio::awaitable<std::string> tend() { co_return ""; }
  [[nodiscard]] virtual Instant tend_at() const { return Instant::max(); }

  // True after an answer that smells of theft (a wrapping token that somebody else has used):
  // alarm, and no further try with these credentials.
  [[nodiscard]] virtual bool compromised() const { return false; }
};

class AuthMethodRegistration {
 public:
  using Make = std::unique_ptr<AuthMethod> (*)(const config::Method& method);
  // Of a method that asks others than the server for its credentials.
  using MakeInCloud = std::unique_ptr<AuthMethod> (*)(const config::Method& method,
                                                      const CloudParts& cloud);
  // Only for objects of static storage duration.
  AuthMethodRegistration(std::string_view type, Make make) noexcept;
  AuthMethodRegistration(std::string_view type, MakeInCloud make) noexcept;

 private:
  friend result<std::unique_ptr<AuthMethod>> make_auth_method(const config::Method& method,
                                                              const CloudParts& cloud);
  std::string_view type_;
  Make make_ = nullptr;
  MakeInCloud make_in_cloud_ = nullptr;
  const AuthMethodRegistration* next_;
};

// Error kind config: no such method.
[[nodiscard]] result<std::unique_ptr<AuthMethod>> make_auth_method(const config::Method& method,
                                                                   const CloudParts& cloud = {});

// Where the method is mounted, "auth/approle", from what the configuration says with or without
// "auth/".
[[nodiscard]] std::string mount_path(const config::Method& method);

// The request went out, and what came back (half an answer, a gateway's page) does not say that the
// server has not acted on it.
[[nodiscard]] bool may_have_been_done(const Error& error);

// A value that the configuration gives as it is or in a file: `key`, or the file of the key that
// stands for it.
class Credential {
 public:
  // `file_key` may be "" or not set.
  Credential(const config::Method& method, std::string_view key, std::string_view file_key,
             bool warns = true);

  // Takes what the file holds now; what is known stays in force when it can't be read. Error kind
  // config with the key: nothing is known.
  [[nodiscard]] result<> look();
  [[nodiscard]] std::string_view value() const;  // until the next look()
  [[nodiscard]] bool in_file() const { return file_.has_value(); }
  // "VAULT_ROLE_ID or auto_auth.method.role_id", or the file: where a new one is put.
  [[nodiscard]] const std::string& place() const { return place_; }

  // After a good login: removes the file, if the configuration wants it and it is still the one that
  // was read (T13). Logs what it did.
  void remove_file();

 private:
  std::shared_ptr<const Secret> given_;
  std::optional<CredentialFile> file_;
  std::string name_, key_, removed_by_, hint_, place_;
  bool removal_failed_ = false;
};

}  // namespace keybearer::auth
