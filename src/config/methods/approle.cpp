// Keys of method "approle". Source: Vault Agent, auto-auth method approle.

#include "config/method.hpp"

namespace keybearer::config {
namespace {

using Type = MethodKey::Type;

constexpr const char* kRoleId[] = {"VAULT_ROLE_ID"};
constexpr const char* kSecretId[] = {"VAULT_SECRET_ID"};

constexpr MethodKey kKeys[] = {
    {.name = "role_id", .required = true, .variables = kRoleId, .chooses = true},
    {.name = "role_id_file_path",
     .type = Type::file,
     .instead_of = "role_id",
     .flag = "role-id-file",
     .flag_help = "log in by AppRole: file with the role_id"},
    {.name = "secret_id",
     .type = Type::secret,
     .required = true,
     .variables = kSecretId,
     .missing = " (\"\" for roles without)"},
    {.name = "secret_id_file_path",
     .type = Type::file,
     .instead_of = "secret_id",
     .flag = "secret-id-file",
     .flag_help = "log in by AppRole: file with the secret_id"},
    {.name = "remove_secret_id_file_after_reading",
     .type = Type::boolean,
     .on = true,
     .removes = "secret_id_file_path"},
    {.name = "secret_id_response_wrapping_path", .used_up_by_login = true},
};

const MethodSpec spec{{.type = "approle", .keys = kKeys, .rank = 1}};

}  // namespace
}  // namespace keybearer::config
