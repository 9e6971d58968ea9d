#pragma once
// `status --json`, and what the page's script reads: a Snapshot as JSON, keys sorted. The schema is
// in keybearer(1), STATUS; a key may be added, none changes its meaning within one `schema`. Pure.

#include <string>

#include "serve/readiness.hpp"
#include "serve/snapshot.hpp"

namespace keybearer::serve {

enum class Audience {
  owner,      // of the control socket
  owner_ids,  // the same, with the leases' ids: the server's names for them
  anyone,     // who reaches a listener: no accessor
};
[[nodiscard]] std::string status_json(const Snapshot& snapshot, Audience audience);

// `/readyz?verbose`: {"ready":false,"reasons":[{"subject":...,"reason":...}],"secrets":[...]}.
[[nodiscard]] std::string readiness_json(const Snapshot& snapshot, const Readiness& readiness);

}  // namespace keybearer::serve
