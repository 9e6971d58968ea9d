#pragma once
// One connection of a server: requests in, one after the other, and their answers out. Internal to
// http/.

#include <string>

#include "http/deadline.hpp"
#include "http/server.hpp"

namespace keybearer::http {

class Connection {
 public:
  // All must outlive it.
  Connection(std::unique_ptr<Stream> stream, Peer peer, bool is_private, ServerStats& stats,
             Deadlines& deadlines)
      : stream_(std::move(stream)),
        peer_(std::move(peer)),
        private_(is_private),
        stats_(stats),
        deadlines_(deadlines) {}

  // One request. False: the connection is over. `keep`: is there to be another one?
  [[nodiscard]] boost::asio::awaitable<bool> serve_one(const ServerLimits& limits,
                                                       const Handler& handler);
  void close() noexcept { stream_->close(); }
  // No other request is read.
  void stop() noexcept;

  [[nodiscard]] bool busy() const { return busy_; }
  [[nodiscard]] bool stopped() const { return stopping_; }
  [[nodiscard]] Instant waiting_since() const { return waiting_since_; }

 private:
  friend class Exchange;
  struct Cancel {
    Stream& stream;
    void close() noexcept { stream.cancel(); }
  };
  class Watch;

  enum class Read { some, ended, too_slow };
  boost::asio::awaitable<Read> read_more(Instant until, std::size_t room);
  boost::asio::awaitable<result<std::optional<RequestHead>>> read_head();
  boost::asio::awaitable<bool> refuse(const Error& error);
  [[nodiscard]] boost::asio::awaitable<void> begin_handling(Exchange& exchange,
                                                            const Handler& handler);
  boost::asio::awaitable<void> handle(Exchange& exchange, boost::asio::awaitable<void> handling);
  [[nodiscard]] bool is_plainly_done(const Exchange& exchange) const;
  boost::asio::awaitable<bool> settle(Exchange& exchange);
  boost::asio::awaitable<bool> skip_body();
  boost::asio::awaitable<void> end_gently();
  // As much as the client takes at once; the rest waits in unsent_ for flush().
  void put(std::span<const std::string_view> parts);
  boost::asio::awaitable<result<>> flush();
  boost::asio::awaitable<result<>> send(std::string_view bytes);
  boost::asio::awaitable<result<std::string_view>> read_body();
  [[nodiscard]] std::string_view unread() const { return std::string_view(buffer_).substr(begin_); }

  std::unique_ptr<Stream> stream_;
  Peer peer_;
  bool private_;
  ServerStats& stats_;
  Deadlines& deadlines_;
  ServerLimits limits_;  // of the request under way
  std::string buffer_;   // what came and is not used yet begins at begin_
  std::size_t begin_ = 0;
  Secret unsent_;
  BodyDecoder body_{std::nullopt, false};
  bool continue_due_ = false;  // the client waits for "100 Continue"
  bool body_broken_ = false;
  bool busy_ = false, stopping_ = false, broken_ = false;
  Instant waiting_since_ = Clock::now();
  Duration patience_{};  // that is left for the next kilobyte of the body
  std::size_t window_bytes_ = 0;
  Instant wrote_at_{};  // when the client last took a piece of an answer
};

// An error that is answered with this status.
[[nodiscard]] std::unexpected<Error> answer_with(int status, std::string text);

}  // namespace keybearer::http
