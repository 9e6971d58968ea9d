// Method "kubernetes": the pod's service account token, read again at each login (the kubelet
// replaces it).
//
// Source: Vault API, auth/kubernetes/login. The server's 403 hides its reason and comes also when
// its API server is away: refusals may pass by themselves.

#include "auth/method.hpp"
#include "base/fingerprint.hpp"
#include "vault/paths.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;

class KubernetesMethod : public AuthMethod {
 public:
  explicit KubernetesMethod(const config::Method& method)
      : mount_(mount_path(method)),
        vault_namespace_(method.vault_namespace),
        role_(method.text("role")),
        token_(method, "token", "token_path", false) {}

  result<ContentId> look() override {
    if (auto seen = token_.look(); !seen) return std::unexpected(std::move(seen).error());
    return fingerprint(token_.value());
  }

  asio::awaitable<result<vault::Auth>> login(vault::Client& client,
                                             std::optional<Duration> timeout) override {
    auto auth = co_await client.login(
        mount_ + "/login", vault::json_object({{"role", role_}, {"jwt", token_.value()}}),
        vault_namespace_, timeout);
    if (!auth && auth.error().status == 403) {
      auth.error().text +=
          "; TokenReview refused " + token_.place() + " for role \"" + role_ +
          "\" or was unreachable (reviewer's token expired, no system:auth-delegator, another "
          "audience, API server away: the server's debug log has the reason), or no kubernetes "
          "method is mounted at " +
          mount_;
    } else if (!auth && auth.error().status == 400) {
      auth.error().text += "; does role \"" + role_ + "\" exist at " + mount_ + "?";
    }
    co_return auth;
  }

  bool owns_token() const override { return true; }
  bool reusable() const override { return true; }
  bool refusal_is_final() const override { return false; }
  bool changeable() const override { return true; }

 private:
  const std::string mount_;
  const std::optional<std::string> vault_namespace_;
  const std::string role_;
  Credential token_;
};

const AuthMethodRegistration registration(
    "kubernetes", [](const config::Method& method) -> std::unique_ptr<AuthMethod> {
      return std::make_unique<KubernetesMethod>(method);
    });

}  // namespace
}  // namespace keybearer::auth
