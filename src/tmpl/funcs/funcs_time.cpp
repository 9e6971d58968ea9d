// consul-template's timestamp: template/funcs.go.

#include "tmpl/exec.hpp"
#include "tmpl/funcs/time_object.hpp"

namespace keybearer::tmpl {
namespace {

Value timestamp(Evaluation& e, Arguments a) {
  if (a.size() > 1)
    throw CallError{"timestamp: wrong number of arguments, expected 0 or 1, but got " +
                    std::to_string(a.size())};
  const go_time::Time now = go_time::from_clock(e.options().now());
  if (a.empty()) return Value(go_time::format(now, go_time::kRfc3339));
  if (a[0].as_text() == "unix") return Value(std::to_string(now.seconds));
  return Value(go_time::format(now, a[0].as_text()));
}

constexpr Function kFunctions[] = {
    {"timestamp", timestamp, "s", true},
};

}  // namespace

std::span<const Function> time_functions() {
  return kFunctions;
}

}  // namespace keybearer::tmpl
