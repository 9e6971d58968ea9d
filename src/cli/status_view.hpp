#pragma once
// `keybearer status` for people: the answer of GET /status as a table. Pure.

#include <string>
#include <vector>

#include "base/time.hpp"
#include "json/value.hpp"

namespace keybearer::cli {

struct StatusLook {
  int width = 100;  // columns; longer lines are cut
  int height = 0;   // rows; 0: as many as it takes. Else secrets, files and events are shortened
  bool colour = false;
  Duration later{};  // since `status` was asked for: count-downs go on
};
// One line each, without line ends.
[[nodiscard]] std::vector<std::string> status_lines(const Value& status, const StatusLook& look);

}  // namespace keybearer::cli
