#include "agent/reload.hpp"

#include "agent/settings.hpp"
#include "base/log.hpp"
#include "base/timer.hpp"
#include "config/diff.hpp"
#include "process/env_block.hpp"

namespace keybearer {
namespace {

constexpr Duration kReloadPause = std::chrono::seconds(1);  // between two reloads

std::string joined(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : ", ") + item;
  return text;
}

}  // namespace

ReloadReport reload(const ReloadTargets& targets) {
  ReloadReport report;
  if (!targets.parts.reload) return report;
  auto loaded = targets.parts.reload();
  if (!loaded) {
    report.problems = std::move(loaded).error();
    for (const config::Problem& problem : report.problems)
      log::error("config.invalid", config::problem_text(problem));
    log::error("config.reload_failed",
               "the configuration has errors; the running one stays in force");
    return report;
  }
  const config::Config& old = *targets.delivery.rendering().config;
  const config::Config& now = *(*loaded)->config;
  bool other_server = false;
  for (const config::SectionDiff& section : config::diff(old, now)) {
    if (section.effect == config::Effect::same) continue;
    other_server = other_server || section.name == "vault";
    (section.effect == config::Effect::live ? report.changed : report.needs_restart)
        .emplace_back(section.name);
  }
  const auto reject = [&](const config::SourceLocation& place, const std::string& why) {
    report.problems.push_back({place, why});
    log::error("config.reload_failed", why + "; the running one stays in force");
  };
  if (auto open = targets.listeners.configure(now.listeners, now.vault.vault_namespace); !open) {
    reject(now.listeners.front().place, open.error().text);
    return report;
  }
  if (auto taken = targets.auth.configure(auth_settings(now, targets.mode)); !taken) {
    reject(now.auto_auth.method.place, taken.error().text);
    (void)targets.listeners.configure(old.listeners, old.vault.vault_namespace);
    return report;
  }
  if (now.log_level) log::set_level(*now.log_level);
  if (other_server) {
    targets.session.configure(targets.parts.make_http(now), vault::session_options(now));
  }
  targets.secrets.configure(secrets::settings_of(now, false));
  targets.sinks.configure(now.auto_auth.sinks);
  log::set_rotation(log_rotation(now));
  withhold_variables(now.credential_variables);
  targets.notifier.configure(now.notify);
  targets.proxy.configure(now.api_proxy);
  targets.cache.configure(now.cache, now.lease);
  if (targets.supervisor != nullptr) targets.supervisor->configure(now.exec);
  targets.delivery.replace(std::move(*loaded));
  report.applied = true;
  log::info("config.reloaded", "configuration and templates read again",
            {{"changed", report.changed.empty() ? "nothing" : joined(report.changed)}});
  if (!report.needs_restart.empty()) {
    log::warn("config.needs_restart", "changed, but a restart of keybearer is needed for it",
              {{"keys", joined(report.needs_restart)}});
  }
  return report;
}

boost::asio::awaitable<ReloadReport> Reloader::ask_and_wait() {
  const auto seen = done_.generation();
  ask();
  (void)co_await done_.wait(seen);
  co_return last_;
}

boost::asio::awaitable<void> Reloader::run() {
  for (std::uint64_t seen = asked_.generation();;) {
    (void)co_await asked_.wait(seen);
    seen = asked_.generation();
    if (callbacks_.begin) callbacks_.begin();
    if (const auto reopened = log::reopen(); !reopened)
      log::warn("log.reopen_failed", reopened.error().text);
    last_ = reload(targets_);
    targets_.session.reopen();
    targets_.secrets.refresh_all();
    if (callbacks_.ended) callbacks_.ended(last_);
    done_.set();
    co_await sleep_for(kReloadPause);
  }
}

}  // namespace keybearer
