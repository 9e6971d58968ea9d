// Method "jwt": a signed token of an identity provider, as a value or in a file.
//
// Source: Vault API, auth/jwt/login. Refusals may pass by themselves: the server fetches the
// provider's keys, and the file is replaced by who writes it.

#include "auth/method.hpp"
#include "base/fingerprint.hpp"
#include "vault/paths.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;

class JwtMethod : public AuthMethod {
 public:
  explicit JwtMethod(const config::Method& method)
      : mount_(mount_path(method)),
        vault_namespace_(method.vault_namespace),
        role_(method.text("role")),
        jwt_(method, "jwt", "path", false) {}

  result<ContentId> look() override {
    if (auto seen = jwt_.look(); !seen) return std::unexpected(std::move(seen).error());
    return fingerprint(jwt_.value());
  }

  asio::awaitable<result<vault::Auth>> login(vault::Client& client,
                                             std::optional<Duration> timeout) override {
    auto body = role_.empty() ? vault::json_object({{"jwt", jwt_.value()}})
                              : vault::json_object({{"role", role_}, {"jwt", jwt_.value()}});
    auto auth =
        co_await client.login(mount_ + "/login", std::move(body), vault_namespace_, timeout);
    if (auth) jwt_.remove_file();
    if (!auth && auth.error().status == 400) {
      auth.error().text +=
          "; role \"" + role_ + "\" at " + mount_ + ", the JWT in " + jwt_.place() +
          ": is whatever writes it running, and do issuer, audience and clock fit?";
    } else if (!auth && (auth.error().status == 403 || auth.error().status == 404)) {
      auth.error().text +=
          "; is jwt mounted at " + mount_ + "? See auto_auth.method.mount_path and namespace";
    }
    co_return auth;
  }

  bool owns_token() const override { return true; }
  bool reusable() const override { return true; }
  bool refusal_is_final() const override { return false; }
  bool changeable() const override { return jwt_.in_file(); }

 private:
  const std::string mount_;
  const std::optional<std::string> vault_namespace_;
  const std::string role_;
  Credential jwt_;
};

const AuthMethodRegistration registration(
    "jwt", [](const config::Method& method) -> std::unique_ptr<AuthMethod> {
      return std::make_unique<JwtMethod>(method);
    });

}  // namespace
}  // namespace keybearer::auth
