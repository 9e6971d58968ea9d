#include "agent/state_keeper.hpp"

#include <cstdlib>
#include <utility>

#include "base/log.hpp"
#include "base/loop_guard.hpp"
#include "base/task_group.hpp"
#include "base/timer.hpp"
#include "state/key.hpp"

namespace keybearer {
namespace {

using boost::asio::awaitable;
using namespace std::chrono_literals;

constexpr Duration kCollect = 100ms;  // changes that come together are written together
constexpr Duration kLater = 1min;     // when a value was seen last is written so much later

std::optional<std::string> environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

state::Binding binding_of(const config::Config& config) {
  return {config.name, config.vault.address, config.vault.vault_namespace};
}

}  // namespace

result<> check_state(const config::Config& config) {
  if (config.state.path.empty()) return {};
  if (auto key = state::read_key(config.state, environment); !key)
    return std::unexpected(std::move(key).error());
  return {};
}

result<std::unique_ptr<StateKeeper>> StateKeeper::open(const config::Config& config) {
  if (config.state.path.empty()) return nullptr;
  auto key = state::read_key(config.state, environment);
  if (!key) return std::unexpected(std::move(key).error());
  auto file = state::StateFile::open(config.state.path, std::move(*key), binding_of(config));
  if (!file) return std::unexpected(std::move(file).error());
  return std::unique_ptr<StateKeeper>(new StateKeeper(std::move(*file)));
}

void StateKeeper::resume(auth::AuthLoop& auth, secrets::SecretStore& secrets,
                         lease::Revocations& revocations, Notify notify) {
  auth_ = &auth;
  secrets_ = &secrets;
  revocations_ = &revocations;
  notify_ = std::move(notify);
  auto loaded = file_.load();
  if (loaded.refusal) {
    const std::string kept =
        loaded.kept_as.empty() ? "it could not be moved aside" : loaded.kept_as;
    log::error("state.refused", loaded.refusal->text,
               {{"path", file_.path()},
                {"why", std::string(state::name_of(loaded.refusal->reason))},
                {"kept_as", kept},
                {"next", "a start without it"}});
    notify_("state.refused", loaded.refusal->text);
  }
  if (!loaded.restored) return;
  if (loaded.restored->clock_went_back)
    log::warn(
        "state.clock",
        "the clock was set back since the state was written: its token and leases are not used",
        {{"path", file_.path()}});
  lease::SavedState& state = loaded.restored->record.state;
  log::info("state.read", "resuming from the state of the last run",
            {{"path", file_.path()},
             {"age", std::to_string(loaded.restored->age.count() / 1000) + "s"},
             {"secrets", std::to_string(state.secrets.size())}});
  if (state.token) auth.resume(std::move(*state.token));
  secrets.resume(std::move(state.secrets));
  for (lease::Superseded& each : state.superseded) revocations.retire(std::move(each));
}

void StateKeeper::configure(const config::Config& config) {
  if (file_.bind(binding_of(config))) touch();
}

lease::SavedState StateKeeper::collect() const {
  return {auth_->save(), secrets_->save(), revocations_->save()};
}

awaitable<bool> StateKeeper::write(lease::SavedState state) {
  const auto written = co_await file_.save(std::move(state));
  if (written) {
    if (std::exchange(failed_, false))
      log::info("state.recovered", "the state is written again", {{"path", file_.path()}});
    co_return true;
  }
  if (!std::exchange(failed_, true)) {
    log::error("state.write_failed", written.error().text,
               {{"next", "tried again; until then a restart resumes from an older state"}});
    notify_("state.write_failed", written.error().text);
  }
  co_return false;
}

void StateKeeper::touch_later() {
  due_ = std::min(due_, Clock::now() + kLater);
}

awaitable<void> StateKeeper::run() {
  LoopGuard guard(co_await boost::asio::this_coro::executor, "state");
  for (std::uint64_t seen = dirty_.generation();;) {
    guard.round();
    (void)co_await dirty_.wait(seen, due_);
    co_await sleep_for(kCollect);
    seen = dirty_.generation();
    due_ = Instant::max();
    if (co_await write(collect())) {
      backoff_.reset();
      continue;
    }
    co_await sleep_for(backoff_.next(0.5));
    --seen;  // it is still to be written
  }
}

awaitable<void> StateKeeper::save_last(Revoked revoked, Instant deadline) {
  if (auth_ == nullptr) co_return;
  lease::SavedState state = collect();
  if (revoked.token) state.token.reset();
  // Leases die with the token that made them.
  std::erase_if(state.secrets, [&](const lease::SavedSecret& secret) {
    return secret.leased() && ((revoked.token && !secret.orphan) || revoked.lease(secret));
  });
  state.superseded.clear();  // revoked now, or they end by themselves
  co_await within(std::max<Duration>(deadline - Clock::now(), kCollect),
                  write_last(std::move(state)));
}

awaitable<void> StateKeeper::write_last(lease::SavedState state) {
  (void)co_await write(std::move(state));
}

}  // namespace keybearer
