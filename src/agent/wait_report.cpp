#include "agent/wait_report.hpp"

#include <algorithm>
#include <chrono>
#include <vector>

namespace keybearer {
namespace {

using namespace std::chrono_literals;

constexpr Duration kRepeat = 30s;
constexpr Duration kPatience = 3s;  // before an answer that is on its way is worth a line
constexpr std::size_t kNamed = 3;   // secrets that a line names

constexpr const char* kStartTimeout = "outage.start_timeout";
constexpr const char* kStartGrace = "template_config.start_grace";

std::string seconds(Duration time) {
  return std::to_string(std::chrono::ceil<std::chrono::seconds>(time).count()) + " s";
}

// "a, b, c and 4 more"
std::string named(std::vector<std::string> names) {
  std::ranges::sort(names);
  std::string out;
  for (std::size_t i = 0; i < names.size() && i < kNamed; ++i)
    out += (i > 0 ? ", " : "") + names[i];
  if (names.size() > kNamed) out += " and " + std::to_string(names.size() - kNamed) + " more";
  return out;
}

StartWait for_server(const StartRules& rules, const StartFacts& facts, std::string what,
                     bool in_trouble) {
  const auto limit = start_timeout(rules);
  return {.what = std::move(what),
          .key = kStartTimeout,
          .until = limit ? std::optional(facts.begun + *limit) : std::nullopt,
          .in_trouble = in_trouble};
}

StartWait for_grace(const StartRules& rules, const StartFacts& facts, std::string what) {
  if (!rules.exit_on_retry_failure) return for_server(rules, facts, std::move(what), true);
  return {.what = std::move(what),
          .key = kStartGrace,
          .until = facts.begun + rules.start_grace,
          .in_trouble = true};
}

}  // namespace

std::optional<StartWait> start_wait(const StartRules& rules, const StartFacts& facts) {
  if (!facts.has_token)
    return for_server(rules, facts, facts.token_failure ? "the server" : "the login",
                      facts.token_failure.has_value());
  std::vector<std::string> away, refused, unanswered;
  for (const SecretFact& secret : facts.secrets) {
    if (secret.has_value) continue;
    if (!secret.error)
      unanswered.push_back(secret.path);
    else
      (is_outage(secret.error->kind) ? away : refused).push_back(secret.path);
  }
  if (!refused.empty()) return for_grace(rules, facts, named(std::move(refused)));
  if (!away.empty()) return for_server(rules, facts, named(std::move(away)), true);
  if (!unanswered.empty()) return for_server(rules, facts, named(std::move(unanswered)), false);
  const bool lacks_key =
      std::ranges::find(facts.errors, ErrorKind::not_found, &Error::kind) != facts.errors.end();
  if (lacks_key) return for_grace(rules, facts, "a missing key");
  return std::nullopt;
}

std::optional<std::string> WaitReport::line(const std::optional<StartWait>& wait, Instant now) {
  if (!wait || (wait->until && *wait->until <= now)) {
    wait_.reset();
    next_ = Instant::max();
    return std::nullopt;
  }
  if (!wait_ || !wait_->same(*wait)) {
    begun_ = now;
    next_ = wait->in_trouble ? now : now + kPatience;
    announced_ = false;
  } else if (wait->in_trouble && !announced_) {
    next_ = now;
  }
  wait_ = wait;
  if (now < next_) return std::nullopt;
  next_ = now + kRepeat;
  const bool first = !std::exchange(announced_, true);
  const std::string limit = wait->until ? "up to " + seconds(std::max(*wait->until - now, 0ms))
                                        : std::string("without a limit");
  if (first) return "waiting " + limit + " (" + wait->key + ") for " + wait->what;
  return "still waiting for " + wait->what + ": " + seconds(now - begun_) + " so far, " +
         (wait->until ? limit + " more" : limit) + " (" + wait->key + ")";
}

}  // namespace keybearer
