#include "agent/start_policy.hpp"

#include <algorithm>

#include "vault/hints.hpp"

namespace keybearer {
namespace {

using namespace std::chrono_literals;
using OnStart = config::Outage::OnStart;

bool away(const SecretFact& secret) {
  return !secret.has_value && secret.error && is_outage(secret.error->kind);
}

bool failed(const SecretFact& secret) {
  return secret.failed_for_good && secret.error;
}

const SecretFact* find(const StartFacts& facts, const std::string& id) {
  const auto at = std::ranges::find(facts.secrets, id, &SecretFact::id);
  return at == facts.secrets.end() ? nullptr : &*at;
}

}  // namespace

namespace {

bool server_is_away(const StartFacts& facts) {
  if (facts.now < facts.begun + kDefaultsAfter) return false;
  if (!facts.has_token) return facts.token_failure && is_outage(facts.token_failure->kind);
  return std::ranges::any_of(facts.secrets,
                             [](const SecretFact& s) { return !s.has_value && s.failing; });
}

}  // namespace

bool should_use_defaults(const StartRules& rules, const StartFacts& facts) {
  return rules.outage.on_start == OnStart::use_default && server_is_away(facts);
}

bool should_use_state(const StartRules& rules, const StartFacts& facts) {
  return rules.outage.on_start == OnStart::use_state && server_is_away(facts);
}

std::vector<Error> start_failures(const StartRules& rules, const StartFacts& facts) {
  // A template that is wrong by itself does not get better.
  for (const Error& error : facts.errors) {
    if (error.kind == ErrorKind::render) return {Error{error.kind, "a template can't be rendered"}};
  }
  std::vector<Error> failures;
  const bool some_failed = std::ranges::any_of(facts.secrets, failed);
  for (const auto& [id, target] : facts.required_by) {
    const SecretFact* secret = some_failed ? find(facts, id) : nullptr;
    if (secret == nullptr || !failed(*secret)) continue;
    Error error = *secret->error;
    error.text += "; needed by " + target;
    error.text += secret->advice.empty() ? hint(error) : ": " + secret->advice;
    failures.push_back(std::move(error));
  }
  if (!failures.empty()) return failures;

  if (rules.outage.on_start == OnStart::fail) {
    const auto unreachable = std::ranges::find_if(facts.secrets, away);
    if (unreachable != facts.secrets.end()) return {*unreachable->error};
  }
  const auto lacking = std::ranges::find(facts.errors, ErrorKind::not_found, &Error::kind);
  if (lacking == facts.errors.end() || !rules.exit_on_retry_failure) return {};
  const bool may_come = std::ranges::any_of(facts.lacking_keys, [&](const std::string& id) {
    const SecretFact* secret = find(facts, id);
    return secret != nullptr && secret->refetchable;
  });
  if (may_come && facts.now < facts.begun + rules.start_grace) return {};
  const std::string first_line = lacking->text.substr(0, lacking->text.find('\n'));
  return {Error{lacking->kind, first_line + "; add the key to the secret, or give it a default"}};
}

std::optional<Duration> start_timeout(const StartRules& rules) {
  if (rules.outage.start_timeout) return rules.outage.start_timeout;
  return rules.once ? std::optional<Duration>(60s) : std::nullopt;
}

Error start_timeout_error(const StartRules& rules, const StartFacts& facts) {
  const std::string text = "not ready after " +
                           std::to_string(start_timeout(rules).value_or(0s).count() / 1000) +
                           " s (outage.start_timeout)";
  const auto because = [&](const Error& error) {
    return Error{error.kind, text + ": " + error.text + hint(error)};
  };
  for (const SecretFact& secret : facts.secrets)
    if (!secret.has_value && secret.error) return because(*secret.error);
  if (facts.token_failure) return because(*facts.token_failure);
  const auto unanswered = std::ranges::find_if(
      facts.secrets, [](const SecretFact& secret) { return !secret.has_value; });
  if (!facts.has_token) return Error{ErrorKind::network, text + ": no answer to the login yet"};
  if (unanswered == facts.secrets.end()) return Error{ErrorKind::network, text};
  return Error{ErrorKind::network, text + ": no answer yet to what asks for " + unanswered->path};
}

}  // namespace keybearer
