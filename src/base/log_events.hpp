#pragma once
// The newest events of the log, for who looks inside a running keybearer.

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>

#include "base/log.hpp"
#include "base/time.hpp"

namespace keybearer::log {

// Of level info and above, whatever the log's own level; redacted as lines are, and without
// accessors.
struct Event {
  WallTime at;
  Level level = Level::info;
  std::string event = {};    // "child.restart"
  std::string message = {};  // one line
  std::string fields = {};   // "path=... mode=0600"
};
void keep_events(std::size_t most);               // from now on; 0: none, which is how it begins
[[nodiscard]] const std::deque<Event>& events();  // the oldest first
[[nodiscard]] std::string_view name_of(Level level);

}  // namespace keybearer::log
