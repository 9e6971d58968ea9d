// Keys of method "token_file": a token that somebody else keeps in a file.

#include "config/method.hpp"

namespace keybearer::config {
namespace {

constexpr MethodKey kKeys[] = {
    {.name = "token_file_path",
     .type = MethodKey::Type::file,
     .required = true,
     .flag = "token-file",
     .flag_help = "log in with the token in this file"},
    {.name = "unwrap", .type = MethodKey::Type::boolean, .used_up_by_login = true},
};

const MethodSpec spec{{.type = "token_file", .keys = kKeys}};

}  // namespace
}  // namespace keybearer::config
