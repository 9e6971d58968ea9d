#include "secrets/watcher.hpp"

#include "base/log.hpp"
#include "base/timer.hpp"
#include "json/json.hpp"
#include "secrets/answer.hpp"
#include "secrets/file_secret.hpp"
#include "secrets/kept_certificate.hpp"

namespace keybearer::secrets {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;
using State = Status::State;
using Kinds = tmpl::Dependency::Kind;

constexpr Duration kDeniedLookMin =
    5s;  // a denied or absent secret that once was there is asked for ever more rarely
constexpr Duration kDeniedLookMax = 1min;

std::string seconds(Duration time) {
  return std::to_string(time.count() / 1000) + "s";
}

// No pause that the server asks for goes beyond this: what is held would end.
Instant last_moment(const Entry& entry) {
  const auto end = entry.schedule.end();
  if (!end) return Instant::max();
  return *end - std::max<Duration>(2s, (*end - Clock::now()) / 3);
}

Secret body_of(const Entry& entry) {
  Value pairs = Value::map();
  for (const auto& [key, value] : entry.dependency.args) pairs.set(key, Value(value));
  if (!entry.wrapped) return Secret(json::write(pairs));
  Value body = Value::map();
  body.set("data", std::move(pairs));
  return Secret(json::write(body));
}

// KV v2 wants data/ in the path and the pairs below "data"; whether it is one is only asked when
// the server did not like them plain.
awaitable<result<vault::Reply>> write(Shared& shared, Entry& entry) {
  const std::string path = entry.data_path.empty() ? entry.dependency.path : entry.data_path;
  auto written = co_await shared.client.write(path, body_of(entry), last_moment(entry));
  const bool plain = !entry.wrapped && entry.dependency.kind == Kinds::write;
  if (written || !plain || is_outage(written.error().kind)) co_return written;
  const auto mount = co_await shared.client.mount_of(path);
  if (!mount || mount->type != "kv" || mount->kv_version != 2) co_return written;
  entry.data_path = with_data(path, mount->path);
  entry.wrapped = true;
  co_return co_await shared.client.write(entry.data_path, body_of(entry));
}

// KV v2 written without data/: the mount is asked once. No answer to that is no answer at all; a
// refusal is not one.
awaitable<result<>> find_path(Shared& shared, Entry& entry) {
  const std::string& path = entry.dependency.path;
  const bool plain_read =
      entry.dependency.kind == Kinds::read || entry.dependency.kind == Kinds::list;
  if (!plain_read || path.find("/data/") != std::string::npos ||
      (path + "/").find("/metadata/") != std::string::npos) {
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
    entry.data_path =
        mount->path + "metadata/" + path.substr(std::min(path.size(), mount->path.size()));
  }
  co_return result<>{};
}

awaitable<result<vault::Reply>> request(Shared& shared, Entry& entry) {
  if (entry.data_path.empty()) {
    if (const auto found = co_await find_path(shared, entry); !found)
      co_return std::unexpected(found.error());
  }
  const std::string path = entry.data_path.empty() ? entry.dependency.path : entry.data_path;
  switch (entry.dependency.kind) {
    case Kinds::write:
    case Kinds::pki:
      co_return co_await write(shared, entry);
    case Kinds::list: {
      auto listed = co_await shared.client.list(path);
      if (!listed && listed.error().kind == ErrorKind::not_found)
        co_return vault::Reply{};  // an empty folder
      co_return listed;
    }
    default: {
      const std::string& version =
          entry.dependency.version.empty() ? entry.rule.version : entry.dependency.version;
      co_return co_await shared.client.read(
          path, version.empty() ? std::string{} : "version=" + version, last_moment(entry));
    }
  }
}

// Why there is a new generation, for log lines and restarts.
std::string reason(const Entry& entry, const Life& life, int version) {
  if (entry.status.generation == 0) return "first read";
  if (!entry.refresh_why.empty()) return entry.refresh_why;
  if (version > 0 && entry.status.kv_version > 0 && version != entry.status.kv_version) {
    return "version " + std::to_string(entry.status.kv_version) + " -> " + std::to_string(version);
  }
  switch (life.kind) {
    case Kind::dynamic:
    case Kind::fixed_lease:
    case Kind::token:
      return entry.status.lease_id.empty() && !entry.issued_token ? "lease revoked" : "lease ended";
    case Kind::static_role:
      return "rotated";
    case Kind::certificate:
      return "certificate ended";
    default:
      return "changed";
  }
}

// The lease or token that this entry holds has a successor: it is revoked once that is in use.
void replace_lease(Shared& shared, Entry& entry) {
  if (!entry.rule.lease.revoke_replaced) return;
  const Instant end = entry.schedule.end().value_or(Clock::now() + 24h);
  if (end <= Clock::now()) return;
  if (!entry.status.lease_id.empty() || entry.issued_token) {
    shared.replaced.push_back({entry.status.path,
                               entry.status.lease_id,
                               entry.issued_token,
                               end,
                               entry.rule.lease.drain,
                               {}});
  }
}

void note_change(const Entry& entry, const Life& life) {
  const Status& status = entry.status;
  const Duration ttl = life.kind == Kind::static_role ? life.to_rotation : life.ttl;
  const auto level = status.generation == 1 ? log::Level::debug : log::Level::info;
  const log::Field age = status.kv_version > 0
                             ? log::Field{"version", std::to_string(status.kv_version)}
                             : log::Field{"ttl", seconds(ttl)};
  const auto what = status.generation == 1 ? "secret read" : "secret changed";
  const log::Field path{"path", status.path}, why{"why", status.why};
  if (status.lease_id.empty()) return log::write(level, "secret.fetched", what, {path, why, age});
  log::write(level, "secret.fetched", what,
             {path, why, age, {"lease", lease_hash(status.lease_id)}});
}

// An answer is taken over: a new generation, unless it says what is in force already. `token`: what
// it was asked with.
Step take(Shared& shared, Entry& entry, vault::Reply reply, vault::Token token) {
  Status& status = entry.status;
  const Life life = lifetime_of(entry.dependency, reply, wall_now());
  Value value = value_of(entry.dependency, reply);
  const bool leased = !reply.lease.id.empty() || reply.auth;
  const bool list = entry.dependency.kind == Kinds::list;
  const bool same = status.generation > 0 && !entry.using_defaults && !leased &&
                    (list ? value == entry.value : same_content(life.kind, entry.value, value));
  if (entry.rejected && !leased && same_content(life.kind, *entry.rejected, value)) {
    status.last_success = Clock::now();  // it still lacks what is used: nothing new
    return entry.schedule.answered(life, Clock::now());
  }
  entry.rejected.reset();
  if (leased || !same) replace_lease(shared, entry);
  const int version = kv_version(reply);
  if (!same) status.why = reason(entry, life, version);
  entry.refresh_why.clear();
  status.kind = life.kind;
  status.kv_version = version;
  status.lease_id = reply.lease.id;
  status.last_success = Clock::now();
  entry.issued_token = reply.auth ? reply.auth->token : nullptr;
  entry.orphan = reply.auth && reply.auth->orphan;
  entry.token = std::move(token);
  const Step step = entry.schedule.answered(life, Clock::now());
  status.lease_end = entry.schedule.end();
  if (!same) {
    if (status.generation > 0 && !leased && !entry.before) entry.before = std::move(entry.value);
    entry.value = std::move(value);
    entry.using_defaults = false;
    tell_redactor(entry);
    ++status.generation;
    note_change(entry, life);
    for (const std::string& warning : reply.warnings) {
      log::info("secret.warning", "the server warns",
                {{"path", status.path}, {"warning", warning}});
    }
    shared.changed.set();
  }
  set_state(shared, entry, State::fresh, {});
  return step;
}

// A first read that got a no, or nothing: again with growing pauses; after the grace it is given up
// for this start. `refused_since`: the first no in a row.
Instant again_at_start(Shared& shared, Entry& entry, Backoff& backoff,
                       std::optional<Instant> refused_since, std::optional<Duration> retry_after) {
  const Instant now = Clock::now();
  const Instant grace_end = refused_since.value_or(now) + shared.config.template_config.start_grace;
  const bool grace_over = refused_since && now >= grace_end;
  const bool tries_over =
      shared.once && backoff.failures() >= shared.config.vault.retry.num_retries;
  if (grace_over || tries_over) give_up(shared, entry);
  const Instant at = now + backoff.next(shared.random.fraction(), retry_after);
  return refused_since && now < grace_end ? std::min(at, std::max(grace_end, now + 100ms)) : at;
}

State state_of(const Error& error) {
  switch (error.kind) {
    case ErrorKind::not_found:
      return State::absent;
    case ErrorKind::denied:
      return State::denied;
    case ErrorKind::refused:
      return State::absent;  // "unknown role": nothing to be had there
    default:
      return State::failing;
  }
}

bool same_token(const vault::Token& a, const vault::Token& b) {
  return a == b || (a && b && *a == *b);
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
  awaitable<Step> look();
  awaitable<Step> failed(Error error);
  [[nodiscard]] Step woken(Step step);
  [[nodiscard]] bool only_looks(const Step& step) const;

  Shared& shared_;
  std::shared_ptr<Entry> entry_;
  Entry& e_;
  Backoff backoff_;                                               // of first reads
  Backoff denied_backoff_{{2 * kDeniedLookMin, kDeniedLookMax}};  // of what is absent or denied now
  Step doing_;                                                    // what is being carried out
  vault::Token request_token_;                                    // when that began
  bool awaiting_token_ =
      false;                // what was planned last waits for a new token, and for nothing else
  bool read_well_ = false;  // the last read() had a good answer
  std::optional<Instant> refused_since_;  // before there was any value
};

awaitable<void> Watcher::run() {
  Step step{Step::Do::read, Clock::now()};
  for (;;) {
    const auto seen = e_.wakeup.generation();
    e_.status.next_at = step.what == Step::Do::rest ? std::nullopt : std::optional(step.at);
    if (!shared_.client.token()) {  // logging in: nothing can be asked
      co_await e_.wakeup.wait(seen);
      continue;
    }
    if (e_.refresh || e_.token_changed) {
      step = woken(step);
    } else if (only_looks(step) && shared_.hooks.token_is_limited()) {
      co_await e_.wakeup.wait(seen);
      continue;
    } else if (co_await e_.wakeup.wait(seen, step.at)) {
      continue;
    }
    if (step.at > Clock::now() || !shared_.client.token()) continue;
    if (!shared_.turns.free_for(e_)) {
      co_await e_.wakeup.wait(seen);
      continue;
    }
    const ConcurrencyLimit::Turn turn(shared_.turns);
    step = co_await carry_out(step);
  }
}

// A token that is new makes leases of the old one end with it; a refresh asks for the value now.
Step Watcher::woken(Step step) {
  const bool refresh = std::exchange(e_.refresh, false);
  const bool changed = std::exchange(e_.token_changed, false);
  const bool leased = !e_.status.lease_id.empty() || e_.issued_token;
  const bool lost =
      changed && leased && !e_.orphan && !same_token(e_.token, shared_.client.token());
  const bool waits =
      changed && e_.status.state != State::fresh;  // a denial may have been the token's
  const bool lacked = changed && std::exchange(awaiting_token_, false);
  if (refresh || lost || waits) return {Step::Do::read, Clock::now()};
  if (lacked) return {step.what, Clock::now()};
  return step;
}

// Whether something has changed, and nothing that has to be done.
bool Watcher::only_looks(const Step& step) const {
  const bool kept = e_.status.kind == Kind::plain || e_.status.kind == Kind::kv2;
  return e_.status.state == State::fresh &&
         (step.what == Step::Do::compare || step.what == Step::Do::look ||
          (step.what == Step::Do::read && kept));
}

awaitable<Step> Watcher::carry_out(Step step) {
  doing_ = step;
  request_token_ = shared_.client.token();
  awaiting_token_ = false;
  switch (step.what) {
    case Step::Do::rest:
      co_return step;
    case Step::Do::read:
      co_return co_await read();
    case Step::Do::compare:
      co_return co_await compare();
    case Step::Do::renew:
      co_return co_await renew();
    case Step::Do::look:
      co_return co_await look();
  }
  co_return step;
}

awaitable<Step> Watcher::read() {
  vault::Token token = shared_.client.token();
  if (e_.dependency.kind == Kinds::pki && e_.status.generation == 0) {
    if (auto kept = kept_certificate(e_, wall_now())) {
      log::info("certificate.kept", "the certificate in its file is still good",
                {{"path", e_.status.path}});
      co_return take(shared_, e_, std::move(*kept), std::move(token));
    }
  }
  auto reply = co_await request(shared_, e_);
  read_well_ = reply.has_value();
  if (!reply) co_return co_await failed(std::move(reply).error());
  backoff_.reset();
  denied_backoff_.reset();
  co_return take(shared_, e_, std::move(*reply), std::move(token));
}

// KV v2: the metadata tell whether there is another version. Without a right to them the data's own
// version does.
awaitable<Step> Watcher::compare() {
  const auto path = metadata_path(e_.data_path);
  if (!path || e_.metadata_denied || !e_.dependency.version.empty() || !e_.rule.version.empty())
    co_return co_await read();
  auto reply = co_await shared_.client.read(*path);
  if (!reply && is_outage(reply.error().kind)) co_return co_await failed(std::move(reply).error());
  if (!reply) {
    const Step step = co_await read();
    e_.metadata_denied = read_well_;  // it was the metadata's right, not the token's end
    co_return step;
  }
  const auto current = static_cast<int>(int_at(reply->data(), "current_version"));
  const Value& version = value_at(value_at(reply->data(), "versions"), std::to_string(current));
  const bool deleted = !text_at(version, "deletion_time").empty() || bool_at(version, "destroyed");
  if (current != e_.status.kv_version || deleted) co_return co_await read();
  e_.status.last_success = Clock::now();
  set_state(shared_, e_, State::fresh, {});
  co_return e_.schedule.unchanged(Clock::now());
}

awaitable<Step> Watcher::renew() {
  result<Duration> granted = Duration{};
  if (e_.issued_token) {
    auto renewed = co_await shared_.client.renew_token(e_.issued_token, e_.rule.lease.increment,
                                                       last_moment(e_));
    if (renewed)
      granted = renewed->ttl;
    else
      granted = std::unexpected(std::move(renewed).error());
  } else {
    auto renewed = co_await shared_.client.renew_lease(e_.status.lease_id, e_.rule.lease.increment,
                                                       last_moment(e_));
    if (renewed)
      granted = renewed->ttl;
    else
      granted = std::unexpected(std::move(renewed).error());
  }
  const Instant now = Clock::now();
  if (granted) {
    const Step step = e_.schedule.renewed(*granted, now);
    e_.status.lease_end = e_.schedule.end();
    e_.status.last_success = now;
    set_state(shared_, e_, State::fresh, {});
    log::debug("lease.renewed", "lease renewed",
               {{"path", e_.status.path},
                {"lease", lease_hash(e_.status.lease_id)},
                {"ttl", seconds(*granted)}});
    co_return step;
  }
  if (is_outage(granted.error().kind)) co_return co_await failed(std::move(granted).error());
  if (granted.error().kind == ErrorKind::denied && !e_.issued_token &&
      !co_await shared_.hooks.token_is_good()) {
    co_return Step{Step::Do::renew,
                   now + kDeniedLookMin};  // the token is gone: its successor wakes us
  }
  log::info("lease.refused", "the lease can't be renewed any more; fetching new credentials",
            {{"path", e_.status.path},
             {"lease", lease_hash(e_.status.lease_id)},
             {"reason", granted.error().text}});
  co_return e_.schedule.refused(now);
}

// Somebody else may have revoked it.
awaitable<Step> Watcher::look() {
  result<> there;
  if (e_.issued_token) {
    auto found = co_await shared_.client.lookup_self(e_.issued_token);
    if (!found) there = std::unexpected(std::move(found).error());
  } else {
    there = co_await shared_.client.lookup_lease(e_.status.lease_id);
  }
  if (there || is_outage(there.error().kind)) co_return e_.schedule.looked(Clock::now());
  if (there.error().kind == ErrorKind::denied && !e_.issued_token) {
    if (co_await shared_.hooks.token_is_good()) {
      log::warn("lease.look_denied", "lease.check_interval can't be obeyed",
                {{"path", e_.status.path}, {"reason", there.error().text}});
      e_.schedule.disable_lookup();
    }
    co_return e_.schedule.looked(Clock::now());
  }
  log::warn("lease.gone", "somebody else has revoked it; fetching new credentials",
            {{"path", e_.status.path}, {"reason", there.error().text}});
  e_.status.lease_id.clear();
  e_.issued_token.reset();
  co_return e_.schedule.refused(Clock::now());
}

awaitable<Step> Watcher::failed(Error error) {
  const bool denied = error.kind == ErrorKind::denied;
  // A token that has been replaced meanwhile says nothing of the path.
  if (denied &&
      (request_token_ != shared_.client.token() || !co_await shared_.hooks.token_is_good())) {
    awaiting_token_ = true;  // the value is as good as before: no more is asked than was planned
    co_return Step{doing_.what, Clock::now() + kDeniedLookMin};
  }
  const State state = state_of(error);
  const bool answered = state != State::failing;
  const bool first = e_.status.generation == 0;
  const auto retry_after = error.retry_after;
  // An answer that can't be used (too large, no JSON) will not come good by waiting either.
  const bool useless = answered || error.kind == ErrorKind::bad_reply;
  if (answered && e_.rule.optional && !e_.using_defaults) apply_defaults(e_);
  set_state(shared_, e_, state, std::move(error));
  if (first) {
    if (!useless)
      refused_since_.reset();
    else if (!refused_since_)
      refused_since_ = Clock::now();
    co_return Step{Step::Do::read,
                   again_at_start(shared_, e_, backoff_, refused_since_, retry_after)};
  }
  if (!answered) co_return e_.schedule.failed(Clock::now(), shared_.random.fraction(), retry_after);
  co_return Step{Step::Do::read, Clock::now() + denied_backoff_.next(shared_.random.fraction())};
}

}  // namespace

awaitable<void> watch(Shared& shared, std::shared_ptr<Entry> entry) {
  if (entry->dependency.kind == Kinds::file)
    co_return co_await watch_file(shared, std::move(entry));
  Watcher watcher(shared, std::move(entry));
  co_await watcher.run();
}

}  // namespace keybearer::secrets
