// Keys of method "kubernetes": the pod's service account token. Source: Vault Agent, auto-auth
// method kubernetes.

#include "config/method.hpp"

namespace keybearer::config {
namespace {

constexpr MethodKey kKeys[] = {
    {.name = "role",
     .required = true,
     .flag = "kubernetes-role",
     .flag_help = "log in with the pod's service account, as this role"},
    {.name = "token_path",
     .type = MethodKey::Type::file,
     .fallback = "/var/run/secrets/kubernetes.io/serviceaccount/token"},
};

const MethodSpec spec{{.type = "kubernetes", .keys = kKeys}};

}  // namespace
}  // namespace keybearer::config
