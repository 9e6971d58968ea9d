#include "serve/proxy.hpp"

#include <boost/asio/this_coro.hpp>

#include "base/log.hpp"
#include "base/task_group.hpp"
#include "serve/forward.hpp"
#include "serve/proxy_job.hpp"

namespace keybearer::serve {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using namespace std::chrono_literals;

constexpr Duration kLoginPatience = 5s;        // a request waits so long for a token
constexpr Duration kBudgetPatience = 10s;      // ... and for its turn
constexpr std::size_t kSmallBody = 64 * 1024;  // is read first: it can be sent twice, and looked at
constexpr std::size_t kWholeAnswer = 64 * 1024;  // is read first: a leak is then a clean 502
constexpr std::size_t kMostRewritten = 1024 * 1024;

}  // namespace

RouteHandler Proxy::handler() {
  return [this](http::Exchange& exchange, const Request& request) {
    return serve(this, &exchange, &request);
  };
}

awaitable<void> Proxy::serve(Proxy* proxy, http::Exchange* exchange, const Request* request) {
  Job job{.exchange = *exchange, .request = *request, .path = below_v1(request->target)};
  if (!co_await exchange->unless_client_leaves(proxy->run(&job))) ++proxy->stats_.cancelled;
}

awaitable<void> Proxy::run(Job* job) {
  if (!co_await prepare(*job)) co_return;
  if (may_be_cached(*job) && co_await run_cached(*job)) co_return;
  auto answer = co_await ask(*job);
  if (!answer) observe(*job, 500, "", Clock::now());  // it may have been done all the same
  if (job->streamed != nullptr && job->streamed->failure) {
    const Error& failure = *job->streamed->failure;
    job->exchange.close_after();
    if (failure.status != 0)
      (void)co_await job->exchange.respond(
          http::error_response(failure.status, "keybearer: " + failure.text));
    co_return;
  }
  if (!answer) co_return co_await fail(*job, answer.error());
  if (answer->incoming->status == 403 && job->ours() &&
      co_await token_died(*job, *answer->incoming)) {
    if (!co_await wait_for_token(*job, job->token)) co_return;
    if (!job->repeatable()) {
      co_return co_await refuse_repeat(*job);
    }
    answer->incoming.reset();
    answer = co_await ask(*job);
    if (!answer) co_return co_await fail(*job, answer.error());
  }
  co_await relay(*job, *answer->incoming);
}

// --- before it goes out --------------------------------------------------------------------------

awaitable<bool> Proxy::prepare(Job& job) {
  const http::RequestHead& head = job.head();
  const std::size_t limit = job.request.rules.max_request_size();
  const bool named = job.request.rules.names(job.request.asked, job.exchange.peer());
  const bool restores = named && is_below(job.path, "sys/storage/raft");  // a snapshot comes back
  job.credential = choose_credential(config_.use_auto_auth_token, head, job.path);
  if (const auto upgrade = head.header("Upgrade");
      !upgrade.empty() && http::lists_token(head.header("Connection"), "upgrade")) {
    if (!named || !http::same_name(upgrade, "websocket")) {
      co_await refuse(job, {.status = 501,
                            .text = "keybearer: upgrades pass only where a rule of listener.allow "
                                    "names their path",
                            .check = "upgrade"});
      co_return false;
    }
    job.upgrade = "websocket";
  }
  if (head.length.value_or(0) > limit && !restores) {
    co_await refuse(job, {.status = 413,
                          .text = "keybearer: the request's body is too large "
                                  "(listener.max_request_size)",
                          .check = "size"});
    co_return false;
  }
  if (job.ours() && !co_await wait_for_token(job, nullptr)) co_return false;
  job.accessor = login_.accessor();
  job.mount = login_.mount();
  if (head.has_body()) {
    const bool small = head.length && *head.length <= kSmallBody;
    if (small || needs_body(job.path)) {
      auto body = co_await job.exchange.read_all(limit);
      if (!body) {
        job.exchange.close_after();
        if (body.error().status != 0)
          (void)co_await job.exchange.respond(
              http::error_response(body.error().status, "keybearer: " + body.error().text));
        co_return false;
      }
      job.whole = std::make_unique<WholeBody>(*std::move(body));
    } else {
      job.streamed = std::make_unique<ClientBody>(job.exchange, restores ? SIZE_MAX : limit);
    }
  }
  const std::string_view body = job.whole != nullptr ? job.whole->bytes().reveal() : "";
  if (auto refused = check_token_use(head, job.path, body, job.own(session_.token()), job.ours(),
                                     named || config_.allow_token_creation)) {
    ++stats_.refused;
    co_await refuse(job, *std::move(refused));
    co_return false;
  }
  co_return true;
}

// Until there is one other than `gone`, for a while.
awaitable<bool> Proxy::wait_for_token(Job& job, vault::Token gone) {
  const Instant until = Clock::now() + kLoginPatience;
  for (;;) {
    const auto seen = login_.changed.generation();
    job.token = session_.token();
    if (job.token != nullptr && job.token != gone) break;
    if (co_await login_.changed.wait(seen, until)) continue;
    std::string text =
        gone == nullptr ? "keybearer: not logged in yet" : "keybearer: the token is gone";
    if (const std::string trouble = login_.trouble(); !trouble.empty()) text += ": " + trouble;
    co_await refuse(
        job, {.status = 503, .text = text, .check = "auth", .headers = {{"Retry-After", "1"}}});
    co_return false;
  }
  job.accessor = login_.accessor();
  co_return true;
}

awaitable<result<vault::StreamAnswer>> Proxy::ask(Job& job) {
  const http::RequestHead& head = job.head();
  const std::string_view own =
      is_of_the_root(job.path) ? std::string_view() : session_.vault_namespace();
  http::StreamRequest request;
  request.method = head.method;
  request.target = job.request.target.raw;
  request.headers = headers_up(head, {.credential = job.credential,
                                      .login = is_login_path(job.path),
                                      .plain_content = job.ours() && may_hold_tokens(job.path),
                                      .upgrade = !job.upgrade.empty(),
                                      .vault_namespace = own});
  if (job.ours()) request.token = job.token;
  request.upgrade = job.upgrade;
  if (job.whole != nullptr) {
    (void)job.whole->rewind();
    request.body = job.whole.get();
    request.length = job.whole->bytes().size();
  } else if (job.streamed != nullptr) {
    request.body = job.streamed.get();
    request.length = head.length;
  }
  co_return co_await session_.open(std::move(request), vault::Traffic::proxy,
                                   Clock::now() + kBudgetPatience);
}

// --- the answer ----------------------------------------------------------------------------------

// A 403 may mean the path, or that our token is gone. The body is put back for who passes it on.
awaitable<bool> Proxy::token_died(Job& job, http::Incoming& incoming) {
  (void)incoming;
  if (session_.token() != job.token) co_return true;  // replaced meanwhile
  co_return !co_await login_.token_is_good();
}

awaitable<void> Proxy::relay(Job& job, http::Incoming& incoming) {
  ++(incoming.status < 400   ? stats_.success
     : incoming.status < 500 ? stats_.client_error
                             : stats_.error);
  if (incoming.tunnel() != nullptr) co_return co_await tunnel(job, incoming);
  const bool must_see = job.ours() && may_hold_tokens(job.path);
  const std::string* const encoding = http::find_header(incoming.headers, "Content-Encoding");
  if (must_see && encoding != nullptr && !http::same_name(*encoding, "identity")) {
    ++stats_.leaks_stopped;
    co_return co_await refuse(
        job, {.status = 502,
              .text = "keybearer: the answer is compressed and can't be checked for our token",
              .check = "token"});
  }
  const bool self = job.ours() && is_self_path(job.path) && incoming.status < 300;
  const std::size_t whole = self ? kMostRewritten : kWholeAnswer;
  const bool wait =
      self || (job.ours() && incoming.length.value_or(0) > 0 && *incoming.length <= whole);
  // A stream of logs or events may stay silent for long: its head does not wait for it.
  const std::string* const type = http::find_header(incoming.headers, "Content-Type");
  if (!incoming.length && (type == nullptr || !type->contains("json")))
    co_return co_await relay_pieces(job, incoming, Secret(), false);
  Secret body;
  bool ended = false;
  while (!ended && (body.empty() || wait) && body.size() <= whole) {
    const auto piece = co_await incoming.read();
    if (!piece) co_return co_await fail(job, piece.error());
    ended = piece->empty();
    body.append(*piece);
  }
  if (!ended && self) {
    co_return co_await fail(job, {ErrorKind::bad_reply, "the answer is too large to be checked"});
  }
  // Often the first piece is all: then its end is here, too.
  if (!ended && incoming.length && body.size() == *incoming.length) ended = true;
  if (ended) co_return co_await relay_whole(job, incoming, std::move(body));
  co_await relay_pieces(job, incoming, std::move(body), ended);
}

awaitable<void> Proxy::relay_whole(Job& job, http::Incoming& incoming, Secret body) {
  auto headers = headers_down(incoming.headers, job.exchange.is_private(), false);
  if (job.ours()) {
    if (is_self_path(job.path) && incoming.status < 300) {
      auto rewritten = without_token(body.reveal());
      if (!rewritten) co_return co_await fail(job, {ErrorKind::bad_reply, "not JSON"});
      body = *std::move(rewritten);
      incoming.length = body.size();
    }
    if (LeakScanner(job.own(job.token)).leaks(body.reveal())) {
      ++stats_.leaks_stopped;
      co_return co_await refuse(
          job, {.status = 502,
                .text = "keybearer: the answer holds keybearer's own token or accessor; refused",
                .check = "token"});
    }
  }
  observe(job, incoming.status, body.reveal(), incoming.asked);
  (void)co_await incoming.read();  // gives the connection back
  if (job.head().method == "HEAD") {
    if (auto begun =
            co_await job.exchange.begin({incoming.status, std::move(headers), incoming.length}))
      (void)co_await job.exchange.finish();
    co_return;
  }
  (void)co_await job.exchange.respond(
      {.status = incoming.status, .headers = std::move(headers), .body = std::move(body)});
}

awaitable<void> Proxy::relay_pieces(Job& job, http::Incoming& incoming, Secret first, bool ended) {
  observe(job, incoming.status, "", incoming.asked);
  std::optional<LeakScanner> scanner;
  if (job.ours()) scanner.emplace(job.own(job.token));
  const auto cut = [&] {
    ++stats_.leaks_stopped;
    log::warn("proxy.leak_stopped", "an answer held keybearer's own token; it was cut",
              {{"peer", job.exchange.peer().text()}});
  };
  for (std::string_view piece = first.reveal();;) {
    std::optional<Secret> passed;
    if (scanner) {
      passed = scanner->feed(piece);
      if (!passed && !job.exchange.begun()) {
        ++stats_.leaks_stopped;
        co_return co_await refuse(
            job, {.status = 502,
                  .text = "keybearer: the answer holds keybearer's own token or accessor; refused",
                  .check = "token"});
      }
      if (!passed) co_return cut();
      piece = passed->reveal();
    }
    if (!job.exchange.begun()) {
      if (!co_await job.exchange.begin(
              {incoming.status, headers_down(incoming.headers, job.exchange.is_private(), false),
               incoming.length}))
        co_return;
    }
    if (!co_await job.exchange.write(piece)) co_return;
    if (ended) break;
    const auto next = co_await incoming.read();
    if (!next) {  // the client sees that it was cut
      ++stats_.failed["upstream"];
      co_return;
    }
    if (next->empty()) break;
    piece = *next;
  }
  if (scanner) {
    const Secret rest = scanner->rest();
    if (!co_await job.exchange.write(rest.reveal())) co_return;
  }
  (void)co_await job.exchange.finish();
}

namespace {

awaitable<void> copy(http::Stream* from, http::Stream* to, TaskGroup* group) {
  const auto buffer = std::make_unique_for_overwrite<char[]>(16 * 1024);
  for (;;) {
    const auto n = co_await from->read_some(buffer.get(), 16 * 1024);
    if (!n || *n == 0) break;
    std::size_t written = 0;
    if (!co_await to->write({buffer.get(), *n}, written)) break;
  }
  group->cancel();
}

}  // namespace

awaitable<void> Proxy::tunnel(Job& job, http::Incoming& incoming) {
  if (!co_await job.exchange.begin(
          {101, headers_down(incoming.headers, job.exchange.is_private(), true), std::nullopt}))
    co_return;
  http::Stream& client = job.exchange.tunnel();
  http::Stream& server = *incoming.tunnel();
  std::size_t written = 0;
  if (const std::string early = incoming.take_unread(); !early.empty())
    (void)co_await client.write(early, written);
  if (const std::string early = job.exchange.take_unread(); !early.empty())
    (void)co_await server.write(early, written);
  TaskGroup both(co_await asio::this_coro::executor);
  both.spawn(copy(&client, &server, &both));
  both.spawn(copy(&server, &client, &both));
  co_await both.join();
}

// --- what we say ourselves -----------------------------------------------------------------------

awaitable<void> Proxy::refuse(Job& job, Refusal refusal) {
  auto response = http::error_response(refusal.status, refusal.text);
  response.headers = std::move(refusal.headers);
  if (refusal.status >= 500 && refusal.status != 501) {
    const std::string what = refusal.check == "auth" ? "auth" : "upstream";
    ++stats_.failed[what];
    response.headers.emplace_back("X-Keybearer-Error", what);
  } else {
    log::info("proxy.refused", refusal.text,
              {{"peer", job.exchange.peer().text()},
               {"method", job.head().method},
               {"check", std::string(refusal.check)}});
  }
  if (refusal.status == 413) job.exchange.close_after();
  (void)co_await job.exchange.respond(std::move(response));
}

awaitable<void> Proxy::refuse_repeat(Job& job) {
  co_await refuse(job, {.status = 503,
                        .text = "keybearer: logged in again; send the request again",
                        .check = "auth",
                        .headers = {{"Retry-After", "1"}}});
}

awaitable<void> Proxy::fail(Job& job, const Error& error) {
  if (job.exchange.begun()) co_return;
  std::string what = "upstream";
  int status = 502;
  if (error.kind == ErrorKind::timeout) {
    what = "timeout";
    status = 504;
  }
  if (error.reason == Reason::held_back) {
    what = "limit";
    status = 503;
  }
  ++stats_.failed[what];
  std::string text = error.text;
  const std::string address = session_.address().text();
  if (text.starts_with(address + ": ")) text.erase(0, address.size() + 2);
  const bool reached = error.kind == ErrorKind::bad_reply || error.reason == Reason::lost_answer;
  if (what != "limit")
    text = "server " + address + (status == 504 ? ": " : reached ? ": " : " unreachable: ") + text;
  auto response = http::error_response(status, "keybearer: " + text);
  response.headers.emplace_back("X-Keybearer-Error", what);
  if (status == 503) response.headers.emplace_back("Retry-After", "1");
  (void)co_await job.exchange.respond(std::move(response));
}

}  // namespace keybearer::serve
