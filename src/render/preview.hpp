#pragma once
// What rendering would change, to look at: a file's content and a unified diff against what is on
// the disk. Pure.
//
// Masked, nothing is shown but the template's own text: whatever an action printed, and whatever of
// an old file no template line explains, is kMask. So a value can't be seen however it was encoded.

#include <string>
#include <string_view>

#include "base/secret.hpp"
#include "render/renderer.hpp"

namespace keybearer::render {

inline constexpr std::string_view kMask = "[masked]";

enum class Values { shown, masked };

// The content, line by line; what was printed is masked within each line.
[[nodiscard]] Secret preview(const RenderedFile& file, Values values);

// "--- PATH", "+++ PATH" and hunks with three lines of context, as diff -u; empty: no difference.
// `before` is what is on the disk; nullopt: nothing.
[[nodiscard]] Secret preview_diff(const RenderedFile& file, std::optional<std::string_view> before,
                                  Values values);

}  // namespace keybearer::render
