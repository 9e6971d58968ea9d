// Method "token": a token that was made elsewhere (VAULT_TOKEN, BAO_TOKEN), or with token_helper the
// one that `vault login` has left in ~/.vault-token. One lookup-self tells what it is.

#include <cstdlib>

#include "auth/method.hpp"
#include "base/fingerprint.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;

class TokenMethod : public AuthMethod {
 public:
  explicit TokenMethod(const config::Method& method) : token_(method.secret("token")) {
    const char* home = std::getenv("HOME");
    if (token_ || !method.flag("token_helper") || home == nullptr) return;
    file_.emplace(std::string(home) + "/.vault-token");
  }

  result<ContentId> look() override {
    if (file_) {
      auto seen = file_->look();
      if (!seen && file_->content().empty())
        return std::unexpected(
            std::move(seen).error().within("auto_auth.method.token_helper (vault login)"));
      return fingerprint(file_->content().reveal());
    }
    if (!token_) return fail(ErrorKind::config, "auto_auth.method.token: not given");
    return fingerprint(token_->reveal());
  }
  asio::awaitable<result<vault::Auth>> login(vault::Client& client,
                                             std::optional<Duration> timeout) override {
    auto token = file_ ? std::make_shared<const Secret>(file_->content().reveal()) : token_;
    auto auth = co_await client.lookup_self(std::move(token), timeout);
    if (!auth && auth.error().kind == ErrorKind::denied) {
      auth.error().text +=
          "; the token has expired, was revoked, or may not look itself up: put a new one in " +
          (file_ ? file_->path() : "VAULT_TOKEN");
    }
    co_return auth;
  }
  bool owns_token() const override { return false; }
  bool reusable() const override { return false; }
  bool changeable() const override { return file_.has_value(); }
  bool watches_credentials() const override { return file_.has_value(); }

 private:
  vault::Token token_;
  std::optional<CredentialFile> file_;  // where no token is given
};

const AuthMethodRegistration registration(
    "token", [](const config::Method& method) -> std::unique_ptr<AuthMethod> {
      return std::make_unique<TokenMethod>(method);
    });

}  // namespace
}  // namespace keybearer::auth
