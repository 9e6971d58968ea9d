#pragma once
// One secret's life as a coroutine: fetch it, keep it fresh by its schedule, for ever. Internal to
// secrets/.

#include <boost/asio/awaitable.hpp>
#include <memory>

#include "secrets/entry.hpp"

namespace keybearer::secrets {

[[nodiscard]] boost::asio::awaitable<void> watch(Shared& shared, std::shared_ptr<Entry> entry);

}  // namespace keybearer::secrets
