#pragma once
// Changes of words: their case, their line breaks, their abbreviation.
//
// Source: github.com/huandu/xstrings v1.5.0 (case), github.com/Masterminds/goutils v1.1.1 (the
// rest; some of it counts bytes where characters are meant, and so do we).

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

namespace keybearer::tmpl::sprig {

[[nodiscard]] std::string pascal_case(std::string_view text);  // http_server: HttpServer
[[nodiscard]] std::string snake_case(std::string_view text);   // HTTPServer: http_server
[[nodiscard]] std::string kebab_case(std::string_view text);   // HTTPServer: http-server
[[nodiscard]] std::string swap_case(std::string_view text);
[[nodiscard]] std::string title(std::string_view text);    // Go: strings.Title
[[nodiscard]] std::string untitle(std::string_view text);  // the first letter of each word lowered
[[nodiscard]] std::string initials(std::string_view text);
[[nodiscard]] std::string without_space(std::string_view text);

// Lines of at most `width` bytes (at least 1), broken at blanks; with `cut` also inside words.
[[nodiscard]] std::string wrapped(std::string_view text, std::int64_t width,
                                  std::string_view line_break, bool cut);
// At most `width` bytes (at least 4) from about `offset` on, with "..." for what is left out.
[[nodiscard]] std::string abbreviated(std::string_view text, std::int64_t offset,
                                      std::int64_t width);

// encoding/base32, standard alphabet, padded; the error is the offset of what is wrong.
[[nodiscard]] std::string base32(std::string_view bytes);
[[nodiscard]] std::expected<std::string, std::size_t> base32_decoded(std::string_view text);

}  // namespace keybearer::tmpl::sprig
