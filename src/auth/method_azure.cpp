// Method "azure": a managed identity of the host (virtual machine, scale set, App Service), or the
// federated token of a workload (AKS), exchanged for one that the server accepts.
//
// Source: Vault API, auth/azure/login. The server answers 500 to a token that it does not accept: a
// refusal. It may pass by itself, because each login brings a new token.

#include "auth/azure/documents.hpp"
#include "auth/cloud.hpp"
#include "auth/cloud_documents.hpp"
#include "auth/jwt.hpp"
#include "auth/method.hpp"
#include "auth/refusal.hpp"
#include "base/fingerprint.hpp"
#include "base/redactor.hpp"
#include "json/json.hpp"
#include "vault/paths.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;
using asio::awaitable;

constexpr std::string_view kMetadata = "http://169.254.169.254";
constexpr std::string_view kAuthority = "https://login.microsoftonline.com";
constexpr int kOk = 200;
constexpr int kBadRequest = 400;
constexpr int kNotFound = 404;
constexpr int kGone = 410;

constexpr Remedy kRemedies[] = {
    {400, "invalid role name", kNoSuchRole},
    {500, "token is expired", "compare this host's clock with the server's; {about}"},
    {500, "expected audience",
     "set auto_auth.method.resource to the resource of {mount}/config, character for character (a "
     "slash at its end counts); {about}"},
    {500, "before the nbf", "compare this host's clock with the server's; {about}"},
    {500, "not yet valid", "compare this host's clock with the server's; {about}"},
    {500, "service principal not authorized",
     "add it to bound_service_principal_ids of role \"{role}\" at {mount}, or choose another "
     "identity "
     "by auto_auth.method.client_id; {about}"},
    {500, "groups not authorized",
     "add one to bound_group_ids of role \"{role}\" at {mount}; {about}"},
    {500, "are required",
     "role \"{role}\" is bound to resource groups or subscriptions, and {place} tells none"},
    {500, "different provider", "the token is of another tenant than {mount}/config has; {about}"},
    {500, "fetching keys", "the server can't reach Azure; this is tried again"},
    {500, "failed to verify signature",
     "signed by a key that the server does not know: another tenant or cloud? {about}"},
    {500, "not authorized", "see what role \"{role}\" at {mount} is bound to; {about}"},
    {400, "", "role \"{role}\" at {mount}; {about}"},
    {403, "", kHiddenReason},
    {404, "", kHiddenReason},
};

class AzureMethod : public AuthMethod {
 public:
  AzureMethod(const config::Method& method, const CloudParts& cloud)
      : mount_(mount_path(method)),
        vault_namespace_(method.vault_namespace),
        role_(method.text("role")),
        resource_(method.text("resource")),
        demanded_(method.flag("authenticate_from_environment")),
        identity_{.client_id = method.text("client_id"), .object_id = method.text("object_id")},
        cloud_(cloud) {
    const auto value = [&method, &cloud](std::string_view key, const char* variable) {
      if (method.has(key) || !cloud.variable) return method.text(key);
      return cloud.variable(variable);
    };
    const auto file = identity_.object_id.empty()
                          ? value("federated_token_file", "AZURE_FEDERATED_TOKEN_FILE")
                          : std::string();
    if (!file.empty()) assertion_.emplace(file, false);
    scope_ = method.has("scope") ? method.text("scope") : azure::scope_of(resource_);
    tenant_ = value("tenant_id", "AZURE_TENANT_ID");
    client_id_ = value("client_id", "AZURE_CLIENT_ID");
    authority_ = value("authority_host", "AZURE_AUTHORITY_HOST");
    if (authority_.empty()) authority_ = kAuthority;
    const bool own = method.has("metadata_endpoint");
    if (!own && cloud.variable) use_app_service(cloud);
    metadata_ = value("metadata_endpoint", "AZURE_POD_IDENTITY_AUTHORITY_HOST");
    if (metadata_.empty()) metadata_ = kMetadata;
    while (metadata_.ends_with('/')) metadata_.pop_back();
  }

  // What the host gives is another token each time, but the same identity.
  result<ContentId> look() override {
    if (!assertion_) {
      if (demanded_)
        return fail(ErrorKind::config,
                    "auto_auth.method.authenticate_from_environment: AZURE_FEDERATED_TOKEN_FILE is "
                    "not set (or auto_auth.method.object_id is)");
      return fingerprint(mount_ + "\n" + role_);
    }
    for (const auto& [text, key, variable] :
         {std::tuple(&tenant_, "tenant_id", "AZURE_TENANT_ID"),
          std::tuple(&client_id_, "client_id", "AZURE_CLIENT_ID")})
      if (text->empty())
        return fail(ErrorKind::config, std::string("auto_auth.method.") + key +
                                           ": required with a federated token; set it or " +
                                           variable);
    auto seen = assertion_->look();
    if (!seen && assertion_->content().empty())
      return std::unexpected(
          std::move(seen).error().within("auto_auth.method.federated_token_file"));
    return fingerprint(assertion_->content().reveal());
  }

  awaitable<result<vault::Auth>> login(vault::Client& client,
                                       std::optional<Duration> timeout) override {
    auto jwt = co_await token();
    if (!jwt) co_return std::unexpected(std::move(jwt).error());
    redactor().add_credential(jwt->reveal());
    if (!assertion_ && app_service_.empty()) co_await look_at_instance();
    auto auth =
        co_await client.login(mount_ + "/login", body(jwt->reveal()), vault_namespace_, timeout);
    if (!auth) {
      Error& error = auth.error();
      if (azure::is_refusal(error.status, error.text)) error.kind = ErrorKind::denied;
      advise(error, kRemedies,
             {.mount = mount_,
              .role = role_,
              .place = source(),
              .about = describe_jwt(jwt->reveal(), wall_now())});
    }
    co_return auth;
  }

  bool owns_token() const override { return true; }
  bool reusable() const override { return true; }
  bool refusal_is_final() const override { return false; }
  bool changeable() const override { return assertion_.has_value(); }

 private:
  void use_app_service(const CloudParts& cloud) {
    const std::string header = cloud.variable("IDENTITY_HEADER");
    if (header.empty()) return;
    redactor().add_credential(header);
    header_ = std::make_shared<const Secret>(header);
    app_service_ = cloud.variable("IDENTITY_ENDPOINT");
  }

  std::string source() const {
    if (assertion_) return assertion_->path();
    return app_service_.empty() ? metadata_ : app_service_;
  }

  awaitable<result<Secret>> token() {
    if (assertion_) return exchanged();
    return app_service_.empty() ? of_host() : of_app_service();
  }

  awaitable<result<Secret>> of_host() {
    const std::string url = metadata_ + azure::token_target(resource_, identity_);
    auto answer = co_await cloud_.send({.url = url, .headers = {{"Metadata", "true"}}});
    co_return read(std::move(answer), url, hint_of_identity());
  }

  awaitable<result<Secret>> of_app_service() {
    const std::string url = app_service_ + (app_service_.contains('?') ? "&" : "?") +
                            azure::app_service_query(resource_, identity_);
    auto answer =
        co_await cloud_.send({.url = url, .secret_headers = {{"X-IDENTITY-HEADER", header_}}});
    co_return read(std::move(answer), url, hint_of_identity());
  }

  awaitable<result<Secret>> exchanged() {
    const std::string assertion(assertion_->content().reveal());
    const std::string url = azure::exchange_url(authority_, tenant_);
    auto answer = co_await cloud_.send({.method = "POST",
                                        .url = url,
                                        .body = azure::exchange_form(client_id_, scope_, assertion),
                                        .reach = Reach::internet});
    co_return read(std::move(answer), url,
                   "; the federated token in " + assertion_->path() + ": " +
                       describe_jwt(assertion, wall_now()));
  }

  std::string hint_of_identity() const {
    if (!identity_.client_id.empty() || !identity_.object_id.empty())
      return "; has this host the identity of auto_auth.method.client_id (or object_id)?";
    return "; a host with several identities, or with none of its own, wants "
           "auto_auth.method.client_id";
  }

  // `hint` is for an answer that says no.
  static result<Secret> read(result<http::Response> answer, const std::string& url,
                             const std::string& hint) {
    if (!answer) return std::unexpected(std::move(answer).error());
    const std::string shown = url.substr(0, url.find('?'));
    if (answer->status == kOk) {
      auto jwt = azure::read_token(answer->body.reveal());
      if (jwt) return jwt;
      jwt.error().reason = Reason::credentials_away;
      return std::unexpected(std::move(jwt).error().within(shown));
    }
    Error error = cloud_refusal(answer->status, shown, azure::read_error(answer->body.reveal()));
    error.retry_after = answer->retry_after;
    // The metadata service says so while it is updated.
    if (answer->status == kNotFound || answer->status == kGone) {
      error.kind = ErrorKind::server;
      error.reason = Reason::credentials_away;
    }
    if (error.kind == ErrorKind::denied) error.text += hint;
    return std::unexpected(std::move(error));
  }

  // Roles may be bound to more than the identity. Asked until it has answered once: it stays so.
  awaitable<void> look_at_instance() {
    if (instance_known_) co_return;
    const auto answer =
        co_await cloud_.send({.url = metadata_ + std::string(azure::kInstanceTarget),
                              .headers = {{"Metadata", "true"}}});
    if (!answer) co_return;
    instance_known_ =
        answer->status == kOk || answer->status == kNotFound || answer->status == kBadRequest;
    if (answer->status != kOk) co_return;
    if (auto read = azure::read_instance(answer->body.reveal())) instance_ = *std::move(read);
  }

  Secret body(std::string_view jwt) const {
    Value out = Value::map();
    out.set("role", role_);
    out.set("jwt", jwt);
    const std::pair<const char*, const std::string&> fields[] = {
        {"subscription_id", instance_.subscription},
        {"resource_group_name", instance_.resource_group},
        {"vm_name", instance_.name},
        {"vmss_name", instance_.scale_set}};
    for (const auto& [name, value] : fields)
      if (!value.empty()) out.set(name, value);
    return Secret(json::write(out));
  }

  const std::string mount_;
  const std::optional<std::string> vault_namespace_;
  const std::string role_, resource_;
  const bool demanded_;
  const azure::Identity identity_;
  std::string scope_, tenant_, client_id_, authority_, metadata_, app_service_;
  std::shared_ptr<const Secret> header_;  // of the application service
  CloudHttp cloud_;
  std::optional<CredentialFile> assertion_;
  azure::Instance instance_;
  bool instance_known_ = false;
};

const AuthMethodRegistration registration("azure",
                                          [](const config::Method& method, const CloudParts& cloud)
                                              -> std::unique_ptr<AuthMethod> {
                                            return std::make_unique<AzureMethod>(method, cloud);
                                          });

}  // namespace
}  // namespace keybearer::auth
