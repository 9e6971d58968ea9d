#include "tmpl/work.hpp"

#include "tmpl/funcs/funcs.hpp"

namespace keybearer::tmpl {

bool Work::look() {
  if (end_ == End::none && stop_ != nullptr && stop_->load(std::memory_order_relaxed))
    end_ = End::stopped;
  if (end_ == End::none && Clock::now() > deadline_) end_ = End::late;
  // After the end each tick comes here.
  look_at_ = end_ == End::none ? done_ + kLook : 0;
  return end_ == End::none;
}

std::string Work::why() const {
  return end_ == End::late ? "it takes longer than " + std::to_string(most_.count()) + " s"
                           : "broken off";
}

void Work::break_off() const {
  throw CallError{why()};
}

}  // namespace keybearer::tmpl
