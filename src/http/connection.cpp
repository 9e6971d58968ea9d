#include "http/connection.hpp"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>

#include "base/log.hpp"
#include "base/task_group.hpp"
#include "http/deadline.hpp"

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
  buffer_.resize(had + room);
  Cancel cancel{*stream_};
  const Deadline guard(co_await asio::this_coro::executor, until, cancel);
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

awaitable<result<>> Connection::send(std::string_view bytes) {
  if (broken_) co_return fail(ErrorKind::network, "the client has gone");
  Cancel cancel{*stream_};
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, 64 * 1024);
    const Deadline guard(co_await asio::this_coro::executor,
                         Clock::now() + limits_.progress_timeout, cancel);
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
  const Deadline guard(co_await asio::this_coro::executor, Clock::now() + kGentleEnd, cancel);
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
  co_await handle(exchange, handler);
  const bool keep = co_await settle(exchange);
  busy_ = false;
  co_return keep;
}

awaitable<void> Connection::handle(Exchange& exchange, const Handler& handler) {
  std::string bug;
  try {
    co_await handler(exchange);
  } catch (const boost::system::system_error& error) {
    if (error.code() == asio::error::operation_aborted) throw;
    bug = error.what();
  } catch (const std::exception& error) {
    bug = error.what();
  }
  if (!bug.empty())
    log::error("listener.bug", "a request could not be answered", {{"reason", bug}});
  if (!exchange.begun() && !broken_) {
    exchange.close_after();
    (void)co_await exchange.respond(error_response(500, "internal error"));
  }
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
  co_return co_await connection_.read_body();
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

// Head of an answer, as it goes out.
Secret head_bytes(const ResponseHead& head, int minor, bool chunked, bool keep) {
  Secret out;
  out.reserve(512);
  const auto add = [&out](std::string_view name, std::string_view value) {
    out.append(name);
    out.append(": ");
    out.append(value);
    out.append("\r\n");
  };
  out.append("HTTP/1.1 " + std::to_string(head.status) + " ");
  out.append(reason_phrase(head.status));
  out.append("\r\n");
  if (find_header(head.headers, "Date") == nullptr) add("Date", http_date(wall_now()));
  for (const auto& [name, value] : head.headers) {
    if (value.find_first_of(std::string_view("\r\n\0", 3)) == value.npos) add(name, value);
  }
  if (head.status == 101) {
    // Connection and Upgrade are the handler's.
  } else if (!keep) {
    add("Connection", "close");
  } else if (minor == 0) {
    add("Connection", "keep-alive");
  }
  if (!has_no_body(head.status)) {
    if (head.length) add("Content-Length", std::to_string(*head.length));
    if (chunked) add("Transfer-Encoding", "chunked");
  }
  out.append("\r\n");
  return out;
}

}  // namespace

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

// Head and body in one piece: two writes would be two packets.
awaitable<result<>> Exchange::respond(ServerResponse response) {
  begun_ = finished_ = true;
  status_ = response.status;
  ++connection_.stats_.responses[std::clamp(response.status / 100, 0, 5)];
  ResponseHead head{response.status, std::move(response.headers), response.body.size()};
  if (!response.body.empty() && find_header(head.headers, "Content-Type") == nullptr)
    head.headers.emplace_back("Content-Type", response.content_type);
  if (connection_.body_broken_) head_.keep_alive = false;
  head_.keep_alive = head_.keep_alive && !connection_.stopping_;
  Secret bytes = head_bytes(head, head_.minor, false, head_.keep_alive);
  if (head_.method != "HEAD" && !has_no_body(head.status)) bytes.append(response.body.reveal());
  co_return co_await connection_.send(bytes.reveal());
}

namespace {

awaitable<void> run_and_note(awaitable<void> task, bool* done, TaskGroup* group) {
  co_await std::move(task);
  *done = true;
  group->cancel();
}
awaitable<void> watch(Stream* stream, TaskGroup* group) {
  co_await stream->peer_left();
  group->cancel();
}

}  // namespace

awaitable<bool> Exchange::unless_client_leaves(awaitable<void> task) {
  TaskGroup group(co_await asio::this_coro::executor);
  bool done = false;
  group.spawn(run_and_note(std::move(task), &done, &group));
  group.spawn(watch(connection_.stream_.get(), &group));
  co_await group.join();
  if (!done) connection_.broken_ = true;
  co_return done;
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
