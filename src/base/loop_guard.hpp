#pragma once
// A guard for the loops of coroutines: one that comes round without ever waiting would hold the one
// thread, and with it signals, renewals and the child. That is a bug, not a storm (T10).
//
//     LoopGuard guard(co_await asio::this_coro::executor, "auth");
//     for (;;) {
//       guard.round();   // std::logic_error after 1000 rounds in which nobody else came to run
//       ...
//     }
//
// Costs a counter; every hundredth round without news asks the executor for a sign of life.

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string_view>

namespace keybearer {

class LoopGuard {
 public:
  static constexpr int kMostRounds = 1000;

  LoopGuard(boost::asio::any_io_executor executor, std::string_view loop);
  // Throws std::logic_error, which ends the program as a bug (70).
  void round();

 private:
  boost::asio::any_io_executor executor_;
  std::string_view loop_;
  std::shared_ptr<bool> others_ran_;  // set by a handler of the executor
  int rounds_ = 0;
};

}  // namespace keybearer
