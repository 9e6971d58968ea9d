#pragma once
// The head of an HTTP/1.1 request as a server reads it, and its body's framing. Pure: no socket.
//
// Strict, so that nobody between the client and us can have read it differently (RFC 9112; request
// smuggling): a bare CR or LF, obs-fold, a blank before a colon, Content-Length beside
// Transfer-Encoding or twice, a coding other than "chunked", a broken chunk, the preface of HTTP/2
// are errors. Error.status is what to answer: 400, 413, 431.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"

namespace keybearer::http {

using Headers = std::vector<std::pair<std::string, std::string>>;

// Names without regard to case.
[[nodiscard]] bool same_name(std::string_view a, std::string_view b);
// The first header of that name, or null.
[[nodiscard]] const std::string* find_header(const Headers& headers, std::string_view name);
// Is `token` among the comma-separated items of the header (without regard to case)?
[[nodiscard]] bool lists_token(std::string_view value, std::string_view token);
// Connection, Keep-Alive, Proxy-*, TE, Trailer, Transfer-Encoding, Upgrade: of one connection only
// (RFC 9110 section 7.6.1). `named`: what the message's own Connection headers name.
[[nodiscard]] bool is_hop_by_hop(std::string_view name);
[[nodiscard]] std::vector<std::string> named_by_connection(const Headers& headers);

struct RequestHead {
  std::string method;
  std::string target;  // as it came: path and query, escaped; may be in the absolute form
  Headers headers = {};
  int minor = 1;                             // HTTP/1.0 or 1.1
  std::optional<std::uint64_t> length = {};  // Content-Length
  bool chunked = false;
  bool expects_continue = false;
  bool keep_alive = true;  // as its version and Connection say

  // The first header of that name (no case), or "".
  [[nodiscard]] std::string_view header(std::string_view name) const;
  [[nodiscard]] bool has_body() const { return chunked || length.value_or(0) > 0; }
};

struct HeadLimits {
  std::size_t bytes = 64 * 1024;
  std::size_t headers = 200;
};

// Finds the head in bytes that come piece by piece.
class HeadReader {
 public:
  explicit HeadReader(HeadLimits limits = {}) : limits_(limits) {}
  // `bytes`: all of the head that has come so far. Nullopt: not whole yet; else the head, and
  // size() is how many bytes it took.
  [[nodiscard]] result<std::optional<RequestHead>> read(std::string_view bytes);
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  HeadLimits limits_;
  std::size_t scanned_ = 0;  // known to be free of bare CR and LF, and of the end
  std::size_t size_ = 0;
};

// The body out of the bytes behind a head.
class BodyDecoder {
 public:
  struct Step {
    std::size_t used = 0;   // bytes of the input that are done with
    std::string_view data;  // a part of the body, within the input
  };
  // Without any framing: no body.
  BodyDecoder(std::optional<std::uint64_t> length, bool chunked)
      : left_(length.value_or(0)),
        state_(chunked     ? State::size
               : left_ > 0 ? State::plain
                           : State::done) {}

  // Uses up as much as there is of one part; nothing used: more must come first.
  [[nodiscard]] result<Step> next(std::string_view bytes);
  [[nodiscard]] bool done() const { return state_ == State::done; }

 private:
  enum class State { plain, size, data, data_end, trailer, done };
  [[nodiscard]] result<Step> line(std::string_view bytes);

  std::uint64_t left_;
  State state_;
  std::size_t scanned_ = 0;
  std::size_t overhead_ = 0;  // bytes of size lines and trailers: limited
};

// "Thu, 01 Jan 1970 00:00:00 GMT"
[[nodiscard]] std::string http_date(WallTime at);
[[nodiscard]] std::string_view reason_phrase(int status);

}  // namespace keybearer::http
