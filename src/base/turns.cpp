#include "base/turns.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace keybearer {
namespace {

constexpr int kTurns = 6;

}  // namespace

boost::asio::awaitable<void> let_others_go_first() {
  for (int turn = 0; turn < kTurns; ++turn) co_await boost::asio::post(boost::asio::use_awaitable);
}

}  // namespace keybearer
