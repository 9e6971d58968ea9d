#include "http/client.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <deque>

#include "base/log.hpp"
#include "base/timer.hpp"
#include "http/deadline.hpp"
#include "http/pooled_client.hpp"
#include "http/redirect.hpp"
#include "http/response_parser.hpp"
#include "http/stream.hpp"

namespace keybearer::http {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using boost::system::error_code;
using namespace std::chrono_literals;

constexpr Duration kIdleLimit = 60s;  // an unused connection is closed after this
constexpr Duration kFreshlyUsed = 1s;

}  // namespace

bool has_line_break(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

// Header and body in one piece: with Nagle off, two writes would be two packets.
// A proxy gets http requests in the absolute form (RFC 9112 section 3.2.2).
result<Secret> PooledClient::bytes_of(const Request& request, std::size_t server,
                                      const std::string& target) const {
  const Url& url = options_.addresses[server];
  const Proxy* const proxy =
      url.scheme == Url::Scheme::http && proxies_[server] ? &*proxies_[server] : nullptr;
  Secret out;
  out.reserve(1024 + target.size() + request.body.size());
  // What would end its line too soon.
  std::string broken;
  if (has_line_break(target) || target.find(' ') != std::string::npos) broken = "the path";
  const auto add = [&out, &broken](std::string_view name, std::string_view value) {
    if (has_line_break(name)) broken = "a header's name";
    if (has_line_break(value))
      broken = name == "X-Vault-Token" ? "the token" : "header " + std::string(name);
    out.append(name);
    out.append(": ");
    out.append(value);
    out.append("\r\n");
  };
  out.append(request.method);
  out.append(" ");
  if (proxy != nullptr) out.append("http://" + url.authority());
  out.append(target);
  out.append(" HTTP/1.1\r\n");
  add("Host", url.authority());
  add("User-Agent", options_.user_agent);
  const auto is_accept = [](const auto& header) { return header.first == "Accept"; };
  if (std::ranges::none_of(request.headers, is_accept)) add("Accept", "application/json");
  for (const auto& [name, value] : options_.headers) add(name, value);
  for (const auto& [name, value] : request.headers) add(name, value);
  if (proxy != nullptr && proxy->authorization != nullptr)
    add("Proxy-Authorization", proxy->authorization->reveal());
  if (request.token) add("X-Vault-Token", request.token->reveal());
  for (const auto& [name, value] : request.secret_headers) add(name, value->reveal());
  if (!request.body.empty()) add("Content-Type", request.content_type);
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
    add("Content-Length", std::to_string(request.body.size()));
  }
  out.append("\r\n");
  out.append(request.body.reveal());
  if (!broken.empty())
    return fail(ErrorKind::config, broken + " has a line break or blank in it: refused");
  return out;
}

awaitable<result<>> PooledClient::enter(std::size_t server, Limit limit, Lane lane) {
  Pool::Share& share = pools_[server].shares[static_cast<int>(lane)];
  if (share.in_use < options_.max_connections) {
    ++share.in_use;
    co_return result<>{};
  }
  Timer turn(co_await asio::this_coro::executor, limit.at);
  struct Queued {
    std::deque<Timer*>& waiting;
    Timer* turn;
    ~Queued() { std::erase(waiting, turn); }
  } queued{share.waiting, &turn};
  share.waiting.push_back(&turn);
  error_code error;
  co_await turn.async_wait(asio::redirect_error(asio::use_awaitable, error));
  // leave() takes us out of the queue when it hands its place over.
  const bool ours =
      std::find(queued.waiting.begin(), queued.waiting.end(), &turn) == queued.waiting.end();
  const bool cancelled =
      (co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none;
  if (cancelled) {
    if (ours) leave(server, lane);
    throw boost::system::system_error(asio::error::operation_aborted);
  }
  if (ours) co_return result<>{};
  co_return std::unexpected(limit.passed("all connections are in use"));
}

void PooledClient::leave(std::size_t server, Lane lane) {
  Pool::Share& share = pools_[server].shares[static_cast<int>(lane)];
  if (share.waiting.empty()) {
    --share.in_use;
    return;
  }
  Timer* next = share.waiting.front();
  share.waiting.pop_front();
  next->cancel();
}

// What can't be repeated takes only a connection that has just been used: an older one may be about
// to be closed by the server, which would leave in doubt what became of the request.
std::unique_ptr<Stream> PooledClient::take_idle(std::size_t server, bool repeatable) {
  auto& idle = pools_[server].idle;
  while (!idle.empty()) {
    auto [stream, since] = std::move(idle.back());
    idle.pop_back();
    if (!repeatable && since + kFreshlyUsed < Clock::now()) return nullptr;
    if (stream->is_clean()) return std::move(stream);
  }
  return nullptr;
}

void PooledClient::keep_idle(std::size_t server, std::unique_ptr<Stream> stream) {
  auto& idle = pools_[server].idle;
  if (idle.size() >= static_cast<std::size_t>(options_.max_connections)) idle.erase(idle.begin());
  idle.push_back({std::move(stream), Clock::now()});
  sweep_later();
}

// Idle connections cost the server memory, and us too: they are closed together once the last is
// old enough.
void PooledClient::sweep_later() {
  if (sweeping_) return;
  sweeping_ = true;
  sweeper_.expires_at(Clock::now() + kIdleLimit);
  sweeper_.async_wait([this](const error_code& error) {
    if (error) return;
    sweeping_ = false;
    bool left = false;
    for (Pool& pool : pools_) {
      std::erase_if(pool.idle,
                    [](const Idle& idle) { return idle.since + kIdleLimit / 2 <= Clock::now(); });
      pool.idle.shrink_to_fit();
      left = left || !pool.idle.empty();
    }
    if (left) sweep_later();
  });
}

namespace {

Error speaks_https() {
  return {.kind = ErrorKind::tls,
          .text = "the server speaks https: write https:// in vault.address (VAULT_ADDR)",
          .reason = Reason::tls_mismatch};
}

}  // namespace

awaitable<result<Answer>> PooledClient::exchange(Stream& stream, std::string_view bytes,
                                                 Limit limit, const Request& request,
                                                 Progress& progress) {
  const Deadlines::Guard guard(deadlines_, limit.at, stream);
  const auto why = [&](Error error) {
    return std::unexpected(guard.passed() ? limit.passed("waiting for the answer")
                                          : std::move(error));
  };
  const Instant asked = Clock::now();
  progress.written = stream.write_now({&bytes, 1});
  if (progress.written < bytes.size()) {
    const std::size_t at_once = progress.written;
    auto written = co_await stream.write(bytes.substr(at_once), progress.written);
    progress.written += at_once;
    if (!written) co_return why(std::move(written).error());
  }

  ResponseParser parser(options_.max_response_size, request.method == "HEAD",
                        request.wanted_header);
  // Wiped when freed: small, until an answer turns out not to be.
  std::size_t room = kFirstReadSize, filled = 0;
  auto buffer = std::make_unique_for_overwrite<char[]>(room);
  while (!parser.done()) {
    if (filled == kReadSize) {
      co_return fail(ErrorKind::bad_reply, "the answer's header is too large");
    }
    const auto n = co_await stream.read_some(buffer.get() + filled, room - filled);
    if (n && *n == 0 && parser.ended()) break;
    if (!n || *n == 0) {
      if (progress.answer_begun && parser.status() == 407) break;  // a proxy that reads no further
      if (progress.answer_begun)
        co_return why({ErrorKind::network, "connection lost in the middle of the answer"});
      co_return why(n ? Error{ErrorKind::network, "the server closed the connection"} : n.error());
    }
    const bool first = !std::exchange(progress.answer_begun, true);
    // A TLS alert or handshake record: no HTTP begins so.
    if (first && (buffer[0] == '\x15' || buffer[0] == '\x16'))
      co_return std::unexpected(speaks_https());
    filled += *n;
    const auto used = parser.put({buffer.get(), filled});
    if (!used) co_return std::unexpected(used.error());
    const auto* const rest = buffer.get() + *used;
    const bool full = filled == room;
    filled -= *used;
    if (full && room < kReadSize) {
      auto larger = std::make_unique_for_overwrite<char[]>(kReadSize);
      std::copy_n(rest, filled, larger.get());
      buffer = std::move(larger);
      room = kReadSize;
    } else {
      std::copy_n(rest, filled, buffer.get());
    }
  }
  const bool reusable = parser.done() && parser.keep_alive() && filled == 0;
  Answer answer{parser.take(), parser.location(), reusable};
  answer.response.asked = asked;
  co_return answer;
}

// A write went out, and what became of it nobody knows.
Error lost(Error error) {
  error.reason = Reason::lost_answer;
  error.text += "; it may have been carried out all the same";
  return error;
}

namespace {

// What a proxy or a TLS server says to plain http in the place of an answer.
result<Answer> of_plain_http(result<Answer> answer, const Proxy* proxy) {
  const Response& response = answer->response;
  if (response.status == 407 && proxy != nullptr) return std::unexpected(wants_credentials(*proxy));
  const auto body = response.body.reveal();
  if (response.status != 400 || (body.find("HTTP request to an HTTPS server") == body.npos &&
                                 body.find("plain HTTP request was sent to HTTPS") == body.npos)) {
    return answer;
  }
  return std::unexpected(speaks_https());
}

}  // namespace

awaitable<result<Answer>> PooledClient::send_to(std::size_t server, const Request& request,
                                                const std::string& target, Limit limit,
                                                Permit& permit) {
  const Url& url = options_.addresses[server];
  const auto bytes = bytes_of(request, server, target);
  const Proxy* const proxy = proxies_[server] ? &*proxies_[server] : nullptr;
  if (!bytes) co_return std::unexpected(bytes.error());
  if (auto entered = co_await enter(server, limit); !entered) {
    co_return std::unexpected(entered.error());
  }
  const Place place(this, server);

  const bool repeatable = is_repeatable(request);
  auto stream = take_idle(server, repeatable);
  for (;;) {
    if (auto allowed = co_await permit.get(limit.at); !allowed)
      co_return std::unexpected(allowed.error());
    const bool reused = stream != nullptr;
    if (!reused) {
      auto connected = co_await connect(url, proxy, resolver_, tls_,
                                        limit.earlier_of(Limit::in(options_.connect_timeout)));
      if (!connected) {
        if (connected.error().reason != Reason::no_such_host) permit.spend();
        co_return std::unexpected(connected.error());
      }
      stream = std::move(*connected);
    }
    permit.spend();
    Progress progress;
    auto answer = co_await exchange(*stream, bytes->reveal(), limit, request, progress);
    const bool unseen = repeatable || progress.written == 0;
    if (!answer && reused && !progress.answer_begun && unseen &&
        answer.error().kind == ErrorKind::network) {
      stream = nullptr;  // the server had closed it: once more, on a new one
      continue;
    }
    const bool by_alert = !answer && answer.error().kind == ErrorKind::tls;  // before it was read
    if (!answer && !unseen && !by_alert) {
      Error error = lost(std::move(answer).error());
      answer = std::unexpected(std::move(error));
    }
    if (answer && url.scheme == Url::Scheme::http) answer = of_plain_http(std::move(answer), proxy);
    if (answer && proxy != nullptr) answer->response.via = proxy->text();
    if (answer && answer->keep_alive) keep_idle(server, std::move(stream));
    if (answer) answer->server = server;
    co_return answer;
  }
}

namespace {

// Nothing under /v1/ is a page: a gateway's, whatever its status.
bool is_page(const Response& response) {
  return response.content_type.find("html") != std::string::npos;
}

// What a standby says while it knows of no active node: it has done nothing.
bool is_standby_alone(const Response& response) {
  return response.status == 500 &&
         response.body.reveal().find("local node not active") != std::string_view::npos;
}

// Could another server do better (standby, sealed, throttled, no answer), and may it be asked?
bool should_fail_over(const result<Answer>& answer, bool repeatable) {
  if (!answer)
    return is_outage(answer.error().kind) && answer.error().reason != Reason::lost_answer;
  const Response& response = answer->response;
  const int status = response.status;
  if (status == 412 || status == 429 || status == 472 || status == 473) return true;
  if (is_standby_alone(response) || (repeatable && is_page(response))) return true;
  // A server that is sealed has done nothing; of a gateway nobody knows.
  const bool own = response.body.empty() || response.content_type.find("json") != std::string::npos;
  return status == 503 && (repeatable || own);
}

// The next request begins elsewhere.
bool is_down(const result<Answer>& answer) {
  if (!answer) return is_outage(answer.error().kind);
  const int status = answer->response.status;
  return status == 412 || status == 472 || status == 473 || (status >= 502 && status <= 504) ||
         is_standby_alone(answer->response) || is_page(answer->response);
}

}  // namespace

// One address, and where it redirects to.
awaitable<result<Answer>> PooledClient::ask_server(std::size_t server, const Request& request,
                                                   Limit limit, Permit& permit) {
  auto answer = co_await send_to(server, request,
                                 options_.addresses[server].prefix + request.target, limit, permit);
  if (!answer || !is_redirect(answer->response.status) || !options_.redirects) co_return answer;
  const auto next =
      follow(answer->response.status, request.method, answer->location, options_.addresses, server);
  if (!next) co_return std::unexpected(next.error());
  answer = co_await send_to(next->address, request, next->target, limit, permit);
  if (answer && is_redirect(answer->response.status))
    co_return fail(ErrorKind::bad_reply, "redirected twice, refused");
  co_return answer;
}

result<> PooledClient::know_proxies() {
  if (proxy_fault_) return std::unexpected(*proxy_fault_);
  for (std::size_t i = 0; !proxies_known_ && i < proxies_.size(); ++i) {
    auto proxy = proxy_for(options_.addresses[i], options_.proxy);
    if (!proxy) {
      proxy_fault_ = std::move(proxy).error();
      return std::unexpected(*proxy_fault_);
    }
    proxies_[i] = *std::move(proxy);
  }
  proxies_known_ = true;
  return {};
}

void PooledClient::note_failover(std::size_t server, std::size_t before) {
  log::info("server.failover", "another server answers",
            {{"address", options_.addresses[server].text()},
             {"before", options_.addresses[before].text()}});
  current_ = server;
}

awaitable<result<Response>> PooledClient::send(Request request) {
  if (auto known = know_proxies(); !known) co_return std::unexpected(known.error());
  Permit permit(request.gate);  // to wait for it does not count against the limit
  if (auto allowed = co_await permit.get(Instant::max()); !allowed)
    co_return std::unexpected(allowed.error());
  const auto limit =
      Limit::in(std::min(request.timeout.value_or(options_.timeout), options_.timeout));
  const bool repeatable = is_repeatable(request);
  result<Answer> best = fail(ErrorKind::network, "no address");
  const std::size_t first = current_, count = options_.addresses.size();
  for (std::size_t i = 0; i < count && (i == 0 || Clock::now() < limit.at); ++i) {
    const std::size_t server = (first + i) % count;
    auto answer = co_await ask_server(server, request, limit.share(count - i), permit);
    if (!answer) {
      answer.error() = std::move(answer.error()).within(options_.addresses[server].text());
    }
    const bool down = is_down(answer);
    if (down && count > 1 && current_ == server) current_ = (server + 1) % count;
    if (!should_fail_over(answer, repeatable)) {
      if (answer && !down && answer->server != first) note_failover(answer->server, first);
      best = std::move(answer);
      break;
    }
    if (!answer && !best && i > 0) {  // each address with its own reason
      answer.error().text.insert(0, best.error().text + "; ");
    }
    if (!best || answer) best = std::move(answer);
  }
  if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none) {
    throw boost::system::system_error(asio::error::operation_aborted);  // no failure of the server
  }
  if (!best) co_return std::unexpected(std::move(best.error()));
  co_return std::move(best->response);
}

std::unique_ptr<Client> make_client(asio::any_io_executor executor, ClientOptions options) {
  return std::make_unique<PooledClient>(std::move(executor), std::move(options));
}

}  // namespace keybearer::http
