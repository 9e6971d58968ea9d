#include "http/request_parser.hpp"

#include <boost/beast/http/basic_parser.hpp>

namespace keybearer::http {
namespace {

namespace beast_http = boost::beast::http;
using boost::system::error_code;

std::unexpected<Error> refused(int status, std::string text) {
  Error error{ErrorKind::bad_reply, std::move(text)};
  error.status = status;
  return std::unexpected(std::move(error));
}

}  // namespace

class RequestParser::Reader final : public beast_http::basic_parser<true> {
 public:
  Reader(std::size_t max_header, std::size_t max_body) {
    eager(true);
    header_limit(static_cast<std::uint32_t>(max_header));
    body_limit(max_body);
  }
  ServerRequest request;

 private:
  using View = boost::beast::string_view;
  void on_request_impl(beast_http::verb, View method, View target, int, error_code&) override {
    request.method = std::string(method);
    request.target = std::string(target);
  }
  void on_response_impl(int, View, int, error_code&) override {}
  void on_field_impl(beast_http::field, View name, View value, error_code&) override {
    request.headers.emplace_back(std::string(name), std::string(value));
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(View body, error_code&) override {
    request.body.append({body.data(), body.size()});
    return body.size();
  }
  void on_chunk_header_impl(std::uint64_t, View, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, View body, error_code& error) override {
    return on_body_impl(body, error);
  }
  void on_finish_impl(error_code&) override {}
};

RequestParser::RequestParser(std::size_t max_header, std::size_t max_body)
    : reader_(std::make_unique<Reader>(max_header, max_body)) {}
RequestParser::~RequestParser() = default;

result<std::size_t> RequestParser::put(std::string_view bytes) {
  error_code error;
  const std::size_t used =
      reader_->put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
  if (!error || error == beast_http::error::need_more) return used;
  if (error == beast_http::error::header_limit)
    return refused(431, "the request's header is too large");
  if (error == beast_http::error::body_limit)
    return refused(413, "the request's body is too large");
  return refused(400, "not an HTTP request: " + error.message());
}

bool RequestParser::done() const {
  return reader_->is_done();
}
bool RequestParser::keep_alive() const {
  return reader_->keep_alive();
}
ServerRequest RequestParser::take() {
  return std::move(reader_->request);
}

}  // namespace keybearer::http
