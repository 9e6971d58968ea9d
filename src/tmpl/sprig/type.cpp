#include "tmpl/sprig/sprig.hpp"

namespace keybearer::tmpl::sprig {

std::span<const Function> type_functions() {
  return {};
}

}  // namespace keybearer::tmpl::sprig
