#include "secrets/entry.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/redactor.hpp"
#include "config/scalars.hpp"
#include "crypto/digest.hpp"
#include "secrets/answer.hpp"

namespace keybearer::secrets {

using State = Status::State;

void set_state(Shared& shared, Entry& entry, State state, std::optional<Error> error) {
  const State before = std::exchange(entry.status.state, state);
  entry.status.error = std::move(error);
  if (before == state) return;
  if (before == State::pending) --shared.unsettled;
  const std::string& path = entry.status.path;
  const std::string why = entry.status.error ? entry.status.error->text : "";
  if (state == State::fresh) {
    if (before != State::pending) {
      log::info("secret.recovered", "the secret can be read again", {{"path", path}});
    }
  } else if (entry.using_defaults) {
    log::info("secret.optional_missing", "an optional secret is not there; its defaults are used",
              {{"path", path}, {"reason", why}});
  } else if (entry.status.generation > 0) {
    log::warn("secret.failing", "a refresh failed; the last good value stays",
              {{"path", path}, {"reason", why}});
    if (state != State::failing) shared.hooks.alarm("secret.lost", path);
  } else {
    const char* what = state == State::denied   ? "not permitted yet; trying again"
                       : state == State::absent ? "not there yet; trying again"
                                                : "it can't be read yet; trying again";
    log::warn("secret.missing", what, {{"path", path}, {"reason", why}});
  }
  shared.changed.set();
}

namespace {

void collect_values(const Value& value, std::vector<std::string_view>& out) {
  if (value.is_text()) {
    out.push_back(value.as_text());
  } else if (value.is_list()) {
    for (const Value& item : value.items()) collect_values(item, out);
  } else if (value.is_map()) {
    for (const auto& [key, member] : value.entries()) collect_values(member, out);
  }
}

}  // namespace

void tell_redactor(const Entry& entry) {
  std::vector<std::string_view> values;
  const Value& data = value_at(entry.value, "data");
  // Of KV v2 the metadata is none: times and numbers that logs are full of.
  const bool kv2 =
      data.is_map() && data.find("data") != nullptr && data.find("metadata") != nullptr;
  collect_values(kv2 ? value_at(data, "data") : data, values);
  for (const char* part : {"Cert", "Key", "CA", "CAChain"})
    collect_values(value_at(entry.value, part), values);
  redactor().set(entry.dependency.id, values);
}

void apply_defaults(Entry& entry) {
  std::optional<bool> kv2;
  if (!entry.data_path.empty()) kv2 = entry.data_path.find("/data/") != std::string::npos;
  entry.value = use_defaults(entry.rule.defaults, kv2);
  entry.using_defaults = true;
  tell_redactor(entry);
  if (entry.status.generation > 0) {
    ++entry.status.generation;
    entry.status.why = "not there any more: defaults";
    entry.status.kv_version = 0;
  }
}

std::string lease_hash(std::string_view lease_id) {
  if (lease_id.empty()) return "token";
  return sha256_hex(lease_id).substr(0, 12);
}

void give_up(Shared& shared, Entry& entry) {
  if (!shared.config.template_config.exit_on_retry_failure) return;
  if (std::exchange(entry.start_failed, true)) return;
  ++shared.start_failed;
  shared.changed.set();
}

namespace {

bool same_data(const config::SecretRule& rule, const tmpl::Dependency& dependency) {
  return rule.data.size() == dependency.args.size() &&
         std::ranges::all_of(dependency.args, [&rule](const auto& arg) {
           const auto at = rule.data.find(arg.first);
           return at != rule.data.end() && at->second == arg.second;
         });
}

}  // namespace

// The table of just this version and just these data; else the first of its path.
config::SecretRule rule_for(const config::Config& config, const tmpl::Dependency& dependency) {
  const config::SecretRule* found = nullptr;
  if (dependency.kind != tmpl::Dependency::Kind::file) {
    const std::string path = config::plain_path(dependency.path);
    for (const config::SecretRule& rule : config.secrets) {
      if (config::plain_path(rule.path) != path) continue;
      const bool exact = rule.version == dependency.version && same_data(rule, dependency);
      if (found == nullptr || exact) found = &rule;
      if (exact) break;
    }
  }
  if (found != nullptr) return *found;
  config::SecretRule rule;
  rule.path = dependency.path;
  rule.interval = config.template_config.static_secret_render_interval;
  rule.lease = config.lease;
  return rule;
}

}  // namespace keybearer::secrets
