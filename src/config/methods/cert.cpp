// Keys of method "cert": the client certificate of the connection. Its files stand for vault's own,
// because a renewal must come over the same identity.

#include "config/method.hpp"

namespace keybearer::config {
namespace {

using Type = MethodKey::Type;

constexpr MethodKey kKeys[] = {
    {.name = "name"},  // of the server's role; without it the server tries all
    {.name = "client_cert", .type = Type::file, .stands_for = &Vault::client_cert},
    {.name = "client_key", .type = Type::file, .stands_for = &Vault::client_key},
    {.name = "ca_cert", .type = Type::file, .stands_for = &Vault::ca_cert},
};
constexpr std::string_view kUnsupported[] = {"reload", "reload_period"};

const MethodSpec spec{{.type = "cert", .keys = kKeys, .unsupported = kUnsupported}};

}  // namespace
}  // namespace keybearer::config
