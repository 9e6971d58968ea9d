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
constexpr MethodChoice kRefused[] = {
    {.value = "reload",
     .refused = "not needed: a certificate that was replaced is always taken, by the next "
                "connection; leave it out"},
    {.value = "reload_period",
     .refused = "not needed: the files are looked at before each connection; leave it out"},
};

const MethodSpec spec{{.type = "cert", .keys = kKeys, .refused = kRefused}};

}  // namespace
}  // namespace keybearer::config
