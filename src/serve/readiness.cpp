#include "serve/readiness.hpp"

#include "serve/texts.hpp"

namespace keybearer::serve {

std::string trouble_of(const Snapshot::Secret& secret, Instant now) {
  const std::string because = secret.error.empty() ? "" : ": " + secret.error;
  if (secret.generation == 0) {
    if (!secret.required) return "";
    switch (secret.state) {
      case Snapshot::Secret::State::absent:
        return "not there" + because;
      case Snapshot::Secret::State::denied:
        return "permission denied" + because;
      case Snapshot::Secret::State::failing:
        return "it can't be read yet" + because;
      default:
        return "not read yet";
    }
  }
  if (secret.lease_end && *secret.lease_end <= now) return "its lease has ended" + because;
  // A lease that lives is good, however long nobody could ask.
  const bool asked_in_vain = secret.state != Snapshot::Secret::State::fresh && !secret.defaults;
  if (asked_in_vain && !secret.lease_end && secret.max_stale && secret.last_success &&
      *secret.last_success + *secret.max_stale < now)
    return "older than max_stale (" + short_text(*secret.max_stale) + ")" + because;
  return "";
}

Readiness readiness(const Snapshot& snapshot) {
  Readiness out{.started = snapshot.instance.ready};
  if (snapshot.instance.stopping) out.reasons.push_back({"keybearer", "stopping"});
  const bool logging_in =
      !snapshot.instance.ready && snapshot.token.phase == Snapshot::Token::Phase::logging_in;
  if (logging_in) {
    const std::string& error = snapshot.token.error;
    out.reasons.push_back({"keybearer", error.empty() ? "logging in" : "logging in: " + error});
  }
  for (const Snapshot::Secret& secret : snapshot.secrets) {
    // What waits for the login is no reason of its own.
    if (logging_in && secret.state == Snapshot::Secret::State::pending) continue;
    if (std::string text = trouble_of(secret, snapshot.now); !text.empty())
      out.reasons.push_back({secret.path, std::move(text)});
  }
  if (!snapshot.instance.ready && out.reasons.empty()) {
    out.reasons.push_back({"keybearer", "the first complete set is not in place yet"});
  } else if (snapshot.child && !snapshot.child->alive && snapshot.instance.ready) {
    out.reasons.push_back({"child", "not running (" + snapshot.child->state + ")"});
  }
  return out;
}

}  // namespace keybearer::serve
