#include "http/deadline.hpp"

#include <algorithm>

namespace keybearer::http {
namespace {

constexpr Duration kStep{5};  // many that end one after the other are closed together

}  // namespace

Deadlines::Deadlines(boost::asio::any_io_executor executor)
    : timer_(executor), self_(std::make_shared<Deadlines*>(this)) {}

Deadlines::~Deadlines() {
  *self_ = nullptr;
}

void Deadlines::add(Guard& guard, Instant at) {
  guard.at_ = at;
  if (at == Instant::max()) return;
  guard.link_before(ring_);
  if (at < set_to_) set_timer(at);
}

void Deadlines::rest() {
  set_to_ = Instant::max();
  timer_.cancel();
}

void Deadlines::set_timer(Instant at) {
  set_to_ = at;
  timer_.expires_at(at);
  timer_.async_wait([self = self_](const boost::system::error_code& error) {
    if (!error && *self != nullptr) (*self)->close_due();
  });
}

void Deadlines::close_due() {
  const Instant now = Clock::now();
  Instant next = Instant::max();
  Guard due;  // a ring of its own: who is closed may take others along
  for (Guard* guard = ring_.after_; guard != &ring_;) {
    Guard* const after = guard->after_;
    if (guard->at_ <= now) {
      guard->unlink();
      guard->link_before(due);
    } else {
      next = std::min(next, guard->at_);
    }
    guard = after;
  }
  set_to_ = Instant::max();
  if (next != Instant::max()) set_timer(std::max(next, now + kStep));
  while (due.after_ != &due) {
    Guard* const guard = due.after_;
    guard->unlink();
    guard->passed_ = true;
    guard->close_(guard->target_);
  }
}

}  // namespace keybearer::http
