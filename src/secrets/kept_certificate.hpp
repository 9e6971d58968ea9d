#pragma once
// pkiCert's memory is the template's destination: a certificate that is still good there is not
// issued again. Internal to secrets/.

#include <optional>

#include "secrets/entry.hpp"
#include "vault/client.hpp"

namespace keybearer::secrets {

// As if the server had answered it. nullopt: there is none, it is another name's, its key is not in
// the file, or more than lease.refetch_at of its life is over.
[[nodiscard]] std::optional<vault::Reply> kept_certificate(const Entry& entry, WallTime now);

}  // namespace keybearer::secrets
