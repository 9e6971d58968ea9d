#pragma once
// Why something changed, for the log: "kv/data/app: version 7 -> 8; database/creds/app: rotated".
// Pure.

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "secrets/secret_store.hpp"

namespace keybearer {

// Generations of secrets that the log has explained already.
using LoggedGenerations = std::map<std::string, std::uint64_t, std::less<>>;
using StatusOf = std::function<const secrets::Status*(const std::string& id)>;

// Of those among `ids` that are newer than what was logged; each path once.
[[nodiscard]] std::string change_reasons(const std::vector<std::string>& ids,
                                         const StatusOf& status_of,
                                         const LoggedGenerations& logged);

}  // namespace keybearer
