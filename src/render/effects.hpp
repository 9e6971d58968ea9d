#pragma once
// Files that templates write besides their output (writeToFile). Carried out when the pass that
// asked for them is complete (behaviour.md R7), before the template's own file is written.

#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "render/renderer.hpp"
#include "tmpl/template.hpp"

namespace keybearer::render {

// In order; true when bytes on the disk changed, which is a change of the template. The first that
// fails ends it: an error of kind io with the template's place, whose text holds no value. Blocks
// while it writes.
[[nodiscard]] result<bool> carry_out(std::span<const tmpl::FileEffect> effects);

// The same for variables, where something changed since `known`, which holds a fingerprint for each
// name.
[[nodiscard]] result<> carry_out(const std::vector<RenderedVariable>& variables,
                                 std::map<std::string, std::uint64_t>& known);

// Of a content and what is written beside it: equal when nothing of it changed.
[[nodiscard]] std::uint64_t fingerprint_of(const Secret& content,
                                           std::span<const tmpl::FileEffect> effects);

}  // namespace keybearer::render
