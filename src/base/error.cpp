#include "base/error.hpp"

#include <cstring>

namespace keybearer {

std::unexpected<Error> fail_errno(ErrorKind kind, std::string_view text, int error_number) {
  return fail(kind, std::string(text) + ": " + strerrordesc_np(error_number));
}

}  // namespace keybearer
