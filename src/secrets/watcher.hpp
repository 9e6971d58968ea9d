#pragma once
// One secret's life as a coroutine: fetch it, keep it fresh by its schedule, until nobody asks for
// it any more. Internal to secrets/.

#include <boost/asio/awaitable.hpp>
#include <memory>

#include "secrets/watched_secret.hpp"

namespace keybearer::secrets {

[[nodiscard]] boost::asio::awaitable<void> watch(WatchContext& context,
                                                 std::shared_ptr<WatchedSecret> secret);

}  // namespace keybearer::secrets
