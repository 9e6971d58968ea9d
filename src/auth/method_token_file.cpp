// Method "token_file": a token that somebody else keeps in a file. One lookup-self tells what it
// is; a new token in the file replaces the old one. With `unwrap` the file holds a wrapping token,
// alone or in the JSON that sinks write (wrap_ttl): it is unwrapped once.
//
// Source: Vault API, auth/token/lookup-self, sys/wrapping/unwrap; rule T9.

#include "auth/method.hpp"
#include "base/fingerprint.hpp"
#include "json/json.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;

// "hvs.x" of {"token":"hvs.x", ...} and of itself.
std::string wrapping_token(std::string_view content) {
  if (!content.starts_with('{')) return std::string(content);
  const auto parsed = json::parse(content);
  return parsed ? std::string(text_at(*parsed, "token")) : "";
}

class TokenFileMethod : public AuthMethod {
 public:
  explicit TokenFileMethod(const config::Method& method)
      : file_(method, "token", "token_file_path"), unwrap_(method.flag("unwrap")) {}

  result<ContentId> look() override {
    if (auto seen = file_.look(); !seen) return std::unexpected(std::move(seen).error());
    if (file_.value().find_first_of("\r\n") != std::string_view::npos && !unwrap_)
      return fail(ErrorKind::config, file_.place() + ": has several lines: a token is one");
    const ContentId content = fingerprint(file_.value());
    if (content != seen_) {
      seen_ = content;
      token_ = unwrap_ ? nullptr : std::make_shared<const Secret>(file_.value());
      compromised_ = unwrap_unanswered_ = false;
    }
    return content;
  }
  asio::awaitable<result<vault::Auth>> login(vault::Client& client,
                                             std::optional<Duration> timeout) override {
    if (!token_) {
      if (auto unwrapped = co_await unwrap(client, timeout); !unwrapped)
        co_return std::unexpected(std::move(unwrapped).error());
    }
    auto auth = co_await client.lookup_self(token_, timeout);
    if (!auth && auth.error().kind == ErrorKind::denied) {
      auth.error().text +=
          "; the token has expired, was revoked, or may not look itself up: put a new one in " +
          file_.place();
    }
    co_return auth;
  }
  bool owns_token() const override { return false; }
  bool reusable() const override { return false; }
  bool changeable() const override { return true; }
  bool watches_credentials() const override { return true; }
  bool compromised() const override { return compromised_; }

 private:
  asio::awaitable<result<>> unwrap(vault::Client& client, std::optional<Duration> timeout) {
    const auto wrapping = std::make_shared<const Secret>(wrapping_token(file_.value()));
    if (wrapping->empty())
      co_return fail(ErrorKind::config, file_.place() + ": JSON without a wrapping token");
    auto reply = co_await client.unwrap(wrapping, timeout);
    if (!reply) {
      unwrap_unanswered_ = unwrap_unanswered_ || may_have_been_done(reply.error());
      co_return unusable(reply.error());
    }
    if (reply->auth) token_ = reply->auth->token;
    if (const auto text = text_at(reply->data(), "token"); !token_ && !text.empty())
      token_ = std::make_shared<const Secret>(text);
    if (token_) co_return result<>{};
    compromised_ = true;
    co_return fail(ErrorKind::denied, file_.place() + ": the wrapping token holds no token");
  }

  std::unexpected<Error> unusable(const Error& error) {
    if (is_outage(error.kind)) return std::unexpected(error);
    if (unwrap_unanswered_) {  // by ourselves, most likely: no theft
      return fail(ErrorKind::denied,
                  "the token was unwrapped and the answer got lost on the way (" + error.text +
                      "): have a new one put in " + file_.place());
    }
    compromised_ = true;
    return fail(ErrorKind::denied, "the wrapping token in " + file_.place() +
                                       " is not valid: it has expired, or somebody else has used "
                                       "it (" +
                                       error.text +
                                       "); treat the token as stolen: have a new one issued");
  }

  Credential file_;
  const bool unwrap_;
  std::optional<ContentId> seen_;  // at the last look
  vault::Token token_;             // of that content; null: not unwrapped yet
  bool unwrap_unanswered_ = false;
  bool compromised_ = false;
};

const AuthMethodRegistration registration(
    "token_file", [](const config::Method& method) -> std::unique_ptr<AuthMethod> {
      return std::make_unique<TokenFileMethod>(method);
    });

}  // namespace
}  // namespace keybearer::auth
