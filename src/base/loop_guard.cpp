#include "base/loop_guard.hpp"

#include <boost/asio/post.hpp>
#include <stdexcept>
#include <string>
#include <utility>

namespace keybearer {
namespace {

constexpr int kProbeAfter = 100;

}  // namespace

LoopGuard::LoopGuard(boost::asio::any_io_executor executor, std::string_view loop)
    : executor_(std::move(executor)), loop_(loop), others_ran_(std::make_shared<bool>(false)) {}

void LoopGuard::round() {
  if (std::exchange(*others_ran_, false)) rounds_ = 0;
  if (++rounds_ == kProbeAfter)
    boost::asio::post(executor_, [others_ran = others_ran_] { *others_ran = true; });
  if (rounds_ >= kMostRounds)
    throw std::logic_error("the loop \"" + std::string(loop_) + "\" came round " +
                           std::to_string(rounds_) + " times without waiting");
}

}  // namespace keybearer
