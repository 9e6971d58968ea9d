#pragma once
// The exit code that an error ends keybearer with. Rules: section 7 of RULES.md.

#include "base/error.hpp"
#include "base/exit_code.hpp"

namespace keybearer {

[[nodiscard]] int exit_code(const Error& error);

}  // namespace keybearer
