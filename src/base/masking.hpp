#pragma once
// What programs that know secrets say, made fit for the log. Pure.

#include <string>
#include <string_view>
#include <vector>

#include "base/secret.hpp"

namespace keybearer {

// Shorter values are no secrets worth the holes they would leave.
inline constexpr std::size_t kShortestMasked = 6;

// Each of `words` that stands in `text` is replaced by [masked].
void mask_words(std::string& text, std::vector<std::string_view> words);

// Each line of `output` with the lines and long words of `masked` replaced by [masked].
[[nodiscard]] std::vector<std::string> masked_lines(std::string output,
                                                    const std::vector<Secret>& masked);

}  // namespace keybearer
