// Method "token": a token that was made elsewhere (VAULT_TOKEN, BAO_TOKEN). One lookup-self tells
// what it is.

#include "auth/method.hpp"
#include "base/fingerprint.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;

class TokenMethod : public AuthMethod {
 public:
  explicit TokenMethod(const config::Method& method) : token_(method.secret("token")) {}

  result<ContentId> look() override {
    if (!token_) return fail(ErrorKind::config, "auto_auth.method.token: not given");
    return fingerprint(token_->reveal());
  }
  asio::awaitable<result<vault::Auth>> login(vault::Client& client,
                                             std::optional<Duration> timeout) override {
    auto auth = co_await client.lookup_self(token_, timeout);
    if (!auth && auth.error().kind == ErrorKind::denied) {
      auth.error().text +=
          "; the token has expired, was revoked, or may not look itself up: put a new one in "
          "VAULT_TOKEN";
    }
    co_return auth;
  }
  bool owns_token() const override { return false; }
  bool reusable() const override { return false; }

 private:
  vault::Token token_;
};

const AuthMethodRegistration registration(
    "token", [](const config::Method& method) -> std::unique_ptr<AuthMethod> {
      return std::make_unique<TokenMethod>(method);
    });

}  // namespace
}  // namespace keybearer::auth
