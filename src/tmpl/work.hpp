#pragma once
// How much one evaluation may do, and whether it is to end (T13): every loop over data inside a
// function says how far it got, and that looks at the clock and at the stop flag about once a
// millisecond. So no call holds its thread for long after a stop or behind its time.
//
// The caller owns the flag and the Work; functions reach it through the thread it was begun in.
// A unit is about a nanosecond's worth: a byte looked at, a character compared.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "tmpl/stack.hpp"

namespace keybearer::tmpl {

class Work {
 public:
  using Clock = std::chrono::steady_clock;

  Work() = default;  // without limits: it only counts
  Work(std::chrono::seconds most, const std::atomic<bool>* stop)
      : most_(most), deadline_(Clock::now() + most), stop_(stop), look_at_(kLook) {}
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

  // Counts `units` more. false: the evaluation is to end, and why() says so; it stays false.
  [[nodiscard]] bool tick(std::size_t units) {
    done_ += units;
    return done_ < look_at_ || look();
  }
  // The same for functions: throws CallError with why().
  void spend(std::size_t units) {
    if (!tick(units)) break_off();
  }
  // Time that a program took (plugin) is not the evaluation's own.
  void pause(Clock::duration spent) { deadline_ += spent; }
  [[nodiscard]] std::string why() const;
  [[nodiscard]] std::uint64_t done() const { return done_; }
  [[nodiscard]] const std::atomic<bool>* stop_flag() const { return stop_; }
  // Of the thread that it was made in.
  [[nodiscard]] const StackRoom& stack() const { return stack_room_; }

 private:
  friend class Working;
  enum class End : std::uint8_t { none, stopped, late };
  static constexpr std::uint64_t kLook = 1u << 17;  // units between two looks

  bool look();
  [[noreturn]] void break_off() const;

  std::chrono::seconds most_{0};
  Clock::time_point deadline_ = Clock::time_point::max();
  const std::atomic<bool>* stop_ = nullptr;
  std::uint64_t done_ = 0, look_at_ = UINT64_MAX;
  End end_ = End::none;
  StackRoom stack_room_;
};

namespace detail {
inline constinit thread_local Work* working = nullptr;
}  // namespace detail

// While it lives, spend() in this thread counts for `work`. They nest: what was done inside counts
// outside too, afterwards.
class Working {
 public:
  explicit Working(Work& work) : work_(work), before_(detail::working) { detail::working = &work; }
  ~Working() {
    detail::working = before_;
    if (before_ != nullptr) before_->done_ += work_.done_;
  }
  Working(const Working&) = delete;
  Working& operator=(const Working&) = delete;

 private:
  Work& work_;
  Work* before_;
};

// For functions: `units` of work were done. Throws CallError when the evaluation is to end. Outside
// of an evaluation it does nothing.
inline void spend(std::size_t units) {
  if (detail::working != nullptr) detail::working->spend(units);
}

// For calls into libraries that take a callback: false, and nothing is thrown.
[[nodiscard]] inline bool may_go_on(std::size_t units) {
  return detail::working == nullptr || detail::working->tick(units);
}

}  // namespace keybearer::tmpl
