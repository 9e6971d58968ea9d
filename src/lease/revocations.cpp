#include "lease/revocations.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "crypto/digest.hpp"

namespace keybearer::lease {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;

namespace {

constexpr Duration kBeforeEnd = 1s;  // a drain ends this much before the lease

}  // namespace

std::string lease_hash(std::string_view lease_id) {
  if (lease_id.empty()) return "token";
  return sha256_hex(lease_id).substr(0, 12);
}

Revocations::Revocations(asio::any_io_executor executor, vault::Client& client,
                         std::function<void(const std::string&)> on_expired)
    : client_(client), on_expired_(std::move(on_expired)), tasks_(std::move(executor)) {}
Revocations::~Revocations() = default;

void Revocations::retire(Superseded superseded) {
  if (superseded.lease_id.empty() && !superseded.token) return;
  if (superseded.end && *superseded.end <= Clock::now()) return;
  const bool held =
      !superseded.lease_id.empty() && std::ranges::any_of(leases_, [&superseded](const Held& each) {
        return each.what.lease_id == superseded.lease_id;
      });
  if (held) return;
  leases_.push_back({std::move(superseded)});
  changed_.set();
}

void Revocations::applied(const InUse& oldest) {
  anything_applied_ = true;
  const Instant now = Clock::now();
  bool any = false;
  for (Held& held : leases_) {
    if (held.revoke_at) continue;
    const auto in_use = oldest.find(held.what.secret);
    if (in_use != oldest.end() && in_use->second <= held.what.generation) continue;
    const Instant latest = held.what.end ? *held.what.end - kBeforeEnd : Instant::max();
    held.revoke_at = std::min(now + std::max<Duration>(held.what.drain, 0s), latest);
    any = true;
  }
  if (any) changed_.set();
}

Instant Revocations::earliest_expiry() const {
  Instant end = Instant::max();
  for (const Held& held : leases_) {
    if (!held.revoke_at) end = std::min(end, held.what.end.value_or(Instant::max()));
  }
  return end;
}

std::vector<Superseded> Revocations::save() const {
  std::vector<Superseded> all;
  for (const Held& held : leases_) all.push_back(held.what);
  return all;
}

Instant Revocations::next_at() const {
  Instant next = Instant::max();
  for (const Held& held : leases_) {
    if (held.on_its_way) continue;
    const Instant end = held.what.end.value_or(Instant::max());
    next = std::min(next, std::min(end, held.revoke_at.value_or(Instant::max())));
  }
  return next;
}

void Revocations::drop_expired() {
  const Instant now = Clock::now();
  for (auto held = leases_.begin(); held != leases_.end();) {
    if (held->on_its_way || !held->what.end || *held->what.end > now) {
      ++held;
      continue;
    }
    // Before anything was complete, no program has it.
    const bool in_use = anything_applied_ && !held->revoke_at;
    const std::string path = held->what.path;
    held = leases_.erase(held);
    if (!in_use) continue;
    log::error("lease.expired",
               "the lease has ended before its successor was in use; what uses it runs on "
               "credentials that no longer work",
               {{"path", path}});
    if (on_expired_) on_expired_(path);
  }
}

// One after another; tasks_ is where they run, so that a stop of run() does not break one off.
awaitable<void> Revocations::run() {
  for (;;) {
    const auto seen = changed_.generation();
    drop_expired();
    const bool busy = std::ranges::any_of(leases_, &Held::on_its_way);
    const auto due = std::ranges::find_if(leases_, [](const Held& held) {
      return !held.on_its_way && held.revoke_at && *held.revoke_at <= Clock::now();
    });
    if (busy) {
      (void)co_await changed_.wait(seen);
    } else if (due == leases_.end()) {
      (void)co_await changed_.wait(seen, next_at());
    } else if (!due->what.token && !client_.token()) {  // logging in: nobody to ask as
      due->revoke_at = Clock::now() + due->backoff.next(0.5);
    } else {
      begin(due);
    }
  }
}

void Revocations::begin(std::list<Held>::iterator held) {
  held->on_its_way = true;
  tasks_.spawn(ask(held));
}

awaitable<void> Revocations::ask(std::list<Held>::iterator held) {
  const auto revoked = co_await revoke(client_, held->what);
  const Superseded& what = held->what;
  held->on_its_way = false;
  changed_.set();
  if (round_) {
    conclude(what, revoked, *round_);
  } else if (revoked) {
    log::info("lease.revoked", "the superseded credentials are revoked",
              {{"path", what.path}, {"lease", lease_hash(what.lease_id)}});
  } else if (is_outage(revoked.error().kind)) {
    held->revoke_at = Clock::now() + held->backoff.next(0.5, revoked.error().retry_after);
    co_return;
  } else {
    log::info("lease.revoke_failed",
              "the superseded credentials were not revoked; they end by themselves",
              {{"path", what.path}, {"reason", revoked.error().text}});
  }
  leases_.erase(held);
}

awaitable<result<>> Revocations::revoke(vault::Client& client, Superseded what) {
  vault::Client& there = client.in_namespace(what.vault_namespace);
  if (what.lease_id.empty()) co_return co_await there.revoke_self(std::move(what.token));
  co_return co_await there.revoke_lease(std::move(what.lease_id), client.token());
}

void Revocations::conclude(const Superseded& what, const result<>& revoked, Round& round) {
  if (!revoked && revoked.error().kind == ErrorKind::timeout) return;  // counted as unanswered
  ++round.done;
  if (revoked) {
    log::info("lease.revoked", "revoked",
              {{"path", what.path}, {"lease", lease_hash(what.lease_id)}});
    return;
  }
  ++round.failed;
  const bool denied = revoked.error().kind == ErrorKind::denied;
  if (denied && std::exchange(round.denial_said, true)) return;
  log::info("lease.revoke_failed", "not revoked; it ends with the token or by itself",
            {{"path", what.path}, {"reason", revoked.error().text}});
}

awaitable<Revoked> Revocations::revoke_all(Instant deadline) {
  Round& round = round_.emplace();
  const Instant now = Clock::now();
  std::erase_if(leases_, [now](const Held& held) {
    return !held.on_its_way && held.what.end && *held.what.end <= now;
  });
  for (auto held = leases_.begin(); held != leases_.end(); ++held) {
    ++round.begun;
    if (!held->on_its_way) begin(held);
  }
  if (tasks_.live() > 0) co_await within(std::max<Duration>(deadline - now, 0ms), tasks_.join());
  leases_.clear();
  if (round.done < round.begun) {
    log::warn("lease.revoke_timeout", "not all was revoked in time; the rest ends by itself",
              {{"revoked", std::to_string(round.done - round.failed)},
               {"unanswered", std::to_string(round.begun - round.done)}});
    co_return Revoked::timed_out;
  }
  co_return round.failed == 0 ? Revoked::all : Revoked::some;
}

awaitable<void> Revocations::stop() {
  tasks_.cancel();
  co_await tasks_.join();
}

}  // namespace keybearer::lease
