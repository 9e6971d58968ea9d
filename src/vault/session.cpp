#include "vault/session.hpp"

#include <algorithm>
#include <array>
#include <deque>
#include <utility>

#include "base/event.hpp"
#include "base/log.hpp"
#include "vault/reply.hpp"

namespace keybearer::vault {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;

// A rate limit's Retry-After is in whole seconds and servers round it down: asking that early is
// refused once more.
constexpr Duration kRoundedDown = 1s;
constexpr Duration kQuiet = 1min;  // a reason is said once in this time, not for each request

// A request that waits for its turn.
struct Waiting {
  Instant latest;  // a Retry-After holds it back no longer than this
  Event turn;
};

std::size_t index(Traffic traffic) {
  return static_cast<std::size_t>(traffic);
}

}  // namespace

struct Session::Impl {
  std::shared_ptr<http::Client> http;  // requests under way keep the one they began with
  SessionOptions options;
  Token token = {};
  Budget budget;
  Instant closed_until{};  // the server asked for quiet
  int closed_by = 0;       // the status that asked
  std::array<std::deque<Waiting*>, kTrafficClasses> queues = {};
  bool proxy_next = false;  // secrets and proxy take turns
  Instant budget_quiet_until{}, closed_quiet_until{};
  SessionStats stats = {};

  Impl(std::unique_ptr<http::Client> client, SessionOptions o)
      : http(std::move(client)),
        options(std::move(o)),
        budget(options.budget, options.secrets, Clock::now()) {}

  // --- whose turn it is ------------------------------------------------------------------------

  [[nodiscard]] Instant opens_at(const Waiting& waiting) const {
    return std::min(closed_until, waiting.latest);
  }
  // The first of its class that the server does not hold back, control before the others; nobody:
  // all are held back.
  [[nodiscard]] const Waiting* next(Instant now) const {
    const auto first = [&](Traffic traffic) -> const Waiting* {
      const auto& queue = queues[index(traffic)];
      return !queue.empty() && opens_at(*queue.front()) <= now ? queue.front() : nullptr;
    };
    if (const auto* control = first(Traffic::control)) return control;
    const auto* secrets = first(Traffic::secrets);
    const auto* proxy = first(Traffic::proxy);
    return proxy != nullptr && (proxy_next || secrets == nullptr) ? proxy : secrets;
  }
  void call_next() noexcept {
    for (auto& queue : queues) {
      if (!queue.empty()) queue.front()->turn.set();
    }
  }

  // When to look again: now means that it may go.
  [[nodiscard]] Instant may_go(Traffic traffic, const Waiting& waiting, Instant now) {
    if (queues[index(traffic)].front() != &waiting) return Instant::max();
    if (opens_at(waiting) > now) return opens_at(waiting);
    return next(now) == &waiting ? budget.next(traffic, now) : Instant::max();
  }

  void say_held_back(const Waiting& waiting, Instant now) {
    if (opens_at(waiting) > now) {
      if (now < closed_quiet_until) return;
      closed_quiet_until = now + kQuiet;
      const auto left = std::chrono::ceil<std::chrono::seconds>(closed_until - now);
      return log::warn(
          "server.throttled", "the server asked for a pause (Retry-After); delaying requests",
          {{"status", std::to_string(closed_by)}, {"for", std::to_string(left.count()) + "s"}});
    }
    if (now < budget_quiet_until) return;
    budget_quiet_until = now + kQuiet;
    log::warn("budget.throttled", "request budget exhausted (vault.budget); delaying requests",
              {{"requests_per_minute", std::to_string(static_cast<long>(budget.per_minute()))},
               {"burst", std::to_string(static_cast<long>(budget.burst()))}});
  }

  // Stands in its queue as long as it lives; whoever has the earliest last moment is first.
  struct Place {
    Impl& impl;
    std::deque<Waiting*>& queue;
    Waiting* waiting;
    Place(Impl& i, Traffic traffic, Waiting* w)
        : impl(i), queue(i.queues[index(traffic)]), waiting(w) {
      queue.insert(std::ranges::upper_bound(queue, w->latest, {}, &Waiting::latest), w);
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() {
      std::erase(queue, waiting);
      impl.call_next();
    }
  };

  awaitable<result<>> enter(Traffic traffic, Instant latest, Instant give_up_at) {
    Waiting waiting{.latest = latest, .turn = {}};
    const Place place(*this, traffic, &waiting);
    bool held = false;
    for (;;) {
      const auto seen = waiting.turn.generation();
      const Instant now = Clock::now();
      const Instant at = may_go(traffic, waiting, now);
      if (at <= now) break;
      if (now >= give_up_at) {
        co_return std::unexpected(Error{.kind = ErrorKind::timeout,
                                        .text = "held back by the request budget (vault.budget) "
                                                "longer than the time limit",
                                        .reason = Reason::held_back});
      }
      if (!std::exchange(held, true)) {
        ++stats.held_back;
        say_held_back(waiting, now);
      }
      (void)co_await waiting.turn.wait(seen, std::min(at, give_up_at));
    }
    if (budget.counts(traffic)) budget.take(Clock::now());
    ++stats.sent[index(traffic)];
    if (traffic != Traffic::control) proxy_next = traffic == Traffic::secrets;
    co_return result<>{};
  }

  // One send's own way through.
  struct Turnstile final : http::Gate {
    Impl& impl;
    Traffic traffic;
    Instant latest, give_up_at;
    Turnstile(Impl& i, Traffic t, Instant l, Instant g)
        : impl(i), traffic(t), latest(l), give_up_at(g) {}

    awaitable<result<>> enter(Instant limit) override {
      return impl.enter(traffic, latest, std::min(limit, give_up_at));
    }
    void give_back() noexcept override {
      if (impl.budget.counts(traffic)) impl.budget.give_back();
      --impl.stats.sent[index(traffic)];
      impl.call_next();
    }
  };

  void count_failure(const Error& error) {
    ++stats.failed;
    if (error.reason == Reason::held_back) return;  // it was never sent
    stats.reachable_since.reset();
    stats.error = error.text;
  }

  void count_answer(int status) {
    ++stats.answered;
    ++(status < 400 ? stats.succeeded : status < 500 ? stats.refused : stats.erred);
    stats.answered_at = Clock::now();
    if (!stats.reachable_since) stats.reachable_since = stats.answered_at;
    stats.error.clear();
  }

  // --- what the server asks for ----------------------------------------------------------------

  void obey(http::Response& response) {
    if (!response.retry_after) return;
    const int status = response.status;
    if (status == 429) *response.retry_after += kRoundedDown;
    response.retry_after = std::min(*response.retry_after, options.max_retry_after);
    const bool away = status == 503 || status == 472 || status == 473;
    if (status != 429 && !(away && is_vault_response(response))) return;
    const Instant until = Clock::now() + *response.retry_after;
    if (until <= closed_until) return;
    closed_until = until;
    closed_by = status;
    call_next();
  }
};

Session::Session(std::unique_ptr<http::Client> http, SessionOptions options)
    : impl_(new Impl(std::move(http), std::move(options))) {}
Session::~Session() = default;

void Session::configure(std::unique_ptr<http::Client> http, SessionOptions options) {
  impl_->http = std::move(http);
  impl_->budget.configure(options.budget, options.secrets, Clock::now());
  impl_->options = std::move(options);
  reopen();
}

void Session::set_token(Token token) {
  impl_->token = std::move(token);
  if (impl_->token) reopen();
}
const Token& Session::token() const {
  return impl_->token;
}
const std::string& Session::vault_namespace() const {
  return impl_->options.vault_namespace;
}
const http::Url& Session::address() const {
  return impl_->http->address();
}

awaitable<result<http::Response>> Session::send(http::Request request, Traffic traffic,
                                                Instant latest, Instant give_up_at) {
  Impl* const impl = impl_.get();
  Impl::Turnstile gate(*impl, traffic, latest, give_up_at);
  request.gate = &gate;
  const auto http = impl->http;
  auto response = co_await http->send(std::move(request));
  if (!response) {
    impl->count_failure(response.error());
    co_return response;
  }
  impl->count_answer(response->status);
  impl->obey(*response);
  co_return response;
}

awaitable<result<StreamAnswer>> Session::open(http::StreamRequest request, Traffic traffic,
                                              Instant give_up_at) {
  Impl* const impl = impl_.get();
  Impl::Turnstile gate(*impl, traffic, Instant{}, give_up_at);
  request.gate = &gate;
  auto http = impl->http;
  http::BodySource* const body = request.body;
  auto opened = co_await http::open(*http, std::move(request));
  if (!opened) {
    // Where a body comes from the client as it is sent, the trouble may be the client's own.
    if (body == nullptr || body->rewind())
      impl->count_failure(opened.error());
    else
      ++impl->stats.failed;
    co_return std::unexpected(std::move(opened).error());
  }
  impl->count_answer((*opened)->status);
  co_return StreamAnswer{std::move(http), *std::move(opened)};
}

void Session::reopen() {
  if (impl_->closed_until <= Clock::now()) return;
  impl_->closed_until = Clock::now();
  impl_->call_next();
}
void Session::grow_budget(std::size_t secrets) {
  impl_->budget.resize(secrets);
  impl_->call_next();
}
void Session::fix_budget() {
  impl_->budget.fix();
}
const SessionStats& Session::stats() const {
  return impl_->stats;
}

SessionOptions session_options(const config::Config& config) {
  return {.vault_namespace = config.vault.vault_namespace,
          .budget = config.vault.budget,
          .secrets = config.env.size() + config.env_from.size() + config.templates.size() +
                     config.secrets.size(),
          .max_retry_after = config.vault.retry.max_backoff};
}

}  // namespace keybearer::vault
