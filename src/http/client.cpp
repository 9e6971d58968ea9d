#include "http/client.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <deque>

#include "base/log.hpp"
#include "base/timer.hpp"
#include "http/deadline.hpp"
#include "http/redirect.hpp"
#include "http/response_parser.hpp"
#include "http/stream.hpp"

namespace keybearer::http {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using boost::system::error_code;
using namespace std::chrono_literals;

constexpr Duration kIdleLimit = 60s;          // an unused connection is closed after this
constexpr std::size_t kReadSize = 16 * 1024;  // the buffer lives only while an answer is read

struct Idle {
  std::unique_ptr<Stream> stream;
  Instant since;
};

// The connections to one server, at most so many at a time; who waits is served in order.
struct Pool {
  std::vector<Idle> idle;
  int in_use = 0;
  std::deque<Timer*> waiting;
};

struct Answer {
  Response response;
  std::string location;
  bool keep_alive = false;
};

class PooledClient final : public Client {
 public:
  PooledClient(asio::any_io_executor executor, ClientOptions options)
      : options_(std::move(options)),
        tls_(options_),
        pools_(options_.addresses.size()),
        sweeper_(executor) {}

  awaitable<result<Response>> send(Request request) override;
  const Url& address() const override { return options_.addresses[current_]; }

 private:
  // A place among the connections to one server, given back when it goes out of scope.
  struct Place {
    PooledClient* client;
    std::size_t server;
    Place(PooledClient* c, std::size_t s) : client(c), server(s) {}
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() { client->leave(server); }
  };

  awaitable<result<>> enter(std::size_t server, Limit limit);
  void leave(std::size_t server);
  awaitable<result<Answer>> send_to(std::size_t server, const Request& request,
                                    const std::string& target, Limit limit);
  awaitable<result<Answer>> exchange(Stream& stream, std::string_view bytes, Limit limit,
                                     bool head_only, bool& begun);
  std::unique_ptr<Stream> take_idle(std::size_t server);
  void keep_idle(std::size_t server, std::unique_ptr<Stream> stream);
  void sweep_later();
  [[nodiscard]] result<Secret> bytes_of(const Request& request, const Url& url,
                                        const std::string& target) const;

  ClientOptions options_;
  TlsContext tls_;
  Resolver resolver_;
  std::vector<Pool> pools_;
  std::size_t current_ = 0;
  Timer sweeper_;
  bool sweeping_ = false;
};

bool has_line_break(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

// Header and body in one piece: with Nagle off, two writes would be two packets.
result<Secret> PooledClient::bytes_of(const Request& request, const Url& url,
                                      const std::string& target) const {
  Secret out;
  out.reserve(1024 + target.size() + request.body.size());
  bool broken = has_line_break(target) || target.find(' ') != std::string::npos;
  const auto add = [&out, &broken](std::string_view name, std::string_view value) {
    broken = broken || has_line_break(name) || has_line_break(value);
    out.append(name);
    out.append(": ");
    out.append(value);
    out.append("\r\n");
  };
  out.append(request.method);
  out.append(" ");
  out.append(target);
  out.append(" HTTP/1.1\r\n");
  add("Host", url.authority());
  add("User-Agent", options_.user_agent);
  add("Accept", "application/json");
  for (const auto& [name, value] : options_.headers) add(name, value);
  for (const auto& [name, value] : request.headers) add(name, value);
  if (request.token) add("X-Vault-Token", request.token->reveal());
  if (!request.body.empty()) add("Content-Type", "application/json");
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
    add("Content-Length", std::to_string(request.body.size()));
  }
  out.append("\r\n");
  out.append(request.body.reveal());
  if (broken) {
    return fail(ErrorKind::config,
                "a header, token or path has a line break or blank in it: refused");
  }
  return out;
}

awaitable<result<>> PooledClient::enter(std::size_t server, Limit limit) {
  if (pools_[server].in_use < options_.max_connections) {
    ++pools_[server].in_use;
    co_return result<>{};
  }
  Timer turn(co_await asio::this_coro::executor, limit.at);
  struct Queued {
    std::deque<Timer*>& waiting;
    Timer* turn;
    ~Queued() { std::erase(waiting, turn); }
  } queued{pools_[server].waiting, &turn};
  pools_[server].waiting.push_back(&turn);
  error_code error;
  co_await turn.async_wait(asio::redirect_error(asio::use_awaitable, error));
  // leave() takes us out of the queue when it hands its place over.
  const bool ours =
      std::find(queued.waiting.begin(), queued.waiting.end(), &turn) == queued.waiting.end();
  const bool cancelled =
      (co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none;
  if (cancelled) {
    if (ours) leave(server);
    throw boost::system::system_error(asio::error::operation_aborted);
  }
  if (ours) co_return result<>{};
  co_return std::unexpected(limit.passed("all connections are in use"));
}

void PooledClient::leave(std::size_t server) {
  Pool& pool = pools_[server];
  if (pool.waiting.empty()) {
    --pool.in_use;
    return;
  }
  Timer* next = pool.waiting.front();
  pool.waiting.pop_front();
  next->cancel();
}

std::unique_ptr<Stream> PooledClient::take_idle(std::size_t server) {
  auto& idle = pools_[server].idle;
  while (!idle.empty()) {
    auto stream = std::move(idle.back().stream);
    idle.pop_back();
    if (stream->fd() >= 0 && !is_stale(stream->fd())) return stream;
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

awaitable<result<Answer>> PooledClient::exchange(Stream& stream, std::string_view bytes,
                                                 Limit limit, bool head_only, bool& begun) {
  const Deadline guard(co_await asio::this_coro::executor, limit.at, stream);
  const auto why = [&](Error error) {
    return std::unexpected(guard.passed() ? limit.passed("waiting for the answer")
                                          : std::move(error));
  };
  if (auto written = co_await stream.write(bytes); !written) co_return why(written.error());

  ResponseParser parser(options_.max_response_size, head_only);
  const auto buffer = std::make_unique_for_overwrite<char[]>(kReadSize);  // wiped when freed
  std::size_t filled = 0;
  while (!parser.done()) {
    if (filled == kReadSize) {
      co_return fail(ErrorKind::bad_reply, "the answer's header is too large");
    }
    const auto n = co_await stream.read_some(buffer.get() + filled, kReadSize - filled);
    if (n && *n == 0 && parser.ended()) break;
    if (!n || *n == 0) {
      if (begun) co_return why({ErrorKind::network, "connection lost in the middle of the answer"});
      co_return why(n ? Error{ErrorKind::network, "the server closed the connection"} : n.error());
    }
    begun = true;
    filled += *n;
    const auto used = parser.put({buffer.get(), filled});
    if (!used) co_return std::unexpected(used.error());
    std::copy(buffer.get() + *used, buffer.get() + filled, buffer.get());
    filled -= *used;
  }
  co_return Answer{parser.take(), parser.location(), parser.keep_alive() && filled == 0};
}

awaitable<result<Answer>> PooledClient::send_to(std::size_t server, const Request& request,
                                                const std::string& target, Limit limit) {
  const Url& url = options_.addresses[server];
  const auto bytes = bytes_of(request, url, target);
  if (!bytes) co_return std::unexpected(bytes.error());
  if (auto entered = co_await enter(server, limit); !entered) {
    co_return std::unexpected(entered.error());
  }
  const Place place(this, server);

  auto stream = take_idle(server);
  for (;;) {
    const bool reused = stream != nullptr;
    if (!reused) {
      auto connected = co_await connect(url, resolver_, tls_,
                                        limit.earlier_of(Limit::in(options_.connect_timeout)));
      if (!connected) co_return std::unexpected(connected.error());
      stream = std::move(*connected);
    }
    bool begun = false;
    auto answer =
        co_await exchange(*stream, bytes->reveal(), limit, request.method == "HEAD", begun);
    if (!answer && reused && !begun && answer.error().kind == ErrorKind::network) {
      stream = nullptr;  // the server had closed it: once more, on a new one
      continue;
    }
    if (answer && answer->keep_alive) keep_idle(server, std::move(stream));
    co_return answer;
  }
}

// An answer that another server might give better: standby, sealed, throttled.
bool should_fail_over(const result<Answer>& answer) {
  if (!answer) return is_outage(answer.error().kind);
  const int status = answer->response.status;
  return status == 429 || status == 472 || status == 473 || status == 503;
}

awaitable<result<Response>> PooledClient::send(Request request) {
  const auto limit =
      Limit::in(std::min(request.timeout.value_or(options_.timeout), options_.timeout));
  result<Answer> best = fail(ErrorKind::network, "no address");
  const std::size_t first = current_, count = options_.addresses.size();
  for (std::size_t i = 0; i < count && (i == 0 || Clock::now() < limit.at); ++i) {
    std::size_t server = (first + i) % count;
    auto answer = co_await send_to(server, request,
                                   options_.addresses[server].prefix + request.target, limit);
    if (answer && is_redirect(answer->response.status)) {
      const auto next = follow(answer->response.status, request.method, answer->location,
                               options_.addresses, server);
      if (!next) co_return std::unexpected(next.error());
      server = next->address;
      answer = co_await send_to(server, request, next->target, limit);
      if (answer && is_redirect(answer->response.status)) {
        answer = fail(ErrorKind::bad_reply, "redirected twice, refused");
      }
    }
    if (!answer) {
      answer.error() = std::move(answer.error()).within(options_.addresses[server].text());
    }
    if (!should_fail_over(answer)) {
      if (answer && current_ != server) {
        log::info("server.failover", "another server answers",
                  {{"address", options_.addresses[server].text()},
                   {"before", options_.addresses[current_].text()}});
        current_ = server;
      }
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

}  // namespace

std::unique_ptr<Client> make_client(asio::any_io_executor executor, ClientOptions options) {
  return std::make_unique<PooledClient>(std::move(executor), std::move(options));
}

}  // namespace keybearer::http
