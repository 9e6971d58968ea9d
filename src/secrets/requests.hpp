#pragma once
// What a secret is asked for with: its real path, and the request of its kind. Internal to
// secrets/.

#include <boost/asio/awaitable.hpp>

#include "secrets/watched_secret.hpp"

namespace keybearer::secrets {

// No pause that the server asks for goes beyond this: what is held would end.
[[nodiscard]] Instant last_moment(const WatchedSecret& secret);

// Finds `data_path`: for a path without data/ the mount is asked once; no answer to that is no
// answer at all, and a refusal leaves it open. KV v2 by the answer of the mount.
[[nodiscard]] boost::asio::awaitable<result<>> resolve_path(WatchContext& context,
                                                            WatchedSecret& secret);
// Reads, lists or writes it.
[[nodiscard]] boost::asio::awaitable<result<vault::Reply>> fetch(WatchContext& context,
                                                                 WatchedSecret& secret);

}  // namespace keybearer::secrets
