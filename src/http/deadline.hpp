#pragma once
// Closes a socket at a moment, unless it goes out of scope before.

#include <boost/system/error_code.hpp>
#include <memory>

#include "base/clock.hpp"

namespace keybearer::http {

template <class Closable>
class Deadline {
 public:
  // `target` must outlive this object; it is closed once.
  Deadline(boost::asio::any_io_executor executor, Instant at, Closable& target)
      : timer_(std::move(executor), at), passed_(std::make_shared<bool>(false)) {
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

}  // namespace keybearer::http
