#include "serve/listener.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/owner.hpp"
#include "serve/rate_limit.hpp"

namespace keybearer::serve {
namespace {

namespace asio = boost::asio;
using asio::awaitable;

constexpr Duration kRefusalQuiet{1000};  // one line per check and second

http::Url url_of(const config::Listener& listener) {
  http::Url url;
  if (listener.type == config::Listener::Type::unix_socket) {
    url.scheme = http::Url::Scheme::unix_socket;
    url.socket_path = listener.address;
    return url;
  }
  url.scheme = http::Url::Scheme::http;
  const auto colon = listener.address.rfind(':');
  url.host = listener.address.substr(0, colon);
  if (url.host.starts_with('[')) url.host = url.host.substr(1, url.host.size() - 2);
  url.port = listener.address.substr(colon + 1);
  return url;
}

http::ServerLimits limits_of(const config::Listener& listener) {
  return {.max_body = listener.max_request_size,
          .max_connections = listener.max_connections,
          .header_timeout = listener.header_timeout,
          .idle_timeout = listener.idle_timeout,
          .progress_timeout = listener.progress_timeout};
}

http::TlsServerOptions tls_of(const config::Listener& listener) {
  return {.cert_file = listener.tls_cert_file,
          .key_file = listener.tls_key_file,
          .client_ca_file = listener.tls_client_ca_file,
          .crl_file = listener.tls_crl_file,
          .require_client_cert = listener.tls_require_client_cert,
          .tls13_only = listener.tls13_only};
}

bool has_tls(const config::Listener& listener) {
  return listener.type == config::Listener::Type::tcp && !listener.tls_disable &&
         !listener.tls_cert_file.empty();
}

result<http::SocketOwner> socket_owner(const config::Listener& listener) {
  const auto owner = owner_of(listener.socket_user, listener.socket_group);
  if (!owner) return std::unexpected(Error(owner.error()).within("listener " + listener.address));
  return http::SocketOwner{listener.socket_mode, owner->user, owner->group};
}

void add(http::ServerStats& sum, const http::ServerStats& part) {
  sum.connections += part.connections;
  sum.connections_refused += part.connections_refused;
  sum.connections_evicted += part.connections_evicted;
  sum.tls_failures += part.tls_failures;
  sum.requests += part.requests;
  sum.malformed += part.malformed;
  sum.timeouts += part.timeouts;
  for (std::size_t i = 0; i < std::size(sum.responses); ++i) sum.responses[i] += part.responses[i];
  sum.open += part.open;
}

// What requests to one listener are judged by; replaced as a whole at a reload.
struct Judge {
  Rules rules;
  config::Listener config;
};

}  // namespace

struct Listeners::Impl {
  struct One {
    config::Listener config;
    std::shared_ptr<http::TlsServerContext> tls;
    std::unique_ptr<http::Server> server;
    std::shared_ptr<const Judge> judge;
    RateLimit rate;
  };

  Impl(asio::any_io_executor e, const Router& r)
      : executor(std::move(e)), router(r), tasks(executor) {}

  [[nodiscard]] result<std::shared_ptr<One>> make(const config::Listener& listener,
                                                  const std::string& vault_namespace);
  [[nodiscard]] result<std::shared_ptr<http::TlsServerContext>> tls_for(
      const config::Listener& listener, const One* before) const;
  [[nodiscard]] http::Handler handler_of(const std::shared_ptr<One>& one);
  awaitable<void> run(std::shared_ptr<One> one);
  awaitable<void> handle(http::Exchange& exchange, One& one);
  static awaitable<void> serve(std::shared_ptr<const Judge> judge, http::Exchange* exchange,
                               const Route* route, Target target, Asked asked);
  void refuse(http::Exchange& exchange, Refusal refusal);
  void log_refusal(const http::Exchange& exchange, const Refusal& refusal, bool dry_run);
  [[nodiscard]] One* same_place(const config::Listener& listener) const;

  asio::any_io_executor executor;
  const Router& router;
  std::list<std::shared_ptr<One>> all;
  TaskGroup tasks;
  ListenerStats stats;
  http::ServerStats gone;  // of listeners that were closed
  std::map<std::string, Instant, std::less<>> quiet_until;
};

// --- one request ---------------------------------------------------------------------------------

void Listeners::Impl::log_refusal(const http::Exchange& exchange, const Refusal& refusal,
                                  bool dry_run) {
  const std::string key = std::string(refusal.check) + (dry_run ? "?" : "");
  Instant& quiet = quiet_until[key];
  if (Clock::now() < quiet) return;
  quiet = Clock::now() + kRefusalQuiet;
  const std::string_view target = exchange.head().target;
  log::info(dry_run ? "listener.would_refuse" : "listener.refused", refusal.text,
            {{"peer", exchange.peer().text()},
             {"method", exchange.head().method.substr(0, 20)},
             {"path", shown_path(target.substr(0, target.find('?'))).substr(0, 200)},
             {"check", std::string(refusal.check)},
             {"rule", refusal.rule}});
}

void Listeners::Impl::refuse(http::Exchange& exchange, Refusal refusal) {
  ++stats.refused[std::string(refusal.check)];
  log_refusal(exchange, refusal, false);
  auto response = http::error_response(refusal.status, refusal.text);
  response.headers = std::move(refusal.headers);
  if (refusal.status == 503) response.headers.emplace_back("X-Keybearer-Error", "limit");
  // A request that broke the rules of paths may have broken others, too.
  if (refusal.status == 400) exchange.close_after();
  exchange.answer(std::move(response));
}

namespace {

// Whom the rate counts for.
std::string rate_key(const http::Peer& peer) {
  if (peer.certificate) return "cn:" + peer.certificate->common_name + peer.address;
  if (peer.credentials) return "uid:" + std::to_string(peer.credentials->uid);
  return peer.address;
}

void log_request(const http::Exchange& exchange, const Target& target) {
  if (!log::enabled(log::Level::debug)) return;
  log::debug("listener.request", "request",
             {{"peer", exchange.peer().text()},
              {"method", exchange.head().method},
              {"path", shown_path(target.path)},
              {"status", std::to_string(exchange.status())}});
}

}  // namespace

// What needs no wait is answered here, without a coroutine.
awaitable<void> Listeners::Impl::handle(http::Exchange& exchange, One& one) {
  const auto judge = one.judge;  // the one of now, to the end of this request
  if (one.rate.limits() && !one.rate.take(rate_key(exchange.peer()), Clock::now())) {
    ++stats.rate_limited;
    refuse(exchange, {.status = 503,
                      .text = "keybearer: too many requests (listener.rate_limit)",
                      .check = "rate",
                      .headers = {{"Retry-After", "1"}}});
    return {};
  }
  auto found = router.find(exchange.head(), exchange.peer(), judge->rules);
  if (!found) {
    refuse(exchange, std::move(found).error());
    return {};
  }
  if (found->dry_run) {
    ++stats.dry_run_refusals;
    log_refusal(exchange, *found->dry_run, true);
  }
  const Route& route = *found->route;
  if (route.at_once) {
    const Request request{judge->rules, found->target, found->asked};
    if (route.at_once(exchange, request)) {
      log_request(exchange, found->target);
      return {};
    }
  }
  return serve(judge, &exchange, &route, std::move(found->target), std::move(found->asked));
}

awaitable<void> Listeners::Impl::serve(std::shared_ptr<const Judge> judge, http::Exchange* exchange,
                                       const Route* route, Target target, Asked asked) {
  const Request request{judge->rules, target, asked};
  co_await route->handler(*exchange, request);
  log_request(*exchange, target);
}

http::Handler Listeners::Impl::handler_of(const std::shared_ptr<One>& one) {
  return [this, weak = std::weak_ptr(one)](http::Exchange& exchange) {
    const auto here = weak.lock();
    return here != nullptr ? handle(exchange, *here) : awaitable<void>();
  };
}

// --- opening, changing, closing ------------------------------------------------------------------

Listeners::Impl::One* Listeners::Impl::same_place(const config::Listener& listener) const {
  for (const auto& one : all) {
    const bool same = one->config.type == listener.type && one->config.address == listener.address;
    if (same && one->server->can_be_reached()) return one.get();  // else another is opened
  }
  return nullptr;
}

result<> check_tls(const config::Listener& listener) {
  return has_tls(listener) ? http::TlsServerContext(tls_of(listener)).set_up() : result<>{};
}

result<std::shared_ptr<http::TlsServerContext>> Listeners::Impl::tls_for(
    const config::Listener& listener, const One* before) const {
  if (!has_tls(listener)) return nullptr;
  if (before != nullptr && before->tls != nullptr && tls_of(before->config) == tls_of(listener))
    return before->tls;
  auto tls = std::make_shared<http::TlsServerContext>(tls_of(listener));
  if (auto good = tls->set_up(); !good)
    return std::unexpected(Error(good.error()).within("listener " + listener.address));
  return tls;
}

result<std::shared_ptr<Listeners::Impl::One>> Listeners::Impl::make(
    const config::Listener& listener, const std::string& vault_namespace) {
  auto tls = tls_for(listener, nullptr);
  if (!tls) return std::unexpected(tls.error());
  const auto owner = socket_owner(listener);
  if (!owner) return std::unexpected(owner.error());
  http::ServerOptions options{.address = url_of(listener),
                              .loopback_only = false,  // the configuration has been checked
                              .socket = *owner,
                              .tls = *tls,
                              .limits = limits_of(listener)};
  auto one = std::make_shared<One>();
  one->config = listener;
  one->tls = *tls;
  one->judge = std::make_shared<const Judge>(Judge{Rules(listener, vault_namespace), listener});
  one->rate.configure(listener.rate_limit);
  one->server = std::make_unique<http::Server>(executor, std::move(options), handler_of(one));
  if (auto listening = one->server->listen(); !listening)
    return std::unexpected(Error(listening.error()).within("listener"));
  return one;
}

awaitable<void> Listeners::Impl::run(std::shared_ptr<One> one) {
  co_await one->server->run();
}

Listeners::Listeners(asio::any_io_executor executor, const Router& router)
    : impl_(new Impl(std::move(executor), router)) {}
Listeners::~Listeners() = default;

result<> Listeners::configure(const std::vector<config::Listener>& listeners,
                              const std::string& vault_namespace) {
  // What can fail comes first.
  std::vector<std::shared_ptr<Impl::One>> fresh;
  std::vector<std::pair<Impl::One*, std::shared_ptr<http::TlsServerContext>>> kept;
  for (const config::Listener& listener : listeners) {
    Impl::One* const before = impl_->same_place(listener);
    if (before == nullptr) {
      auto one = impl_->make(listener, vault_namespace);
      if (!one) return std::unexpected(one.error());
      fresh.push_back(*std::move(one));
      continue;
    }
    auto tls = impl_->tls_for(listener, before);
    if (!tls) return std::unexpected(tls.error());
    const auto owner = socket_owner(listener);
    if (!owner) return std::unexpected(owner.error());
    if (auto owned = before->server->set_socket_owner(*owner); !owned) return owned;
    kept.emplace_back(before, *std::move(tls));
  }
  std::erase_if(impl_->all, [&](const auto& one) {
    const bool stays =
        std::ranges::any_of(kept, [&](const auto& k) { return k.first == one.get(); });
    if (!stays) {
      log::info("listener.closed", "no longer listening", {{"address", one->config.address}});
      one->server->stop();
      add(impl_->gone, one->server->stats());  // counters only grow
      impl_->gone.open = 0;
    }
    return !stays;
  });
  std::size_t next = 0;
  for (const config::Listener& listener : listeners) {
    Impl::One* const before = impl_->same_place(listener);
    if (before == nullptr || next >= kept.size() || kept[next].first != before) continue;
    before->tls = kept[next++].second;
    before->config = listener;
    before->judge =
        std::make_shared<const Judge>(Judge{Rules(listener, vault_namespace), listener});
    before->rate.configure(listener.rate_limit);
    for (const auto& one : impl_->all) {
      if (one.get() == before)
        before->server->configure(limits_of(listener), before->tls, impl_->handler_of(one));
    }
  }
  for (auto& one : fresh) {
    log::info("listener.started", "listening",
              {{"address", one->server->address().text()}, {"tls", one->tls ? "yes" : "no"}});
    impl_->tasks.spawn(impl_->run(one));
    impl_->all.push_back(std::move(one));
  }
  return {};
}

awaitable<void> Listeners::stop(Duration grace) {
  for (const auto& one : impl_->all) one->server->stop();
  co_await within(grace, impl_->tasks.join());
}

std::size_t Listeners::size() const {
  return impl_->all.size();
}
std::vector<std::string> Listeners::addresses() const {
  std::vector<std::string> out;
  for (const auto& one : impl_->all) out.push_back(one->server->address().text());
  return out;
}
const ListenerStats& Listeners::stats() const {
  return impl_->stats;
}

http::ServerStats Listeners::server_stats() const {
  http::ServerStats sum = impl_->gone;
  for (const auto& one : impl_->all) add(sum, one->server->stats());
  return sum;
}

}  // namespace keybearer::serve
