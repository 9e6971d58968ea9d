#pragma once
// Tokens to trees. Mirrors Go's text/template/parse/parse.go (1.26): same grammar, same error
// texts, same positions. Functions and variables are resolved here.

#include <expected>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "tmpl/funcs/funcs.hpp"
#include "tmpl/node.hpp"

namespace keybearer::tmpl {

struct ParseError {
  std::string text;  // "template: NAME:LINE: ..."
  int line = 0;
  std::size_t pos = 0;  // byte offset of the token at fault
};

// The templates defined by one text, by name; the text itself has the name given to parse().
struct TreeSet {
  Arena arena;
  std::map<std::string, const ListNode*, std::less<>> trees;
  bool changes_maps = false;  // a function is used that changes a map in place
};

// Which function a name is; nullptr: none.
using FindFunction = const Function* (*)(std::string_view name);

// Throws nothing. `text` must outlive the trees, which point into it. `own_name` is under which the
// main template is known to `template` (consul-template: ""); `shown_name` stands in error texts.
[[nodiscard]] std::expected<TreeSet, ParseError> parse(
    std::string_view text, const std::string& own_name, const std::string& shown_name,
    std::string_view left, std::string_view right, FindFunction find = find_function);

}  // namespace keybearer::tmpl
