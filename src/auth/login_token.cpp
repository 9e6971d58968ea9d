// Method "token": a token that was made elsewhere (VAULT_TOKEN, BAO_TOKEN). One lookup-self tells
// what it is.

#include "auth/login.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;

class TokenLogin : public Login {
 public:
  explicit TokenLogin(const config::Method& method)
      : token_(std::make_shared<const Secret>(method.token.clone())) {}

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
  bool can_login_again() const override { return false; }
  bool credentials_changed() const override { return false; }

 private:
  vault::Token token_;
};

const AuthMethodRegistration registration(
    "token", [](const config::Method& method) -> std::unique_ptr<Login> {
      return std::make_unique<TokenLogin>(method);
    });

}  // namespace
}  // namespace keybearer::auth
