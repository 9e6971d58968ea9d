#pragma once
// Number literals: one may be an int, an unsigned, a float and a complex at once (Go:
// parse.NumberNode).

#include <expected>
#include <string>
#include <string_view>

#include "tmpl/lex.hpp"
#include "tmpl/node.hpp"

namespace keybearer::tmpl {

// Of a token of the types number, char_constant and complex; or what is wrong with it.
[[nodiscard]] std::expected<NumberNode, std::string> make_number(Tok type, std::uint32_t pos,
                                                                 std::string_view text);

}  // namespace keybearer::tmpl
