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

namespace {

constexpr Duration kServerSilence = std::chrono::minutes(1);

// Programs that ask through a listener need a token that lives and a server that answers.
void check_proxy(const Snapshot& snapshot, const Snapshot::Serving& serving, Readiness& out) {
  using Phase = Snapshot::Token::Phase;
  const Snapshot::Token& token = snapshot.token;
  const std::string because = token.error.empty() ? "" : ": " + token.error;
  if (serving.lends_token) {
    if (token.phase == Phase::lost)
      out.reasons.push_back({"token", "gone, and there will be no other" + because});
    else if (token.phase == Phase::logging_in)
      out.reasons.push_back({"token", "logging in" + because});
    else if (token.expires && *token.expires <= snapshot.now)
      out.reasons.push_back({"token", "it has ended" + because});
  }
  const Snapshot::Server& server = snapshot.server;
  const bool silent = !server.reachable_since && !server.error.empty() &&
                      (!server.answered_at || *server.answered_at + kServerSilence < snapshot.now);
  if (silent && !serving.serves_stale) {
    const std::string since =
        server.answered_at ? " for " + short_text(snapshot.now - *server.answered_at) : " yet";
    out.reasons.push_back({"server", "no answer" + since + ": " + server.error});
  }
}

}  // namespace

Readiness readiness(const Snapshot& snapshot) {
  Readiness out{.started = snapshot.instance.ready};
  if (snapshot.instance.stopping) out.reasons.push_back({"keybearer", "stopping"});
  const bool logging_in =
      !snapshot.instance.ready && snapshot.token.phase == Snapshot::Token::Phase::logging_in;
  if (logging_in) {
    const std::string& error = snapshot.token.error;
    out.reasons.push_back({"keybearer", error.empty() ? "logging in" : "logging in: " + error});
  }
  if (snapshot.serving && snapshot.serving->proxies && !logging_in)
    check_proxy(snapshot, *snapshot.serving, out);
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
