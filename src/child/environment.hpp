#pragma once
// The program's environment: what it inherits of ours, less our own credentials, plus what was
// rendered. Pure.

#include "config/config.hpp"
#include "process/env_block.hpp"

namespace keybearer::child {

// `ours` is keybearer's own environment. Our credentials (VAULT_TOKEN, VAULT_SECRET_ID ... and
// their BAO_ twins) never pass, unless exec.pass_credentials; a rendered variable of such a name
// does: it was asked for.
// `withheld`: Config::credential_variables, our credentials under names of their own.
[[nodiscard]] EnvBlock program_environment(const config::Exec& exec, const EnvBlock& ours,
                                           const EnvBlock& rendered,
                                           std::span<const std::string> withheld = {});

}  // namespace keybearer::child
