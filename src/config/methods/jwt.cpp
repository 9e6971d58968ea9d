// Keys of method "jwt": a signed token of an identity provider. Source: Vault Agent, auto-auth
// method jwt.

#include "config/method.hpp"

namespace keybearer::config {
namespace {

using Type = MethodKey::Type;

constexpr const char* kJwt[] = {"VAULT_JWT"};

constexpr MethodKey kKeys[] = {
    {.name = "role"},  // the server may have a default one
    {.name = "jwt", .type = Type::secret, .required = true, .variables = kJwt},
    {.name = "path", .type = Type::file, .instead_of = "jwt"},
    // For the tokens of CI systems, which choose the name.
    {.name = "jwt_env", .type = Type::variable, .instead_of = "jwt", .excludes = "path"},
    {.name = "remove_jwt_after_reading", .type = Type::boolean, .removes = "path"},
};

const MethodSpec spec{{.type = "jwt", .keys = kKeys}};

}  // namespace
}  // namespace keybearer::config
