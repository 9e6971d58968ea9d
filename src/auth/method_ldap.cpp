// Method "ldap": a user's name and password, as a value or in a file.
//
// Source: Vault API, auth/ldap/login/NAME. The server lower-cases the name.

#include "auth/method.hpp"
#include "base/fingerprint.hpp"
#include "vault/paths.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;

class LdapMethod : public AuthMethod {
 public:
  explicit LdapMethod(const config::Method& method)
      : mount_(mount_path(method)),
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
      auth.error().text += "; the password of \"" + username_ + "\" in " + password_.place() +
                           " is wrong, or the server does not reach its directory";
    } else if (!auth && (auth.error().status == 403 || auth.error().status == 404)) {
      auth.error().text += "; is ldap mounted at " + mount_ +
                           "? See auto_auth.method.mount_path and namespace (servers also lock a "
                           "user for a while after 5 wrong logins)";
    }
    co_return auth;
  }

  bool owns_token() const override { return true; }
  bool reusable() const override { return true; }
  bool refusal_is_final() const override { return false; }  // the directory may be away
  bool changeable() const override { return password_.in_file(); }

 private:
  const std::string mount_;
  const std::optional<std::string> vault_namespace_;
  const std::string username_;
  Credential password_;
};

const AuthMethodRegistration registration(
    "ldap", [](const config::Method& method) -> std::unique_ptr<AuthMethod> {
      return std::make_unique<LdapMethod>(method);
    });

}  // namespace
}  // namespace keybearer::auth
