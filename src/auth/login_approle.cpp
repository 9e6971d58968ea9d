// Method "approle": role_id and secret_id, as values or in files; the secret_id may come wrapped.
//
// Source: Vault API, auth/approle/login and sys/wrapping; rule T9 (the creation path of a wrapped
// secret_id is checked before it is unwrapped; one that somebody else has unwrapped is an alarm).

#include <string>

#include "auth/login.hpp"
#include "base/log.hpp"
#include "vault/paths.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;

class AppRoleLogin : public Login {
 public:
  explicit AppRoleLogin(const config::Method& method)
      : method_(method),
        role_file_(method.role_id_file_path),
        secret_file_(method.secret_id_file_path),
        role_id_(method.role_id),
        secret_id_(method.secret_id.clone()),
        have_secret_id_(method.secret_id_given) {
    if (method.secret_id_response_wrapping_path.empty() || secret_id_.empty()) return;
    wrapped_ = std::make_shared<const Secret>(std::move(secret_id_));
    have_secret_id_ = false;
  }

  asio::awaitable<result<vault::Auth>> login(vault::Client& client,
                                             std::optional<Duration> timeout) override {
    if (auto read = read_files(); !read) co_return std::unexpected(std::move(read).error());
    if (wrapped_) {
      auto unwrapped = co_await unwrap(client, timeout);
      if (!unwrapped) co_return std::unexpected(std::move(unwrapped).error());
    }
    auto body =
        vault::json_object({{"role_id", role_id_.reveal()}, {"secret_id", secret_id_.reveal()}});
    auto auth = co_await client.login(mount_path(method_) + "/login", std::move(body),
                                      method_.vault_namespace, timeout);
    if (auth && uses_left_ > 0 && --uses_left_ == 0) spent_ = true;
    // Not before: what a server that is away has not seen must be there for the next start.
    if (auth && method_.remove_secret_id_file_after_reading && !method_.secret_id_given)
      secret_file_.remove();
    if (!auth && !is_outage(auth.error().kind)) auth.error().text += hint(auth.error());
    co_return auth;
  }

  bool owns_token() const override { return true; }
  bool can_login_again() const override { return !spent_ && !compromised_; }
  bool credentials_changed() const override {
    return (!method_.secret_id_given && secret_file_.changed()) ||
           (method_.role_id.empty() && role_file_.changed());
  }
  bool compromised() const override { return compromised_; }

 private:
  // Takes what the files hold now; what is known stays in force when a file has gone.
  result<> read_files() {
    if (method_.role_id.empty()) {
      auto read = role_file_.read();
      if (read) {
        role_id_ = *std::move(read);
      } else if (role_id_.empty()) {
        return std::unexpected(
            std::move(read).error().within("auto_auth.method.role_id_file_path"));
      }
    }
    if (method_.secret_id_given) return {};
    auto read = secret_file_.read();
    if (read) {
      take(*std::move(read));
    } else if (!have_secret_id_ && !wrapped_) {
      return std::unexpected(
          std::move(read).error().within("auto_auth.method.secret_id_file_path"));
    }
    return {};
  }

  void take(Secret content) {
    if (content == last_content_) return;  // a spent wrapping token is not spent twice
    last_content_ = content.clone();
    spent_ = compromised_ = false;
    uses_left_ = 0;
    if (method_.secret_id_response_wrapping_path.empty()) {
      secret_id_ = std::move(content);
      have_secret_id_ = true;
    } else {
      wrapped_ = std::make_shared<const Secret>(std::move(content));
    }
  }

  asio::awaitable<result<>> unwrap(vault::Client& client, std::optional<Duration> timeout) {
    const auto& expected = method_.secret_id_response_wrapping_path;
    const auto wrap = co_await client.wrapping_lookup(wrapped_, timeout);
    if (!wrap) co_return unusable(wrap.error());
    if (wrap->creation_path != expected) {
      co_return alarm("the wrapped secret_id was made at \"" + wrap->creation_path +
                      "\", not at \"" + expected + "\" (secret_id_response_wrapping_path)");
    }
    const auto reply = co_await client.unwrap(wrapped_, timeout);
    if (!reply) co_return unusable(reply.error());
    wrapped_.reset();
    const auto secret_id = text_at(reply->data(), "secret_id");
    if (secret_id.empty()) co_return alarm("the wrapping token holds no secret_id");
    secret_id_ = Secret(secret_id);
    have_secret_id_ = true;
    uses_left_ = static_cast<int>(int_at(reply->data(), "secret_id_num_uses"));
    co_return result<>{};
  }

  std::unexpected<Error> unusable(const Error& error) {
    if (is_outage(error.kind)) return std::unexpected(error);
    return alarm(
        "the wrapping token of the secret_id is not valid: it has expired, or somebody else has "
        "used it (" +
        error.text + ")");
  }

  std::unexpected<Error> alarm(std::string text) {
    wrapped_.reset();
    compromised_ = true;
    return fail(ErrorKind::denied,
                std::move(text) + "; treat the secret_id as stolen: have a new one issued");
  }

  // What may be wrong, by what the server answered; nothing when it has not.
  std::string hint(const Error& error) const {
    if (error.status == 0) return {};
    if (error.status == 403 || error.status == 404) {
      return "; is AppRole mounted at " + mount_path(method_) +
             "? See auto_auth.method.mount_path and namespace (servers also lock a role for a "
             "while after 5 wrong logins)";
    }
    if (error.reason == Reason::invalid_role_id) {
      const auto place = method_.role_id.empty()
                             ? role_file_.path() + " (auto_auth.method.role_id_file_path)"
                             : std::string("VAULT_ROLE_ID or auto_auth.method.role_id");
      return "; the server knows no such role: correct the role_id in " + place;
    }
    const auto place = method_.secret_id_given
                           ? std::string("VAULT_SECRET_ID or auto_auth.method.secret_id")
                           : secret_file_.path();
    return "; the secret_id may have expired or been used up, or does not belong to this role_id: "
           "put a new one in " +
           place + " (servers lock a role for a while after 5 wrong logins)";
  }

  const config::Method& method_;
  CredentialFile role_file_, secret_file_;
  Secret role_id_, secret_id_;
  bool have_secret_id_;
  Secret last_content_;   // of the secret_id file
  vault::Token wrapped_;  // to be unwrapped yet
  int uses_left_ = 0;     // of an unwrapped secret_id; 0: not known, or no limit
  bool spent_ = false;
  bool compromised_ = false;
};

const AuthMethodRegistration registration(
    "approle", [](const config::Method& method) -> std::unique_ptr<Login> {
      return std::make_unique<AppRoleLogin>(method);
    });

}  // namespace
}  // namespace keybearer::auth
