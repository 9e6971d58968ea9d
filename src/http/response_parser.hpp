#pragma once
// The bytes of an HTTP/1.1 answer to a Response. Pure: no socket. Beast's parser stays behind
// response_parser.cpp.
//
// RFC 9112, with what Go's client takes, too: a status line without a reason, and line feeds alone
// in a head. What has two ends (two lengths, a length and chunks) is refused. Interim answers
// (1xx) are passed over; a body without a length ends with the connection.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/client.hpp"
#include "http/message.hpp"

namespace keybearer::http {

class ResponseParser {
 public:
  // `head_only`: the answer to a HEAD, which has no body whatever its header says. `wanted_header`:
  // one more that Response keeps.
  explicit ResponseParser(std::size_t max_body, bool head_only = false,
                          std::string wanted_header = {});
  ~ResponseParser();
  ResponseParser(const ResponseParser&) = delete;
  ResponseParser& operator=(const ResponseParser&) = delete;

  // How many bytes were used up; the rest comes again with more behind it. Errors: bad_reply.
  [[nodiscard]] result<std::size_t> put(std::string_view bytes);
  // The server closed the connection in an orderly way: was that the end of the answer?
  [[nodiscard]] bool ended();

  // For an answer that is passed on as it comes: all headers are kept, and the body is taken away
  // piece by piece; its size is not limited. Before put(). `upgrade`: a 101 ends the parsing.
  void keep_all(bool upgrade);
  [[nodiscard]] bool header_done() const;
  [[nodiscard]] std::optional<std::uint64_t> content_length() const;
  [[nodiscard]] Secret take_piece();
  [[nodiscard]] Headers take_headers();

  [[nodiscard]] bool done() const;
  [[nodiscard]] int status() const;  // 0: not known yet
  [[nodiscard]] bool keep_alive() const;
  [[nodiscard]] const std::string& location() const;
  [[nodiscard]] Response take();

 private:
  class Reader;
  [[nodiscard]] result<std::size_t> take_in(std::string_view bytes);

  std::size_t max_body_;
  bool head_only_, keep_all_ = false, upgrade_ = false;
  std::string wanted_header_;
  std::unique_ptr<Reader> reader_;
};

// Retry-After as RFC 9110 section 10.2.3 has it: seconds, or a date (how long until then from
// `now`).
[[nodiscard]] std::optional<Duration> parse_retry_after(std::string_view text, WallTime now);

}  // namespace keybearer::http
