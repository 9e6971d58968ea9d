#pragma once
// What a devvault holds when it starts, from a TOML file:
//
//     [mounts.kv1]                      # as POST sys/mounts/kv1; secret/ (KV 2) is there already
//     type = "kv"
//     [kv."secret/app/db"]              # a secret; the mount decides about the version
//     password = "p1"
//     [policies]
//     app = 'path "secret/*" { capabilities = ["read"] }'
//     [approle.app]                     # auth/approle/role/app, with ids of your own
//     role_id = "app-role-id"
//     secret_id = "app-secret-id"
//     token_policies = ["app"]
//     [database.roles.dyn]              # database/roles/dyn; also database.config,
//     database.static-roles db_name = "pg" default_ttl = "1h"
//
// toml++ stays behind seed.cpp.

#include <string>

#include "devvault/core.hpp"

namespace keybearer::devvault {

// Errors: config, with the place in the file or the path that could not be written.
[[nodiscard]] result<> apply_seed(Core& core, const std::string& path, WallTime now);

}  // namespace keybearer::devvault
