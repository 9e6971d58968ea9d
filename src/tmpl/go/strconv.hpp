#pragma once
// Go's strconv, as far as templates need it: quoting, unquoting, numbers to text and back.

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace keybearer::tmpl {

// strconv.Quote; with `ascii` strconv.QuoteToASCII.
[[nodiscard]] std::string quote(std::string_view text, bool ascii = false);
void append_quoted(std::string& out, std::string_view text, bool ascii = false);
// strconv.CanBackquote.
[[nodiscard]] bool can_backquote(std::string_view text);
// strconv.QuoteRune.
[[nodiscard]] std::string quote_rune(char32_t code, bool ascii = false);
// strconv.Unquote of a "..." or `...` literal; nullopt: "invalid syntax".
[[nodiscard]] std::optional<std::string> unquote(std::string_view literal);
// The one character of a '...' literal; nullopt: "invalid syntax". `one`: nothing follows it.
[[nodiscard]] std::optional<char32_t> unquote_char(std::string_view literal, bool& one);

// strconv.FormatFloat(value, verb, precision, 64) with verb b e E f g G x X; precision -1: shortest
// that reads back.
[[nodiscard]] std::string format_float(double value, char verb, int precision);

// strconv.ParseInt and ParseUint with base 0 (prefixes and '_' allowed) or a given base. The error
// is Go's reason: "invalid syntax", "value out of range".
[[nodiscard]] std::expected<std::int64_t, std::string_view> parse_int(std::string_view text,
                                                                      int base, int bits = 64);
[[nodiscard]] std::expected<std::uint64_t, std::string_view> parse_uint(std::string_view text,
                                                                        int base);
// strconv.ParseFloat: decimal and hexadecimal, '_' between digits, inf, nan.
[[nodiscard]] std::expected<double, std::string_view> parse_float(std::string_view text);
[[nodiscard]] std::optional<bool> parse_bool(std::string_view text);

}  // namespace keybearer::tmpl
