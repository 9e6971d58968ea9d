#pragma once
// When the agent stops its child, cleans up and ends, and with which code. Pure: events in, actions
// out; an explicit table of states and events, without an empty cell (lifecycle_fsm.cpp).
//
//     starting --ready--> ready --child_offered--> supervising
//        any of these --stop, failed, finished--> stopping (only with a child) --> cleaning --> done
//
// The first reason to end decides the code; a stop that was asked for takes the code of the child
// that it ended. Rules: P1, P7, T8, sections 5 and 7 of RULES.md.

#include <array>
#include <cstdint>
#include <optional>

namespace keybearer {

class LifecycleFsm {
 public:
  enum class State : std::uint8_t {
    starting,     // something is missing yet
    ready,        // everything was there once; no child
    supervising,  // a child was offered to the supervisor
    stopping,     // the child is being stopped
    cleaning,     // files, leases, token, notifications
    done,
  };
  enum class Event : std::uint8_t {
    ready,          // the first complete set is in force
    child_offered,  // the supervisor has a set to start the child with
    stop,           // a stop signal, or `keybearer stop`
    ended,          // something else ends it: a failure, or all is done (with a code)
    child_ended,    // the supervisor is done (with the child's code)
    cleaned,
  };
  enum class Action : std::uint8_t {
    none,
    stop_child,   // in order: stop signal, grace, kill
    hurry_child,  // again: a second's grace, then kill
    clean_up,
    hurry_clean_up,  // nothing more is waited for
    exit,
  };
  static constexpr int kStates = 6, kEvents = 6;

  // `code`: of ended and child_ended.
  [[nodiscard]] Action on(Event event, int code = 0);

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool was_ready() const { return was_ready_; }
  // Nothing new is begun any more.
  [[nodiscard]] bool ending() const { return state_ >= State::stopping; }
  [[nodiscard]] int code() const { return code_.value_or(0); }

 private:
  State state_ = State::starting;
  bool was_ready_ = false;
  std::optional<int> code_;
};

}  // namespace keybearer
