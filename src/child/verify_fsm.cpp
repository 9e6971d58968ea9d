#include "child/verify_fsm.hpp"

#include <algorithm>

namespace keybearer::child {

namespace {

using namespace std::chrono_literals;

constexpr int kMaxDoublings = 10;
constexpr Duration kRefetchWait = 5s;  // what is not there by then is not waited for

}  // namespace

void VerifyFsm::configure(const config::Exec::Verify& rules) {
  attempts_ = rules.attempts;
  backoff_ = rules.backoff;
  trying_.reset();
  refused_.reset();
  again_at_.reset();
  fetching_ = false;
  failures_ = 0;
}

VerifyFsm::Do VerifyFsm::run() {
  again_at_.reset();
  fetching_ = false;
  trying_ = newest_;
  return Do::run;
}

VerifyFsm::Do VerifyFsm::offered(std::uint64_t set) {
  const bool another = newest_ != set;
  newest_ = set;
  if (fetching_ && another) return run();
  if (trying_ || again_at_) return Do::nothing;  // it has its turn next
  if (newest_ == good_) return Do::accept;
  if (newest_ == refused_) return Do::nothing;
  failures_ = 0;
  return run();
}

VerifyFsm::Do VerifyFsm::answered(bool good, Instant now) {
  const auto tried = std::exchange(trying_, std::nullopt);
  if (good) {
    failures_ = 0;
    good_ = tried;
    return newest_ == tried ? Do::accept : run();
  }
  if (++failures_ < attempts_) {
    again_at_ = now + backoff_ * (1 << std::min(failures_ - 1, kMaxDoublings));
    return Do::wait;
  }
  if (newest_ != tried) {  // a newer one came meanwhile
    failures_ = 0;
    return run();
  }
  refused_ = tried;
  return Do::refuse;
}

VerifyFsm::Do VerifyFsm::due(Instant now) {
  if (!again_at_ || *again_at_ > now) return Do::nothing;
  if (std::exchange(fetching_, true)) return run();
  again_at_ = now + kRefetchWait;
  return Do::refetch;
}

}  // namespace keybearer::child
