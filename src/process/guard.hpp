#pragma once
// A small process that outlives a keybearer killed with SIGKILL and then ends all that carries its
// marks (src/guard/main.cpp, process/mark.hpp; P8). Its image is embedded in ours and started from
// memory: 20 KiB, and no page of ours, so none of our secrets. As PID 1 none is needed: there the
// kernel ends everything with us.
//
// It is nobody's child that we would have to reap, is in a session of its own, and has all signals
// blocked, so that what stops a whole group or control group does not stop it first.

#include "base/error.hpp"
#include "base/fd.hpp"

namespace keybearer {

class Guard {
 public:
  Guard() = default;
  Guard(Guard&&) noexcept = default;
  Guard& operator=(Guard&&) noexcept = default;
  // Without dismiss() it looks for what is left, and ends.
  ~Guard() = default;

  // Before any program is started: orphans that come meanwhile would not become our children. Error
  // kind spawn: the system lets no program run from memory, say; with a retry_after it is passing.
  [[nodiscard]] static result<Guard> start();
  // Nothing of what it guards is left: it ends at once.
  void dismiss() noexcept;
  [[nodiscard]] explicit operator bool() const { return static_cast<bool>(pipe_); }

 private:
  UniqueFd pipe_;   // its end is the guard's sign
  UniqueFd pidfd_;  // of the guard
};

}  // namespace keybearer
