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
};
constexpr std::string_view kUnsupported[] = {"token_helper"};

const MethodSpec spec{{.type = "token", .keys = kKeys, .unsupported = kUnsupported, .rank = 0}};

}  // namespace
}  // namespace keybearer::config
