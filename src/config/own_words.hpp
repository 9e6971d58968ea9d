#pragma once
// What of a configuration must not be hidden, and what must.

#include <string>
#include <vector>

#include "config/config.hpp"

namespace keybearer::config {

// The texts that its author chose and may see again (R5): names, paths, commands, arguments of
// writes; one a line, without the templates' own texts, credentials and defaults.
[[nodiscard]] std::string own_words(const Config& config);
// Its credentials: token, secret_id, role_id, values of headers, passwords of proxies.
[[nodiscard]] std::vector<std::string> credentials_of(const Config& config);

}  // namespace keybearer::config
