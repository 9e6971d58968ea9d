#pragma once
// What the method "gcp" reads and sends: metadata targets, key files, JWTs, and the answers of the
// IAM Credentials API. Pure; nothing of a document's values is repeated in an error.
//
// Source: Google Cloud, "Verify VM identity", "Create a self-signed JSON Web Token",
// projects.serviceAccounts.signJwt; Vault API, auth/gcp/login (`aud` must end in vault/ROLE).

#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/secret.hpp"
#include "base/time.hpp"

namespace keybearer::auth::gcp {

// "/computeMetadata/v1/instance/service-accounts/default/identity?audience=...&format=full".
// Without format=full the token lacks what the server's role is bound to.
[[nodiscard]] std::string identity_target(std::string_view service_account,
                                          std::string_view audience);
// ".../service-accounts/ACCOUNT/token" and ".../email".
[[nodiscard]] std::string account_target(std::string_view service_account, std::string_view what);
// "http://HOST" of "HOST", "HOST:PORT" or a URL, without a slash at its end.
[[nodiscard]] std::string base_url(std::string_view host);

// The bare JWT of an identity answer. Error kind bad_reply: it is none.
[[nodiscard]] result<Secret> read_identity(std::string_view body);
// `access_token` of {"access_token":"...","expires_in":3599,"token_type":"Bearer"}; bad_reply.
[[nodiscard]] result<Secret> read_access_token(std::string_view body);
// `signedJwt` of {"keyId":"...","signedJwt":"..."}; bad_reply.
[[nodiscard]] result<Secret> read_signed_jwt(std::string_view body);
// `error.message` of Google's error document, on one line and short; "" when there is none.
[[nodiscard]] std::string read_error(std::string_view body);

// A service account's key file.
struct Key {
  std::string email, key_id;
  Secret pem;
};
// Error kind config: not JSON, another kind of credentials (which is named), a member missing.
[[nodiscard]] result<Key> read_key(std::string_view json);

// {"aud":AUDIENCE,"exp":EXPIRES,"sub":EMAIL}, what the server wants signed.
[[nodiscard]] std::string login_payload(std::string_view audience, std::string_view email,
                                        WallTime expires);
// The body of signJwt: {"payload":"..."}.
[[nodiscard]] Secret sign_request(std::string_view payload);
// `payload` signed by the key itself: no service of Google's is asked. Error kind config.
[[nodiscard]] result<Secret> sign_locally(const Key& key, std::string_view payload);
// A bearer for Google's APIs, signed by the key itself and good for an hour.
[[nodiscard]] result<Secret> self_signed_bearer(const Key& key, WallTime now);

}  // namespace keybearer::auth::gcp
