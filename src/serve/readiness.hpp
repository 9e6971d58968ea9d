#pragma once
// Is it ready? All required secrets are in and fresh enough, and the child is there (behaviour
// section 7, /readyz); with a listener that passes requests on, the token lives, too, and the server
// has answered within a minute, or the cache answers for it. Pure.

#include <string>
#include <vector>

#include "serve/snapshot.hpp"

namespace keybearer::serve {

struct Readiness {
  struct Reason {
    std::string subject = {};  // path of a secret, "child", "keybearer"
    std::string text = {};
  };
  std::vector<Reason> reasons = {};  // why not; none: ready
  bool started = false;              // it was ready once: the first set is where it belongs

  [[nodiscard]] bool ready() const { return reasons.empty(); }
};

[[nodiscard]] Readiness readiness(const Snapshot& snapshot);
// Why a secret is not good enough; "": it is.
[[nodiscard]] std::string trouble_of(const Snapshot::Secret& secret, Instant now);

}  // namespace keybearer::serve
