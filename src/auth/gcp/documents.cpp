#include "auth/gcp/documents.hpp"

#include <chrono>

#include "auth/cloud.hpp"
#include "auth/cloud_documents.hpp"
#include "auth/jwt.hpp"
#include "crypto/base64url.hpp"
#include "crypto/rsa.hpp"
#include "json/json.hpp"

namespace keybearer::auth::gcp {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kAccounts = "/computeMetadata/v1/instance/service-accounts/";
constexpr std::string_view kScope = "https://www.googleapis.com/auth/cloud-platform";
constexpr std::string_view kKind = "service_account";

std::int64_t seconds_of(WallTime at) {
  return std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count();
}

}  // namespace

std::string identity_target(std::string_view service_account, std::string_view audience) {
  return account_target(service_account, "identity") + "?audience=" + form_escaped(audience) +
         "&format=full";
}

std::string account_target(std::string_view service_account, std::string_view what) {
  return std::string(kAccounts) +
         (service_account.empty() ? "default" : form_escaped(service_account)) + "/" +
         std::string(what);
}

std::string base_url(std::string_view host) {
  std::string out(host);
  if (!out.contains("://")) out.insert(0, "http://");
  while (out.ends_with('/')) out.pop_back();
  return out;
}

result<Secret> read_identity(std::string_view body) {
  return jwt_of_body(body);
}

result<Secret> read_access_token(std::string_view body) {
  return header_secret(body, "access_token");
}

result<Secret> read_signed_jwt(std::string_view body) {
  auto text = header_secret(body, "signedJwt");
  return text ? jwt_of_body(text->reveal()) : std::move(text);
}

std::string read_error(std::string_view body) {
  const auto document = json::parse(body, kCloudLimits);
  if (!document) return {};
  const Value* error = document->find("error");
  return error != nullptr ? reason_line(error->find("message")) : std::string{};
}

result<Key> read_key(std::string_view json) {
  const auto document = json::parse(json, kCloudLimits);
  if (!document || !document->is_map())
    return fail(ErrorKind::config, "not a JSON document; expected a service account's key file");
  const auto text = [&document](std::string_view name) {
    const Value* value = document->find(name);
    return value != nullptr && value->type() == Type::string ? value->as_text()
                                                             : std::string_view{};
  };
  if (text("type") != kKind) {
    constexpr std::string_view kOthers[] = {"authorized_user", "external_account",
                                            "impersonated_service_account", "gdch_service_account"};
    std::string what = "credentials of an unknown type";
    for (const auto other : kOthers)
      if (text("type") == other) what = "credentials of type \"" + std::string(other) + "\"";
    return fail(ErrorKind::config, what +
                                       ": not supported; expected a service account's key file "
                                       "(type \"service_account\")");
  }
  for (const auto* member : {"client_email", "private_key"})
    if (text(member).empty())
      return fail(ErrorKind::config, std::string("a key file without \"") + member + "\"");
  return Key{.email = std::string(text("client_email")),
             .key_id = std::string(text("private_key_id")),
             .pem = Secret(text("private_key"))};
}

std::string login_payload(std::string_view audience, std::string_view email, WallTime expires) {
  Value payload = Value::map();
  payload.set("aud", audience);
  payload.set("exp", Value::int64(seconds_of(expires)));
  payload.set("sub", email);
  return json::write(payload);
}

Secret sign_request(std::string_view payload) {
  Value body = Value::map();
  body.set("payload", payload);
  return Secret(json::write(body));
}

result<Secret> sign_locally(const Key& key, std::string_view payload) {
  Value header = Value::map();
  header.set("alg", "RS256");
  if (!key.key_id.empty()) header.set("kid", key.key_id);
  header.set("typ", "JWT");
  Secret out(base64url(json::write(header)));
  out.push_back('.');
  out.append(base64url(payload));
  const auto signature = sign_rs256(key.pem.reveal(), out.reveal());
  if (!signature) return std::unexpected(signature.error());
  out.push_back('.');
  out.append(base64url(*signature));
  return out;
}

result<Secret> self_signed_bearer(const Key& key, WallTime now) {
  Value payload = Value::map();
  payload.set("exp", Value::int64(seconds_of(now + 1h)));
  payload.set("iat", Value::int64(seconds_of(now)));
  payload.set("iss", key.email);
  payload.set("scope", kScope);
  payload.set("sub", key.email);
  return sign_locally(key, json::write(payload));
}

}  // namespace keybearer::auth::gcp
