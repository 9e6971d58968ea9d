#include "agent/lifecycle.hpp"

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include "base/exit_code.hpp"
#include "base/log.hpp"

namespace keybearer {

using boost::asio::awaitable;
using Action = LifecycleFsm::Action;

awaitable<void> Lifecycle::guarded(awaitable<void> task) {
  try {
    co_await std::move(task);
  } catch (const boost::system::system_error& e) {
    if (e.code() == boost::asio::error::operation_aborted) throw;
    on_internal_error(std::current_exception());
  } catch (...) {
    on_internal_error(std::current_exception());
  }
}

void Lifecycle::on_internal_error(std::exception_ptr error) {
  internal_error_ = std::move(error);
  end(kBug);
}

void Lifecycle::end(int code, const std::optional<Error>& reason) {
  if (reason && !fsm_.ending())
    log::error("agent.exit", reason->text, {{"code", std::to_string(code)}});
  on(LifecycleFsm::Event::ended, code);
}

void Lifecycle::on(LifecycleFsm::Event event, int code) {
  const bool was_ending = fsm_.ending();
  const Action action = fsm_.on(event, code);
  if (!was_ending && fsm_.ending()) callbacks_.begin_ending();
  switch (action) {
    case Action::none:
    case Action::exit:
      break;
    case Action::stop_child:
    case Action::hurry_child:
      callbacks_.stop_child();
      break;
    case Action::clean_up:
      cleaning_due_ = true;
      break;
    case Action::hurry_clean_up:
      log::warn("agent.stopping", "another stop signal: nothing more is waited for");
      clean_up_.cancel();
      break;
  }
  changed_.set();
}

awaitable<void> Lifecycle::finish() {
  callbacks_.remove_files();
  tasks_.cancel();
  co_await tasks_.join();
  clean_up_.spawn(guarded(callbacks_.clean_up()));
  co_await clean_up_.join();
  on(LifecycleFsm::Event::cleaned);
  signals_.cancel();
  co_await signals_.join();
}

awaitable<int> Lifecycle::run() {
  while (!cleaning_due_) co_await changed_.wait(changed_.generation());
  co_await finish();
  if (internal_error_) std::rethrow_exception(internal_error_);
  co_return fsm_.code();
}

}  // namespace keybearer
