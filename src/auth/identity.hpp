#pragma once
// Whether a login gave the identity that auto_auth.verify_identity wants. Pure.
//
//     if (auto good = verify_identity(wanted, auth); !good) revoke(auth.token);
//
// Looked at: entity_id, each policy, each pair of metadata; what is not set is not looked at. Error
// kind denied (77), Reason::wrong_identity, with what differs: nothing of it is secret.

#include "base/error.hpp"
#include "config/config.hpp"
#include "vault/client.hpp"

namespace keybearer::auth {

[[nodiscard]] result<> verify_identity(const config::Identity& wanted, const vault::Auth& auth);

}  // namespace keybearer::auth
