#pragma once
// Tokens that we made: which of them still have to be revoked at the exit, and doing it.
//
// Source: rules T8, T13; Vault API, auth/token/revoke-self (refused for batch tokens).

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <vector>

#include "base/time.hpp"
#include "vault/client.hpp"

namespace keybearer::auth {

struct OwnToken {
  vault::Token token = {};  // null: none
  std::optional<Instant> end = {};
  bool batch = false;

  // It lives, and can be revoked.
  [[nodiscard]] bool revocable() const;
};

// All at the same time, in at most 5 s. Logs what came of each.
[[nodiscard]] boost::asio::awaitable<void> revoke_all(vault::Client& client,
                                                      std::vector<OwnToken> tokens);

}  // namespace keybearer::auth
