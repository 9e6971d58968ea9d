#include "agent/reload.hpp"

#include <algorithm>

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

// The renderer looks into the one that was read: it lives as long.
std::shared_ptr<const config::Config> in_force(const config::Config& running,
                                               std::shared_ptr<const config::Config> read) {
  struct Both {
    std::shared_ptr<const config::Config> read;
    config::Config now;
  };
  auto now = config::in_force(running, *read);
  const auto both = std::make_shared<Both>(Both{std::move(read), std::move(now)});
  return {both, &both->now};
}

// What the log says of it: each table of a list by its name.
std::vector<std::string> note_changes(const std::vector<config::SectionDiff>& sections,
                                      ReloadReport& report) {
  std::vector<std::string> told;
  for (const config::SectionDiff& section : sections) {
    if (section.effect == config::Effect::same) continue;
    const bool live = section.effect == config::Effect::live;
    (live ? report.changed : report.needs_restart).emplace_back(section.name);
    if (live)
      told.push_back(std::string(section.name) +
                     (section.entries.empty() ? "" : " (" + joined(section.entries) + ")"));
  }
  return told;
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
  const auto read = (*loaded)->config;
  (*loaded)->config = in_force(old, read);
  const config::Config& now = *(*loaded)->config;
  std::vector<std::string> told = note_changes(config::diff(old, *read), report);
  const bool other_server = std::ranges::find(report.changed, "vault") != report.changed.end();
  // A template's own file may have changed where no key has.
  const auto& known = targets.delivery.rendering().renderer.sources();
  for (const auto& [path, text] : (*loaded)->renderer.sources()) {
    const auto before = known.find(path);
    if (before == known.end() || before->second == text) continue;
    report.changed.push_back(path);
    told.push_back(path);
  }
  const auto reject = [&](const config::SourceLocation& place, const std::string& why) {
    report.problems.push_back({place, why});
    log::error("config.reload_failed", why + "; the running one stays in force");
  };
  const std::string& space = now.vault.vault_namespace;
  const auto listeners = listeners_of(now, targets.mode);
  if (auto open = targets.listeners.configure(listeners, space); !open) {
    reject(listeners.front().place, open.error().text);
    (void)targets.listeners.configure(listeners_of(old, targets.mode), space);  // what is taken
    return report;
  }
  if (auto taken = targets.auth.configure(auth_settings(now, targets.mode)); !taken) {
    reject(now.auto_auth.method.place, taken.error().text);
    (void)targets.listeners.configure(listeners_of(old, targets.mode), space);
    return report;
  }
  for (const std::string& warning : now.warnings) {
    if (std::ranges::find(old.warnings, warning) == old.warnings.end())
      log::warn("config.warning", warning);
  }
  log::set_level(now.log_level.value_or(log::Level::info));
  if (other_server) {
    targets.session.configure(targets.parts.make_http(now), vault::session_options(now));
  }
  targets.secrets.configure(secrets::settings_of(now, is_once(targets.mode)));
  targets.sinks.configure(sinks_of(now, targets.mode));
  log::set_rotation(log_rotation(now));
  withhold_variables(now.credential_variables);
  targets.notifier.configure(now.notify);
  targets.proxy.configure(now.api_proxy);
  targets.cache.configure(now.cache, now.lease);
  if (targets.supervisor != nullptr) targets.supervisor->configure(now.exec);
  targets.delivery.replace(std::move(*loaded));
  report.applied = true;
  log::info("config.reloaded", "configuration and templates read again",
            {{"changed", told.empty() ? "nothing" : joined(told)}});
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
    const bool ending = callbacks_.is_ending && callbacks_.is_ending();
    if (!ending && callbacks_.begin) callbacks_.begin();
    if (const auto reopened = log::reopen(); !reopened)
      log::warn("log.reopen_failed", reopened.error().text);
    if (ending) {
      last_ = {.refused = "keybearer is stopping: nothing is read again"};
      log::warn("config.reload_failed", last_.refused);
    } else {
      last_ = reload(targets_);
      targets_.session.reopen();
      targets_.secrets.refresh_all();
      if (callbacks_.ended) callbacks_.ended(last_);
    }
    done_.set();
    co_await sleep_for(kReloadPause);
  }
}

}  // namespace keybearer
