#pragma once
// What an operator may do about an error, in the words that follow it.

#include <string>

#include "base/error.hpp"

namespace keybearer {

// ": what to do about it", or nothing.
[[nodiscard]] std::string hint(const Error& error);

}  // namespace keybearer
