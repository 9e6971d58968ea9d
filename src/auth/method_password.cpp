// Methods "ldap" and "userpass": a user's name and password, as a value or in a file.
//
// Source: Vault API, auth/ldap/login/NAME and auth/userpass/login/NAME. The server lower-cases the
// name.

#include "auth/method.hpp"
#include "auth/refusal.hpp"
#include "base/fingerprint.hpp"
#include "vault/paths.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;

constexpr Remedy kLdapRemedies[] = {
    {400, "failed to bind as user",
     "the password of \"{role}\" in {place} is wrong, or the directory has no such user (servers "
     "lock "
     "a user for a while after 5 wrong logins)"},
    {400, "error connecting to host",
     "the server can't reach its directory (url of {mount}/config): tried again"},
    {400, "",
     "the password of \"{role}\" in {place} is wrong, or the server does not reach its directory"},
    {403, "", kHiddenReason},
    {404, "", kHiddenReason},
};

constexpr Remedy kUserpassRemedies[] = {
    {400, "",
     "put the right password of \"{role}\" at {mount} in {place} (servers lock a user for a while "
     "after 5 wrong logins)"},
    {500, "alias name", "{mount} can't have a user \"{role}\": see auto_auth.method.username"},
    {403, "", kHiddenReason},
    {404, "", kHiddenReason},
};

// What differs: a directory that the server asks may be away, so that its refusal may pass.
struct Kind {
  bool refusal_is_final;
  std::span<const Remedy> remedies;
};

constexpr Kind kLdap{.refusal_is_final = false, .remedies = kLdapRemedies};
constexpr Kind kUserpass{.refusal_is_final = true, .remedies = kUserpassRemedies};

class PasswordMethod : public AuthMethod {
 public:
  PasswordMethod(const config::Method& method, const Kind& kind)
      : kind_(kind),
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
    if (!auth)
      advise(auth.error(), kind_.remedies,
             {.mount = mount_, .role = username_, .place = password_.place()});
    co_return auth;
  }

  bool owns_token() const override { return true; }
  bool reusable() const override { return true; }
  bool refusal_is_final() const override { return kind_.refusal_is_final; }
  bool changeable() const override { return password_.in_file(); }

 private:
  const Kind& kind_;
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
