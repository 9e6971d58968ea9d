// Method "kubernetes": the pod's service account token, read again at each login (the kubelet
// replaces it).
//
// Source: Vault API, auth/kubernetes/login. The server's 403 hides its reason and comes also when
// its API server is away: refusals may pass by themselves.

#include "auth/jwt.hpp"
#include "auth/method.hpp"
#include "auth/refusal.hpp"
#include "base/fingerprint.hpp"
#include "vault/paths.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;

constexpr Remedy kRemedies[] = {
    {400, "role name", kNoSuchRole},
    {400, "", "role \"{role}\" at {mount}, the token in {place}; {about}"},
    {403, "token is expired", "the token in {place} has expired: is the kubelet running? {about}"},
    {403, "audience",
     "role \"{role}\" at {mount} wants another audience than the token in {place} has: add a "
     "projected "
     "serviceAccountToken volume with that audience, and set auto_auth.method.token_path; {about}"},
    {403, "not authorized",
     "the pod's service account is not among bound_service_account_names and _namespaces of role "
     "\"{role}\" at {mount}; the token in {place}: {about}"},
    {403, "",
     "TokenReview refused the token in {place} for role \"{role}\", or was unreachable (the "
     "reviewer's token expired, no system:auth-delegator, a deleted pod, the API server away: the "
     "server's debug log has the reason), or no kubernetes method is mounted at {mount} in this "
     "namespace; {about}"},
    {404, "", kHiddenReason},
};

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
    if (!auth)
      advise(auth.error(), kRemedies,
             {.mount = mount_,
              .role = role_,
              .place = token_.place(),
              .about = describe_jwt(token_.value(), wall_now())});
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
