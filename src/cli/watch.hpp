#pragma once
// `keybearer status --watch`: the status redrawn in place, as top(1) does. q or Ctrl-C quits; the
// terminal is as before then, whatever ends it.

#include "cli/instance.hpp"

namespace keybearer::cli {

// The exit code. Standard output must be a terminal (64).
[[nodiscard]] int watch(const Instance& instance);

}  // namespace keybearer::cli
