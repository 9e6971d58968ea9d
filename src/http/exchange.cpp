// What a handler sees of a connection: one request, its body and its answer.
#include <algorithm>
#include <array>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <charconv>
#include <ctime>

#include "http/connection.hpp"

namespace keybearer::http {
namespace {

namespace asio = boost::asio;
using asio::awaitable;

bool has_no_body(int status) {
  return status / 100 == 1 || status == 204 || status == 304;
}

}  // namespace

const Peer& Exchange::peer() const {
  return connection_.peer_;
}
bool Exchange::is_private() const {
  return connection_.private_;
}

awaitable<result<std::string_view>> Exchange::read() {
  return connection_.read_body();
}

awaitable<result<Secret>> Exchange::read_all(std::size_t limit) {
  Secret body;
  if (head_.length.value_or(0) > limit)
    co_return answer_with(413, "the request's body is too large");
  body.reserve(static_cast<std::size_t>(head_.length.value_or(0)));
  for (;;) {
    const auto piece = co_await connection_.read_body();
    if (!piece) co_return std::unexpected(piece.error());
    if (piece->empty()) co_return body;
    if (piece->size() > limit - body.size())
      co_return answer_with(413, "the request's body is too large");
    body.append(*piece);
  }
}

namespace {

template <class Out>
void add_header(Out& out, std::string_view name, std::string_view value) {
  out.append(name);
  out.append(": ");
  out.append(value);
  out.append("\r\n");
}

template <class Out>
void add_headers(Out& out, const Headers& headers) {
  for (const auto& [name, value] : headers) {
    if (value.find_first_of(std::string_view("\r\n\0", 3)) == value.npos)
      add_header(out, name, value);
  }
}

void add_number(Secret& out, std::uint64_t number) {
  std::array<char, 20> digits{};
  const auto end = std::to_chars(digits.begin(), digits.end(), number).ptr;
  out.append({digits.begin(), end});
}

// The same for a second: a date takes as long to write as all the rest of a head.
std::string_view date_line() {
  thread_local std::time_t of = -1;
  thread_local std::string line;
  const WallTime now = wall_now();
  if (const auto second = std::chrono::system_clock::to_time_t(now); second != of) {
    of = second;
    line = "Date: " + http_date(now) + "\r\n";
  }
  return line;
}

// The first lines of an answer's head.
Secret head_begin(int status, bool with_date) {
  Secret out;
  out.reserve(512);
  out.append("HTTP/1.1 ");
  add_number(out, static_cast<std::uint64_t>(status));
  out.push_back(' ');
  out.append(reason_phrase(status));
  out.append("\r\n");
  if (with_date) out.append(date_line());
  return out;
}

// ... and the last: those of the connection and the framing.
void head_end(Secret& out, int status, int minor, bool keep, std::optional<std::uint64_t> length,
              bool chunked) {
  if (status == 101) {
    // Connection and Upgrade are the handler's.
  } else if (!keep) {
    add_header(out, "Connection", "close");
  } else if (minor == 0) {
    add_header(out, "Connection", "keep-alive");
  }
  if (!has_no_body(status)) {
    if (length) {
      out.append("Content-Length: ");
      add_number(out, *length);
      out.append("\r\n");
    }
    if (chunked) add_header(out, "Transfer-Encoding", "chunked");
  }
  out.append("\r\n");
}

Secret head_bytes(const ResponseHead& head, int minor, bool chunked, bool keep) {
  Secret out = head_begin(head.status, find_header(head.headers, "Date") == nullptr);
  add_headers(out, head.headers);
  head_end(out, head.status, minor, keep, head.length, chunked);
  return out;
}

}  // namespace

std::string header_lines(const Headers& headers) {
  std::string lines;
  add_headers(lines, headers);
  return lines;
}

awaitable<result<>> Exchange::begin(ResponseHead head) {
  begun_ = true;
  status_ = head.status;
  ++connection_.stats_.responses[std::clamp(head.status / 100, 0, 5)];
  bodyless_ = has_no_body(head.status) || head_.method == "HEAD";
  tunnelled_ = head.status == 101;
  left_ = head.length;
  if (!head.length && !has_no_body(head.status)) {
    chunked_ = head_.minor == 1;
    if (!chunked_) head_.keep_alive = false;  // its end is the connection's
  }
  const bool keep = head_.keep_alive && !connection_.stopping_;
  head_.keep_alive = keep;
  const Secret bytes = head_bytes(head, head_.minor, chunked_, keep);
  co_return co_await connection_.send(bytes.reveal());
}

awaitable<result<>> Exchange::write(std::string_view piece) {
  if (piece.empty() || bodyless_) co_return result<>{};
  if (!chunked_) {
    if (left_ && piece.size() > *left_)
      co_return fail(ErrorKind::bad_reply, "more body than its length");
    if (left_) *left_ -= piece.size();
    co_return co_await connection_.send(piece);
  }
  char size[20];
  const int n = snprintf(size, sizeof size, "%zx\r\n", piece.size());
  Secret chunk;  // in one write: Nagle is off
  chunk.reserve(piece.size() + 24);
  chunk.append({size, static_cast<std::size_t>(n)});
  chunk.append(piece);
  chunk.append("\r\n");
  co_return co_await connection_.send(chunk.reveal());
}

awaitable<result<>> Exchange::finish() {
  if (!bodyless_ && left_.value_or(0) > 0)
    co_return fail(ErrorKind::bad_reply, "less body than its length");
  finished_ = true;
  if (chunked_ && !bodyless_) co_return co_await connection_.send("0\r\n\r\n");
  co_return result<>{};
}

void Exchange::begin_whole(int status) {
  begun_ = finished_ = true;
  status_ = status;
  ++connection_.stats_.responses[std::clamp(status / 100, 0, 5)];
  head_.keep_alive = head_.keep_alive && !connection_.stopping_ && !connection_.body_broken_;
}

void Exchange::answer(int status, std::span<const std::string_view> lines,
                      std::span<const std::string_view> body) {
  begin_whole(status);
  std::uint64_t length = 0;
  for (const std::string_view part : body) length += part.size();
  Secret head = head_begin(status, true);
  for (const std::string_view more : lines) head.append(more);
  head_end(head, status, head_.minor, head_.keep_alive, length, false);
  std::array<std::string_view, 8> parts{head.reveal()};
  const bool bodyless = head_.method == "HEAD" || has_no_body(status);
  const std::size_t count = bodyless ? 0 : std::min(body.size(), parts.size() - 1);
  std::ranges::copy(body.first(count), parts.begin() + 1);
  connection_.put(std::span(parts).first(count + 1));
}

void Exchange::answer(ServerResponse response) {
  begin_whole(response.status);
  ResponseHead head{response.status, std::move(response.headers), response.body.size()};
  if (!response.body.empty() && find_header(head.headers, "Content-Type") == nullptr)
    head.headers.emplace_back("Content-Type", response.content_type);
  const Secret bytes = head_bytes(head, head_.minor, false, head_.keep_alive);
  const bool bodyless = head_.method == "HEAD" || has_no_body(head.status);
  // Head and body in one piece: two writes would be two packets.
  connection_.put(std::array{bytes.reveal(), bodyless ? "" : response.body.reveal()});
}

awaitable<result<>> Exchange::respond(ServerResponse response) {
  answer(std::move(response));
  return connection_.flush();
}

// Looks now and then whether the client is still there, and cancels what is done for it when it is
// not. Most requests are answered before the first look.
//
// One that has closed its sending side may still read, or have gone: over TCP that looks the same
// until something is sent to it. So an interim answer is, which clients skip (RFC 9110 section 15.2)
// and which who has gone answers with a reset. A client that has its answer's beginning gets no such
// thing: it is left alone as long as it takes what comes.
class Connection::Watch {
 public:
  Watch(Connection& connection, const Exchange& exchange, asio::cancellation_signal& cancel)
      : connection_(connection), exchange_(exchange), cancel_(cancel) {
    look_later();
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  [[nodiscard]] bool left() const { return left_; }
  void close() {
    left_ = has_left();
    if (left_) return cancel_.emit(asio::cancellation_type::terminal);
    pause_ = std::min(2 * pause_, kLongestPause);
    look_later();
  }

 private:
  bool has_left() {
    const PeerState peer = connection_.stream_->peer_state();
    if (peer != PeerState::unsure) return peer == PeerState::gone;
    if (!half_closed_since_) {
      half_closed_since_ = Clock::now();
      if (!exchange_.begun() && exchange_.head().minor == 1 && connection_.body_.done())
        (void)connection_.stream_->write_now(std::array{kInterim});
      return false;
    }
    const Instant since = std::max(*half_closed_since_, connection_.wrote_at_);
    return exchange_.begun() && Clock::now() - since > connection_.limits_.progress_timeout;
  }
  void look_later() { guard_.emplace(connection_.deadlines_, Clock::now() + pause_, *this); }

  static constexpr Duration kLongestPause{200};
  static constexpr std::string_view kInterim = "HTTP/1.1 100 Continue\r\n\r\n";
  Connection& connection_;
  const Exchange& exchange_;
  asio::cancellation_signal& cancel_;
  Duration pause_{25};
  bool left_ = false;
  std::optional<Instant> half_closed_since_;
  std::optional<Deadlines::Guard> guard_;
};

awaitable<bool> Exchange::unless_client_leaves(awaitable<void> task) {
  asio::cancellation_signal cancel;
  const auto executor = co_await asio::this_coro::executor;
  // Who cancels us, cancels the task.
  struct Forward {
    asio::cancellation_slot slot;
    ~Forward() { slot.clear(); }
  } outer{(co_await asio::this_coro::cancellation_state).slot()};
  outer.slot.assign([&cancel](asio::cancellation_type type) { cancel.emit(type); });
  Connection::Watch watch(connection_, *this, cancel);
  try {
    co_await asio::co_spawn(executor, std::move(task),
                            asio::bind_cancellation_slot(cancel.slot(), asio::use_awaitable));
  } catch (const boost::system::system_error& error) {
    if (!watch.left() || error.code() != asio::error::operation_aborted) throw;
    connection_.broken_ = true;
    co_return false;
  }
  co_return true;
}

Stream& Exchange::tunnel() {
  return *connection_.stream_;
}
std::string Exchange::take_unread() {
  std::string bytes(connection_.unread());
  connection_.begin_ = connection_.buffer_.size();
  return bytes;
}

// --- simple handlers -----------------------------------------------------------------------------

namespace {

awaitable<void> serve_whole(Exchange& exchange, const WholeHandler& handler, std::size_t max_body) {
  auto body = co_await exchange.read_all(max_body);
  if (!body) {
    exchange.close_after();
    if (body.error().status != 0)
      (void)co_await exchange.respond(error_response(body.error().status, body.error().text));
    co_return;
  }
  const RequestHead& head = exchange.head();
  auto response = co_await handler({head.method, head.target, head.headers, *std::move(body)});
  (void)co_await exchange.respond(std::move(response));
}

}  // namespace

Handler whole_bodies(WholeHandler handler, std::size_t max_body) {
  const auto shared = std::make_shared<const WholeHandler>(std::move(handler));
  return
      [shared, max_body](Exchange& exchange) { return serve_whole(exchange, *shared, max_body); };
}

}  // namespace keybearer::http
