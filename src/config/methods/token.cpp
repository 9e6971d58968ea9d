// Keys of method "token": a token that was made elsewhere.

#include "config/method.hpp"

namespace keybearer::config {
namespace {

constexpr const char* kToken[] = {"VAULT_TOKEN", "BAO_TOKEN"};

constexpr MethodKey kKeys[] = {
    {.name = "token",
     .type = MethodKey::Type::secret,
     .required = true,
     .variables = kToken,
     .chooses = true},
    {.name = "token_helper", .type = MethodKey::Type::boolean, .supplies = "token"},
};

const MethodSpec spec{{.type = "token", .keys = kKeys, .rank = 0}};

}  // namespace
}  // namespace keybearer::config
