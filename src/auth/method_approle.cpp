// Method "approle": role_id and secret_id, as values or in files; the secret_id may come wrapped.
//
// Source: Vault API, auth/approle/login and sys/wrapping; rule T9 (the creation path of a wrapped
// secret_id is checked before it is unwrapped; one that somebody else has unwrapped is an alarm).

#include <string>

#include "auth/method.hpp"
#include "base/fingerprint.hpp"
#include "vault/paths.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;

class AppRoleMethod : public AuthMethod {
 public:
  explicit AppRoleMethod(const config::Method& method)
      : mount_(mount_path(method)),
        vault_namespace_(method.vault_namespace),
        wrapping_path_(method.text("secret_id_response_wrapping_path")),
        role_id_(method, "role_id", "role_id_file_path"),
        secret_id_(method, "secret_id", "secret_id_file_path") {}

  result<ContentId> look() override {
    if (auto seen = role_id_.look(); !seen) return std::unexpected(std::move(seen).error());
    if (auto seen = secret_id_.look(); !seen) return std::unexpected(std::move(seen).error());
    const ContentId secret_id = fingerprint(secret_id_.value());
    if (secret_id != seen_) {  // a spent wrapping token is not spent twice
      seen_ = secret_id;
      unwrapped_.clear();
      uses_left_.reset();
      compromised_ = unwrap_unanswered_ = false;
    }
    return fingerprint(std::string(role_id_.value()) + '\0' + std::to_string(secret_id));
  }

  asio::awaitable<result<vault::Auth>> login(vault::Client& client,
                                             std::optional<Duration> timeout) override {
    const bool wrapped = !wrapping_path_.empty() && !secret_id_.value().empty();
    if (wrapped && unwrapped_.empty()) {
      auto unwrapped = co_await unwrap(client, timeout);
      if (!unwrapped) co_return std::unexpected(std::move(unwrapped).error());
    }
    auto body =
        vault::json_object({{"role_id", role_id_.value()},
                            {"secret_id", wrapped ? unwrapped_.reveal() : secret_id_.value()}});
    auto auth =
        co_await client.login(mount_ + "/login", std::move(body), vault_namespace_, timeout);
    if (auth && uses_left_) --*uses_left_;
    // Not before: what a server that is away has not seen must be there for the next start.
    if (auth) secret_id_.remove_file();
    if (!auth && !is_outage(auth.error().kind)) auth.error().text += hint(auth.error());
    co_return auth;
  }

  bool owns_token() const override { return true; }
  bool reusable() const override { return !compromised_ && (!uses_left_ || *uses_left_ > 0); }
  bool changeable() const override { return role_id_.in_file() || secret_id_.in_file(); }
  bool compromised() const override { return compromised_; }

 private:
  asio::awaitable<result<>> unwrap(vault::Client& client, std::optional<Duration> timeout) {
    const auto token = std::make_shared<const Secret>(secret_id_.value());
    const auto wrap = co_await client.wrapping_lookup(token, timeout);
    if (!wrap) co_return unusable(wrap.error());
    if (wrap->creation_path != wrapping_path_) {
      co_return alarm("the wrapped secret_id was made at \"" + wrap->creation_path +
                      "\", not at \"" + wrapping_path_ + "\" (secret_id_response_wrapping_path)");
    }
    const auto reply = co_await client.unwrap(token, timeout);
    if (!reply) {
      unwrap_unanswered_ = unwrap_unanswered_ || may_have_been_done(reply.error());
      co_return unusable(reply.error());
    }
    const auto secret_id = text_at(reply->data(), "secret_id");
    if (secret_id.empty()) co_return alarm("the wrapping token holds no secret_id");
    unwrapped_ = Secret(secret_id);
    const auto uses = static_cast<int>(int_at(reply->data(), "secret_id_num_uses"));
    if (uses > 0) uses_left_ = uses;
    co_return result<>{};
  }

  std::unexpected<Error> unusable(const Error& error) {
    if (is_outage(error.kind)) return std::unexpected(error);
    if (unwrap_unanswered_) {  // by ourselves, most likely: no theft
      uses_left_ = 0;
      return fail(ErrorKind::denied,
                  "the secret_id was unwrapped and the answer got lost on the way (" + error.text +
                      "): have a new one issued");
    }
    return alarm(
        "the wrapping token of the secret_id is not valid: it has expired, or somebody else has "
        "used it (" +
        error.text + ")");
  }

  std::unexpected<Error> alarm(std::string text) {
    compromised_ = true;
    return fail(ErrorKind::denied,
                std::move(text) + "; treat the secret_id as stolen: have a new one issued");
  }

  // What may be wrong, by what the server answered; nothing when it has not.
  std::string hint(const Error& error) const {
    if (error.status == 0 || error.reason == Reason::no_namespace) return {};
    if (error.status == 403 || error.status == 404) {
      return "; is AppRole mounted at " + mount_ +
             "? See auto_auth.method.mount_path and namespace (servers also lock a role for a "
             "while after 5 wrong logins)";
    }
    if (error.reason == Reason::invalid_role_id) {
      return "; the server knows no such role: correct the role_id in " + role_id_.place() +
             (role_id_.in_file() ? " (auto_auth.method.role_id_file_path)" : "");
    }
    if (error.text.contains("CIDR")) {
      return "; this host's address is not among the role's secret_id_bound_cidrs, or those that "
             "the "
             "secret_id was issued for";
    }
    return "; the secret_id may have expired or been used up, or does not belong to this role_id: "
           "put a new one in " +
           secret_id_.place() + " (servers lock a role for a while after 5 wrong logins)";
  }

  const std::string mount_;
  const std::optional<std::string> vault_namespace_;
  const std::string wrapping_path_;
  Credential role_id_, secret_id_;
  std::optional<ContentId> seen_;  // of secret_id_, at the last look
  Secret unwrapped_;
  std::optional<int> uses_left_;  // of an unwrapped secret_id; nullopt: not known, or no limit
  bool unwrap_unanswered_ = false;
  bool compromised_ = false;
};

const AuthMethodRegistration registration(
    "approle", [](const config::Method& method) -> std::unique_ptr<AuthMethod> {
      return std::make_unique<AppRoleMethod>(method);
    });

}  // namespace
}  // namespace keybearer::auth
