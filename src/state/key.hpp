#pragma once
// The key of the state file: 32 bytes in a file that only we can read, in another directory than
// the state, or a credential that systemd hands over (systemd.exec(5), LoadCredential=state-key:PATH).
// Errors are of kind config (78) and name the key of the configuration.

#include <functional>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "base/secret.hpp"
#include "config/config.hpp"

namespace keybearer::state {

inline constexpr const char* kCredentialName = "state-key";

using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// `environment`: where CREDENTIALS_DIRECTORY is looked up.
[[nodiscard]] result<Secret> read_key(const config::State& state, const Environment& environment);

}  // namespace keybearer::state
