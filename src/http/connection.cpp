#include "http/connection.hpp"

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

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

void log_bug(std::string_view reason) {
  log::error("listener.bug", "a request could not be answered", {{"reason", std::string(reason)}});
}

}  // namespace

std::unexpected<Error> answer_with(int status, std::string text) {
  Error error{ErrorKind::bad_reply, std::move(text)};
  error.status = status;
  return std::unexpected(std::move(error));
}

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
  wrote_at_ = Clock::now();
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

}  // namespace keybearer::http
