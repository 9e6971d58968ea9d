#pragma once
// A file that a template reads: watched by what stat(2) tells. Internal to secrets/.

#include <boost/asio/awaitable.hpp>
#include <memory>

#include "secrets/entry.hpp"

namespace keybearer::secrets {

[[nodiscard]] boost::asio::awaitable<void> watch_file(Shared& shared, std::shared_ptr<Entry> entry);

}  // namespace keybearer::secrets
