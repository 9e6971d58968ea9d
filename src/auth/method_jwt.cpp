// Method "jwt": a signed token of an identity provider, as a value, in a variable of any name, or in a
// file.
//
// Source: Vault API, auth/jwt/login. Refusals may pass by themselves: the server fetches the
// provider's keys, and the file is replaced by who writes it.

#include "auth/jwt.hpp"
#include "auth/method.hpp"
#include "auth/refusal.hpp"
#include "base/fingerprint.hpp"
#include "vault/paths.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;

constexpr Remedy kRemedies[] = {
    {400, "could not be found", kNoSuchRole},
    {400, "missing role", "set auto_auth.method.role: {mount} has no default_role"},
    {400, "could not load configuration", "{mount} is not configured: `vault read {mount}/config`"},
    {400, "token is expired",
     "the JWT in {place} has expired: is whatever writes it running? {about}"},
    {400, "not yet valid",
     "the JWT in {place} is not valid yet: compare the clocks of its issuer, of this host and of "
     "the "
     "server; {about}"},
    {400, "audience",
     "the JWT in {place} is for another audience than bound_audiences of role \"{role}\" at "
     "{mount}: "
     "ask its issuer for that one (a projected volume's audience), or change the role; {about}"},
    {400, "issuer", "the JWT in {place} has another issuer than {mount}/config allows; {about}"},
    {400, "claim ",
     "the JWT in {place} does not have the claims that role \"{role}\" at {mount} is bound to; "
     "{about}"},
    {400, "fetching keys",
     "the server can't reach the keys of the issuer (jwks_url): tried again; {about}"},
    {400, "signature",
     "the JWT in {place} is signed by a key that the server does not know: have the issuer's keys "
     "rotated, or is it another cluster's? {about}"},
    {400, "", "role \"{role}\" at {mount}, the JWT in {place}; {about}"},
    {403, "", kHiddenReason},
    {404, "", kHiddenReason},
};

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
    if (!auth)
      advise(auth.error(), kRemedies,
             {.mount = mount_,
              .role = role_,
              .place = jwt_.place(),
              .about = describe_jwt(jwt_.value(), wall_now())});
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
