#pragma once
// What the method "azure" reads and sends: metadata targets, the exchange of a federated token, and
// their answers. Pure; nothing of a document's tokens is repeated in an error.
//
// Source: Azure, "How to use managed identities to acquire an access token", "Instance Metadata
// Service", "App Service managed identities", "Microsoft identity platform and the OAuth 2.0 client
// credentials flow"; Vault API, auth/azure/login.

#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/secret.hpp"

namespace keybearer::auth::azure {

// Which identity of a host that has several; at most one of both.
struct Identity {
  std::string client_id, object_id;
};

// "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=..[&client_id=..|&object_id=..]"
[[nodiscard]] std::string token_target(std::string_view resource, const Identity& identity);
inline constexpr std::string_view kInstanceTarget = "/metadata/instance?api-version=2018-02-01";
// App Service, Functions and Container Apps: what goes behind IDENTITY_ENDPOINT.
[[nodiscard]] std::string app_service_query(std::string_view resource, const Identity& identity);
// "https://login.microsoftonline.com/TENANT/oauth2/v2.0/token".
[[nodiscard]] std::string exchange_url(std::string_view authority, std::string_view tenant);
// The form that asks for a token of ours for the federated one.
[[nodiscard]] Secret exchange_form(std::string_view client_id, std::string_view scope,
                                   std::string_view assertion);
// "RESOURCE/.default": a resource with a slash at its end gets two, as its `aud` needs.
[[nodiscard]] std::string scope_of(std::string_view resource);

// `access_token`, which must be a JWT. Error kind bad_reply.
[[nodiscard]] result<Secret> read_token(std::string_view body);

// What a role may be bound to beside the identity; "" where the instance has none.
struct Instance {
  std::string name, scale_set, resource_group, subscription;
};
// Error kind bad_reply: it says nothing of an instance.
[[nodiscard]] result<Instance> read_instance(std::string_view body);

// `error_description` or `error` of an error document, on one line; "" when there is none.
[[nodiscard]] std::string read_error(std::string_view body);

// The server answers 500 to a token that it does not accept: "oidc: token is expired", "service
// principal not authorized: ...". False: it could not find out (its own requests failed).
[[nodiscard]] bool is_refusal(int status, std::string_view answer);

}  // namespace keybearer::auth::azure
