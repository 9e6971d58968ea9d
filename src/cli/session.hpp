#pragma once
// For commands that ask the server a few things and end: one login as configured, and nothing left
// behind.

#include <boost/asio/awaitable.hpp>
#include <functional>

#include "config/config.hpp"
#include "vault/client.hpp"

namespace keybearer::cli {

// What to do when logged in; returns the exit code.
using SessionWork =
    std::function<boost::asio::awaitable<int>(vault::Client& client, const vault::Auth& auth)>;

// Logs in, works, and revokes the token if the login made it (and with it what it leased). Uses no
// credential up: a secret_id file stays, a wrapped one is not tried (78). Says what fails; returns
// the exit code.
[[nodiscard]] int with_login(config::Config& config, const SessionWork& work);

// As an error ends a command that asks the server: 69, 75, 77 or 78.
[[nodiscard]] int exit_code_of(const Error& error);
// "keybearer: TEXT; what to do about it" on stderr.
void complain_of(const Error& error);

}  // namespace keybearer::cli
