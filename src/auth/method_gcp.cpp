// Method "gcp": the identity of a Google Cloud instance (login_type "gce"), or of a service account
// (login_type "iam"): signed by its key file, or by the IAM Credentials API for the instance.
//
// Source: Vault API, auth/gcp/login. Refusals may pass by themselves: the server asks Google, and
// each login brings a new token.

#include "auth/cloud.hpp"
#include "auth/cloud_documents.hpp"
#include "auth/gcp/documents.hpp"
#include "auth/jwt.hpp"
#include "auth/method.hpp"
#include "auth/refusal.hpp"
#include "base/fingerprint.hpp"
#include "base/redactor.hpp"
#include "base/text.hpp"
#include "config/load.hpp"
#include "vault/paths.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;

constexpr std::string_view kMetadata = "http://metadata.google.internal";
constexpr std::string_view kIamCredentials = "https://iamcredentials.googleapis.com";
// Roles allow 15 min by default: a clock that is a little ahead must not make it longer.
constexpr Duration kJwtLife = 14min;
constexpr int kOk = 200;
constexpr int kNotFound = 404;

constexpr Remedy kRemedies[] = {
    {400, "\" not found", kNoSuchRole},
    {400, "is expired or does not have", "compare this host's clock with the server's; {about}"},
    {400, "JWT must expire in", "compare this host's clock with the server's; {about}"},
    {400, "JWTs expire within",
     "compare this host's clock with the server's, or set auto_auth.method.jwt_exp below "
     "max_jwt_exp "
     "of role \"{role}\"; {about}"},
    {400, "must end in",
     "leave auto_auth.method.audience out, or let it end in vault/{role}; {about}"},
    {400, "claims with GCE metadata",
     "role \"{role}\" is of type gce: set auto_auth.method.login_type = \"gce\""},
    {400, "does not allow GCE inference",
     "role \"{role}\" is of type iam: set auto_auth.method.login_type = \"iam\""},
    {400, "not in bound projects",
     "add the project to bound_projects of role \"{role}\" at {mount}"},
    {400, "is not authorized for role",
     "add it to bound_service_accounts of role \"{role}\" at {mount}"},
    {400, "attempting to find instance",
     "the server looks the instance up: is it still there, and may the server's credentials read "
     "it?"},
    {400, "unable to get public key",
     "the server found no key for {place}: was the key deleted, or can it not reach Google?"},
    {400, "", "role \"{role}\" at {mount}; {about}"},
    {403, "", kHiddenReason},
    {404, "", kHiddenReason},
};

class GcpMethod : public AuthMethod {
 public:
  GcpMethod(const config::Method& method, const CloudParts& cloud)
      : mount_(mount_path(method)),
        vault_namespace_(method.vault_namespace),
        role_(method.text("role")),
        account_(method.text("service_account")),
        audience_(method.text("audience")),
        iam_(method.text("login_type") == "iam"),
        jwt_life_(config::parse_duration(method.text("jwt_exp")).value_or(kJwtLife)),
        cloud_(cloud) {
    const auto variable = [&cloud](const char* name) {
      return cloud.variable ? cloud.variable(name) : std::string();
    };
    const auto first = [](std::string a, std::string b, std::string_view c) {
      return !a.empty() ? a : !b.empty() ? b : std::string(c);
    };
    metadata_ = gcp::base_url(
        first(method.text("metadata_endpoint"), variable("GCE_METADATA_HOST"), kMetadata));
    iam_api_ = gcp::base_url(first(method.text("iam_endpoint"), "", kIamCredentials));
    const auto path =
        first(method.text("credentials"), variable("GOOGLE_APPLICATION_CREDENTIALS"), "");
    if (iam_ && !path.empty()) key_file_.emplace(path);
    if (iam_ && audience_.empty()) audience_ = "http://vault/" + role_;
  }

  // What the instance gives is another token each time, but the same identity.
  result<ContentId> look() override {
    if (!key_file_) return fingerprint(mount_ + "\n" + role_);
    auto seen = key_file_->look();
    if (!seen && key_file_->content().empty())
      return std::unexpected(std::move(seen).error().within("auto_auth.method.credentials"));
    return fingerprint(key_file_->content().reveal());
  }

  awaitable<result<vault::Auth>> login(vault::Client& client,
                                       std::optional<Duration> timeout) override {
    auto jwt = co_await token(client.address().text());
    if (!jwt) co_return std::unexpected(std::move(jwt).error());
    redactor().add_credential(jwt->reveal());
    auto auth = co_await client.login(mount_ + "/login",
                                      vault::json_object({{"role", role_}, {"jwt", jwt->reveal()}}),
                                      vault_namespace_, timeout);
    if (!auth) {
      const std::string place = key_file_ ? key_file_->path() : "the token of " + metadata_;
      advise(auth.error(), kRemedies,
             {.mount = mount_,
              .role = role_,
              .place = place,
              .about = describe_jwt(jwt->reveal(), wall_now())});
    }
    co_return auth;
  }

  bool owns_token() const override { return true; }
  bool reusable() const override { return true; }
  bool refusal_is_final() const override { return false; }
  bool changeable() const override { return key_file_.has_value(); }

 private:
  // What proves who we are to the server.
  awaitable<result<Secret>> token(const std::string& address) {
    if (!iam_) co_return co_await identity(address);
    if (!key_file_) co_return co_await signed_by_google(nullptr);
    const auto key = gcp::read_key(key_file_->content().reveal());
    if (!key) co_return std::unexpected(at_file(key.error()));
    redactor().add_credential(key->pem.reveal());
    if (!account_.empty() && account_ != key->email) co_return co_await signed_by_google(&*key);
    auto own = gcp::sign_locally(*key, payload(key->email));
    if (!own) co_return std::unexpected(at_file(own.error()));
    co_return own;
  }

  awaitable<result<Secret>> identity(const std::string& address) {
    const std::string audience = audience_.empty() ? address + "/vault/" + role_ : audience_;
    auto body = co_await ask_metadata(gcp::identity_target(account_, audience));
    if (!body) co_return std::unexpected(std::move(body).error());
    auto jwt = gcp::read_identity(body->reveal());
    if (!jwt) co_return std::unexpected(odd(metadata_, std::move(jwt).error()));
    co_return jwt;
  }

  // By signJwt; the bearer is the instance's, or one that `key` signs.
  awaitable<result<Secret>> signed_by_google(const gcp::Key* key) {
    auto email = co_await account_to_sign_for();
    if (!email) co_return std::unexpected(std::move(email).error());
    result<Secret> bearer = Secret();
    if (key != nullptr)
      bearer = gcp::self_signed_bearer(*key, wall_now());
    else
      bearer = co_await instance_bearer();
    if (!bearer) co_return std::unexpected(std::move(bearer).error());
    redactor().add_credential(bearer->reveal());
    Secret authorization("Bearer ");
    authorization.append(bearer->reveal());
    const std::string url =
        iam_api_ + "/v1/projects/-/serviceAccounts/" + form_escaped(*email) + ":signJwt";
    auto answer = co_await cloud_.send(
        {.method = "POST",
         .url = url,
         .secret_headers = {{"Authorization",
                             std::make_shared<const Secret>(std::move(authorization))}},
         .body = gcp::sign_request(payload(*email)),
         .content_type = "application/json",
         .reach = Reach::internet});
    if (!answer) co_return std::unexpected(std::move(answer).error());
    if (answer->status != kOk) {
      Error error = cloud_refusal(answer->status, url, gcp::read_error(answer->body.reveal()));
      error.retry_after = answer->retry_after;
      if (error.kind == ErrorKind::denied)
        error.text += "; who asks needs roles/iam.serviceAccountTokenCreator on " + *email;
      co_return std::unexpected(std::move(error));
    }
    auto jwt = gcp::read_signed_jwt(answer->body.reveal());
    if (!jwt) co_return std::unexpected(odd(url, std::move(jwt).error()));
    co_return jwt;
  }

  awaitable<result<std::string>> account_to_sign_for() {
    if (!account_.empty() && account_ != "default") co_return account_;
    auto body = co_await ask_metadata(gcp::account_target("default", "email"));
    if (!body) co_return std::unexpected(std::move(body).error());
    co_return std::string(trimmed(body->reveal()));
  }

  awaitable<result<Secret>> instance_bearer() {
    auto body = co_await ask_metadata(gcp::account_target("default", "token"));
    if (!body) co_return std::unexpected(std::move(body).error());
    auto bearer = gcp::read_access_token(body->reveal());
    if (!bearer) co_return std::unexpected(odd(metadata_, std::move(bearer).error()));
    co_return bearer;
  }

  awaitable<result<Secret>> ask_metadata(std::string target) {
    const std::string url = metadata_ + target;
    auto answer = co_await cloud_.send({.url = url,
                                        .headers = {{"Metadata-Flavor", "Google"}},
                                        .wanted_header = "Metadata-Flavor"});
    if (!answer) co_return std::unexpected(std::move(answer).error());
    const std::string shown = url.substr(0, url.find('?'));
    if (answer->wanted_header != "Google")
      co_return std::unexpected(odd(
          shown, {ErrorKind::bad_reply, "something else than Google's metadata service answers"}));
    if (answer->status == kOk) co_return std::move(answer->body);
    Error error = cloud_refusal(answer->status, shown, "");
    error.retry_after = answer->retry_after;
    if (answer->status == kNotFound)
      error.text += ": this instance has no service account \"" +
                    (account_.empty() ? "default" : account_) +
                    "\"; see auto_auth.method.service_account";
    co_return std::unexpected(std::move(error));
  }

  std::string payload(std::string_view email) const {
    return gcp::login_payload(audience_, email, wall_now() + jwt_life_);
  }
  Error at_file(Error error) const {
    return std::move(error).within(key_file_->path()).within("auto_auth.method.credentials");
  }
  static Error odd(std::string_view where, Error error) {
    error.reason = Reason::credentials_away;
    return std::move(error).within(where);
  }

  const std::string mount_;
  const std::optional<std::string> vault_namespace_;
  const std::string role_, account_;
  std::string audience_;
  const bool iam_;
  const Duration jwt_life_;
  std::string metadata_, iam_api_;
  CloudHttp cloud_;
  std::optional<CredentialFile> key_file_;
};

const AuthMethodRegistration registration("gcp",
                                          [](const config::Method& method, const CloudParts& cloud)
                                              -> std::unique_ptr<AuthMethod> {
                                            return std::make_unique<GcpMethod>(method, cloud);
                                          });

}  // namespace
}  // namespace keybearer::auth
