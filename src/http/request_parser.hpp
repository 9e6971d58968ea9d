#pragma once
// The bytes of an HTTP/1.1 request to a ServerRequest. Pure: no socket. Beast's parser stays behind
// request_parser.cpp. RFC 9112.

#include <memory>
#include <string_view>

#include "http/server.hpp"

namespace keybearer::http {

class RequestParser {
 public:
  RequestParser(std::size_t max_header, std::size_t max_body);
  ~RequestParser();
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  // How many bytes were used up; the rest comes again with more behind it. The error's status is
  // what to answer: 400, 413, 431.
  [[nodiscard]] result<std::size_t> put(std::string_view bytes);
  [[nodiscard]] bool done() const;
  [[nodiscard]] bool keep_alive() const;
  [[nodiscard]] ServerRequest take();

 private:
  class Reader;
  std::unique_ptr<Reader> reader_;
};

}  // namespace keybearer::http
