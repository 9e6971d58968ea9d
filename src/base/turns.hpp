#pragma once
// Lets what is ready run first: a request that only waits for its connection goes out before work that
// has time until its answer comes.

#include <boost/asio/awaitable.hpp>

namespace keybearer {

// A few turns of the loop: so many as a connection takes that is made at once, and what it is for.
[[nodiscard]] boost::asio::awaitable<void> let_others_go_first();

}  // namespace keybearer
