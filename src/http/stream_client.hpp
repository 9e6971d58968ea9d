#pragma once
// Requests and answers whose bodies pass through in pieces: what the proxy sends. The real client
// (http::make_client) is one; for others, such as the fakes of tests, whole bodies stand in.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "http/client.hpp"
#include "http/message.hpp"

namespace keybearer::http {

class Stream;

// Piece by piece; a piece is good until the next call, an empty one is the end.
class BodySource {
 public:
  virtual ~BodySource() = default;
  [[nodiscard]] virtual boost::asio::awaitable<result<std::string_view>> read() = 0;
  // Begins again; false: it can't.
  [[nodiscard]] virtual bool rewind() { return false; }
};

struct StreamRequest {
  std::string method;
  std::string target;
  Headers headers = {};  // all but Host, framing, Connection and the token
  std::shared_ptr<const Secret> token = {};
  BodySource* body = nullptr;                // none: no body. Must outlive open()
  std::optional<std::uint64_t> length = {};  // of the body; none: chunked
  std::string upgrade = {};                  // "websocket": asks for a tunnel
  std::optional<Duration> timeout = {};      // from the request's last byte to the answer's head
  Gate* gate = nullptr;                      // none: uncounted. Must outlive open()
};

// An answer that is still coming. Gives its connection back when it was read to its end.
class Incoming {
 public:
  virtual ~Incoming() = default;
  int status = 0;
  Headers headers = {};  // as they came
  std::optional<std::uint64_t> length = {};
  Instant asked{};  // when the request went out (T11)

  // Error: it was cut off, or stood still too long.
  [[nodiscard]] virtual boost::asio::awaitable<result<std::string_view>> read() = 0;
  // After 101: the connection, and what came behind the head; else null.
  [[nodiscard]] virtual Stream* tunnel() { return nullptr; }
  [[nodiscard]] virtual std::string take_unread() { return {}; }
};

// Answers of any status, as they come. Sent again only if it is a GET, HEAD or LIST without a body:
// at most once, to the next address where there is one. Errors: as Client::send().
// Has a share of the connections of its own, so that it starves no send().
class StreamClient {
 public:
  virtual ~StreamClient() = default;
  [[nodiscard]] virtual boost::asio::awaitable<result<std::unique_ptr<Incoming>>> open(
      StreamRequest request) = 0;
};

[[nodiscard]] boost::asio::awaitable<result<std::unique_ptr<Incoming>>> open(Client& client,
                                                                             StreamRequest request);

}  // namespace keybearer::http
