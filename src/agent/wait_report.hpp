#pragma once
// What a one-shot command waits for at its start, said when the wait begins and every 30 s: how long
// it may take and by which key (RULES.md, section 7, "waits of a one-shot command"). Pure: facts
// and the time in, a line out.

#include <optional>
#include <string>

#include "agent/start_policy.hpp"

namespace keybearer {

struct StartWait {
  std::string what;              // "kv/app", "the server"
  std::string key;               // of the configuration, that limits it
  std::optional<Instant> until;  // nullopt: no limit
  bool in_trouble = false;       // something was refused or is away; else an answer is on its way

  // The same wait: it goes on, and is not announced again.
  [[nodiscard]] bool same(const StartWait& other) const {
    return what == other.what && key == other.key;
  }
};

// nullopt: nothing is waited for.
[[nodiscard]] std::optional<StartWait> start_wait(const StartRules& rules, const StartFacts& facts);

class WaitReport {
 public:
  // The line that is due now; nullopt: none. A wait in which nothing is wrong is first said after 3 s.
  [[nodiscard]] std::optional<std::string> line(const std::optional<StartWait>& wait, Instant now);
  // When a line may be due next, if nothing changes.
  [[nodiscard]] Instant next() const { return next_; }

 private:
  std::optional<StartWait> wait_;
  Instant begun_{}, next_ = Instant::max();
  bool announced_ = false;
};

}  // namespace keybearer
