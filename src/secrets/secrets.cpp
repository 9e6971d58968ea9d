#include "secrets/secrets.hpp"

#include "base/log.hpp"
#include "base/redactor.hpp"
#include "base/task_group.hpp"
#include "json/json.hpp"
#include "secrets/answer.hpp"
#include "secrets/entry.hpp"
#include "secrets/watcher.hpp"

namespace keybearer::secrets {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;

namespace {

constexpr Duration kRevokeAll = 5s;

}  // namespace

struct Secrets::Impl : Shared {
  using Shared::Shared;
  std::map<std::string, std::shared_ptr<Entry>, std::less<>> entries;

  [[nodiscard]] const Entry* find(const std::string& id) const {
    const auto at = entries.find(id);
    return at == entries.end() ? nullptr : at->second.get();
  }
  awaitable<void> revoke_replaced_when_due();
};

Secrets::Secrets(asio::any_io_executor executor, vault::Client& client,
                 const config::Config& config, bool once, Random& random, Hooks hooks)
    : impl_(new Impl(executor, client, config, once, random, std::move(hooks))) {}
Secrets::~Secrets() = default;

void Secrets::require(const tmpl::Dependency& dependency) {
  if (impl_->entries.contains(dependency.id)) return;
  auto entry = std::make_shared<Entry>(dependency, rule_for(impl_->config, dependency),
                                       impl_->config.vault.retry, impl_->random.fraction());
  entry->status.path = redactor().redact_ours(entry->status.path);  // it may be made of a value
  impl_->entries.emplace(dependency.id, entry);
  impl_->client.session().grow_budget(impl_->entries.size());  // until the first complete set
  if (!entry->rule.enabled) {
    entry->status.state = Status::State::absent;
    entry->using_defaults = true;
    impl_->changed.set();
    return;
  }
  ++impl_->unsettled;
  impl_->watchers.spawn(watch(*impl_, entry));
}

const Value* Secrets::find(const tmpl::Dependency& dependency) {
  const Entry* entry = impl_->find(dependency.id);
  if (entry == nullptr) return nullptr;
  return entry->status.generation > 0 || entry->using_defaults ? &entry->value : nullptr;
}

std::uint64_t Secrets::generation(const tmpl::Dependency& dependency) const {
  const Entry* entry = impl_->find(dependency.id);
  if (entry == nullptr) return 0;
  return entry->status.generation > 0 ? entry->status.generation + 1
                                      : (entry->using_defaults ? 1 : 0);
}

tmpl::DataSource::Absence Secrets::absence(const tmpl::Dependency& dependency) const {
  const Entry* entry = impl_->find(dependency.id);
  if (entry == nullptr || entry->status.generation > 0) return Absence::pending;
  if (entry->status.state == Status::State::absent) return Absence::absent;
  if (entry->status.state == Status::State::denied) return Absence::denied;
  return Absence::pending;
}

Event& Secrets::changed() {
  return impl_->changed;
}

const Status* Secrets::status(const std::string& id) const {
  const Entry* entry = impl_->find(id);
  return entry == nullptr ? nullptr : &entry->status;
}

std::vector<const Status*> Secrets::all() const {
  std::vector<const Status*> all;
  for (const auto& [id, entry] : impl_->entries) all.push_back(&entry->status);
  return all;
}

bool Secrets::settled() const {
  return impl_->unsettled == 0;
}

bool Secrets::start_failed(const std::string& id) const {
  const Entry* entry = impl_->find(id);
  return entry != nullptr && entry->start_failed && entry->status.generation == 0 &&
         !entry->using_defaults;
}

bool Secrets::any_start_failed() const {
  return impl_->start_failed > 0 && std::ranges::any_of(impl_->entries, [this](const auto& e) {
           return start_failed(e.first);
         });
}

void Secrets::token_changed() {
  for (const auto& [id, entry] : impl_->entries) {
    entry->token_changed = true;
    entry->wakeup.set();
  }
}

void Secrets::refresh(const std::string& id) {
  const auto at = impl_->entries.find(id);
  if (at == impl_->entries.end()) return;
  at->second->refresh = true;
  at->second->wakeup.set();
  impl_->client.session().reopen();  // somebody wants it now
}

bool Secrets::refetch_leased(const std::string& why) {
  bool any = false;
  for (const auto& [id, entry] : impl_->entries) {
    if (entry->status.lease_id.empty() && !entry->issued_token) continue;
    entry->refresh_why = why;
    refresh(id);
    any = true;
  }
  return any;
}

bool Secrets::can_refetch_freely(const std::string& id) const {
  const Entry* entry = impl_->find(id);
  if (entry == nullptr || entry->status.generation == 0) return false;
  const Kind kind = entry->status.kind;
  return kind == Kind::plain || kind == Kind::kv2 || kind == Kind::static_role;
}

bool Secrets::reject(const std::vector<std::string>& ids) {
  bool any = false;
  for (const std::string& id : ids) {
    const auto at = impl_->entries.find(id);
    if (at == impl_->entries.end() || !at->second->before) continue;
    Entry& entry = *at->second;
    entry.rejected = std::move(entry.value);
    entry.value = *std::exchange(entry.before, std::nullopt);
    --entry.status.generation;
    entry.status.kv_version = 0;  // so that the next version is read, too
    set_state(*impl_, entry, Status::State::absent,
              Error{ErrorKind::not_found, "a key that is used is not in it any more"});
    any = true;
  }
  return any;
}

void Secrets::commit() {
  impl_->client.session().fix_budget();
  for (const auto& [id, entry] : impl_->entries) entry->before.reset();
}

void Secrets::use_defaults() {
  for (const auto& [id, entry] : impl_->entries) {
    if (entry->rule.optional && entry->status.generation == 0 && !entry->using_defaults)
      apply_defaults(*entry);
  }
}

Instant Secrets::earliest_superseded_expiry() const {
  Instant end = Instant::max();
  for (const Replaced& replaced : impl_->replaced) {
    if (!replaced.revoke_at) end = std::min(end, replaced.end);
  }
  return end;
}

void Secrets::applied() {
  bool any = false;
  for (Replaced& replaced : impl_->replaced) {
    if (replaced.revoke_at) continue;
    const Duration left = replaced.end - Clock::now() - 1s;  // what is left of it, less a second
    replaced.revoke_at =
        Clock::now() + std::clamp<Duration>(replaced.drain, 0s, std::max<Duration>(left, 0s));
    any = true;
  }
  if (any) impl_->replaced_changed.set();
}

awaitable<void> Secrets::Impl::revoke_replaced_when_due() {
  for (;;) {
    const auto seen = replaced_changed.generation();
    Instant next = Instant::max();
    for (const Replaced& r : replaced) next = std::min(next, r.revoke_at.value_or(Instant::max()));
    if (co_await replaced_changed.wait(seen, next)) continue;
    const auto due = std::ranges::find_if(
        replaced, [](const Replaced& r) { return r.revoke_at && *r.revoke_at <= Clock::now(); });
    if (due == replaced.end()) continue;
    const Replaced gone = std::move(*due);
    replaced.erase(due);
    const auto revoked = gone.lease_id.empty()
                             ? co_await client.revoke_self(gone.token)
                             : co_await client.revoke_lease(gone.lease_id, client.token());
    if (revoked) {
      log::info("lease.revoked", "the replaced credentials are revoked",
                {{"path", gone.path}, {"lease", lease_hash(gone.lease_id)}});
    } else {
      log::debug("lease.revoke_failed",
                 "the replaced credentials were not revoked; they end by themselves",
                 {{"path", gone.path}, {"reason", revoked.error().text}});
    }
  }
}

awaitable<void> Secrets::run() {
  impl_->watchers.spawn(impl_->revoke_replaced_when_due());
  co_await impl_->watchers.join();
}

namespace {

awaitable<void> revoke_one(Shared& shared, std::string lease_id, vault::Token own_token,
                           std::string path, std::shared_ptr<bool> denial_said) {
  const auto revoked = lease_id.empty()
                           ? co_await shared.client.revoke_self(own_token)
                           : co_await shared.client.revoke_lease(lease_id, shared.client.token());
  if (revoked) {
    log::info("lease.revoked", "revoked", {{"path", path}, {"lease", lease_hash(lease_id)}});
  } else if (revoked.error().kind != ErrorKind::denied || !std::exchange(*denial_said, true)) {
    log::info("lease.revoke_failed", "not revoked; it ends with the token or by itself",
              {{"path", path}, {"reason", revoked.error().text}});
  }
}

}  // namespace

awaitable<void> Secrets::revoke_all() {
  TaskGroup revocations(co_await asio::this_coro::executor);
  const auto denial_said = std::make_shared<bool>(false);
  const auto revoke = [&](const std::string& lease_id, const vault::Token& own,
                          const std::string& path) {
    revocations.spawn(revoke_one(*impl_, lease_id, own, path, denial_said));
  };
  for (const auto& [id, entry] : impl_->entries) {
    const bool ours = entry->rule.lease.revoke_on_exit.value_or(true);
    if (ours && !entry->status.lease_id.empty())
      revoke(entry->status.lease_id, nullptr, entry->status.path);
    if (ours && entry->issued_token) revoke({}, entry->issued_token, entry->status.path);
  }
  for (const Replaced& r : impl_->replaced) revoke(r.lease_id, r.token, r.path);
  impl_->replaced.clear();
  if (revocations.live() == 0) co_return;
  co_await within(kRevokeAll, revocations.join());
}

}  // namespace keybearer::secrets
