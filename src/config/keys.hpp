#pragma once
// What to say of a key that nobody knows. Internal to config/.

#include <span>
#include <string>
#include <string_view>

#include "config/toml.hpp"

namespace keybearer::config {

// "; did you mean ...", or "". `table`: the full name of the table it stands in, "" at the top;
// `known`: that table's keys; `dotted`: written as "lease.check_interval = ...", not as a table.
[[nodiscard]] std::string advice_on_unknown(std::string_view table, std::string_view key,
                                            std::span<const std::string_view> known,
                                            const toml::node& node, bool dotted);

}  // namespace keybearer::config
