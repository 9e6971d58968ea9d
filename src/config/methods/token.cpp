// Keys of method "token": a token that was made elsewhere.

#include "config/method.hpp"
#include "config/scalars.hpp"

namespace keybearer::config {
namespace {

constexpr const char* kToken[] = {"VAULT_TOKEN", "BAO_TOKEN"};

std::string_view control_character(std::string_view token) {
  if (!has_control(token)) return {};
  return "has a line break or another control character, which no token has: is it all of a file?";
}

constexpr MethodKey kKeys[] = {
    {.name = "token",
     .type = MethodKey::Type::secret,
     .required = true,
     .variables = kToken,
     .chooses = true,
     .wrong = control_character},
    {.name = "token_helper", .type = MethodKey::Type::boolean, .supplies = "token"},
};

const MethodSpec spec{{.type = "token", .keys = kKeys, .rank = 0}};

}  // namespace
}  // namespace keybearer::config
