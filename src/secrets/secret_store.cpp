#include "secrets/secret_store.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/redactor.hpp"
#include "config/scalars.hpp"
#include "json/json.hpp"
#include "secrets/resume.hpp"
#include "secrets/watched_secret.hpp"
#include "secrets/watcher.hpp"

namespace keybearer::secrets {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;
using Kinds = tmpl::Dependency::Kind;

namespace {

constexpr Duration kJustLooked = 100ms;

}  // namespace

struct SecretStore::Impl : WatchContext {
  using WatchContext::WatchContext;

  [[nodiscard]] WatchedSecret* find(const std::string& id) const {
    const auto at = secrets.find(id);
    return at == secrets.end() ? nullptr : at->second.get();
  }
  // Each secret once, whatever its ids.
  template <class Do>
  void for_each(Do&& visit) const {
    for (const auto& [id, secret] : secrets) {
      if (id == secret->status.id) visit(*secret);
    }
  }
  static void wake(WatchedSecret& secret, bool Wakeups::* why) {
    secret.wakeups.*why = true;
    secret.wakeup.set();
  }
  // A look that was sent just now answers the same.
  static bool look_is_new(const WatchedSecret& secret) {
    return secret.look && Clock::now() - secret.look->sent < kJustLooked;
  }
  [[nodiscard]] Snapshot::Item item_of(const WatchedSecret& secret) const;
  [[nodiscard]] bool join_saved(const std::string& id);
  void resume(WatchedSecret& secret);
  void retire(const lease::SavedSecret& old);
  void let_go_of_saved();
  void drop(WatchedSecret& secret);
};

SecretStore::SecretStore(asio::any_io_executor executor, vault::Client& client,
                         lease::Revocations& revocations, Settings settings, Random& random,
                         Callbacks callbacks)
    : impl_(new Impl(std::move(executor), client, revocations, std::move(settings), random,
                     std::move(callbacks))) {}
SecretStore::~SecretStore() = default;

// --- what is asked for ---

void SecretStore::require(const tmpl::Dependency& dependency) {
  const bool pki = dependency.kind == Kinds::pki && !dependency.destination.empty();
  if (WatchedSecret* known = impl_->find(dependency.id)) {
    auto& files = known->destinations;
    if (pki && std::ranges::find(files, dependency.destination) == files.end())
      files.push_back(dependency.destination);
    return;
  }
  if (impl_->join_saved(dependency.id)) return announce(*impl_);
  auto secret = std::make_shared<WatchedSecret>(dependency, rule_for(impl_->settings, dependency),
                                                impl_->settings.retry, impl_->random.fraction());
  if (const auto twin = twin_of(*impl_, *secret)) {
    impl_->secrets.emplace(dependency.id, twin);
    return announce(*impl_);
  }
  secret->generations = impl_->generation_floor;
  if (pki) secret->destinations.push_back(dependency.destination);
  secret->status.path = redactor().redact_ours(secret->status.path);  // it may be made of a value
  impl_->secrets.emplace(dependency.id, secret);
  impl_->client.session().grow_budget(impl_->secrets.size());  // until the first complete set
  impl_->snapshot.reset();
  if (!secret->rule.enabled) {
    secret->status.state = Status::State::absent;
    list_by_path(*impl_, secret);
    apply_defaults(*impl_, *secret);
    return;
  }
  ++impl_->pending;
  impl_->resume(*secret);
  list_by_path(*impl_, secret);
  impl_->watchers.spawn(watch(*impl_, std::move(secret)));
}

// --- from one run to the next ---

void SecretStore::resume(std::vector<lease::SavedSecret> saved) {
  for (lease::SavedSecret& each : saved) {
    const auto shared = std::make_shared<const lease::SavedSecret>(std::move(each));
    for (const std::string& id : shared->ids) impl_->saved.emplace(id, shared);
  }
}

// Another spelling of what is resumed already (kv/app and kv/data/app): the server need not be
// asked.
bool SecretStore::Impl::join_saved(const std::string& id) {
  const auto known = saved.find(id);
  if (known == saved.end()) return false;
  for (const std::string& other : known->second->ids) {
    const auto at = secrets.find(other);
    if (at == secrets.end() || at->second->data_path != known->second->data_path) continue;
    secrets.emplace(id, at->second);
    return true;
  }
  return false;
}

void SecretStore::Impl::resume(WatchedSecret& secret) {
  const auto known = saved.find(secret.status.id);
  if (known == saved.end()) return;
  if (can_resume(secret, *known->second)) return secrets::resume(secret, *known->second);
  log::info("state.secret_dropped", "it has ended, or is asked for otherwise now",
            {{"path", secret.status.path}});
  retire(*known->second);
}

void SecretStore::Impl::retire(const lease::SavedSecret& old) {
  if (!old.leased()) return;
  revocations.retire({.secret = old.ids.front(),
                      .path = old.data_path,
                      .lease_id = old.lease_id,
                      .token = old.issued_token,
                      .end = old.schedule.end,
                      .vault_namespace = old.vault_namespace});
}

void SecretStore::use_state() {
  const Error away{ErrorKind::network, "not asked for yet: the value is the last run's"};
  impl_->for_each([&](WatchedSecret& secret) {
    if (secret.resumed) {
      serve_resumed(*impl_, secret);
      set_state(*impl_, secret, Status::State::failing, secret.status.error.value_or(away));
      secret.wakeup.set();  // it may be too old already
    } else if (secret.rule.optional && secret.held() == nullptr) {
      apply_defaults(*impl_, secret);
    }
  });
}

bool SecretStore::revokes(const std::string& id, bool by_default) const {
  const WatchedSecret* secret = impl_->find(id);
  return secret != nullptr && secret->rule.lease.revoke_on_exit.value_or(by_default);
}

std::vector<lease::SavedSecret> SecretStore::save() const {
  std::map<const WatchedSecret*, lease::SavedSecret> all;
  impl_->for_each([&all](const WatchedSecret& secret) {
    if (auto saved = saved_of(secret)) {
      saved->ids.push_back(secret.status.id);
      all.emplace(&secret, std::move(*saved));
    }
  });
  for (const auto& [id, secret] : impl_->secrets) {
    const auto at = all.find(secret.get());
    if (at != all.end() && id != secret->status.id) at->second.ids.push_back(id);
  }
  std::vector<lease::SavedSecret> out;
  for (auto& [secret, saved] : all) out.push_back(std::move(saved));
  // Not asked for (yet): kept for as long as it may be.
  for (const auto& [id, saved] : impl_->saved) {
    if (id == saved->ids.front() && !impl_->secrets.contains(id)) out.push_back(*saved);
  }
  return out;
}

void SecretStore::retain(const std::set<std::string>& ids) {
  std::set<const WatchedSecret*> kept;
  for (const auto& [id, secret] : impl_->secrets) {
    if (ids.contains(id)) kept.insert(secret.get());
  }
  for (auto at = impl_->secrets.begin(); at != impl_->secrets.end();) {
    const auto secret = at->second;
    const bool stays =
        kept.contains(secret.get()) && (ids.contains(at->first) || at->first == secret->status.id);
    at = stays ? std::next(at) : impl_->secrets.erase(at);
    if (!kept.contains(secret.get())) impl_->drop(*secret);
  }
  impl_->let_go_of_saved();
}

// What the last run had and nothing asks for any more.
void SecretStore::Impl::let_go_of_saved() {
  for (const auto& [id, old] : std::exchange(saved, {})) {
    const bool claimed = std::ranges::any_of(
        old->ids, [this](const std::string& each) { return secrets.contains(each); });
    if (!claimed && id == old->ids.front()) retire(*old);
  }
}

// Its watcher ends by itself, and with it the memory; an answer that is on its way is discarded.
void SecretStore::Impl::drop(WatchedSecret& secret) {
  if (std::exchange(secret.dropped, true)) return;
  unlist(*this, secret);
  generation_floor = std::max(generation_floor, secret.generations + 1);
  if (secret.status.state == Status::State::pending) --pending;
  if (secret.rule.lease.revoke_on_exit.value_or(true)) retire_lease(*this, secret, true);
  log::debug("secret.dropped", "no template asks for it any more", {{"path", secret.status.path}});
  secret.ticket.give_back();
  secret.wakeup.set();
  callbacks.state_changed();
  redactor().retire(secret.dependency.id);
  announce(*this);
}

// What is another thing to ask for is let go, as by retain(), with the rule that it was got by: the
// next evaluation misses it and asks for it again, while all keep what they have.
void SecretStore::configure(Settings settings) {
  impl_->settings = std::move(settings);
  impl_->limit.set_slots(impl_->settings.concurrent);
  std::set<std::shared_ptr<WatchedSecret>> others;
  for (const auto& [id, secret] : impl_->secrets)
    if (is_asked_otherwise(*secret, impl_->settings)) others.insert(secret);
  std::erase_if(impl_->secrets, [&](const auto& each) { return others.contains(each.second); });
  for (const auto& secret : others) impl_->drop(*secret);
  impl_->for_each([this](WatchedSecret& secret) {
    take_rule(*impl_, secret, rule_for(impl_->settings, secret.as_written()));
    Impl::wake(secret, &Wakeups::reconfigured);
  });
}

// --- what templates see ---

Snapshot::Item SecretStore::Impl::item_of(const WatchedSecret& secret) const {
  Snapshot::Item item;
  if (const Held* held = secret.held()) {
    item.value = held->value;
    item.generation = held->generation;
  }
  if (secret.withheld) item.absence = tmpl::DataSource::Absence::withheld;
  if (secret.status.fetched) return item;
  if (secret.status.state == Status::State::absent)
    item.absence = tmpl::DataSource::Absence::absent;
  if (secret.status.state == Status::State::denied)
    item.absence = tmpl::DataSource::Absence::denied;
  return item;
}

Snapshot SecretStore::snapshot() const {
  if (!impl_->snapshot) {
    auto items = std::make_shared<Snapshot::Items>();
    items->reserve(impl_->secrets.size());
    for (const auto& [id, secret] : impl_->secrets) items->emplace(id, impl_->item_of(*secret));
    impl_->snapshot = std::move(items);
  }
  return Snapshot(impl_->snapshot);
}

Event& SecretStore::changed() {
  return impl_->changed;
}

const Status* SecretStore::status(const std::string& id) const {
  const WatchedSecret* secret = impl_->find(id);
  return secret == nullptr ? nullptr : &secret->status;
}

std::vector<const Status*> SecretStore::all() const {
  std::vector<const Status*> all;
  impl_->for_each([&all](const WatchedSecret& secret) { all.push_back(&secret.status); });
  return all;
}

const Histogram& SecretStore::fetch_time() const {
  return impl_->fetch_time;
}

std::vector<std::string> SecretStore::find(std::string_view name) const {
  std::vector<std::string> ids;
  const std::string path = config::plain_path(name);
  impl_->for_each([&](const WatchedSecret& secret) {
    if (secret.status.path == name || config::plain_path(secret.status.path) == path ||
        (!secret.rule.name.empty() && secret.rule.name == name))
      ids.push_back(secret.status.id);
  });
  return ids;
}

bool SecretStore::all_answered() const {
  return impl_->pending == 0;
}

bool SecretStore::start_failed(const std::string& id) const {
  const WatchedSecret* secret = impl_->find(id);
  return secret != nullptr && secret->start_failed && secret->held() == nullptr;
}

bool SecretStore::any_start_failed() const {
  return impl_->start_failed > 0 && std::ranges::any_of(impl_->secrets, [this](const auto& each) {
           return start_failed(each.first);
         });
}

// --- what is to be done ---

void SecretStore::token_changed() {
  impl_->for_each([](WatchedSecret& secret) { Impl::wake(secret, &Wakeups::token_changed); });
}

void SecretStore::refresh(const std::string& id) {
  WatchedSecret* secret = impl_->find(id);
  if (secret == nullptr) return;
  if (!Impl::look_is_new(*secret)) Impl::wake(*secret, &Wakeups::refresh);
  impl_->client.session().reopen();  // somebody wants it now
}

void SecretStore::refresh_all(bool leased) {
  for (const Status* status : all()) {
    WatchedSecret* secret = impl_->find(status->id);
    const bool failing = status->state != Status::State::fresh;
    if (!failing && status->last_success && Clock::now() - *status->last_success < kJustLooked)
      continue;
    if (Impl::look_is_new(*secret)) continue;
    // Of KV v2 the version is compared first: what is unchanged is not read again.
    if (!failing && status->kind == Kind::kv2) {
      Impl::wake(*secret, &Wakeups::look);
    } else if (failing || can_refetch_freely(status->id) ||
               secret->dependency.kind == Kinds::file || (leased && secret->leased())) {
      refresh(status->id);
    }
  }
}

bool SecretStore::refetch_leased(const std::string& why) {
  bool any = false;
  impl_->for_each([&](WatchedSecret& secret) {
    if (!secret.leased()) return;
    any = true;
    if (secret.look && secret.look->whole) return;  // they are on their way
    secret.refresh_reason = why;
    Impl::wake(secret, &Wakeups::refresh);
  });
  return any;
}

bool SecretStore::can_refetch_freely(const std::string& id) const {
  const WatchedSecret* secret = impl_->find(id);
  if (secret == nullptr || !secret->status.fetched) return false;
  const Kind kind = secret->status.kind;
  return kind == Kind::unleased || kind == Kind::kv2 || kind == Kind::static_role;
}

bool SecretStore::reject(const std::vector<std::string>& ids) {
  bool any = false;
  for (const std::string& id : ids) {
    WatchedSecret* secret = impl_->find(id);
    auto* current = secret == nullptr ? nullptr : std::get_if<Current>(&secret->served);
    if (current == nullptr || !secret->previous) continue;
    secret->rejected = current->value;
    secret->served = *std::exchange(secret->previous, std::nullopt);
    secret->status.generation = secret->held()->generation;
    secret->status.kv_version = 0;  // so that the next version is read, too
    set_state(*impl_, *secret, Status::State::absent,
              Error{ErrorKind::not_found,
                    "new version lacks a key that a template uses; keeping the previous version"});
    announce(*impl_);
    any = true;
  }
  return any;
}

bool SecretStore::missing_key(const std::vector<std::string>& ids) {
  bool any = false;
  for (const std::string& id : ids) {
    WatchedSecret* secret = impl_->find(id);
    if (secret == nullptr || !can_refetch_freely(id)) continue;
    any = true;
    const auto generation = secret->status.generation;
    if (std::exchange(secret->missing_key_in, generation) == generation) continue;
    Impl::wake(*secret, &Wakeups::missing_key);
  }
  return any;
}

std::string SecretStore::must_stop() const {
  std::string paths;
  impl_->for_each([&paths](const WatchedSecret& secret) {
    if (secret.stale && secret.rule.stale.on_stale == config::OnStale::stop)
      paths += (paths.empty() ? "" : ", ") + secret.status.path;
  });
  return paths;
}

void SecretStore::commit() {
  impl_->client.session().fix_budget();
  impl_->for_each([](WatchedSecret& secret) { secret.previous.reset(); });
}

void SecretStore::use_defaults() {
  impl_->for_each([this](WatchedSecret& secret) {
    if (secret.rule.optional && secret.held() == nullptr) apply_defaults(*impl_, secret);
  });
}

Instant SecretStore::earliest_superseded_expiry() const {
  return impl_->revocations.earliest_expiry();
}

// Ids that are another spelling count as the secret that serves them.
void SecretStore::applied(const InUse& in_use) {
  InUse known;
  for (const auto& [id, generation] : in_use) {
    const WatchedSecret* secret = impl_->find(id);
    const auto [at, first] =
        known.try_emplace(secret == nullptr ? id : secret->status.id, generation);
    if (!first) at->second = std::min(at->second, generation);
  }
  impl_->revocations.applied(known);
}

namespace {

awaitable<void> wait_forever() {
  Event never;
  co_await never.wait(never.generation());
}

}  // namespace

// Also while there is no watcher: those that come later are awaited, too.
awaitable<void> SecretStore::run() {
  impl_->watchers.spawn(wait_forever());
  co_await impl_->watchers.join();
}

awaitable<lease::Revoked> SecretStore::revoke_all(Instant deadline, bool by_default) {
  impl_->for_each([&](WatchedSecret& secret) {
    if (!secret.rule.lease.revoke_on_exit.value_or(by_default)) return;
    if (secret.leased()) secret.revoked = true;
    retire_lease(*impl_, secret, true);
    secret.status.lease_id.clear();
    secret.issued_token.reset();
  });
  co_return co_await impl_->revocations.revoke_all(deadline);
}

}  // namespace keybearer::secrets
