#pragma once
// Go's package strings, as far as templates need it.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "json/value.hpp"

namespace keybearer::tmpl {

// strings.Index, but npos when it is not there.
[[nodiscard]] std::size_t index_of(std::string_view text, std::string_view what);
// strings.ReplaceAll: an empty `from` stands between all characters.
[[nodiscard]] std::string replaced(std::string_view text, std::string_view from,
                                   std::string_view to);
// strings.Trim and strings.TrimSpace.
[[nodiscard]] std::string_view trimmed(std::string_view text, std::string_view set);
[[nodiscard]] std::string_view trimmed_space(std::string_view text);
// strings.Map; a byte that is not valid becomes U+FFFD.
enum class Case : bool { lower, upper };
[[nodiscard]] std::string mapped(std::string_view text, Case to);
// strings.SplitN; `most` below 0: all parts. An empty separator cuts into characters.
[[nodiscard]] List split_text(std::string_view text, std::string_view separator, int most = -1);
// The parts of it, by a separator that is not empty.
[[nodiscard]] std::vector<std::string_view> cut_text(std::string_view text,
                                                     std::string_view separator);
// strings.Join of texts.
[[nodiscard]] std::string joined(std::span<const Value> parts, std::string_view separator);

}  // namespace keybearer::tmpl
