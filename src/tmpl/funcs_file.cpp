#include "tmpl/funcs.hpp"

namespace keybearer::tmpl {

std::span<const Function> file_functions() {
  return {};
}

}  // namespace keybearer::tmpl
