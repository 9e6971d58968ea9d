// Keys of method "gcp": the identity of a Google Cloud instance or service account. Source: Vault
// Agent, auto-auth method gcp, whose `type` is `login_type` here.

#include "config/method.hpp"

namespace keybearer::config {
namespace {

using Type = MethodKey::Type;

constexpr MethodChoice kLoginTypes[] = {{"gce"}, {"iam"}};

constexpr MethodKey kKeys[] = {
    {.name = "role", .required = true},
    {.name = "login_type", .fallback = "gce", .choices = kLoginTypes},
    {.name = "service_account"},  // "default" of the instance, or the key file's own
    {.name = "credentials", .type = Type::file},  // iam: a key file, else the instance's identity
    {.name = "audience"},                         // must end in vault/ROLE
    {.name = "jwt_exp", .duration = true},        // iam: how long a JWT may be used; "14m"
    {.name = "project"},                          // Vault Agent's; not needed
    {.name = "metadata_endpoint"},                // else GCE_METADATA_HOST, else Google's own
    {.name = "iam_endpoint"},                     // of the IAM Credentials API
};
const MethodSpec spec{{.type = "gcp", .keys = kKeys}};

}  // namespace
}  // namespace keybearer::config
