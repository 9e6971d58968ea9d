#pragma once
// The real client's pool of connections and what sends through it: whole bodies in client.cpp,
// streamed ones in client_stream.cpp. Internal to http/.

#include <boost/asio/this_coro.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/timer.hpp"
#include "http/client.hpp"
#include "http/deadline.hpp"
#include "http/response_parser.hpp"
#include "http/stream.hpp"
#include "http/stream_client.hpp"

namespace keybearer::http {

using boost::asio::awaitable;

struct Idle {
  std::unique_ptr<Stream> stream;
  Instant since;
};

// Whole and streamed requests have the same number of connections each: a long stream starves no
// renewal.
enum class Lane { whole, streamed };

// The connections to one server, at most so many at a time; who waits is served in order.
struct Pool {
  std::vector<Idle> idle;
  struct Share {
    int in_use = 0;
    std::deque<Timer*> waiting;
  };
  Share shares[2];
};

struct Answer {
  Response response;
  std::string location;
  bool keep_alive = false;
  std::size_t server = 0;  // whose it is
};

// How far an exchange came.
struct Progress {
  std::size_t written = 0;
  bool answer_begun = false;
};

// One request's unit of what its gate counts: held from enter() until the request goes out.
class Permit {
 public:
  explicit Permit(Gate* gate) : gate_(gate) {}
  Permit(const Permit&) = delete;
  Permit& operator=(const Permit&) = delete;
  ~Permit() {
    if (held_) gate_->give_back();
  }
  [[nodiscard]] awaitable<result<>> get(Instant latest) {
    if (gate_ == nullptr || held_) co_return result<>{};
    auto entered = co_await gate_->enter(latest);
    held_ = entered.has_value();
    co_return entered;
  }
  void spend() { held_ = false; }

 private:
  Gate* gate_;
  bool held_ = false;
};

class PooledClient final : public Client, public StreamClient {
 public:
  PooledClient(boost::asio::any_io_executor executor, ClientOptions options)
      : options_(std::move(options)),
        tls_(options_),
        proxies_(options_.addresses.size()),
        pools_(options_.addresses.size()),
        deadlines_(executor),
        sweeper_(executor) {}

  awaitable<result<Response>> send(Request request) override;
  awaitable<result<std::unique_ptr<Incoming>>> open(StreamRequest request) override;
  const Url& address() const override { return options_.addresses[current_]; }

 private:
  // A place among the connections to one server, given back when it goes out of scope.
  struct Place {
    PooledClient* client;
    std::size_t server;
    Lane lane;
    Place(PooledClient* c, std::size_t s, Lane l = Lane::whole) : client(c), server(s), lane(l) {}
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() { client->leave(server, lane); }
  };

  awaitable<result<>> enter(std::size_t server, Limit limit, Lane lane = Lane::whole);
  void leave(std::size_t server, Lane lane);
  awaitable<result<Answer>> ask_server(std::size_t server, const Request& request, Limit limit,
                                       Permit& permit);
  awaitable<result<Answer>> send_to(std::size_t server, const Request& request,
                                    const std::string& target, Limit limit, Permit& permit);
  awaitable<result<Answer>> exchange(Stream& stream, std::string_view bytes, Limit limit,
                                     const Request& request, Progress& progress);
  class Flow;  // an Incoming
  struct Tries {
    int sent = 0;        // how often bytes of the request may have reached a server
    bool stale = false;  // the last one failed on a connection that was kept, and closed meanwhile
  };
  using Opened = result<std::unique_ptr<Incoming>>;
  awaitable<Opened> open_at(std::size_t server, const StreamRequest& request,
                            const std::string& target, Permit& permit, Tries& tries);
  awaitable<Opened> exchange_head(std::size_t server, std::unique_ptr<Stream> stream,
                                  const StreamRequest& request, const std::string& target,
                                  std::unique_ptr<Place> place, Progress& progress);
  [[nodiscard]] result<Secret> stream_head(const StreamRequest& request, std::size_t server,
                                           const std::string& target) const;
  std::unique_ptr<Stream> take_idle(std::size_t server, bool repeatable);
  void keep_idle(std::size_t server, std::unique_ptr<Stream> stream);
  void sweep_later();
  [[nodiscard]] result<> know_proxies();
  void note_failover(std::size_t server, std::size_t before);
  [[nodiscard]] result<Secret> bytes_of(const Request& request, std::size_t server,
                                        const std::string& target) const;

  ClientOptions options_;
  TlsContext tls_;
  Resolver resolver_;
  std::vector<std::optional<Proxy>> proxies_;  // by address; set up at the first request
  std::optional<Error> proxy_fault_;
  bool proxies_known_ = false;
  std::vector<Pool> pools_;
  std::size_t current_ = 0;
  Deadlines deadlines_;
  Timer sweeper_;
  bool sweeping_ = false;
};

// What fails one request and not another (a write whose answer is lost).
[[nodiscard]] Error lost(Error error);
[[nodiscard]] bool has_line_break(std::string_view text);
// The buffer lives only while an answer is read.
inline constexpr std::size_t kFirstReadSize = 4 * 1024, kReadSize = 16 * 1024;

}  // namespace keybearer::http
