#pragma once
// Number literals: one may be an int, an unsigned, a float and a complex at once (Go:
// parse.NumberNode).

#include <expected>
#include <memory>
#include <string>

#include "tmpl/lex.hpp"
#include "tmpl/node.hpp"

namespace keybearer::tmpl {

[[nodiscard]] std::expected<std::unique_ptr<NumberNode>, std::string> make_number(
    const Token& token);

}  // namespace keybearer::tmpl
