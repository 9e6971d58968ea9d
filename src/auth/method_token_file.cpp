// Method "token_file": a token that somebody else keeps in a file. One lookup-self tells what it
// is; a new token in the file replaces the old one.

#include "auth/method.hpp"
#include "base/fingerprint.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;

class TokenFileMethod : public AuthMethod {
 public:
  explicit TokenFileMethod(const config::Method& method)
      : token_(method, "token", "token_file_path") {}

  result<ContentId> look() override {
    if (auto seen = token_.look(); !seen) return std::unexpected(std::move(seen).error());
    return fingerprint(token_.value());
  }
  asio::awaitable<result<vault::Auth>> login(vault::Client& client,
                                             std::optional<Duration> timeout) override {
    auto auth =
        co_await client.lookup_self(std::make_shared<const Secret>(token_.value()), timeout);
    if (!auth && auth.error().kind == ErrorKind::denied) {
      auth.error().text +=
          "; the token has expired, was revoked, or may not look itself up: put a new one in " +
          token_.place();
    }
    co_return auth;
  }
  bool owns_token() const override { return false; }
  bool reusable() const override { return false; }
  bool changeable() const override { return true; }
  bool watches_credentials() const override { return true; }

 private:
  Credential token_;
};

const AuthMethodRegistration registration(
    "token_file", [](const config::Method& method) -> std::unique_ptr<AuthMethod> {
      return std::make_unique<TokenFileMethod>(method);
    });

}  // namespace
}  // namespace keybearer::auth
