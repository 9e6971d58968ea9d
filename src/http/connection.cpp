#include "http/connection.hpp"

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

#include "base/log.hpp"

namespace keybearer::http {
namespace {

namespace asio = boost::asio;
using asio::awaitable;

constexpr std::size_t kIdleRead = 2 * 1024;  // a connection that waits holds no more
constexpr std::size_t kBodyRead = 16 * 1024;
constexpr std::size_t kLeastProgress = 1024;     // of a body, in its progress_timeout
constexpr std::size_t kMostSkipped = 64 * 1024;  // of a body that the handler did not want
constexpr Duration kGentleEnd{1000};  // a client that still sends sees the answer before the end

std::unexpected<Error> answer_with(int status, std::string text) {
  Error error{ErrorKind::bad_reply, std::move(text)};
  error.status = status;
  return std::unexpected(std::move(error));
}

void log_bug(std::string_view reason) {
  log::error("listener.bug", "a request could not be answered", {{"reason", std::string(reason)}});
}

bool has_no_body(int status) {
  return status / 100 == 1 || status == 204 || status == 304;
}

}  // namespace

// --- reading -------------------------------------------------------------------------------------

awaitable<Connection::Read> Connection::read_more(Instant until, std::size_t room) {
  if (begin_ > 0) {
    buffer_.erase(0, begin_);
    begin_ = 0;
  }
  const std::size_t had = buffer_.size();
  buffer_.resize_and_overwrite(had + room, [&](char*, std::size_t size) { return size; });
  Cancel cancel{*stream_};
  const Deadlines::Guard guard(deadlines_, until, cancel);
  const auto n = co_await stream_->read_some(buffer_.data() + had, room);
  buffer_.resize(had + n.value_or(0));
  if (n && *n > 0) co_return Read::some;
  co_return guard.passed() ? Read::too_slow : Read::ended;
}

// Nullopt: the client has gone, or stayed silent.
awaitable<result<std::optional<RequestHead>>> Connection::read_head() {
  HeadReader reader(limits_.head);
  waiting_since_ = Clock::now();
  Instant until =
      waiting_since_ + (unread().empty() ? limits_.idle_timeout : limits_.header_timeout);
  if (unread().empty() && buffer_.capacity() > 2 * kIdleRead) {
    buffer_ = {};
    begin_ = 0;
  }
  for (;;) {
    if (const auto bytes = unread(); !bytes.empty()) {
      auto head = reader.read(bytes);
      if (!head) co_return std::unexpected(head.error());
      if (*head) {
        begin_ += reader.size();
        co_return std::move(*head);
      }
    }
    const bool begun = !unread().empty();
    // A slow head holds no more than it has sent, twice.
    const Read read = co_await read_more(until, std::clamp(unread().size(), kIdleRead, kBodyRead));
    if (read == Read::too_slow && begun) co_return answer_with(408, "the request took too long");
    if (read != Read::some) co_return std::nullopt;
    if (!begun) until = Clock::now() + limits_.header_timeout;
  }
}

awaitable<result<std::string_view>> Connection::read_body() {
  if (continue_due_) {
    continue_due_ = false;
    if (unread().empty()) {
      if (auto sent = co_await send("HTTP/1.1 100 Continue\r\n\r\n"); !sent)
        co_return std::unexpected(sent.error());
    }
  }
  while (!body_.done()) {
    const auto step = body_.next(unread());
    if (!step) {
      body_broken_ = true;
      co_return std::unexpected(step.error());
    }
    begin_ += step->used;
    window_bytes_ += step->used;
    if (window_bytes_ >= kLeastProgress) {
      window_bytes_ = 0;
      patience_ = limits_.progress_timeout;
    }
    if (!step->data.empty()) co_return step->data;
    if (step->used > 0) continue;
    const Instant since = Clock::now();  // what the handler takes its time for does not count
    const Read read = co_await read_more(since + patience_, kBodyRead);
    patience_ = std::max(patience_ - (Clock::now() - since), Duration(1));
    if (read == Read::some) continue;
    body_broken_ = true;
    if (read == Read::too_slow) co_return answer_with(408, "the request's body came too slowly");
    co_return fail(ErrorKind::network, "the client went away in the middle of its request");
  }
  co_return std::string_view{};
}

// --- writing -------------------------------------------------------------------------------------

void Connection::put(std::span<const std::string_view> parts) {
  if (broken_) return;
  std::size_t gone = unsent_.empty() ? stream_->write_now(parts) : 0;
  for (const std::string_view part : parts) {
    const std::size_t n = std::min(gone, part.size());
    gone -= n;
    unsent_.append(part.substr(n));
  }
}

awaitable<result<>> Connection::flush() {
  if (broken_) co_return fail(ErrorKind::network, "the client has gone");
  if (unsent_.empty()) co_return result<>{};
  const Secret bytes = std::exchange(unsent_, Secret());
  co_return co_await send(bytes.reveal());
}

awaitable<result<>> Connection::send(std::string_view bytes) {
  if (broken_) co_return fail(ErrorKind::network, "the client has gone");
  bytes.remove_prefix(stream_->write_now({&bytes, 1}));
  Cancel cancel{*stream_};
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, 64 * 1024);
    const Deadlines::Guard guard(deadlines_, Clock::now() + limits_.progress_timeout, cancel);
    std::size_t written = 0;
    if (auto sent = co_await stream_->write(piece, written); !sent) {
      broken_ = true;
      if (guard.passed()) ++stats_.timeouts;
      co_return std::unexpected(sent.error());
    }
    bytes.remove_prefix(piece.size());
  }
  co_return result<>{};
}

// Not just closed: a reset would take the answer from a client that is still sending.
awaitable<void> Connection::end_gently() {
  if (broken_) co_return;
  busy_ = false;  // its request is answered: it is the first to give way
  waiting_since_ = {};
  Cancel cancel{*stream_};
  const Deadlines::Guard guard(deadlines_, Clock::now() + kGentleEnd, cancel);
  co_await stream_->end_sending();
  co_await stream_->drain();
}

awaitable<bool> Connection::refuse(const Error& error) {
  const int status = error.status != 0 ? error.status : 400;
  ++(status == 408 ? stats_.timeouts : stats_.malformed);
  RequestHead head;
  head.keep_alive = false;
  Exchange exchange(*this, std::move(head));
  body_ = BodyDecoder(std::nullopt, false);
  (void)co_await exchange.respond(error_response(status, error.text));
  co_await end_gently();
  co_return false;
}

// --- one request ---------------------------------------------------------------------------------

void Connection::stop() noexcept {
  stopping_ = true;
  if (!busy_) stream_->close();
}

awaitable<bool> Connection::serve_one(const ServerLimits& limits, const Handler& handler) {
  limits_ = limits;
  auto head = co_await read_head();
  if (!head) {
    busy_ = true;
    co_return co_await refuse(head.error());
  }
  if (!*head) co_return false;
  busy_ = true;
  ++stats_.requests;
  body_ = BodyDecoder((*head)->length, (*head)->chunked);
  body_broken_ = false;
  continue_due_ = (*head)->expects_continue && (*head)->has_body();
  patience_ = limits_.progress_timeout;
  window_bytes_ = 0;
  Exchange exchange(*this, *std::move(*head));
  auto handling = begin_handling(exchange, handler);
  if (handling.valid() || !exchange.begun()) co_await handle(exchange, std::move(handling));
  const bool keep = is_plainly_done(exchange) || co_await settle(exchange);
  busy_ = false;
  co_return keep;
}

// Empty when it has been answered already, or can't be.
awaitable<void> Connection::begin_handling(Exchange& exchange, const Handler& handler) {
  try {
    return handler(exchange);
  } catch (const std::exception& error) {
    log_bug(error.what());
    return {};
  }
}

awaitable<void> Connection::handle(Exchange& exchange, awaitable<void> handling) {
  try {
    if (handling.valid()) co_await std::move(handling);
  } catch (const boost::system::system_error& error) {
    if (error.code() == asio::error::operation_aborted) throw;
    log_bug(error.what());
  } catch (const std::exception& error) {
    log_bug(error.what());
  }
  if (!exchange.begun() && !broken_) {
    exchange.close_after();
    exchange.answer(error_response(500, "internal error"));
  }
}

// Answered and read to its end, with nothing left to do before the next request.
bool Connection::is_plainly_done(const Exchange& exchange) const {
  return exchange.finished_ && !exchange.tunnelled_ && exchange.head_.keep_alive && !stopping_ &&
         !broken_ && !body_broken_ && body_.done() && unsent_.empty();
}

// The rest of a body that nobody wanted: a little is read, so that the connection can be kept.
awaitable<bool> Connection::skip_body() {
  if (continue_due_ && unread().empty()) co_return false;  // it may come, or may not
  continue_due_ = false;
  std::size_t skipped = 0;
  while (!body_.done() && skipped < kMostSkipped) {
    const auto piece = co_await read_body();
    if (!piece) co_return false;
    skipped += piece->size();
  }
  co_return body_.done();
}

awaitable<bool> Connection::settle(Exchange& exchange) {
  if (!unsent_.empty()) (void)co_await flush();
  if (exchange.begun_ && !exchange.finished_) {
    if (!exchange.tunnelled_) stream_->reset();
    co_return false;
  }
  if (broken_ || exchange.tunnelled_) co_return false;
  const bool keep = exchange.head_.keep_alive && !stopping_;
  if (!keep || body_broken_ || !co_await skip_body()) {
    co_await end_gently();
    co_return false;
  }
  co_return !stopping_;
}

// --- the exchange --------------------------------------------------------------------------------

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
class Connection::Watch {
 public:
  Watch(Connection& connection, asio::cancellation_signal& cancel)
      : connection_(connection), cancel_(cancel) {
    look_later();
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  [[nodiscard]] bool left() const { return left_; }
  void close() {
    left_ = connection_.stream_->peer_left();
    if (left_) return cancel_.emit(asio::cancellation_type::terminal);
    pause_ = std::min(2 * pause_, kLongestPause);
    look_later();
  }

 private:
  void look_later() { guard_.emplace(connection_.deadlines_, Clock::now() + pause_, *this); }

  static constexpr Duration kLongestPause{200};
  Connection& connection_;
  asio::cancellation_signal& cancel_;
  Duration pause_{25};
  bool left_ = false;
  std::optional<Deadlines::Guard> guard_;
};

awaitable<bool> Exchange::unless_client_leaves(awaitable<void> task) {
  asio::cancellation_signal cancel;
  const auto executor = co_await asio::this_coro::executor;
  auto outer = (co_await asio::this_coro::cancellation_state).slot();
  outer.assign([&cancel](asio::cancellation_type type) { cancel.emit(type); });
  Connection::Watch watch(connection_, cancel);
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
