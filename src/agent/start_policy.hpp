#pragma once
// What a start may wait for, what it starts with instead, and when it is given up. Pure: facts in,
// a decision out. Rules: section 5 and 7 of RULES.md ("first start", `default`, outage.on_start).

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "config/config.hpp"

namespace keybearer {

struct StartRules {
  config::Outage outage;
  Duration start_grace{};
  bool exit_on_retry_failure = true;
  bool once = false;
};

struct SecretFact {
  std::string id;
  std::string path = {};
  bool has_value = false;
  bool failed_for_good = false;  // it was never there, and is not asked for again at this start
  bool failing = false;          // the last request got no answer
  bool refetchable = false;      // another read issues nothing, and may find more
  std::optional<Error> error = {};
  std::string advice = {};  // what its kind of secret can tell; empty: hint(error)
};

struct StartFacts {
  Instant now{}, begun{};
  bool has_token = false;
  std::optional<Error> token_failure = {};  // why the last login did not come through
  std::vector<SecretFact> secrets = {};
  // Of the last evaluation.
  std::vector<Error> errors = {};
  std::map<std::string, std::string> required_by = {};  // id of what is missing -> its target
  std::vector<std::string> lacking_keys = {};           // ids of what lacks a key that is used
};

// outage.on_start = "default": the server did not answer for a second.
[[nodiscard]] bool should_use_defaults(const StartRules& rules, const StartFacts& facts);
// outage.on_start = "state": likewise, with the last good values.
[[nodiscard]] bool should_use_state(const StartRules& rules, const StartFacts& facts);
constexpr Duration kDefaultsAfter = std::chrono::seconds(1);

// Why the start is over, the reason first; empty: it is not.
[[nodiscard]] std::vector<Error> start_failures(const StartRules& rules, const StartFacts& facts);

// When outage.start_timeout (60 s with --once) has passed: what was waited for.
[[nodiscard]] std::optional<Duration> start_timeout(const StartRules& rules);
[[nodiscard]] Error start_timeout_error(const StartRules& rules, const StartFacts& facts);

}  // namespace keybearer
