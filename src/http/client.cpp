#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <charconv>
#include <deque>
#include <list>

#include "http/client.hpp"
#include "http/deadline.hpp"
#include "http/redirect.hpp"
#include "http/stream.hpp"

namespace keybearer::http {
namespace {

namespace asio = boost::asio;
namespace beast_http = boost::beast::http;
using asio::awaitable;
using boost::system::error_code;
using namespace std::chrono_literals;

constexpr Duration kIdleLimit = 60s;         // an unused connection is closed after this
constexpr std::size_t kReadSize = 16 * 1024;  // of one read; the buffer lives only while an answer is read
constexpr std::size_t kHeaderLimit = 16 * 1024;

// Keeps what the answer's header says that we need, and the body in wiped memory.
class ResponseReader final : public beast_http::basic_parser<false> {
 public:
  explicit ResponseReader(std::size_t body_limit) : limit_(body_limit) {
    eager(true);
    header_limit(kHeaderLimit);
    this->body_limit(boost::none);  // ours gives a better message
  }
  Response response;
  std::string location;
  bool too_large = false;

 private:
  using View = boost::beast::string_view;
  void on_request_impl(beast_http::verb, View, View, int, error_code&) override {}
  void on_response_impl(int code, View, int, error_code&) override { response.status = code; }
  void on_field_impl(beast_http::field name, View, View value, error_code&) override {
    if (name == beast_http::field::location) location = std::string(value);
    if (name == beast_http::field::content_type) response.content_type = std::string(value);
    if (name == beast_http::field::retry_after) {
      unsigned seconds = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
      if (error == std::errc{} && end == value.data() + value.size()) response.retry_after = std::chrono::seconds(seconds);
    }
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code& error) override {
    if (length && *length > limit_) return refuse(error);
    if (length) response.body.reserve(static_cast<std::size_t>(*length));
  }
  std::size_t on_body_impl(View body, error_code& error) override {
    if (response.body.size() + body.size() > limit_) {
      refuse(error);
      return 0;
    }
    response.body.append({body.data(), body.size()});
    return body.size();
  }
  void on_chunk_header_impl(std::uint64_t, View, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, View body, error_code& error) override { return on_body_impl(body, error); }
  void on_finish_impl(error_code&) override {}
  void refuse(error_code& error) {
    too_large = true;
    error = beast_http::error::body_limit;
  }

  std::size_t limit_;
};

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

class PooledClient final : public Client {
 public:
  PooledClient(asio::any_io_executor executor, ClientOptions options)
      : options_(std::move(options)), tls_(options_), pools_(options_.addresses.size()), sweeper_(executor) {}

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

  awaitable<result<>> enter(std::size_t server, Instant deadline);
  void leave(std::size_t server);
  awaitable<result<Response>> send_to(std::size_t server, const Request& request, std::string target, Instant deadline,
                                      std::string& location);
  awaitable<result<Response>> exchange(Stream& stream, const std::string& head, const Secret& body, Instant deadline,
                                       bool head_only, bool& keep, bool& begun, std::string& location);
  std::unique_ptr<Stream> take_idle(std::size_t server);
  void sweep_later();
  [[nodiscard]] result<std::string> head_of(const Request& request, const Url& url, const std::string& target) const;

  ClientOptions options_;
  TlsContext tls_;
  std::vector<Pool> pools_;
  std::size_t current_ = 0;
  Timer sweeper_;
  bool sweeping_ = false;
};

bool has_line_break(std::string_view text) { return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos; }

result<std::string> PooledClient::head_of(const Request& request, const Url& url, const std::string& target) const {
  std::string head;
  head.reserve(512);
  const bool v6 = url.host.find(':') != std::string::npos;
  const std::string host = url.scheme == Url::Scheme::unix_socket ? "localhost"
                           : (v6 ? "[" + url.host + "]" : url.host) + ":" + url.port;
  head.append(request.method).append(" ").append(target).append(" HTTP/1.1\r\nHost: ").append(host);
  head.append("\r\nUser-Agent: ").append(options_.user_agent).append("\r\nAccept: application/json\r\n");
  bool broken = has_line_break(target) || target.find(' ') != std::string::npos;
  const auto add = [&head, &broken](std::string_view name, std::string_view value) {
    broken = broken || has_line_break(name) || has_line_break(value);
    head.append(name).append(": ").append(value).append("\r\n");
  };
  for (const auto& [name, value] : options_.headers) add(name, value);
  for (const auto& [name, value] : request.headers) add(name, value);
  if (request.token) add("X-Vault-Token", request.token->reveal());
  if (!request.body.empty()) add("Content-Type", "application/json");
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT") {
    add("Content-Length", std::to_string(request.body.size()));
  }
  head.append("\r\n");
  if (broken) return fail(ErrorKind::config, "a header, token or path has a line break or blank in it: refused");
  return head;
}

awaitable<result<>> PooledClient::enter(std::size_t server, Instant deadline) {
  if (pools_[server].in_use < options_.max_connections) {
    ++pools_[server].in_use;
    co_return result<>{};
  }
  Timer turn(co_await asio::this_coro::executor, deadline);
  struct Queued {
    std::deque<Timer*>& waiting;
    Timer* turn;
    ~Queued() { std::erase(waiting, turn); }
  } queued{pools_[server].waiting, &turn};
  pools_[server].waiting.push_back(&turn);
  error_code error;
  co_await turn.async_wait(asio::redirect_error(asio::use_awaitable, error));
  // leave() takes us out of the queue when it hands its place over.
  const bool ours = std::find(queued.waiting.begin(), queued.waiting.end(), &turn) == queued.waiting.end();
  const bool cancelled = (co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none;
  if (cancelled) {
    if (ours) leave(server);
    throw boost::system::system_error(asio::error::operation_aborted);
  }
  if (ours) co_return result<>{};
  co_return fail(ErrorKind::timeout, "no answer in time (all connections are in use)");
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

// Idle connections cost the server memory, and us wake-ups: they are closed together once the last is old enough.
void PooledClient::sweep_later() {
  if (sweeping_) return;
  sweeping_ = true;
  sweeper_.expires_at(Clock::now() + kIdleLimit);
  sweeper_.async_wait([this](const error_code& error) {
    if (error) return;
    sweeping_ = false;
    bool left = false;
    for (Pool& pool : pools_) {
      std::erase_if(pool.idle, [](const Idle& idle) { return idle.since + kIdleLimit / 2 <= Clock::now(); });
      pool.idle.shrink_to_fit();
      left = left || !pool.idle.empty();
    }
    if (left) sweep_later();
  });
}

awaitable<result<Response>> PooledClient::exchange(Stream& stream, const std::string& head, const Secret& body,
                                                   Instant deadline, bool head_only, bool& keep, bool& begun,
                                                   std::string& location) {
  const Deadline guard(co_await asio::this_coro::executor, deadline, stream);
  const auto late = [&guard](Error error) {
    if (guard.passed()) return Error{ErrorKind::timeout, "no answer in time (waiting for the answer)"};
    return error;
  };

  // One write for small requests: with Nagle off, two would be two packets.
  Secret bytes;
  bytes.reserve(head.size() + body.size());
  bytes.append(head);
  bytes.append(body.reveal());
  if (auto written = co_await stream.write(bytes.reveal()); !written) co_return std::unexpected(late(written.error()));

  ResponseReader reader(options_.max_response_size);
  if (head_only) reader.skip(true);
  Secret buffer(std::string(kReadSize, '\0'));
  char* data = const_cast<char*>(buffer.reveal().data());  // ours, on the heap
  std::size_t filled = 0;
  error_code error;
  while (!reader.is_done()) {
    if (filled == kReadSize) co_return fail(ErrorKind::bad_reply, "the answer's header is too large");
    const auto n = co_await stream.read_some(data + filled, kReadSize - filled);
    if (!n) {
      const bool ended = !guard.passed() && reader.is_header_done();
      if (ended) reader.put_eof(error);  // a body without a length ends with the connection
      if (ended && !error && reader.is_done()) break;
      if (begun) co_return std::unexpected(late(Error{ErrorKind::network, "connection lost in the middle of the answer"}));
      co_return std::unexpected(late(n.error()));
    }
    begun = true;
    filled += *n;
    const std::size_t used = reader.put(asio::const_buffer(data, filled), error);
    if (error == beast_http::error::need_more) error = {};
    if (reader.too_large) {
      co_return fail(ErrorKind::bad_reply,
                     "response larger than " + std::to_string(options_.max_response_size) + " bytes (vault.max_response_size)");
    }
    if (error) co_return fail(ErrorKind::bad_reply, "not an HTTP answer: " + error.message());
    std::copy(data + used, data + filled, data);
    filled -= used;
  }
  keep = reader.keep_alive() && filled == 0;
  location = std::move(reader.location);
  co_return std::move(reader.response);
}

awaitable<result<Response>> PooledClient::send_to(std::size_t server, const Request& request, std::string target,
                                                  Instant deadline, std::string& location) {
  const Url& url = options_.addresses[server];
  const auto head = head_of(request, url, url.prefix + target);
  if (!head) co_return std::unexpected(head.error());
  if (const auto entered = co_await enter(server, deadline); !entered) co_return std::unexpected(entered.error());
  const Place place(this, server);

  for (;;) {
    auto stream = take_idle(server);
    const bool reused = stream != nullptr;
    if (!reused) {
      auto connected = co_await connect(url, tls_, std::min(deadline, Clock::now() + options_.connect_timeout));
      if (!connected) co_return std::unexpected(connected.error());
      stream = std::move(*connected);
    }
    bool keep = false, begun = false;
    auto response =
        co_await exchange(*stream, *head, request.body, deadline, request.method == "HEAD", keep, begun, location);
    if (!response && reused && !begun && response.error().kind == ErrorKind::network) continue;  // it had been closed
    if (response && keep) {
      pools_[server].idle.push_back({std::move(stream), Clock::now()});
      sweep_later();
    }
    co_return response;
  }
}

// An answer that another server might give better: standby, sealed, throttled.
bool try_another(const result<Response>& response) {
  if (!response) return is_outage(response.error().kind);
  const int status = response->status;
  return status == 429 || status == 472 || status == 473 || status == 503;
}

awaitable<result<Response>> PooledClient::send(Request request) {
  const Instant deadline = Clock::now() + std::min(request.timeout.value_or(options_.timeout), options_.timeout);
  result<Response> best = fail(ErrorKind::network, "no address");
  for (std::size_t i = 0; i < options_.addresses.size(); ++i) {
    const std::size_t server = (current_ + i) % options_.addresses.size();
    std::string location;
    auto response = co_await send_to(server, request, request.target, deadline, location);
    std::size_t answered = server;
    if (response && is_redirect(response->status)) {
      const auto next = follow(response->status, request.method, location, options_.addresses, server);
      if (!next) co_return std::unexpected(next.error());
      answered = next->address;
      std::string again;
      response = co_await send_to(next->address, request, next->target, deadline, again);
    }
    if (!response) {
      response.error() = std::move(response.error()).within(options_.addresses[answered].text());
    }
    if (!try_another(response)) {
      current_ = answered;
      co_return response;
    }
    if (!best || response) best = std::move(response);
    if (Clock::now() >= deadline) break;
  }
  co_return best;
}

}  // namespace

std::unique_ptr<Client> make_client(asio::any_io_executor executor, ClientOptions options) {
  return std::make_unique<PooledClient>(std::move(executor), std::move(options));
}

}  // namespace keybearer::http
