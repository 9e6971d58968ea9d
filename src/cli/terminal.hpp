#pragma once
// Colour for people: only on a terminal, never with NO_COLOR set (no-color.org) or TERM=dumb.

#include <string>
#include <string_view>

namespace keybearer::cli {

[[nodiscard]] bool colour_on(int descriptor);

// An error's text with its place, source line and caret (tmpl::TemplateError::with_source).
[[nodiscard]] std::string colorize_error(std::string_view text);
// The lines below it.
[[nodiscard]] std::string painted_place(std::string_view lines);
// A unified diff.
[[nodiscard]] std::string painted_diff(std::string_view text);

// "keybearer: TEXT" on stderr.
void complain(std::string_view text);

}  // namespace keybearer::cli
