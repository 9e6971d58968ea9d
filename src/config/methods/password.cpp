// Keys of methods "ldap" and "userpass", which have the same: a user's name and password.

#include "config/method.hpp"

namespace keybearer::config {
namespace {

using Type = MethodKey::Type;

constexpr const char* kPassword[] = {"VAULT_PASSWORD"};

constexpr MethodKey kKeys[] = {
    {.name = "username", .required = true},
    {.name = "password", .type = Type::secret, .required = true, .variables = kPassword},
    {.name = "password_file_path", .type = Type::file, .instead_of = "password"},
    {.name = "remove_password_after_reading",
     .type = Type::boolean,
     .removes = "password_file_path"},
};

const MethodSpec ldap{{.type = "ldap", .keys = kKeys}};
const MethodSpec userpass{{.type = "userpass", .keys = kKeys}};

}  // namespace
}  // namespace keybearer::config
