#pragma once
// A file that a template reads: watched by what stat(2) tells. Internal to secrets/.

#include <boost/asio/awaitable.hpp>
#include <memory>

#include "secrets/watched_secret.hpp"

namespace keybearer::secrets {

[[nodiscard]] boost::asio::awaitable<void> watch_file(WatchContext& context,
                                                      std::shared_ptr<WatchedSecret> secret);

}  // namespace keybearer::secrets
