#pragma once
// The sprig functions that consul-template ships, each with the prefix sprig_: one table per
// subject, sorted by name.
//
// Source: github.com/Masterminds/sprig v3.3.0, HermeticTxtFuncMap.

#include <span>

#include "tmpl/funcs/funcs.hpp"

namespace keybearer::tmpl::sprig {

[[nodiscard]] std::span<const Function> crypto_functions();  // hashes, certificates, passwords
[[nodiscard]] std::span<const Function> date_functions();
[[nodiscard]] std::span<const Function> dict_functions();
[[nodiscard]] std::span<const Function> list_functions();
[[nodiscard]] std::span<const Function> number_functions();
[[nodiscard]] std::span<const Function> path_functions();     // and URLs, semantic versions
[[nodiscard]] std::span<const Function> pattern_functions();  // regular expressions
[[nodiscard]] std::span<const Function> text_functions();     // strings
[[nodiscard]] std::span<const Function>
type_functions();  // conversions, defaults, reflection, JSON

// mergo's Merge: fills the gaps of `into`, deeply; with `overwrite` what `from` has wins. Throws
// CallError.
void merge_maps(Value& into, const Value& from, bool overwrite);

}  // namespace keybearer::tmpl::sprig
