// The proxy's reads that the cache may answer.
#include <array>
#include <boost/asio/this_coro.hpp>

#include "json/json.hpp"
#include "serve/forward.hpp"
#include "serve/proxy_job.hpp"

namespace keybearer::serve {
namespace {

using boost::asio::awaitable;
using namespace std::chrono_literals;

constexpr std::size_t kMostKept = 1024 * 1024;  // larger answers pass by the cache
constexpr Duration kBudgetPatience = 10s;

std::string seconds_text(Duration time) {
  return std::to_string(std::chrono::floor<std::chrono::seconds>(time).count());
}

}  // namespace

// Outlives the client that asked first.
struct Proxy::Outgoing {
  std::string method, target, path;
  http::Headers headers;
  vault::Token token;
  std::string accessor, mount;
  bool ours;
  std::shared_ptr<const Secret> body = {};  // null: none
};

bool Proxy::may_be_cached(const Job& job) const {
  if (!cache_.enabled()) return false;
  if (is_cacheable_request(job.head(), job.request.asked.method, job.path)) return true;
  return cache_.keeps_tokens() && job.streamed == nullptr && is_token_request(job.head(), job.path);
}

std::shared_ptr<const Proxy::Outgoing> Proxy::outgoing(const Job& job) const {
  auto out = std::make_shared<Outgoing>();
  out->method = job.head().method;
  out->target = job.request.target.raw;
  out->path = job.path;
  out->headers = headers_up(job.head(), {.credential = job.credential,
                                         .plain_content = true,
                                         .vault_namespace = session_.vault_namespace()});
  out->ours = job.ours();
  if (out->ours) out->token = job.token;
  out->accessor = job.accessor;
  out->mount = job.mount;
  if (job.whole != nullptr) out->body = std::make_shared<const Secret>(job.whole->bytes().clone());
  return out;
}

awaitable<Fetched> Proxy::fetch(Proxy* proxy, std::shared_ptr<const Outgoing> out) {
  http::StreamRequest request;
  request.method = out->method;
  request.target = out->target;
  request.headers = out->headers;
  request.token = out->token;
  std::optional<WholeBody> whole;
  if (out->body) {
    whole.emplace(out->body->clone());
    request.body = &*whole;
    request.length = out->body->size();
  }
  Fetched fetched;
  auto answer = co_await proxy->session_.open(std::move(request), vault::Traffic::proxy,
                                              Clock::now() + kBudgetPatience);
  if (!answer) {
    fetched.error = answer.error();
    co_return fetched;
  }
  http::Incoming& incoming = *answer->incoming;
  Secret body;
  for (;;) {
    const auto piece = co_await incoming.read();
    if (!piece) {
      fetched.error = piece.error();
      co_return fetched;
    }
    if (piece->empty()) break;
    if (body.size() + piece->size() > kMostKept) {
      fetched.too_large = true;
      co_return fetched;
    }
    body.append(*piece);
  }
  fetched.status = incoming.status;
  fetched.headers = headers_down(incoming.headers, true, false);
  std::erase_if(fetched.headers,
                [](const auto& header) { return http::same_name(header.first, "Date"); });
  fetched.asked = incoming.asked;
  if (out->ours) {
    const LeakScanner scanner({out->token->reveal(), out->accessor, out->mount});
    fetched.leaks = scanner.leaks(body.reveal());
  }
  fetched.body = std::make_shared<const Secret>(std::move(body));
  co_return fetched;
}

awaitable<Fetched> Proxy::run_errand(Cache::Errand errand) {
  auto out = std::make_shared<Outgoing>();
  out->method = errand.method;
  out->path = errand.path;
  out->target = "/v1/" + errand.path;
  out->ours = errand.token.empty();
  http::RequestHead head;
  head.headers.emplace_back("X-Vault-Namespace", errand.vault_namespace);
  if (!out->ours) head.headers.emplace_back("X-Vault-Token", errand.token.reveal());
  if (!errand.body.empty()) {
    head.headers.emplace_back("Content-Type", "application/json");
    out->body = std::make_shared<const Secret>(std::move(errand.body));
  }
  out->headers = headers_up(head, {.credential = out->ours ? Credential::ours : Credential::clients,
                                   .plain_content = true,
                                   .vault_namespace = session_.vault_namespace()});
  if (out->ours) {
    out->token = session_.token();
    if (out->token == nullptr) {
      co_return Fetched{.error = Error{ErrorKind::network, "not logged in"}};
    }
    out->accessor = login_.accessor();
    out->mount = login_.mount();
  }
  co_return co_await fetch(this, std::move(out));
}

// One cheap read, without any secret in it.
awaitable<result<std::string>> Proxy::current_version(Proxy* proxy,
                                                      std::shared_ptr<const Outgoing> out,
                                                      std::string metadata) {
  auto compared = std::make_shared<Outgoing>(*out);
  compared->method = "GET";
  compared->target = "/v1/" + metadata;
  const Fetched fetched = co_await fetch(proxy, std::move(compared));
  if (fetched.error) co_return std::unexpected(*fetched.error);
  if (fetched.status != 200) co_return std::string();
  const auto parsed = json::parse(fetched.body->reveal());
  if (!parsed) co_return std::string();
  const auto version = int_at(value_at(*parsed, "data"), "current_version");
  co_return version > 0 ? std::to_string(version) : std::string();
}

std::string Proxy::key_of(const http::RequestHead& head, const Request& request, bool ours,
                          std::string_view method, std::string_view body) const {
  const std::string_view own = head.header("X-Vault-Namespace");
  std::string token = ours ? "ours" : "client ";
  if (!ours) token += clients_token(head);
  return cache_key({.method = method,
                    .path = request.target.path,
                    .query = request.asked.method == "LIST" ? "" : request.target.query,
                    .body = body,
                    .vault_namespace = own.empty() ? session_.vault_namespace() : own,
                    .token = token,
                    .wrap_ttl = {}});
}

// All checks of prepare() are about bodies, upgrades and auth/: none of them is cacheable.
bool Proxy::answer_at_once(http::Exchange& exchange, const Request& request) {
  const http::RequestHead& head = exchange.head();
  const std::string_view path = below_v1(request.target);
  if (!cache_.enabled() || !is_cacheable_request(head, request.asked.method, path)) return false;
  const bool ours = choose_credential(config_.use_auto_auth_token, head, path) == Credential::ours;
  if (ours && session_.token() == nullptr) return false;
  const CacheEntry* const entry = cache_.fresh(
      key_of(head, request, ours, request.asked.method, {}), ours ? login_.number() : 0);
  if (entry == nullptr) return false;
  ++stats_.success;
  const Instant now = Clock::now();
  const std::string age =
      "X-Cache: HIT\r\nAge: " + seconds_text(std::max(entry->age(now), Duration(0))) + "\r\n";
  const std::string secure = exchange.is_private() ? http::header_lines(entry->headers) : "";
  const std::array<std::string_view, 2> lines{exchange.is_private() ? secure : entry->lines, age};
  const std::string_view body = entry->body->reveal();
  if (!entry->end || entry->what.duration_size == 0) {
    exchange.answer(entry->status, lines, {&body, 1});
    return true;
  }
  const std::string left = seconds_text(*entry->end - now);
  const std::array<std::string_view, 3> parts{
      body.substr(0, entry->what.duration_at), left,
      body.substr(entry->what.duration_at + entry->what.duration_size)};
  exchange.answer(entry->status, lines, parts);
  return true;
}

// False: it is for the way without a cache.
awaitable<bool> Proxy::run_cached(Job& job) {
  const std::string_view query = job.request.target.query;
  std::string_view raw = job.request.target.raw;
  raw = raw.substr(0, raw.find('?'));
  if (raw.starts_with("/v1/")) raw.remove_prefix(4);
  const std::string& method = job.request.asked.method;
  const bool makes_token = is_token_request(job.head(), job.path);
  for (bool again = true;; again = false) {
    const auto out = outgoing(job);
    const std::string_view token =
        job.ours() ? std::string_view("ours") : clients_token(job.head());
    const std::string_view own = job.head().header("X-Vault-Namespace");
    Cache::About about{.method = job.request.asked.method,
                       .path = job.request.asked.path,
                       .raw_path = std::string(raw),
                       .query = std::string(query),
                       .token = token_digest(job.ours() ? job.token->reveal() : token),
                       .maker = job.ours() ? login_.number() : 0,
                       .vault_namespace = std::string(own),
                       .bearer = job.ours() ? Secret() : Secret(token),
                       .makes_token = makes_token};
    std::string key = key_of(job.head(), job.request, job.ours(), makes_token ? "POST" : method,
                             out->body ? out->body->reveal() : std::string_view{});
    const Served served = co_await cache_.get(
        std::move(key), std::move(about), [this, out] { return fetch(this, out); },
        [this, out](std::string metadata) {
          return current_version(this, out, std::move(metadata));
        });
    if (served.answer.too_large && !makes_token) co_return false;
    if (served.answer.too_large) {
      co_await fail(job, {ErrorKind::bad_reply, "the answer to a login is too large"});
      co_return true;
    }
    const bool denied = !served.hit && !served.answer.error && served.answer.status == 403;
    if (denied && !job.ours()) cache_.denied(clients_token(job.head()), own);
    if (denied && job.ours() && again &&
        (session_.token() != job.token || !co_await login_.token_is_good())) {
      if (!co_await wait_for_token(job, job.token)) co_return true;
      if (!makes_token) continue;
      co_await refuse_repeat(job);
      co_return true;
    }
    co_await respond(job, served);
    co_return true;
  }
}

awaitable<void> Proxy::respond(Job& job, const Served& served) {
  const Fetched& answer = served.answer;
  if (answer.error) co_return co_await fail(job, *answer.error);
  ++(answer.status < 400   ? stats_.success
     : answer.status < 500 ? stats_.client_error
                           : stats_.error);
  if (answer.leaks) {
    ++stats_.leaks_stopped;
    co_return co_await refuse(
        job, {.status = 502,
              .text = "keybearer: the answer holds keybearer's own token or accessor; refused",
              .check = "token"});
  }
  http::ServerResponse response{.status = answer.status, .headers = answer.headers};
  if (!job.exchange.is_private()) {
    std::erase_if(response.headers, [](const auto& header) {
      return http::same_name(header.first, "Strict-Transport-Security");
    });
  }
  response.headers.emplace_back("X-Cache", served.hit ? "HIT" : "MISS");
  if (served.hit) {
    response.headers.emplace_back("Age", seconds_text(std::max(served.age, Duration(0))));
  }
  if (served.stale) response.headers.emplace_back("Warning", "110 keybearer \"Response is Stale\"");
  response.body = answer.body->clone();
  (void)co_await job.exchange.respond(std::move(response));
}

void Proxy::observe(const Job& job, int status, std::string_view answer, Instant asked) {
  if (!cache_.enabled()) return;
  if (status == 403 && job.credential == Credential::clients)
    cache_.denied(clients_token(job.head()), job.head().header("X-Vault-Namespace"));
  const std::string_view body = job.whole != nullptr ? job.whole->bytes().reveal() : "";
  cache_.observe(job.request.asked.method, job.request.asked.path, body, status, answer, asked);
}

awaitable<void> Proxy::clear_cache(Proxy* proxy, http::Exchange* exchange) {
  const auto& method = exchange->head().method;
  auto body = co_await exchange->read_all(64 * 1024);
  if (!body) {
    exchange->close_after();
    (void)co_await exchange->respond(
        http::error_response(std::max(body.error().status, 400), body.error().text));
    co_return;
  }
  Cache::Cleared cleared;
  if (method == "POST" || method == "PUT")
    cleared = proxy->cache_.clear(body->reveal(), proxy->login_.accessor());
  (void)co_await exchange->respond(cleared.error.empty()
                                       ? http::ServerResponse{.status = cleared.status}
                                       : http::error_response(cleared.status, cleared.error));
}

RouteHandler Proxy::clear_handler() {
  return [this](http::Exchange& exchange, const Request&) { return clear_cache(this, &exchange); };
}

}  // namespace keybearer::serve
