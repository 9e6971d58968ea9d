// Method "aws", type iam: the server asks STS who signed a request that we send along. Credentials
// come from where AWS's own programs look for them (auth/aws/sources.hpp).
//
// Source: Vault API, auth/aws/login. Refusals may pass by themselves: the server asks STS, and
// credentials are replaced while we run.

#include "auth/aws/login_request.hpp"
#include "auth/aws/provider.hpp"
#include "auth/aws/remedy.hpp"
#include "auth/method.hpp"
#include "base/redactor.hpp"
#include "config/load.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;

constexpr Duration kPoll = std::chrono::minutes(1);
constexpr Duration kPollAfterRefusal = std::chrono::seconds(10);

class AwsMethod : public AuthMethod {
 public:
  AwsMethod(const config::Method& method, const CloudParts& cloud)
      : mount_(mount_path(method)),
        vault_namespace_(method.vault_namespace),
        role_(method.text("role")),
        header_value_(method.text("header_value")),
        now_(cloud.now),
        poll_(config::parse_duration(method.text("credential_poll_interval")).value_or(kPoll)),
        provider_(method, cloud) {}

  result<ContentId> look() override { return provider_.look(); }

  asio::awaitable<result<vault::Auth>> login(vault::Client& client,
                                             std::optional<Duration> timeout) override {
    const Instant began = Clock::now();
    const auto sts = co_await provider_.endpoint();
    if (!sts) co_return std::unexpected(sts.error());
    const auto keys = co_await provider_.keys();
    if (!keys) co_return std::unexpected(keys.error());
    const aws::LoginRequest request{
        .role = role_, .header_value = header_value_, .sts = *sts, .now = now_()};
    hide(aws::login_authorization(request, **keys));
    if (timeout) timeout = std::max<Duration>(*timeout - (Clock::now() - began), Duration(1));
    auto auth = co_await client.login(mount_ + "/login", aws::login_body(request, **keys),
                                      vault_namespace_, timeout);
    refused_ = !auth && auth.error().status != 0;
    tend_at_ = Clock::now() + (refused_ ? std::min(poll_, kPollAfterRefusal) : poll_);
    if (!refused_) co_return auth;
    provider_.forget();  // whatever it was: the next try is with fresh ones
    co_return std::unexpected(
        aws::explained(std::move(auth).error(),
                       {.mount = mount_,
                        .role = role_,
                        .header_value = header_value_,
                        .sts = *sts,
                        .source = provider_.source_text(),
                        .access_key_id = (*keys)->access_key_id,
                        .expires = (*keys)->expires ? aws::time_text(*(*keys)->expires) : "",
                        .now = aws::time_text(request.now)}));
  }

  asio::awaitable<std::string> tend() override {
    tend_at_ = Clock::now() + (refused_ ? std::min(poll_, kPollAfterRefusal) : poll_);
    return provider_.tend();
  }
  Instant tend_at() const override { return tend_at_; }

  bool owns_token() const override { return true; }
  bool reusable() const override { return true; }
  bool refusal_is_final() const override { return false; }
  bool changeable() const override { return true; }

 private:
  // The signature is good for 15 min.
  static void hide(const Secret& authorization) {
    const auto text = authorization.reveal();
    redactor().add_credential(text.substr(text.rfind('=') + 1));
  }

  const std::string mount_;
  const std::optional<std::string> vault_namespace_;
  const std::string role_, header_value_;
  const std::function<WallTime()> now_;
  const Duration poll_;
  Instant tend_at_ = Instant::max();  // from the first login on
  bool refused_ = false;              // the last login
  aws::CredentialProvider provider_;
};

const AuthMethodRegistration registration("aws",
                                          [](const config::Method& method, const CloudParts& cloud)
                                              -> std::unique_ptr<AuthMethod> {
                                            return std::make_unique<AwsMethod>(method, cloud);
                                          });

}  // namespace
}  // namespace keybearer::auth
