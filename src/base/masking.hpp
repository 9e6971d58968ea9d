#pragma once
// What programs that know secrets say, made fit for the log. Pure.

#include <string>
#include <vector>

#include "base/secret.hpp"

namespace keybearer {

// Each line of `output` with the lines and long words of `masked` replaced by [masked].
[[nodiscard]] std::vector<std::string> masked_lines(std::string output,
                                                    const std::vector<Secret>& masked);

}  // namespace keybearer
