// Method "token_file": a token that somebody else keeps in a file. One lookup-self tells what it
// is; a new token in the file replaces the old one.

#include "auth/login.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;

class TokenFileLogin : public Login {
 public:
  explicit TokenFileLogin(const config::Method& method) : file_(method.token_file_path) {}

  asio::awaitable<result<vault::Auth>> login(vault::Client& client,
                                             std::optional<Duration> timeout) override {
    const auto text = file_.read();
    if (!text) {
      co_return std::unexpected(Error(text.error()).within("auto_auth.method.token_file_path"));
    }
    auto token = std::make_shared<const Secret>(text->reveal());
    auto auth = co_await client.lookup_self(std::move(token), timeout);
    if (!auth && auth.error().kind == ErrorKind::denied) {
      auth.error().text +=
          "; the token has expired, was revoked, or may not look itself up: put a new one in " +
          file_.path();
    }
    co_return auth;
  }
  bool owns_token() const override { return false; }
  bool can_login_again() const override { return false; }
  bool credentials_changed() const override { return file_.changed(); }
  bool watched() const override { return true; }

 private:
  CredentialFile file_;
};

const AuthMethodRegistration registration(
    "token_file", [](const config::Method& method) -> std::unique_ptr<Login> {
      return std::make_unique<TokenFileLogin>(method);
    });

}  // namespace
}  // namespace keybearer::auth
