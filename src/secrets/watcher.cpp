#include "secrets/watcher.hpp"

#include "base/log.hpp"
#include "json/json.hpp"
#include "secrets/answer.hpp"
#include "secrets/file_secret.hpp"

namespace keybearer::secrets {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;
using State = Status::State;
using Kinds = tmpl::Dependency::Kind;

constexpr Duration kDeniedLookMin = 5s;  // a denied or absent secret that once was there is asked for ever more rarely

std::string seconds(Duration time) { return std::to_string(time.count() / 1000) + "s"; }

// Every request waits for its turn in the budget.
awaitable<void> admitted(Shared& shared) {
  const Instant at = shared.budget.take(Clock::now());
  if (at <= Clock::now()) co_return;
  if (!std::exchange(shared.held_back_said, true)) {
    log::warn("budget.held_back", "requests are held back: more than vault.budget allows");
  }
  co_await sleep_until(at);
  shared.held_back_said = false;
}

Secret body_of(const tmpl::Dependency& dependency) {
  Value body = Value::map();
  for (const auto& [key, value] : dependency.args) body.set(key, Value(value));
  return Secret(json::write(body));
}

// KV v2 written without data/: the mount is asked once. No answer to that is no answer at all; a refusal is not one.
awaitable<result<>> find_path(Shared& shared, Entry& entry) {
  const std::string& path = entry.dependency.path;
  const bool plain_read = entry.dependency.kind == Kinds::read || entry.dependency.kind == Kinds::list;
  if (!plain_read || path.find("/data/") != std::string::npos || path.find("/metadata/") != std::string::npos) {
    entry.data_path = path;
    co_return result<>{};
  }
  const auto mount = co_await shared.client.mount_of(path);
  if (!mount) {
    if (is_outage(mount.error().kind)) co_return std::unexpected(mount.error());
    entry.data_path.clear();  // ask again next time
    co_return result<>{};
  }
  const bool kv2 = mount->type == "kv" && mount->kv_version == 2;
  entry.data_path = !kv2 ? path : with_data(path, mount->path);
  if (kv2 && entry.dependency.kind == Kinds::list) {
    entry.data_path = mount->path + "metadata/" + path.substr(std::min(path.size(), mount->path.size()));
  }
  co_return result<>{};
}

awaitable<result<vault::Reply>> request(Shared& shared, Entry& entry) {
  if (entry.data_path.empty()) {
    co_await admitted(shared);
    if (const auto found = co_await find_path(shared, entry); !found) co_return std::unexpected(found.error());
  } else {
    co_await admitted(shared);
  }
  const std::string path = entry.data_path.empty() ? entry.dependency.path : entry.data_path;
  switch (entry.dependency.kind) {
    case Kinds::write:
    case Kinds::pki: co_return co_await shared.client.write(path, body_of(entry.dependency));
    case Kinds::list: {
      auto listed = co_await shared.client.list(path);
      if (!listed && listed.error().kind == ErrorKind::not_found) co_return vault::Reply{};  // an empty folder
      co_return listed;
    }
    default: {
      const std::string& version = entry.dependency.version.empty() ? entry.rule.version : entry.dependency.version;
      co_return co_await shared.client.read(path, version.empty() ? std::string{} : "version=" + version);
    }
  }
}

void set_state(Shared& shared, Entry& entry, State state, std::optional<Error> error) {
  const bool different = entry.status.state != state;
  const State before = entry.status.state;
  entry.status.state = state;
  entry.status.error = std::move(error);
  if (!different) return;
  const std::string& path = entry.status.path;
  if (state == State::fresh) {
    if (before != State::pending) log::info("secret.recovered", "the secret is there again", {{"path", path}});
  } else if (entry.status.generation > 0) {
    log::warn("secret.failing", "a refresh failed; the last good value stays",
              {{"path", path}, {"reason", entry.status.error ? entry.status.error->text : ""}});
    if (state != State::failing) shared.hooks.alarm("secret.lost", path);
  } else {
    log::warn("secret.missing", "not there yet; trying again",
              {{"path", path}, {"reason", entry.status.error ? entry.status.error->text : ""}});
  }
  shared.changed.set();
}

// Why there is a new generation, for log lines and restarts.
std::string reason(const Entry& entry, const Life& life, int version) {
  if (entry.status.generation == 0) return "first read";
  if (version > 0 && version != entry.status.kv_version) {
    return "version " + std::to_string(entry.status.kv_version) + " -> " + std::to_string(version);
  }
  switch (life.kind) {
    case Kind::dynamic:
    case Kind::fixed_lease:
    case Kind::token: return "lease ended";
    case Kind::static_role: return "rotated";
    case Kind::certificate: return "certificate ended";
    default: return "changed";
  }
}

// The lease or token that this entry holds has a successor: it is revoked once that is in use.
void replace_lease(Shared& shared, Entry& entry) {
  if (!entry.rule.lease.revoke_replaced) return;
  const Instant end = entry.schedule.end().value_or(Clock::now() + 24h);
  if (end <= Clock::now()) return;
  if (!entry.status.lease_id.empty() || entry.minted) {
    shared.replaced.push_back({entry.status.path, entry.status.lease_id, entry.minted, end, entry.rule.lease.drain, {}});
  }
}

Step take(Shared& shared, Entry& entry, vault::Reply reply) {
  const Life life = life_of(entry.dependency, reply, wall_now());
  Value value = value_of(entry.dependency, reply);
  const int version = kv_version(reply);
  const bool leased = !reply.lease.id.empty() || reply.auth;
  const auto rotated = last_rotation(entry.value);

  // A static role that is late: the answer still has the old rotation.
  if (life.kind == Kind::static_role && entry.status.generation > 0) {
    const auto now_rotated = last_rotation(value);
    if (now_rotated && rotated && *now_rotated == *rotated && life.to_rotation <= Duration::zero()) {
      set_state(shared, entry, State::fresh, {});
      return entry.schedule.not_rotated_yet(Clock::now());
    }
    if (now_rotated && rotated && *now_rotated > *rotated) {
      entry.schedule.learn_lateness(std::chrono::duration_cast<Duration>(*now_rotated - *rotated) - life.period);
    }
  }

  const bool same = entry.status.generation > 0 && !leased &&
                    (life.kind == Kind::static_role ? rotated == last_rotation(value)
                     : entry.dependency.kind == Kinds::list ? value == entry.value
                                                            : value_at(value, "data") == value_at(entry.value, "data"));
  if (!same) {
    if (leased) replace_lease(shared, entry);
    entry.status.why = reason(entry, life, version);
    entry.value = std::move(value);
    entry.stood_in = false;
    ++entry.status.generation;
    log::debug("secret.fetched", entry.status.generation == 1 ? "secret read" : "secret changed",
               {{"path", entry.status.path},
                {"why", entry.status.why},
                {version > 0 ? "version" : "ttl", version > 0 ? std::to_string(version) : seconds(life.ttl)}});
  }
  entry.status.kind = life.kind;
  entry.status.kv_version = version;
  entry.status.lease_id = reply.lease.id;
  entry.minted = reply.auth ? reply.auth->token : nullptr;
  entry.token = shared.client.token();
  entry.status.last_success = Clock::now();
  for (const std::string& warning : reply.warnings) {
    log::info("secret.warning", "the server warns", {{"path", entry.status.path}, {"warning", warning}});
  }
  const Step step = entry.schedule.answered(life, Clock::now());
  entry.status.lease_end = entry.schedule.end();
  const State before = entry.status.state;
  set_state(shared, entry, State::fresh, {});
  if (!same || before != State::fresh) shared.changed.set();
  return step;
}

// A first read that got a no, or nothing: again with growing pauses; after the grace it is given up for this start.
Instant again_at_start(Shared& shared, Entry& entry, Backoff& backoff, Instant begun, const Error& error) {
  const Instant now = Clock::now();
  const bool answered = !is_outage(error.kind);
  const auto& retry = shared.config.vault.retry;
  const bool grace_over = answered && now >= begun + shared.config.template_config.start_grace;
  const bool tries_over = shared.once && backoff.failures() >= retry.num_retries;
  if ((grace_over || tries_over) && shared.config.template_config.exit_on_retry_failure && !entry.given_up) {
    entry.given_up = true;
    shared.changed.set();
  }
  Instant at = now + backoff.next(shared.random.fraction(), error.retry_after);
  const Instant grace_end = begun + shared.config.template_config.start_grace;
  if (answered && now < grace_end) at = std::min(at, std::max(grace_end, now + 100ms));
  return at;
}

State state_of(const Error& error) {
  switch (error.kind) {
    case ErrorKind::not_found: return State::absent;
    case ErrorKind::denied: return State::denied;
    case ErrorKind::refused: return State::absent;  // "unknown role": nothing to be had there
    default: return State::failing;
  }
}

class Watcher {
 public:
  Watcher(Shared& shared, std::shared_ptr<Entry> entry)
      : shared_(shared),
        entry_(std::move(entry)),
        e_(*entry_),
        backoff_({shared.config.vault.retry.min_backoff, shared.config.vault.retry.max_backoff}) {}

  awaitable<void> run();

 private:
  awaitable<Step> carry_out(Step step);
  awaitable<Step> read();
  awaitable<Step> compare();
  awaitable<Step> renew();
  awaitable<Step> failed(Error error);
  [[nodiscard]] Step woken(Step step);

  Shared& shared_;
  std::shared_ptr<Entry> entry_;
  Entry& e_;
  Backoff backoff_;  // of first reads, and of absent or denied ones
  Instant begun_ = Clock::now();
};

awaitable<void> Watcher::run() {
  Step step{Step::Do::read, Clock::now()};
  for (;;) {
    const auto seen = e_.poke.generation();
    e_.status.next_at = step.what == Step::Do::rest ? std::nullopt : std::optional(step.at);
    if (!shared_.client.token()) {  // logging in: nothing can be asked
      co_await e_.poke.wait(seen);
      e_.token_changed = false;
      continue;
    }
    if (e_.refresh || e_.token_changed) {
      step = woken(step);
    } else if (co_await e_.poke.wait(seen, step.at)) {
      continue;
    }
    if (step.at > Clock::now()) continue;
    step = co_await carry_out(step);
  }
}

// A token that is new makes leases of the old one end with it; a refresh asks for the value now.
Step Watcher::woken(Step step) {
  const bool refresh = std::exchange(e_.refresh, false);
  const bool changed = std::exchange(e_.token_changed, false);
  const bool leased = !e_.status.lease_id.empty() || e_.minted;
  const bool lost = changed && leased && e_.token && e_.token != shared_.client.token();
  const bool waits = changed && e_.status.state != State::fresh;  // a denial may have been the token's
  if (refresh || lost || waits) return {Step::Do::read, Clock::now()};
  return step;
}

awaitable<Step> Watcher::carry_out(Step step) {
  switch (step.what) {
    case Step::Do::rest: co_return step;
    case Step::Do::read: co_return co_await read();
    case Step::Do::compare: co_return co_await compare();
    case Step::Do::renew: co_return co_await renew();
  }
  co_return step;
}

awaitable<Step> Watcher::read() {
  auto reply = co_await request(shared_, e_);
  if (!reply) co_return co_await failed(std::move(reply).error());
  backoff_.reset();
  co_return take(shared_, e_, std::move(*reply));
}

awaitable<Step> Watcher::compare() {
  const auto path = metadata_path(e_.data_path);
  if (!path || e_.metadata_denied || !e_.dependency.version.empty() || !e_.rule.version.empty()) co_return co_await read();
  co_await admitted(shared_);
  auto reply = co_await shared_.client.read(*path);
  if (!reply) {
    if (reply.error().kind != ErrorKind::denied) co_return co_await failed(std::move(reply).error());
    e_.metadata_denied = true;  // no right to the metadata: the data's own version tells as well
    co_return co_await read();
  }
  const int current = static_cast<int>(int_at(reply->data(), "current_version"));
  const Value& version = value_at(value_at(reply->data(), "versions"), std::to_string(current));
  const bool deleted = !text_at(version, "deletion_time").empty() || bool_at(version, "destroyed");
  if (current != e_.status.kv_version || deleted || e_.status.state != State::fresh) co_return co_await read();
  e_.status.last_success = Clock::now();
  co_return e_.schedule.unchanged(Clock::now());
}

awaitable<Step> Watcher::renew() {
  co_await admitted(shared_);
  result<Duration> granted = Duration{};
  if (e_.minted) {
    auto renewed = co_await shared_.client.renew_token(e_.minted, e_.rule.lease.increment);
    if (renewed) granted = renewed->ttl; else granted = std::unexpected(std::move(renewed).error());
  } else {
    auto renewed = co_await shared_.client.renew_lease(e_.status.lease_id, e_.rule.lease.increment);
    if (renewed) granted = renewed->ttl; else granted = std::unexpected(std::move(renewed).error());
  }
  const Instant now = Clock::now();
  if (granted) {
    const Step step = e_.schedule.renewed(*granted, now);
    e_.status.lease_end = e_.schedule.end();
    e_.status.last_success = now;
    set_state(shared_, e_, State::fresh, {});
    log::debug("lease.renewed", "lease renewed", {{"path", e_.status.path}, {"ttl", seconds(*granted)}});
    co_return step;
  }
  if (is_outage(granted.error().kind)) co_return co_await failed(std::move(granted).error());
  if (granted.error().kind == ErrorKind::denied && !e_.minted && !co_await shared_.hooks.token_is_good()) {
    co_return Step{Step::Do::renew, now + kDeniedLookMin};  // the token is gone: its successor wakes us
  }
  log::info("lease.refused", "the lease can't be renewed any more; fetching new credentials",
            {{"path", e_.status.path}, {"reason", granted.error().text}});
  co_return e_.schedule.refused(now);
}

awaitable<Step> Watcher::failed(Error error) {
  if (error.retry_after) shared_.budget.close_until(Clock::now() + *error.retry_after);
  if (error.kind == ErrorKind::denied && !co_await shared_.hooks.token_is_good()) {
    co_return Step{Step::Do::read, Clock::now() + kDeniedLookMin};
  }
  const bool first = e_.status.generation == 0;
  const State state = state_of(error);
  if (first && state != State::failing && e_.rule.optional) {
    e_.value = stand_in(e_.rule.defaults, e_.data_path.find("/data/") != std::string::npos);
    e_.stood_in = true;
  }
  const auto retry_after = error.retry_after;
  Instant again;
  if (first) {
    again = again_at_start(shared_, e_, backoff_, begun_, error);
  } else if (state == State::failing) {
    const Step step = e_.schedule.failed(Clock::now(), shared_.random.fraction(), retry_after);
    set_state(shared_, e_, state, std::move(error));
    co_return step;
  } else {
    again = Clock::now() + std::max<Duration>(backoff_.next(shared_.random.fraction()), kDeniedLookMin);
  }
  set_state(shared_, e_, state, std::move(error));
  co_return Step{Step::Do::read, again};
}

}  // namespace

config::SecretRule rule_for(const config::Config& config, const tmpl::Dependency& dependency) {
  for (const config::SecretRule& rule : config.secrets) {
    const bool same = rule.path == dependency.path || with_data(rule.path, rule.path.substr(0, rule.path.find('/') + 1)) == dependency.path;
    if (same) return rule;
  }
  config::SecretRule rule;
  rule.path = dependency.path;
  rule.interval = config.template_config.static_secret_render_interval;
  rule.lease = config.lease;
  return rule;
}

awaitable<void> watch(Shared& shared, std::shared_ptr<Entry> entry) {
  if (entry->dependency.kind == Kinds::file) co_return co_await watch_file(shared, std::move(entry));
  Watcher watcher(shared, std::move(entry));
  co_await watcher.run();
}

}  // namespace keybearer::secrets
