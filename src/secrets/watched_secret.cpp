#include "secrets/watched_secret.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/redactor.hpp"
#include "config/scalars.hpp"
#include "secrets/classify.hpp"
#include "vault/hints.hpp"

namespace keybearer::secrets {

using namespace std::chrono_literals;
using State = Status::State;
using Kinds = tmpl::Dependency::Kind;

namespace {

constexpr Duration kUnknownLife = 24h;  // of a lease that does not tell its end

// "Write the secret" does not help everywhere.
std::string advice_for(const WatchedSecret& secret) {
  const bool missing = secret.status.error->kind == ErrorKind::not_found;
  if (secret.dependency.kind == Kinds::file)
    return missing ? "create the file, or correct its path" : "make it readable for this user";
  const bool versioned = !(secret.dependency.version + secret.rule.version).empty();
  if (!missing || !versioned) return "";
  return secret.status.error->reason == Reason::missing_version
             ? "ask for another version, or undelete this one"
             : "write the secret, or ask for a version that is there";
}

// Not those that the redactor leaves as they are: an answer may have a million.
void collect_values(const Value& value, std::vector<std::string_view>& out) {
  if (value.is_text()) {
    if (value.size() >= Redactor::kShortest) out.push_back(value.as_text());
  } else if (value.is_list()) {
    for (const Value& item : value.items()) collect_values(item, out);
  } else if (value.is_map()) {
    for (const auto& [key, member] : value.entries()) collect_values(member, out);
  }
}

// What is served is in no log from now on.
void tell_redactor(const std::string& id, const Value& value) {
  std::vector<std::string_view> values;
  const Value& data = value_at(value, "data");
  // Of KV v2 the metadata is none: times and numbers that logs are full of.
  const bool kv2 =
      data.is_map() && data.find("data") != nullptr && data.find("metadata") != nullptr;
  collect_values(kv2 ? value_at(data, "data") : data, values);
  for (const char* part : {"Cert", "Key", "CA", "CAChain"})
    collect_values(value_at(value, part), values);
  redactor().set(id, values);
}

// Maps merge what was put into them when they are first read (json/value_map.cpp).
void settle(const Value& value) {
  if (value.is_list()) {
    for (const Value& item : value.items()) settle(item);
  } else if (value.is_map()) {
    for (const auto& [key, member] : value.entries()) settle(member);
  }
}

}  // namespace

std::shared_ptr<const Value> published(Value value) {
  settle(value);
  return std::make_shared<const Value>(std::move(value));
}

Settings settings_of(const config::Config& config, bool once) {
  return {.rules = Rules(config.secrets),
          .interval = config.template_config.static_secret_render_interval,
          .lease = config.lease,
          .stale = config.template_config.stale,
          .retry = config.vault.retry,
          .start_grace = config.template_config.start_grace,
          .exit_on_retry_failure = config.template_config.exit_on_retry_failure,
          // So that no connection waits.
          .concurrent = 2 * static_cast<std::size_t>(config.vault.max_connections),
          .once = once};
}

WatchedSecret::WatchedSecret(tmpl::Dependency d, config::SecretRule r, const config::Retry& retry,
                             double jitter)
    : dependency(std::move(d)), rule(std::move(r)), schedule(schedule_rules(rule, retry), jitter) {
  if (dependency.kind == Kinds::read && !rule.data.empty()) {
    written_by_rule = true;
    dependency.kind = Kinds::write;
    dependency.args.assign(rule.data.begin(), rule.data.end());
  }
  assumed = path_is_assumed(dependency);
  status.id = dependency.id;
  status.path = dependency.path;
  if (!needs_mount(dependency)) data_path = dependency.path;
  note_rule();
}

tmpl::Dependency WatchedSecret::as_written() const {
  tmpl::Dependency written = dependency;
  if (written_by_rule) {
    written.kind = Kinds::read;
    written.args.clear();
  }
  return written;
}

void WatchedSecret::note_rule() {
  status.required = !rule.optional;
  status.max_stale = rule.stale.max_stale;
}

// A value is never older than max_stale without somebody having asked, and having been answered.
lease::ScheduleRules schedule_rules(const config::SecretRule& rule, const config::Retry& retry) {
  config::Interval interval = rule.interval;
  if (rule.stale.max_stale)
    interval.every = std::min<Duration>(interval.every, *rule.stale.max_stale * 9 / 10);
  return {rule.lease, interval, {retry.min_backoff, retry.max_backoff}};
}

const Held* WatchedSecret::held() const {
  if (const auto* current = std::get_if<Current>(&served)) return current;
  return std::get_if<Default>(&served);
}

WatchContext::WatchContext(boost::asio::any_io_executor executor, vault::Client& c,
                           lease::Revocations& r, Settings s, Random& rnd, Callbacks cb)
    : client(c),
      revocations(r),
      settings(std::move(s)),
      random(rnd),
      callbacks(std::move(cb)),
      limit(settings.concurrent),
      watchers(std::move(executor)) {}

vault::Client& client_of(WatchContext& context, const WatchedSecret& secret) {
  return context.client.in_namespace(secret.rule.vault_namespace);
}

void announce(WatchContext& context) {
  context.snapshot.reset();
  context.changed.set();
}

namespace {

// An outage of the whole server is told once, by whoever meets it first and whoever is the last to be
// well again: does another secret fail for the same reason?
bool is_shared(const WatchContext& context, const WatchedSecret& secret, const Error& error) {
  const bool of_server = error.kind == ErrorKind::network || error.kind == ErrorKind::timeout ||
                         error.kind == ErrorKind::tls || error.kind == ErrorKind::sealed ||
                         error.kind == ErrorKind::throttled;
  return of_server && std::ranges::any_of(context.secrets, [&](const auto& entry) {
           const WatchedSecret& other = *entry.second;
           return &other != &secret && other.status.state == State::failing && other.status.error &&
                  other.status.error->kind == error.kind;
         });
}

// With the cause and, where one is known, the remedy.
void tell_trouble(log::Level level, std::string_view event, const char* what,
                  const WatchedSecret& secret) {
  const std::string& path = secret.status.path;
  const Error error = secret.status.error.value_or(Error{});
  // ": unseal the server"
  const std::string advice = is_outage(error.kind) ? hint(error) : "";
  if (advice.empty())
    return log::write(level, event, what, {{"path", path}, {"reason", error.text}});
  log::write(level, event, what,
             {{"path", path}, {"reason", error.text}, {"advice", advice.substr(2)}});
}

}  // namespace

void set_state(WatchContext& context, WatchedSecret& secret, State state,
               std::optional<Error> error) {
  const State before = std::exchange(secret.status.state, state);
  if (state == State::fresh) {
    if (std::exchange(secret.stale, false)) announce(context);
    if (auto good = std::exchange(secret.withheld, std::nullopt);
        good && !std::holds_alternative<Current>(secret.served))
      serve(context, secret, std::move(*good));
  }
  const auto failed_by = std::exchange(secret.status.error, std::move(error));
  secret.status.advice = secret.status.error ? advice_for(secret) : "";
  if (before == state) return;
  if (before == State::pending) --context.pending;
  const std::string& path = secret.status.path;
  const auto told = secret.status.error ? secret.status.error : failed_by;
  const bool shared = told && is_shared(context, secret, *told);
  if (state == State::fresh) {
    if (before != State::pending) {
      log::write(shared ? log::Level::debug : log::Level::info, "secret.recovered",
                 "the secret can be read again", {{"path", path}});
    }
  } else if (secret.using_defaults()) {
    tell_trouble(log::Level::info, "secret.optional_missing",
                 "an optional secret is not there; its defaults are used", secret);
  } else if (secret.status.fetched) {
    tell_trouble(shared ? log::Level::debug : log::Level::warn, "secret.failing",
                 "a refresh failed; the last good value stays", secret);
    if (state != State::failing) context.callbacks.alarm("secret.lost", path);
  } else {
    const char* what = state == State::denied   ? "permission denied; retrying"
                       : state == State::absent ? "not found; retrying"
                                                : "it can't be read yet; retrying";
    tell_trouble(shared ? log::Level::debug : log::Level::warn, "secret.missing", what, secret);
  }
  announce(context);
}

void serve(WatchContext& context, WatchedSecret& secret, Served served) {
  secret.served = std::move(served);
  ++secret.generations;
  if (const Held* held = secret.held()) tell_redactor(secret.dependency.id, *held->value);
  if (auto* current = std::get_if<Current>(&secret.served))
    current->generation = secret.generations;
  if (auto* fallback = std::get_if<Default>(&secret.served))
    fallback->generation = secret.generations;
  secret.status.generation = secret.generations;
  secret.status.defaults = secret.using_defaults();
  announce(context);
}

void apply_defaults(WatchContext& context, WatchedSecret& secret) {
  std::optional<bool> kv2;
  if (!secret.data_path.empty()) kv2 = secret.data_path.find("/data/") != std::string::npos;
  secret.status.why = secret.status.fetched ? "not there any more: defaults" : "defaults";
  secret.status.kv_version = 0;
  serve(context, secret, Default{{.value = published(default_value(secret.rule.defaults, kv2))}});
}

void withhold(WatchContext& context, WatchedSecret& secret) {
  auto* current = std::get_if<Current>(&secret.served);
  if (current == nullptr) return;
  secret.withheld = *current;
  log::warn("secret.withheld", "its value is not used any more: defaults stand in",
            {{"path", secret.status.path}});
  if (!secret.rule.defaults.empty()) return apply_defaults(context, secret);
  secret.served = NoValue{};
  secret.status.generation = 0;
  announce(context);
}

Instant stale_at(const WatchedSecret& secret) {
  const Status& status = secret.status;
  const auto limit = secret.rule.stale.max_stale;
  if (!limit || !status.fetched || secret.stale || status.state == State::fresh)
    return Instant::max();
  const Instant seen = status.last_success.value_or(Instant{});
  const bool leased = secret.leased() && status.lease_end;
  return std::max(seen + *limit, leased ? *status.lease_end : Instant{});
}

void give_up(WatchContext& context, WatchedSecret& secret) {
  if (!secret.rule.exit_on_retry_failure) return;
  if (std::exchange(secret.start_failed, true)) return;
  ++context.start_failed;
  context.changed.set();
}

void retire_lease(WatchContext& context, WatchedSecret& secret, bool always) {
  const Held* held = secret.withheld ? &*secret.withheld : secret.held();
  if (!secret.leased() || held == nullptr) return;
  if (!secret.rule.lease.revoke_replaced && !always) return;
  context.revocations.retire({.secret = secret.status.id,
                              .generation = held->generation,
                              .path = secret.status.path,
                              .lease_id = secret.status.lease_id,
                              .token = secret.issued_token,
                              .end = secret.schedule.end().value_or(Clock::now() + kUnknownLife),
                              .drain = secret.rule.lease.drain,
                              .vault_namespace = secret.rule.vault_namespace});
}

const std::string& pinned_version(const WatchedSecret& secret) {
  return secret.dependency.version.empty() ? secret.rule.version : secret.dependency.version;
}

void unlist(WatchContext& context, WatchedSecret& secret) {
  const auto [begin, end] = context.by_path.equal_range(secret.listed_as);
  for (auto at = begin; at != end; ++at) {
    if (at->second.get() != &secret) continue;
    context.by_path.erase(at);
    break;
  }
  secret.listed_as.clear();
}

void list_by_path(WatchContext& context, const std::shared_ptr<WatchedSecret>& secret) {
  if (secret->dropped || secret->data_path == secret->listed_as) return;
  unlist(context, *secret);
  secret->listed_as = secret->data_path;
  context.by_path.emplace(secret->listed_as, secret);
}

std::shared_ptr<WatchedSecret> twin_of(const WatchContext& context, const WatchedSecret& secret) {
  const auto kind = secret.dependency.kind;
  if (secret.data_path.empty() || (kind != Kinds::read && kind != Kinds::list)) return nullptr;
  const auto [begin, end] = context.by_path.equal_range(secret.data_path);
  for (auto at = begin; at != end; ++at) {
    const WatchedSecret& other = *at->second;
    if (&other != &secret && other.dependency.kind == kind &&
        pinned_version(other) == pinned_version(secret) &&
        other.rule.vault_namespace == secret.rule.vault_namespace)
      return at->second;
  }
  return nullptr;
}

void take_rule(WatchContext& context, WatchedSecret& secret, config::SecretRule rule) {
  const std::string before = std::exchange(secret.rule, std::move(rule)).defaults;
  secret.note_rule();
  if (secret.using_defaults() && secret.rule.defaults != before) apply_defaults(context, secret);
}

bool is_asked_otherwise(const WatchedSecret& secret, const Settings& settings) {
  const config::SecretRule& a = secret.rule;
  const config::SecretRule b = rule_for(settings, secret.as_written());
  return a.enabled != b.enabled || a.data != b.data || a.vault_namespace != b.vault_namespace;
}

config::SecretRule rule_for(const Settings& settings, const tmpl::Dependency& dependency) {
  if (const config::SecretRule* table = settings.rules.find(dependency)) return *table;
  config::SecretRule rule;
  rule.path = dependency.path;
  rule.vault_namespace = dependency.vault_namespace;
  rule.interval = settings.interval;
  rule.lease = settings.lease;
  rule.stale = settings.stale;
  rule.start_grace = settings.start_grace;
  rule.exit_on_retry_failure = settings.exit_on_retry_failure;
  return rule;
}

}  // namespace keybearer::secrets
