#include "tmpl/sprig/sprig.hpp"

namespace keybearer::tmpl::sprig {

std::span<const Function> crypto_functions() {
  return {};
}

}  // namespace keybearer::tmpl::sprig
