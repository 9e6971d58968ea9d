// The cache's leases and issued tokens: kept alive, looked at, let go.
#include <algorithm>

#include "base/log.hpp"
#include "base/timer.hpp"
#include "json/json.hpp"
#include "serve/cache.hpp"

namespace keybearer::serve {
namespace {

using boost::asio::awaitable;
using namespace std::chrono_literals;

constexpr Duration kEndedCheck = 1min;  // what nobody asks for any more goes this late
constexpr Duration kVerifyPause = 1s;   // between two look-ups of one client's token
constexpr Duration kTakesLong = 1s;  // between two steps of one lease, whatever its schedule says

}  // namespace

// From now on it is renewed and looked at.
void Cache::watch(const CacheEntry& entry, const About& about, Instant now) {
  const CachedAnswer& what = entry.what;
  const bool is_token = what.kind == Cached::token;
  const lease::Kind kind = is_token         ? lease::Kind::token
                           : what.renewable ? lease::Kind::dynamic
                                            : lease::Kind::non_renewable;
  Renewal renewal{.schedule = lease::SecretSchedule(lease_rules(), random_.fraction()),
                  .step = {},
                  .path = about.path,
                  .is_token = is_token,
                  .vault_namespace = about.vault_namespace};
  renewal.step = renewal.schedule.answered(
      {.kind = kind, .ttl = what.ttl, .renewable = what.renewable}, now, entry.asked);
  if (is_token) {
    if (const auto answer = json::parse(entry.body->reveal()))
      renewal.bearer = Secret(text_at(value_at(*answer, "auth"), "client_token"));
    if (renewal.bearer.empty()) return;
  } else {
    renewal.bearer = about.bearer.clone();
  }
  renewals_.insert_or_assign(is_token ? what.issued : what.lease_id, std::move(renewal));
  changed_.set();
}

void Cache::forget_gone_leases() {
  std::vector<std::string_view> kept;
  for (const CacheEntry* entry : core_.leases()) kept.push_back(entry->what.lease_id);
  for (const CacheEntry* entry : core_.tokens()) kept.push_back(entry->what.issued);
  std::ranges::sort(kept);
  std::erase_if(renewals_, [&](const auto& renewal) {
    return !std::ranges::binary_search(kept, std::string_view(renewal.first));
  });
}

Instant Cache::next_due() const {
  Instant at = renewals_.empty() && core_.size() == 0 ? Instant::max() : Clock::now() + kEndedCheck;
  for (const auto& [id, renewal] : renewals_) at = std::min(at, renewal.step.at);
  return at;
}

// What the server grants; without any answer: an outage.
awaitable<result<Cache::Grant>> Cache::run_errand(Errand errand) {
  if (!send_) co_return fail(ErrorKind::cancelled, "nobody to send it");
  const Fetched fetched = co_await send_(std::move(errand));
  if (fetched.error) co_return std::unexpected(*fetched.error);
  if (fetched.status >= 500 || fetched.status == 429)
    co_return fail(ErrorKind::server, std::to_string(fetched.status));
  if (fetched.status >= 300)
    co_return fail(fetched.status == 403 ? ErrorKind::denied : ErrorKind::refused,
                   std::to_string(fetched.status));
  Grant grant{.asked = fetched.asked};
  if (const auto answer = json::parse(fetched.body->reveal()); answer && answer->is_map()) {
    const Value& auth = value_at(*answer, "auth");
    grant.ttl = std::chrono::seconds(int_at(auth.is_map() ? auth : *answer, "lease_duration"));
  }
  co_return grant;
}

namespace {

Secret about_lease(const std::string& id, std::optional<Duration> increment) {
  Value body = Value::map();
  if (!id.empty()) body.set("lease_id", id);
  if (increment)
    body.set("increment",
             Value::integer(std::chrono::ceil<std::chrono::seconds>(*increment).count()));
  return Secret(json::write(body));
}

}  // namespace

awaitable<result<Cache::Grant>> Cache::ask_for_more(const std::string& id, const Renewal& renewal) {
  if (renewal.is_ours()) {
    const auto lease = co_await client_.renew_lease(id, lease_.increment);
    if (!lease) co_return std::unexpected(lease.error());
    co_return Grant{lease->ttl, lease->asked};
  }
  auto grant = co_await run_errand(
      {.method = renewal.is_token ? "POST" : "PUT",
       .path = renewal.is_token ? "auth/token/renew-self" : "sys/leases/renew",
       .vault_namespace = renewal.vault_namespace,
       .token = renewal.bearer.clone(),
       .body = about_lease(renewal.is_token ? std::string() : id, lease_.increment)});
  if (grant && grant->ttl <= Duration::zero())
    co_return fail(ErrorKind::refused, "an answer without a lease");
  co_return grant;
}

awaitable<result<>> Cache::ask_whether_there(const std::string& id, const Renewal& renewal) {
  if (renewal.is_ours()) co_return co_await client_.lookup_lease(id);
  const auto found = co_await run_errand(
      {.method = renewal.is_token ? "GET" : "PUT",
       .path = renewal.is_token ? "auth/token/lookup-self" : "sys/leases/lookup",
       .vault_namespace = renewal.vault_namespace,
       .token = renewal.bearer.clone(),
       .body = renewal.is_token ? Secret() : about_lease(id, {})});
  if (!found) co_return std::unexpected(found.error());
  co_return result<>{};
}

// What nobody can vouch for is not served, nor what was taken with it.
void Cache::drop(const std::string& id) {
  const auto found = renewals_.find(id);
  if (found == renewals_.end()) return;
  log::debug("cache.dropped", "what was cached is not renewed any more",
             {{"path", found->second.path}});
  if (found->second.is_token)
    core_.drop_token(id);
  else
    core_.drop_lease(id);
  renewals_.erase(found);
  forget_gone_leases();
}

awaitable<void> Cache::renew(std::string id) {
  const auto before = renewals_.find(id);
  if (before == renewals_.end()) co_return;
  before->second.step.at = Instant::max();
  const auto renewed = co_await ask_for_more(id, before->second);
  const auto found = renewals_.find(id);
  if (found == renewals_.end()) co_return;
  const Instant now = Clock::now();
  if (renewed) {
    if (found->second.is_token)
      core_.token_renewed(id, renewed->ttl, renewed->asked);
    else
      core_.renewed(id, renewed->ttl, renewed->asked);
    found->second.step = found->second.schedule.renewed(renewed->ttl, now, renewed->asked);
    log::debug("cache.renewed", "cached lease or token renewed", {{"path", found->second.path}});
  } else if (is_outage(renewed.error().kind)) {
    found->second.step =
        found->second.schedule.failed(now, random_.fraction(), renewed.error().retry_after);
  } else {
    drop(id);
  }
  changed_.set();
}

awaitable<void> Cache::look_up(std::string id) {
  const auto before = renewals_.find(id);
  if (before == renewals_.end()) co_return;
  before->second.step.at = Instant::max();
  const auto looked = co_await ask_whether_there(id, before->second);
  const auto found = renewals_.find(id);
  if (found == renewals_.end()) co_return;
  Renewal& renewal = found->second;
  if (!looked && looked.error().kind == ErrorKind::denied && !renewal.is_token)
    renewal.schedule.disable_lookup();
  else if (!looked && !is_outage(looked.error().kind))
    co_return drop(id);
  renewal.step = renewal.schedule.lookup_done(Clock::now());
  changed_.set();
}

// A 403 may mean the path, or that the token is gone; what was taken with it is kept in the first
// case only.
awaitable<void> Cache::verify(std::string digest, Secret token, std::string vault_namespace) {
  for (bool again = true; again; again = std::exchange(verifying_[digest], false)) {
    const auto found = co_await run_errand({.method = "GET",
                                            .path = "auth/token/lookup-self",
                                            .vault_namespace = vault_namespace,
                                            .token = token.clone(),
                                            .body = {}});
    if (!found && !is_outage(found.error().kind)) {
      core_.drop_token(digest);
      forget_gone_leases();
      break;
    }
    co_await sleep_for(kVerifyPause);
  }
  verifying_.erase(digest);
}

awaitable<void> Cache::run() {
  for (;;) {
    const auto seen = changed_.generation();
    const Instant now = Clock::now();
    core_.drop_ended(now);
    forget_gone_leases();
    std::vector<std::pair<std::string, lease::Step::Do>> due;
    for (auto& [id, renewal] : renewals_) {
      if (renewal.step.at > now) continue;
      due.emplace_back(id, renewal.step.what);
      renewal.step.at = now + kTakesLong;
    }
    for (const auto& [id, what] : due) {
      using Do = lease::Step::Do;
      if (what == Do::renew) {
        tasks_.spawn(renew(id));
      } else if (what == Do::lookup) {
        tasks_.spawn(look_up(id));
      } else {  // time for another one: who asks next gets it
        if (renewals_.at(id).is_token)
          core_.drop_issued(id);
        else
          core_.drop_lease(id);
        renewals_.erase(id);
      }
    }
    (void)co_await changed_.wait(seen, next_due());
  }
}

awaitable<void> Cache::stop(lease::Revocations* revocations) {
  tasks_.cancel();
  co_await tasks_.join();
  if (revocations == nullptr) co_return;
  std::vector<std::string> seen;
  for (const CacheEntry* entry : core_.leases()) {
    if (entry->maker == 0 || std::ranges::find(seen, entry->what.lease_id) != seen.end()) continue;
    seen.push_back(entry->what.lease_id);
    revocations->retire({.secret = "cache",
                         .path = entry->path,
                         .lease_id = entry->what.lease_id,
                         .token = client_.token(),
                         .end = entry->end});
  }
}

}  // namespace keybearer::serve
