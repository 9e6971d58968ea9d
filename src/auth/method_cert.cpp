// Method "cert": the client certificate of the connection (the configuration gives it to the HTTP
// client, which presents it with every request: a renewal needs it, too).
//
// Source: Vault API, auth/cert/login.

#include "auth/method.hpp"
#include "auth/refusal.hpp"
#include "base/fingerprint.hpp"
#include "vault/paths.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;

constexpr std::string_view kOfVault = "vault.client_cert";

constexpr Remedy kRemedies[] = {
    {400, "tls connection required",
     "the server was asked over plain http: write https:// in vault.address, set "
     "auto_auth.method.client_cert and client_key, and let no proxy end TLS in between"},
    {400, "client certificate must be supplied",
     "no client certificate reached the server: set auto_auth.method.client_cert and client_key "
     "(or "
     "vault's), and let no proxy end TLS in between"},
    {400, "no chain matching",
     "the certificate in {place} does not fit the names that role \"{role}\" at {mount} allows "
     "(common name, alternative names, organizational unit)"},
    {400, "invalid certificate",
     "the certificate in {place} is not signed by an authority that is registered at {mount}, or "
     "auto_auth.method.name is another role's"},
    {400, "", "the certificate in {place}, role \"{role}\" at {mount}"},
    {403, "", kHiddenReason},
    {404, "", kHiddenReason},
};

class CertMethod : public AuthMethod {
 public:
  explicit CertMethod(const config::Method& method)
      : mount_(mount_path(method)),
        vault_namespace_(method.vault_namespace),
        name_(method.text("name")) {
    if (method.has("client_cert"))
      certificate_.emplace(method, "certificate", "client_cert", false);
  }

  // vault.client_cert, where the method has none of its own, counts as one content.
  result<ContentId> look() override {
    if (!certificate_) return fingerprint(mount_);
    if (auto seen = certificate_->look(); !seen) return std::unexpected(std::move(seen).error());
    return fingerprint(certificate_->value());
  }

  asio::awaitable<result<vault::Auth>> login(vault::Client& client,
                                             std::optional<Duration> timeout) override {
    auto body = name_.empty() ? Secret("{}") : vault::json_object({{"name", name_}});
    auto auth =
        co_await client.login(mount_ + "/login", std::move(body), vault_namespace_, timeout);
    if (!auth)
      advise(auth.error(), kRemedies,
             {.mount = mount_,
              .role = name_,
              .place = certificate_ ? certificate_->place() : kOfVault});
    co_return auth;
  }

  bool owns_token() const override { return true; }
  bool reusable() const override { return true; }
  bool refusal_is_final() const override { return false; }
  bool changeable() const override { return certificate_.has_value(); }

 private:
  const std::string mount_;
  const std::optional<std::string> vault_namespace_;
  const std::string name_;
  std::optional<Credential> certificate_;
};

const AuthMethodRegistration registration(
    "cert", [](const config::Method& method) -> std::unique_ptr<AuthMethod> {
      return std::make_unique<CertMethod>(method);
    });

}  // namespace
}  // namespace keybearer::auth
