#include "tmpl/funcs.hpp"

namespace keybearer::tmpl {

std::span<const Function> time_functions() {
  return {};
}

}  // namespace keybearer::tmpl
