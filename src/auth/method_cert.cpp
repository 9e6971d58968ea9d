// Method "cert": the client certificate of the connection (the configuration gives it to the HTTP
// client, which presents it with every request: a renewal needs it, too).
//
// Source: Vault API, auth/cert/login.

#include "auth/method.hpp"
#include "base/fingerprint.hpp"
#include "vault/paths.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;

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
    if (!auth && auth.error().status == 400) {
      auth.error().text +=
          "; is auto_auth.method.client_cert (or vault.client_cert) set, signed by an authority "
          "that "
          "is registered at " +
          mount_ + ", and does no proxy end TLS in between?";
    } else if (!auth && (auth.error().status == 403 || auth.error().status == 404)) {
      auth.error().text +=
          "; is cert mounted at " + mount_ + "? See auto_auth.method.mount_path and namespace";
    }
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
