// Keys of method "azure": a managed identity of the host, or a workload's federated token. Source:
// Vault Agent, auto-auth method azure; the environment names of the Azure SDK.

#include "config/method.hpp"

namespace keybearer::config {
namespace {

using Type = MethodKey::Type;

constexpr const char* kCredentials[] = {"IDENTITY_HEADER"};  // App Service's

constexpr MethodKey kKeys[] = {
    {.name = "role", .required = true},
    {.name = "resource", .required = true},  // the server's, character for character
    {.name = "client_id"},                   // else AZURE_CLIENT_ID, for a federated token
    {.name = "object_id", .excludes = "client_id"},
    {.name = "scope"},      // else RESOURCE/.default
    {.name = "tenant_id"},  // else AZURE_TENANT_ID
    // Else AZURE_FEDERATED_TOKEN_FILE; it is exchanged, and the host is not asked.
    {.name = "federated_token_file", .type = Type::file, .excludes = "object_id"},
    {.name = "authenticate_from_environment", .type = Type::boolean},
    {.name = "authority_host"},     // else AZURE_AUTHORITY_HOST, else Azure's own
    {.name = "metadata_endpoint"},  // else AZURE_POD_IDENTITY_AUTHORITY_HOST, else the host's own
};

const MethodSpec spec{{.type = "azure", .keys = kKeys, .credentials = kCredentials}};

}  // namespace
}  // namespace keybearer::config
