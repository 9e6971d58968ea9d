// Methods "ldap" and "userpass": a user's name and password, as a value or in a file.
//
// Source: Vault API, auth/ldap/login/NAME and auth/userpass/login/NAME. The server lower-cases the
// name.

#include "auth/method.hpp"
#include "base/fingerprint.hpp"
#include "vault/paths.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;

constexpr const char* kLockout = "servers also lock a user for a while after 5 wrong logins";

// What differs: a directory that the server asks may be away, so that its refusal may pass.
struct Kind {
  bool refusal_is_final;
  std::string (*refused)(const std::string& username, const std::string& place);
};

constexpr Kind kLdap{
    .refusal_is_final = false,
    .refused =
        [](const std::string& username, const std::string& place) {
          return "; the password of \"" + username + "\" in " + place +
                 " is wrong, or the server does not reach its directory";
        },
};

constexpr Kind kUserpass{
    .refusal_is_final = true,
    .refused =
        [](const std::string& username, const std::string& place) {
          return "; put the right password of \"" + username + "\" in " + place +
                 " (servers lock a user for a while after 5 wrong logins)";
        },
};

class PasswordMethod : public AuthMethod {
 public:
  PasswordMethod(const config::Method& method, const Kind& kind)
      : kind_(kind),
        type_(method.type),
        mount_(mount_path(method)),
        vault_namespace_(method.vault_namespace),
        username_(method.text("username")),
        password_(method, "password", "password_file_path") {}

  result<ContentId> look() override {
    if (auto seen = password_.look(); !seen) return std::unexpected(std::move(seen).error());
    return fingerprint(password_.value());
  }

  asio::awaitable<result<vault::Auth>> login(vault::Client& client,
                                             std::optional<Duration> timeout) override {
    auto auth = co_await client.login(mount_ + "/login/" + username_,
                                      vault::json_object({{"password", password_.value()}}),
                                      vault_namespace_, timeout);
    if (auth) password_.remove_file();
    if (!auth && auth.error().status == 400) {
      auth.error().text += kind_.refused(username_, password_.place());
    } else if (!auth && (auth.error().status == 403 || auth.error().status == 404)) {
      auth.error().text += "; is " + type_ + " mounted at " + mount_ +
                           "? See auto_auth.method.mount_path and namespace (" + kLockout + ")";
    }
    co_return auth;
  }

  bool owns_token() const override { return true; }
  bool reusable() const override { return true; }
  bool refusal_is_final() const override { return kind_.refusal_is_final; }
  bool changeable() const override { return password_.in_file(); }

 private:
  const Kind& kind_;
  const std::string type_;
  const std::string mount_;
  const std::optional<std::string> vault_namespace_;
  const std::string username_;
  Credential password_;
};

const AuthMethodRegistration ldap("ldap",
                                  [](const config::Method& method) -> std::unique_ptr<AuthMethod> {
                                    return std::make_unique<PasswordMethod>(method, kLdap);
                                  });

const AuthMethodRegistration userpass(
    "userpass", [](const config::Method& method) -> std::unique_ptr<AuthMethod> {
      return std::make_unique<PasswordMethod>(method, kUserpass);
    });

}  // namespace
}  // namespace keybearer::auth
