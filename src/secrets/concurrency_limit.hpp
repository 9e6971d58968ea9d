#pragma once
// So many ask the server at a time; the others wait in line, first come first served, where they
// need no memory for it. A slot that is given back goes straight to the next in line, who may use
// it or give it back in turn: nobody is forgotten. Pure.

#include <cstddef>
#include <list>

namespace keybearer::secrets {

class ConcurrencyLimit {
 public:
  // A place in line or a slot; gives either back when it goes. Must not outlive the limit.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    virtual ~Ticket() { give_back(); }

    [[nodiscard]] bool has_slot() const { return state_ == State::granted; }
    void give_back() {
      if (limit_ != nullptr) limit_->leave(*this);
    }

   protected:
    // A slot has become this ticket's.
    virtual void granted() = 0;

   private:
    friend class ConcurrencyLimit;
    enum class State { none, queued, granted } state_ = State::none;
    ConcurrencyLimit* limit_ = nullptr;
    std::list<Ticket*>::iterator place_;
  };

  explicit ConcurrencyLimit(std::size_t slots) : slots_(slots) {}
  ConcurrencyLimit(const ConcurrencyLimit&) = delete;
  ConcurrencyLimit& operator=(const ConcurrencyLimit&) = delete;

  // False: the ticket is in line, and granted() is called when its turn comes.
  [[nodiscard]] bool try_acquire(Ticket& ticket) {
    if (ticket.state_ == Ticket::State::none) {
      ticket.limit_ = this;
      if (taken_ < slots_) {
        ++taken_;
        ticket.state_ = Ticket::State::granted;
      } else {
        ticket.place_ = line_.insert(line_.end(), &ticket);
        ticket.state_ = Ticket::State::queued;
      }
    }
    return ticket.has_slot();
  }
  void set_slots(std::size_t slots) {
    slots_ = slots;
    release_next();
  }

 private:
  void leave(Ticket& ticket) {
    const auto state = ticket.state_;
    ticket.state_ = Ticket::State::none;
    ticket.limit_ = nullptr;
    if (state == Ticket::State::queued) line_.erase(ticket.place_);
    if (state != Ticket::State::granted) return;
    --taken_;
    release_next();
  }
  void release_next() {
    while (!line_.empty() && taken_ < slots_) {
      Ticket& next = *line_.front();
      line_.pop_front();
      ++taken_;
      next.state_ = Ticket::State::granted;
      next.granted();
    }
  }

  std::size_t slots_, taken_ = 0;
  std::list<Ticket*> line_;
};

}  // namespace keybearer::secrets
