#pragma once
// Auth methods: how to come by a token. One file login_NAME.cpp per method, which registers itself;
// no other file names a method.
//
//     namespace { const RegisterLogin approle{"approle", [](const config::Method& m) ->
//     std::unique_ptr<Login> { ... }}; }
//
// A method owns its credentials in memory. Its files are read anew at each login; a file that has
// gone since is no error as long as the last good content is still known (rules: behaviour section
// 7, "missing token_file").

#include <sys/stat.h>

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/secret.hpp"
#include "config/config.hpp"
#include "vault/client.hpp"

namespace keybearer::auth {

class Login {
 public:
  virtual ~Login() = default;

  // Kinds: denied, refused, not_found when the server answered no; config when a credential is
  // missing or unreadable; the outage kinds when no answer came. `timeout`: of each request.
  [[nodiscard]] virtual boost::asio::awaitable<result<vault::Auth>> login(
      vault::Client& client, std::optional<Duration> timeout) = 0;

  // True: tokens are made for us, and are ours to revoke. False: we were handed a token that
  // belongs to somebody else.
  [[nodiscard]] virtual bool owns_token() const = 0;

  // False when another login with the present credentials can't succeed (spent, or there is nothing
  // to log in with).
  [[nodiscard]] virtual bool can_login_again() const = 0;

  // True when the credentials' file is another one than at the last login. Looks at the file's
  // status only.
  [[nodiscard]] virtual bool credentials_changed() const = 0;

  // True when new credentials replace the token as soon as they are there, not only when it ends.
  [[nodiscard]] virtual bool watched() const { return false; }

  // True after an answer that smells of theft (a wrapping token that somebody else has used):
  // alarm, and no further try with these credentials.
  [[nodiscard]] virtual bool compromised() const { return false; }
};

class AuthMethodRegistration {
 public:
  using Make = std::unique_ptr<Login> (*)(const config::Method& method);
  AuthMethodRegistration(std::string_view type,
                         Make make) noexcept;  // only for objects of static storage duration

 private:
  friend result<std::unique_ptr<Login>> make_auth_method(const config::Method& method);
  std::string_view type_;
  Make make_;
  const AuthMethodRegistration* next_;
};

// Error kind config: no such method. `method` must outlive the result.
[[nodiscard]] result<std::unique_ptr<Login>> make_auth_method(const config::Method& method);

// Where the method is mounted, "auth/approle", from what the configuration says with or without
// "auth/".
[[nodiscard]] std::string mount_path(const config::Method& method);

// A credential in a file: read whole, white space at its ends trimmed, its identity remembered.
class CredentialFile {
 public:
  explicit CredentialFile(std::string path) : path_(std::move(path)) {}

  // Error kind config with the path: missing, empty, larger than 64 KiB, not a regular file. Warns
  // when others may read the file.
  [[nodiscard]] result<Secret> read();
  // Another file, or other times or size, than at the last read(); a missing one never.
  [[nodiscard]] bool changed() const;
  // Logs a failure.
  void remove() const;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  struct Identity {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    long long modified_ns = 0;
    friend bool operator==(const Identity&, const Identity&) = default;
  };
  static Identity identity_of(const struct stat& status);

  std::string path_;
  Identity last_;
  bool warned_ = false;
};

}  // namespace keybearer::auth
