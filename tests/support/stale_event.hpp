#pragma once
// epoll(7) tells of many descriptors at once. When one goes while its event lies in the queue, Asio
// gives its place to the next one that is waited for, and wakes that one by it.

#include <doctest/doctest.h>
#include <sys/eventfd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>
#include <optional>

namespace keybearer::test {

// What `next` waits for first is woken so. Two descriptors are readable; both must be kept.
class StaleEvent {
 public:
  StaleEvent(boost::asio::io_context& context, std::function<void()> next)
      : first_(std::in_place, context, eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)),
        second_(std::in_place, context, eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK)) {
    first_->async_wait(kRead, [this, next = std::move(next)](const auto&) {
      second_.reset();
      next();
    });
    second_->async_wait(kRead, [](const auto& error) { REQUIRE(error); });
  }

 private:
  using Descriptor = boost::asio::posix::stream_descriptor;
  static constexpr auto kRead = Descriptor::wait_read;
  std::optional<Descriptor> first_, second_;
};

}  // namespace keybearer::test
