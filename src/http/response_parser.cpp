#include "http/response_parser.hpp"

#include <time.h>

#include <algorithm>
#include <boost/beast/http/basic_parser.hpp>
#include <charconv>
#include <new>
#include <utility>

namespace keybearer::http {
namespace {

namespace beast_http = boost::beast::http;
using boost::system::error_code;

constexpr std::uint32_t kHeaderLimit = 16 * 1024;
constexpr std::chrono::hours kLongestRetryAfter{24};
constexpr std::string_view kVersion = "HTTP/1.";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// "HTTP/1.1 200 OK", without its line end, as Beast wants it. The reason is not used. Empty: it is
// something else.
std::string status_line(std::string_view line) {
  const auto is_control = [](char c) { return (c >= 0 && c < ' ' && c != '\t') || c == 127; };
  if (!line.starts_with(kVersion) || std::ranges::any_of(line, is_control)) return {};
  line.remove_prefix(kVersion.size());
  if (line.size() < 2 || !is_digit(line[0]) || line[1] != ' ') return {};
  const char minor = line[0] == '0' ? '0' : '1';  // a later one is read as the last that we know
  line.remove_prefix(std::min(line.find_first_not_of(' ', 1), line.size()));
  const auto code = line.substr(0, line.find(' '));
  if (code.size() != 3 || code[0] == '0' || !std::ranges::all_of(code, is_digit)) return {};
  return std::string(kVersion) + minor + " " + std::string(code) + " \r\n";
}

// Behind the empty line that ends the fields; npos: it has not come yet.
std::size_t end_of_fields(std::string_view bytes) {
  for (std::size_t line = 0;;) {
    const auto end = bytes.find('\n', line);
    if (end == std::string_view::npos) return end;
    if (end == line || (end == line + 1 && bytes[line] == '\r')) return end + 1;
    line = end + 1;
  }
}

bool has_bare_line_feed(std::string_view text) {
  for (auto at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1))
    if (at == 0 || text[at - 1] != '\r') return true;
  return false;
}

std::string with_carriage_returns(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) out += '\r';
    out += text[i];
  }
  return out;
}

}  // namespace

// Keeps what the header says that we need, and the body in wiped memory.
class ResponseParser::Reader final : public beast_http::basic_parser<false> {
 public:
  Reader(std::size_t max_body, bool head_only, const std::string& wanted_header)
      : max_body_(max_body), wanted_header_(wanted_header) {
    eager(true);
    header_limit(2 * kHeaderLimit);  // with carriage returns that were not sent
    body_limit(boost::none);         // ours gives a better message
    skip(head_only);
  }
  // As put(). What it has not taken comes again.
  std::size_t take(std::string_view bytes, error_code& error) {
    if (!has_status_line_) return take_status_line(bytes, error);
    if (!is_header_done()) return take_fields(bytes, error);
    return put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
  }
  Response response;
  std::string location;
  bool too_large = false;
  bool keep_headers = false;
  Headers headers = {};

 private:
  using View = boost::beast::string_view;
  std::size_t take_status_line(std::string_view bytes, error_code& error) {
    const auto end = bytes.find('\n');
    auto line = bytes.substr(0, end);
    if (!line.starts_with(kVersion.substr(0, line.size()))) error = beast_http::error::bad_version;
    if (!error && line.size() > kHeaderLimit) error = beast_http::error::header_limit;
    if (!error && end == std::string_view::npos) error = beast_http::error::need_more;
    if (error) return 0;
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::string good = status_line(line);
    if (good.empty()) error = beast_http::error::bad_status;
    if (error) return 0;
    put(boost::asio::buffer(good), error);
    if (error == beast_http::error::need_more) error = {};
    has_status_line_ = true;
    return end + 1;
  }
  // Only a head with line feeds alone is copied.
  std::size_t take_fields(std::string_view bytes, error_code& error) {
    const auto end = end_of_fields(bytes);
    const auto fields = bytes.substr(0, end);
    if (fields.size() > kHeaderLimit) error = beast_http::error::header_limit;
    if (error) return 0;
    if (!has_bare_line_feed(fields))
      return put(boost::asio::const_buffer(fields.data(), fields.size()), error);
    if (end == std::string_view::npos) return error = beast_http::error::need_more, 0;
    put(boost::asio::buffer(with_carriage_returns(fields)), error);
    return end;
  }
  void on_request_impl(beast_http::verb, View, View, int, error_code&) override {}
  void on_response_impl(int code, View, int, error_code&) override { response.status = code; }
  void on_field_impl(beast_http::field name, View as_sent, View value, error_code&) override {
    const std::string_view text(value.data(), value.size());
    if (!wanted_header_.empty() && boost::beast::iequals(as_sent, wanted_header_))
      response.wanted_header = text;
    if (keep_headers) headers.emplace_back(std::string(as_sent.data(), as_sent.size()), text);
    if (name == beast_http::field::location) location = text;
    if (name == beast_http::field::content_type) response.content_type = text;
    if (name == beast_http::field::retry_after) {
      response.retry_after = parse_retry_after(text, wall_now());
    }
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>& length, error_code& error) override {
    if (!length || keep_headers) return;
    if (*length > max_body_) return refuse(error);
    response.body.reserve(static_cast<std::size_t>(*length));
  }
  std::size_t on_body_impl(View body, error_code& error) override {
    if (!keep_headers && body.size() > max_body_ - response.body.size()) {
      refuse(error);
      return 0;
    }
    response.body.append({body.data(), body.size()});
    return body.size();
  }
  void on_chunk_header_impl(std::uint64_t, View, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, View body, error_code& error) override {
    return on_body_impl(body, error);
  }
  void on_finish_impl(error_code&) override {}
  void refuse(error_code& error) {
    too_large = true;
    error = beast_http::error::body_limit;
  }

  std::size_t max_body_;
  const std::string& wanted_header_;  // the parser's
  bool has_status_line_ = false;
};

ResponseParser::ResponseParser(std::size_t max_body, bool head_only, std::string wanted_header)
    : max_body_(max_body),
      head_only_(head_only),
      wanted_header_(std::move(wanted_header)),
      reader_(std::make_unique<Reader>(max_body, head_only, wanted_header_)) {}
ResponseParser::~ResponseParser() = default;

result<std::size_t> ResponseParser::put(std::string_view bytes) {
  try {
    return take_in(bytes);
  } catch (const std::bad_alloc&) {  // this answer is too much, and what runs goes on
    return fail(ErrorKind::bad_reply, "no memory for an answer as large as this");
  }
}

result<std::size_t> ResponseParser::take_in(std::string_view bytes) {
  std::size_t used = 0;
  while (used < bytes.size() && !done()) {
    error_code error;
    const std::size_t n = reader_->take(bytes.substr(used), error);
    used += n;
    if (reader_->too_large) {
      return fail(ErrorKind::bad_reply, "response larger than " + std::to_string(max_body_) +
                                            " bytes (vault.max_response_size)");
    }
    if (error == beast_http::error::need_more) break;
    if (error == beast_http::error::header_limit) {
      return fail(ErrorKind::bad_reply, "the answer's header is too large");
    }
    if (error) return fail(ErrorKind::bad_reply, "not an HTTP answer: " + error.message());
    if (reader_->is_done() && reader_->response.status / 100 == 1) {
      if (reader_->response.status == 101 && upgrade_) return used;
      if (reader_->response.status == 101)
        return fail(ErrorKind::bad_reply, "not an HTTP answer: an upgrade that was not asked for");
      reader_ = std::make_unique<Reader>(max_body_, head_only_, wanted_header_);
      reader_->keep_headers = keep_all_;
    } else if (n == 0) {
      break;
    }
  }
  return used;
}

bool ResponseParser::ended() {
  error_code error;
  if (!reader_->is_header_done()) return false;
  if (!done()) reader_->put_eof(error);
  return !error && done();
}

void ResponseParser::keep_all(bool upgrade) {
  keep_all_ = reader_->keep_headers = true;
  upgrade_ = upgrade;
}
bool ResponseParser::header_done() const {
  const int status = reader_->response.status;
  return reader_->is_header_done() && (status / 100 != 1 || (status == 101 && upgrade_));
}
std::optional<std::uint64_t> ResponseParser::content_length() const {
  const auto length = reader_->content_length();
  return length ? std::optional<std::uint64_t>(*length) : std::nullopt;
}
Secret ResponseParser::take_piece() {
  return std::exchange(reader_->response.body, Secret());
}

Headers ResponseParser::take_headers() {
  return std::move(reader_->headers);
}

bool ResponseParser::done() const {
  return reader_->is_done();
}
int ResponseParser::status() const {
  return reader_->response.status;
}
bool ResponseParser::keep_alive() const {
  return reader_->keep_alive();
}
const std::string& ResponseParser::location() const {
  return reader_->location;
}
Response ResponseParser::take() {
  return std::move(reader_->response);
}

std::optional<Duration> parse_retry_after(std::string_view text, WallTime now) {
  unsigned seconds = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(last - text.size(), last, seconds);
  if (error == std::errc::result_out_of_range && end == last) return kLongestRetryAfter;
  if (error == std::errc{} && end == last) {
    return std::min<Duration>(std::chrono::seconds(seconds), kLongestRetryAfter);
  }
  tm date{};
  const std::string ended(text);
  const char* const rest = strptime(ended.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date);
  if (rest == nullptr || *rest != '\0') return {};
  const auto until = std::chrono::duration_cast<Duration>(
      std::chrono::system_clock::from_time_t(timegm(&date)) - now);
  return std::clamp<Duration>(until, Duration::zero(), kLongestRetryAfter);
}

}  // namespace keybearer::http
