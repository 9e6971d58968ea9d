// Requests and answers that pass through in pieces: never more than a buffer of each is held, and
// who reads slowly slows down who sends.
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <utility>

#include "http/pooled_client.hpp"
#include "http/redirect.hpp"

namespace keybearer::http {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr Duration kRepeatWithin = 5s;  // of the first try: the client has patience, too
constexpr Duration kEarlyAnswer = 1s;   // a server that takes no more may have said why
constexpr std::size_t kInlineBody = 16 * 1024;

bool is_repeatable(const StreamRequest& request) {
  const auto& method = request.method;
  return request.body == nullptr && request.upgrade.empty() &&
         (method == "GET" || method == "HEAD" || method == "LIST" || method == "SCAN");
}

// An answer of these another server may do better.
bool is_away(int status) {
  return status == 503 || status == 472 || status == 473;
}

}  // namespace

class PooledClient::Flow final : public Incoming {
 public:
  Flow(PooledClient* client, std::unique_ptr<Place> place, std::unique_ptr<Stream> stream,
       std::size_t server, bool head_only)
      : client_(client),
        place_(std::move(place)),
        stream_(std::move(stream)),
        server_(server),
        parser_(SIZE_MAX, head_only) {}

  // Up to the end of the head.
  awaitable<result<>> read_head(Limit limit, bool upgrade, Progress& progress) {
    parser_.keep_all(upgrade);
    const Deadlines::Guard guard(client_->deadlines_, limit.at, *stream_);
    while (!parser_.header_done()) {
      auto more = co_await read_more(progress);
      if (!more && guard.passed())
        co_return std::unexpected(limit.passed("waiting for the answer"));
      if (!more) co_return std::unexpected(std::move(more).error());
    }
    status = parser_.status();
    length = parser_.content_length();
    piece_ = parser_.take_piece();
    // The head's own parts last until the parser goes: taken out once.
    headers = parser_.take_headers();
    const std::string* const type = find_header(headers, "Content-Type");
    watched_ = length.has_value() || (type != nullptr && type->find("json") != std::string::npos);
    if (status == 101) place_.reset();  // no longer one of the pool's
    co_return result<>{};
  }

  awaitable<result<std::string_view>> read() override {
    given_ = Secret();
    while (piece_.empty()) {
      if (parser_.done() || ended_) {
        give_back();
        co_return std::string_view{};
      }
      Progress progress{.written = 1, .answer_begun = true};
      // A stream without an end (logs, events) may be silent as long as it likes.
      const Limit limit =
          watched_ ? Limit::in(client_->options_.timeout) : Limit{Instant::max(), 0s};
      const Deadlines::Guard guard(client_->deadlines_, limit.at, *stream_);
      auto more = co_await read_more(progress);
      if (!more && guard.passed())
        co_return std::unexpected(limit.passed("in the middle of the answer"));
      if (!more) co_return std::unexpected(std::move(more).error());
      piece_ = parser_.take_piece();
    }
    given_ = std::move(piece_);
    piece_ = Secret();
    co_return given_.reveal();
  }

  Stream* tunnel() override { return status == 101 ? stream_.get() : nullptr; }
  std::string take_unread() override { return std::exchange(buffer_, {}); }

 private:
  awaitable<result<>> read_more(Progress& progress) {
    const std::size_t had = buffer_.size();
    if (had >= kReadSize) co_return fail(ErrorKind::bad_reply, "the answer's header is too large");
    buffer_.resize_and_overwrite(room_, [](char*, std::size_t size) { return size; });
    const auto n = co_await stream_->read_some(buffer_.data() + had, room_ - had);
    buffer_.resize(had + n.value_or(0));
    if (buffer_.size() == room_) room_ = kReadSize;
    if (!n) co_return std::unexpected(n.error());
    if (*n == 0) {
      ended_ = parser_.ended();
      if (ended_) co_return result<>{};
      co_return fail(ErrorKind::network, progress.answer_begun
                                             ? "connection lost in the middle of the answer"
                                             : "the server closed the connection");
    }
    progress.answer_begun = true;
    const auto used = parser_.put(buffer_);
    if (!used) co_return std::unexpected(used.error());
    buffer_.erase(0, *used);
    co_return result<>{};
  }
  void give_back() {
    if (stream_ != nullptr && parser_.done() && parser_.keep_alive() && buffer_.empty() && !ended_)
      client_->keep_idle(server_, std::move(stream_));
    stream_ = nullptr;
    place_.reset();
  }

  PooledClient* client_;
  std::unique_ptr<Place> place_;
  std::unique_ptr<Stream> stream_;
  std::size_t server_;
  ResponseParser parser_;
  std::string buffer_;                 // what the parser has not used yet
  std::size_t room_ = kFirstReadSize;  // of it: small, for it is wiped, until an answer is not
  Secret piece_, given_;
  bool watched_ = true, ended_ = false;
};

result<Secret> PooledClient::stream_head(const StreamRequest& request, std::size_t server,
                                         const std::string& target) const {
  const Url& url = options_.addresses[server];
  const Proxy* const proxy =
      url.scheme == Url::Scheme::http && proxies_[server] ? &*proxies_[server] : nullptr;
  Secret out;
  out.reserve(2048 + target.size());
  bool broken = has_line_break(target) || target.find(' ') != std::string::npos;
  const auto add = [&out, &broken](std::string_view name, std::string_view value) {
    broken = broken || has_line_break(name) || has_line_break(value);
    out.append(name);
    out.append(": ");
    out.append(value);
    out.append("\r\n");
  };
  out.append(request.method + " ");
  if (proxy != nullptr) out.append("http://" + url.authority());
  out.append(target);
  out.append(" HTTP/1.1\r\n");
  add("Host", url.authority());
  for (const auto& [name, value] : options_.headers)
    if (find_header(request.headers, name) == nullptr) add(name, value);
  for (const auto& [name, value] : request.headers) add(name, value);
  if (proxy != nullptr && proxy->authorization != nullptr)
    add("Proxy-Authorization", proxy->authorization->reveal());
  if (request.token) add("X-Vault-Token", request.token->reveal());
  if (!request.upgrade.empty()) {
    add("Connection", "Upgrade");
    add("Upgrade", request.upgrade);
  }
  if (request.body != nullptr && !request.length) add("Transfer-Encoding", "chunked");
  const bool writes =
      request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
  if (request.length || (request.body == nullptr && writes))
    add("Content-Length", std::to_string(request.length.value_or(0)));
  out.append("\r\n");
  if (broken)
    return fail(ErrorKind::config, "a header or path has a line break or blank in it: refused");
  return out;
}

// Head and body out, the answer's head in.
awaitable<PooledClient::Opened> PooledClient::exchange_head(
    std::size_t server, std::unique_ptr<Stream> stream, const StreamRequest& request,
    const std::string& target, std::unique_ptr<Place> place, Progress& progress) {
  auto bytes = stream_head(request, server, target);
  if (!bytes) co_return std::unexpected(bytes.error());
  const Instant asked = Clock::now();
  const Limit pace = Limit::in(options_.timeout);
  const bool chunked = request.body != nullptr && !request.length;
  result<> sent;
  for (bool more = true; more && sent;) {
    std::string_view piece;
    if (request.body != nullptr) {
      // A small body goes out with its head: two writes would be two packets.
      const bool wait = progress.written > 0 || request.length.value_or(SIZE_MAX) <= kInlineBody;
      if (wait) {
        const auto read = co_await request.body->read();
        if (!read) co_return std::unexpected(read.error());
        piece = *read;
        more = !piece.empty();
      }
      if (chunked && (wait || !more)) {
        char size[20];
        const int n = snprintf(size, sizeof size, "%zx\r\n", piece.size());
        bytes->append({size, static_cast<std::size_t>(n)});
        bytes->append(piece);
        bytes->append("\r\n");
      } else {
        bytes->append(piece);
      }
    } else {
      more = false;
    }
    if (!bytes->empty()) {
      std::string_view left = bytes->reveal();
      const std::size_t at_once = stream->write_now({&left, 1});
      progress.written += at_once;
      left.remove_prefix(at_once);
      const Deadlines::Guard guard(deadlines_, Clock::now() + pace.whole, *stream);
      std::size_t written = 0;
      if (!left.empty()) sent = co_await stream->write(left, written);
      progress.written += written;
      if (!sent && guard.passed()) co_return std::unexpected(pace.passed("sending the request"));
    }
    bytes->clear();
  }
  // A server that has had enough answers and closes: its answer counts, not the broken pipe.
  const Duration patience =
      sent ? std::min(request.timeout.value_or(options_.timeout), options_.timeout) : kEarlyAnswer;
  auto flow = std::make_unique<Flow>(this, std::move(place), std::move(stream), server,
                                     request.method == "HEAD");
  flow->asked = asked;
  if (auto head = co_await flow->read_head(Limit::in(patience), !request.upgrade.empty(), progress);
      !head) {
    if (!sent) co_return std::unexpected(sent.error());
    co_return std::unexpected(std::move(head).error());
  }
  co_return flow;
}

awaitable<PooledClient::Opened> PooledClient::open_at(std::size_t server,
                                                      const StreamRequest& request,
                                                      const std::string& target, Permit& permit,
                                                      Tries& tries) {
  const Proxy* const proxy = proxies_[server] ? &*proxies_[server] : nullptr;
  const Limit limit = Limit::in(options_.timeout);
  if (auto entered = co_await enter(server, limit, Lane::streamed); !entered)
    co_return std::unexpected(entered.error());
  auto place = std::make_unique<Place>(this, server, Lane::streamed);
  const bool repeatable = is_repeatable(request);
  auto stream = request.upgrade.empty() ? take_idle(server, repeatable) : nullptr;
  for (;;) {
    if (auto allowed = co_await permit.get(limit.at); !allowed)
      co_return std::unexpected(allowed.error());
    const bool reused = stream != nullptr;
    if (!reused) {
      auto connected = co_await connect(options_.addresses[server], proxy, resolver_, tls_,
                                        Limit::in(options_.connect_timeout));
      if (!connected) co_return std::unexpected(connected.error());
      stream = std::move(*connected);
    }
    permit.spend();
    Progress progress;
    auto opened = co_await exchange_head(server, std::move(stream), request, target,
                                         std::move(place), progress);
    tries.sent += progress.written > 0 ? 1 : 0;
    const bool unseen = repeatable || progress.written == 0;
    // A small body has been read with the head; a larger one has not been touched.
    const bool whole = request.body == nullptr || request.body->rewind() ||
                       request.length.value_or(SIZE_MAX) > kInlineBody;
    if (!opened && reused && whole && !progress.answer_begun && unseen &&
        opened.error().kind == ErrorKind::network) {
      tries.stale = true;  // the server had closed it
      if (pools_.size() > 1) co_return opened;
      if (auto entered = co_await enter(server, limit, Lane::streamed); !entered)
        co_return std::unexpected(entered.error());
      place = std::make_unique<Place>(this, server, Lane::streamed);
      stream = nullptr;  // once more, on a new one
      continue;
    }
    if (!opened && !unseen) co_return std::unexpected(lost(std::move(opened).error()));
    co_return opened;
  }
}

awaitable<PooledClient::Opened> PooledClient::open(StreamRequest request) {
  if (auto known = know_proxies(); !known) co_return std::unexpected(known.error());
  Permit permit(request.gate);
  if (auto allowed = co_await permit.get(Instant::max()); !allowed)
    co_return std::unexpected(allowed.error());
  const bool repeatable = is_repeatable(request);
  const Instant patience = Clock::now() + kRepeatWithin;
  const std::size_t first = current_, count = options_.addresses.size();
  Opened best = fail(ErrorKind::network, "no address");
  Tries tries;
  // One address: a read may go there twice.
  for (std::size_t i = 0; i < std::max<std::size_t>(count, repeatable ? 2 : 1); ++i) {
    const std::size_t server = (first + i) % count;
    const int before = tries.sent;
    tries.stale = false;
    if (i > 0 && request.body != nullptr) (void)request.body->rewind();
    auto opened = co_await open_at(
        server, request, options_.addresses[server].prefix + request.target, permit, tries);
    if (opened && is_redirect((*opened)->status)) {
      const std::string* const location = find_header((*opened)->headers, "Location");
      const auto next = follow((*opened)->status, request.method,
                               location != nullptr ? *location : "", options_.addresses, server);
      if (!next) co_return std::unexpected(next.error());
      if (request.body != nullptr && !request.body->rewind())
        co_return fail(ErrorKind::bad_reply,
                       "redirected with a body that is sent only once: refused");
      opened = co_await open_at(next->address, request, next->target, permit, tries);
      if (opened && is_redirect((*opened)->status))
        co_return fail(ErrorKind::bad_reply, "redirected twice, refused");
    }
    if ((co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none)
      throw boost::system::system_error(asio::error::operation_aborted);
    const bool away = opened && is_away((*opened)->status);
    if (opened && !away) {
      if (server != first) note_failover(server, first);
      co_return opened;
    }
    if (!opened) {
      opened.error() = std::move(opened.error()).within(options_.addresses[server].text());
      if (is_outage(opened.error().kind) && count > 1 && !tries.stale)
        current_ = (server + 1) % count;
    }
    const bool outage =
        away || (is_outage(opened.error().kind) && opened.error().reason != Reason::held_back);
    // What was never sent may go to the next address; a read may be sent twice.
    const bool unsent = tries.sent == before;
    const bool again = outage && Clock::now() < patience &&
                       (unsent ? !opened && count > 1 : repeatable && tries.sent < 2);
    const bool better = opened || !best;
    if (better) best = std::move(opened);
    if (!again || (away && count == 1)) break;
  }
  co_return best;
}

}  // namespace keybearer::http
