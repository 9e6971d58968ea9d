#pragma once
// Closes a socket at a moment, unless it goes out of scope before: Deadline with a timer of its own,
// Deadlines for many on one.

#include <boost/system/error_code.hpp>
#include <memory>

#include "base/error.hpp"
#include "base/timer.hpp"

namespace keybearer::http {

// A moment, and the time that the setting behind it allows, for the message.
struct Limit {
  Instant at;
  Duration whole;

  [[nodiscard]] static Limit in(Duration time) { return {Clock::now() + time, time}; }
  [[nodiscard]] Limit earlier_of(Limit other) const { return other.at < at ? other : *this; }
  // The part of what is left for the first of so many that share it.
  [[nodiscard]] Limit share(std::size_t sharers) const {
    if (sharers <= 1) return *this;
    const Duration part =
        std::max(at - Clock::now(), Duration(1)) / static_cast<Duration::rep>(sharers);
    return {Clock::now() + part, part};
  }
  // "no answer within 30 s (connecting)"
  [[nodiscard]] Error passed(std::string_view phase) const {
    const auto ms = whole.count();
    const std::string time =
        ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms";
    return {ErrorKind::timeout, "no answer within " + time + " (" + std::string(phase) + ")"};
  }
};

template <class Closable>
class Deadline {
 public:
  // `target` must outlive this object; it is closed once.
  Deadline(const boost::asio::any_io_executor& executor, Instant at, Closable& target)
      : timer_(executor, at), passed_(std::make_shared<bool>(false)) {
    timer_.async_wait([passed = passed_, &target](const boost::system::error_code& error) {
      if (error || *passed) return;
      *passed = true;
      target.close();
    });
  }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  ~Deadline() {
    *passed_ = true;  // a handler that is already queued does nothing
  }
  [[nodiscard]] bool passed() const { return *passed_; }

 private:
  Timer timer_;
  std::shared_ptr<bool> passed_;
};

// The deadlines of many exchanges on one timer, which stays set to the earliest: another that is
// later, as nearly all are, costs no system call and no allocation. Must outlive its guards.
class Deadlines {
 public:
  explicit Deadlines(boost::asio::any_io_executor executor);
  Deadlines(const Deadlines&) = delete;
  Deadlines& operator=(const Deadlines&) = delete;
  ~Deadlines();

  // Lets the timer go, so that it keeps no loop running; for when no guard is left.
  void rest();

  class Guard {
   public:
    // `target` must outlive this object; it is closed once.
    template <class Closable>
    Guard(Deadlines& all, Instant at, Closable& target)
        : target_(&target),
          close_([](void* closable) { static_cast<Closable*>(closable)->close(); }) {
      all.add(*this, at);
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    ~Guard() { unlink(); }
    [[nodiscard]] bool passed() const { return passed_; }

   private:
    friend class Deadlines;
    Guard() = default;
    void link_before(Guard& other) noexcept {
      before_ = other.before_;
      after_ = &other;
      before_->after_ = after_->before_ = this;
    }
    void unlink() noexcept {
      before_->after_ = after_;
      after_->before_ = before_;
      before_ = after_ = this;
    }

    Guard *before_ = this, *after_ = this;  // a ring
    Instant at_ = Instant::max();
    void* target_ = nullptr;
    void (*close_)(void*) = nullptr;
    bool passed_ = false;
  };

 private:
  void add(Guard& guard, Instant at);
  void set_timer(Instant at);
  void close_due();

  Guard ring_;
  Timer timer_;
  Instant set_to_ = Instant::max();
  std::shared_ptr<Deadlines*> self_;  // of a wait that ends after us
};

}  // namespace keybearer::http
