#pragma once
// The supervisor's machine with a counter of sets, and its actions as one line of text.

#include <doctest/doctest.h>

#include <string>

#include "child/supervisor_fsm.hpp"

namespace keybearer::child {

using namespace std::chrono_literals;
using Act = config::OnChange::Action;
using State = SupervisorFsm::State;

inline constexpr Instant t0{std::chrono::hours(1)};
inline constexpr ExitStatus kExited0{false, 0}, kExited3{false, 3}, kTerminated{true, 15},
    kKilled{true, 9}, kSegfault{true, 11};
inline const Error kNotFound{ErrorKind::spawn, "can't start x: not found", {}, 127};
inline const Error kNoProcesses{ErrorKind::spawn, "can't start x: no more processes", 1s, 126};

// Actions as one line of text.
inline std::string text(const Actions& actions) {
  struct {
    std::string operator()(const Start&) const { return "start"; }
    std::string operator()(const Stop& a) const { return "stop " + std::to_string(a.signal); }
    std::string operator()(const StopEscaped& a) const {
      return "rest " + std::to_string(a.signal);
    }
    std::string operator()(const Signal& a) const { return "signal " + std::to_string(a.signal); }
    std::string operator()(const KillTree&) const { return "kill"; }
    std::string operator()(const Finish& a) const { return "finish " + std::to_string(a.code); }
    std::string operator()(const Log& a) const { return "[" + a.text + "]"; }
    std::string operator()(const Notify& a) const { return "notify " + a.event; }
    std::string operator()(const ReportLeftBehind& a) const { return a.daemon ? "daemon" : "left"; }
  } name;
  std::string out;
  for (const Action& action : actions) out += (out.empty() ? "" : " ") + std::visit(name, action);
  return out;
}

inline Items set(std::uint64_t password, std::uint64_t file = 1, Act file_action = Act::restart) {
  return {
      {.name = "DB_PASSWORD", .fingerprint = password, .why = "database/creds/app: lease ended"},
      {.name = "config.ini", .fingerprint = file, .action = file_action}};
}

struct Machine : SupervisorFsm {
  explicit Machine(Rules rules = {}) : SupervisorFsm(std::move(rules), 0.999999) {}
  std::uint64_t id = 0;
  Actions desired(Items items, Instant now, Instant apply_before = Instant::max()) {
    return set_desired({++id, std::move(items), apply_before}, now);
  }
  [[nodiscard]] bool current() const { return applied() == id; }
  Machine& running(Items items = set(1)) {
    CHECK(text(desired(std::move(items), t0)) == "start");
    CHECK(text(started(t0)) == "");
    return *this;
  }
};

}  // namespace keybearer::child
