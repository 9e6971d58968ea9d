#include "http/message.hpp"

#include <time.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace keybearer::http {
namespace {

constexpr std::size_t kLongestLine = 4 * 1024;    // of a chunk's size, or a trailer
constexpr std::size_t kMostOverhead = 64 * 1024;  // beyond the data, per MiB or not: of all chunks
constexpr std::string_view kBlanks = " \t";

std::unexpected<Error> refused(int status, std::string text) {
  Error error{ErrorKind::bad_reply, std::move(text)};
  error.status = status;
  return std::unexpected(std::move(error));
}
std::unexpected<Error> bad(std::string text) {
  return refused(400, "bad request: " + std::move(text));
}

constexpr std::array<bool, 256> kTokenChars = [] {
  std::array<bool, 256> chars{};
  for (unsigned char c = '0'; c <= '9'; ++c) chars[c] = true;
  for (unsigned char c = 'a'; c <= 'z'; ++c) chars[c] = chars[c - 'a' + 'A'] = true;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~"))
    chars[static_cast<unsigned char>(c)] = true;
  return chars;
}();
bool is_token_char(char c) {
  return kTokenChars[static_cast<unsigned char>(c)];
}
bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, is_token_char);
}
bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t') || byte == 0x7f;
}
std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(kBlanks);
  if (first == text.npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// The end of the line that begins at `from`: position of its CRLF, or npos when it has not come.
// A CR or LF alone is an error.
result<std::size_t> line_end(std::string_view bytes, std::size_t from) {
  const auto at = bytes.find_first_of("\r\n", from);
  if (at == bytes.npos) return bytes.npos;
  if (bytes[at] == '\n') return bad("a line feed without a carriage return");
  if (at + 1 == bytes.size()) return bytes.npos;
  if (bytes[at + 1] != '\n') return bad("a carriage return without a line feed");
  return at;
}

result<> read_request_line(std::string_view line, RequestHead& head) {
  const auto first = line.find(' ');
  const auto last = line.rfind(' ');
  if (first == line.npos || first == last) return bad("not a request line");
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (!is_token(method)) return bad("not a method");
  if (version != "HTTP/1.1" && version != "HTTP/1.0")
    return bad("not a version of HTTP that is spoken here");
  const auto odd = [](char c) {
    return static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f ||
           c == '#' || c == '"' || c == '<' || c == '>' || c == '\\';
  };
  if (target.empty() || std::ranges::any_of(target, odd)) return bad("not a request target");
  head.method = method;
  head.target = target;
  head.minor = version.back() - '0';
  return {};
}

result<> read_field(std::string_view line, RequestHead& head) {
  if (kBlanks.contains(line.front())) return bad("a header that is folded over lines");
  const auto colon = line.find(':');
  if (colon == line.npos) return bad("a header without a colon");
  const std::string_view name = line.substr(0, colon);
  if (!is_token(name)) return bad("not a header's name");
  const std::string_view value = trimmed(line.substr(colon + 1));
  if (std::ranges::any_of(value, is_control)) return bad("a control character in a header");
  head.headers.emplace_back(name, value);
  return {};
}

result<std::uint64_t> content_length(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool digits =
      !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || error != std::errc{} || end != text.data() + text.size() || text.size() > 18)
    return bad("not a Content-Length");
  return value;
}

// What the headers say of framing and of the connection.
result<> settle(RequestHead& head) {
  int hosts = 0;
  bool close = head.minor == 0, keep = false;
  for (const auto& [name, value] : head.headers) {
    if (same_name(name, "Content-Length")) {
      if (head.length) return bad("Content-Length twice");
      const auto length = content_length(value);
      if (!length) return std::unexpected(length.error());
      head.length = *length;
    } else if (same_name(name, "Transfer-Encoding")) {
      if (head.chunked) return bad("Transfer-Encoding twice");
      if (!same_name(value, "chunked") || head.minor == 0) return bad("a Transfer-Encoding");
      head.chunked = true;
    } else if (same_name(name, "Host")) {
      if (++hosts > 1) return bad("Host twice");
    } else if (same_name(name, "Connection")) {
      close = close || lists_token(value, "close");
      keep = keep || lists_token(value, "keep-alive");
    } else if (same_name(name, "Expect") && head.minor == 1) {
      if (!same_name(value, "100-continue")) return refused(417, "an Expect that is not known");
      head.expects_continue = true;
    }
  }
  if (head.chunked && head.length) return bad("Content-Length and Transfer-Encoding");
  head.keep_alive = head.minor == 1 ? !close : keep;
  return {};
}

result<RequestHead> parse_head(std::string_view text, std::size_t most_headers) {
  RequestHead head;
  head.headers.reserve(8);
  bool first = true;
  while (!text.empty()) {
    const auto end = text.find("\r\n");
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 2);
    if (line.empty()) break;
    const auto read = first ? read_request_line(line, head) : read_field(line, head);
    if (!read) return std::unexpected(read.error());
    first = false;
    if (head.headers.size() > most_headers) return refused(431, "too many headers");
  }
  if (auto settled = settle(head); !settled) return std::unexpected(settled.error());
  return head;
}

}  // namespace

bool same_name(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto x = static_cast<unsigned char>(a[i]), y = static_cast<unsigned char>(b[i]);
    if (x == y) continue;
    const auto low = static_cast<unsigned char>(x | 0x20);
    if (low != (y | 0x20) || low < 'a' || low > 'z') return false;
  }
  return true;
}

const std::string* find_header(const Headers& headers, std::string_view name) {
  for (const auto& [key, value] : headers)
    if (same_name(key, name)) return &value;
  return nullptr;
}

bool lists_token(std::string_view value, std::string_view token) {
  while (!value.empty()) {
    const auto comma = value.find(',');
    if (same_name(trimmed(value.substr(0, comma)), token)) return true;
    value.remove_prefix(comma == value.npos ? value.size() : comma + 1);
  }
  return false;
}

bool is_hop_by_hop(std::string_view name) {
  constexpr std::array<std::string_view, 7> kNames{
      "Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Proxy"};
  return std::ranges::any_of(kNames, [name](auto known) { return same_name(name, known); }) ||
         (name.size() > 6 && same_name(name.substr(0, 6), "Proxy-"));
}

std::vector<std::string> named_by_connection(const Headers& headers) {
  std::vector<std::string> names;
  for (const auto& [name, value] : headers) {
    if (!same_name(name, "Connection")) continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      const auto comma = rest.find(',');
      if (const auto item = trimmed(rest.substr(0, comma)); !item.empty()) names.emplace_back(item);
      rest.remove_prefix(comma == rest.npos ? rest.size() : comma + 1);
    }
  }
  return names;
}

std::string_view RequestHead::header(std::string_view name) const {
  const std::string* value = find_header(headers, name);
  return value != nullptr ? std::string_view(*value) : std::string_view{};
}

result<std::optional<RequestHead>> HeadReader::read(std::string_view bytes) {
  // One empty line before a request is allowed (RFC 9112 section 2.2).
  const std::size_t begin = bytes.starts_with("\r\n") ? 2 : 0;
  scanned_ = std::max(scanned_, begin);
  if (bytes.size() > begin && !is_token_char(bytes[begin])) {
    if (bytes.substr(begin) != "\r") return bad("not HTTP");
  }
  for (;;) {
    const auto end = line_end(bytes, scanned_);
    if (!end) return std::unexpected(end.error());
    const bool ended = *end != bytes.npos;
    if ((ended ? *end : bytes.size()) - begin > limits_.bytes)
      return refused(431, "the request's header is too large");
    if (!ended) {  // a CR at the very end is looked at again
      scanned_ = bytes.size() - (bytes.ends_with('\r') && bytes.size() > scanned_ ? 1 : 0);
      return std::nullopt;
    }
    const bool empty_line = *end >= begin + 2 && bytes.substr(*end - 2, 2) == "\r\n";
    scanned_ = *end + 2;
    if (!empty_line) continue;
    size_ = scanned_;
    auto head = parse_head(bytes.substr(begin, size_ - begin), limits_.headers);
    if (!head) return std::unexpected(head.error());
    return *std::move(head);
  }
}

// A line of a chunk's size, or of the trailer.
result<BodyDecoder::Step> BodyDecoder::line(std::string_view bytes) {
  const auto end = line_end(bytes, scanned_);
  if (!end) return std::unexpected(end.error());
  if (*end == bytes.npos) {
    if (bytes.size() > kLongestLine) return bad("a chunk's line is too long");
    scanned_ = bytes.size() - (bytes.ends_with('\r') && bytes.size() > scanned_ ? 1 : 0);
    return Step{};
  }
  scanned_ = 0;
  const std::string_view text = bytes.substr(0, *end);
  if (text.size() > kLongestLine) return bad("a chunk's line is too long");
  if (std::ranges::any_of(text, is_control)) return bad("a control character in a chunk's line");
  const Step step{*end + 2, {}};
  if (state_ == State::trailer) {
    overhead_ += step.used;
    if (text.empty()) {
      state_ = State::done;
    } else if (const auto colon = text.find(':'); colon == text.npos ||
                                                  !is_token(text.substr(0, colon)) ||
                                                  overhead_ > kMostOverhead) {
      return bad("a bad trailer");
    }
    return step;
  }
  std::uint64_t size = 0;
  const char* const first = text.data();
  const auto [last, error] = std::from_chars(first, first + text.size(), size, 16);
  const auto digits = static_cast<std::size_t>(last - first);
  const std::string_view rest = text.substr(digits);
  if (error != std::errc{} || digits == 0 || digits > 15 ||
      (!rest.empty() && !trimmed(rest).starts_with(';')))
    return bad("not a chunk's size");
  overhead_ += rest.size();  // extensions
  if (overhead_ > kMostOverhead) return bad("too many chunk extensions");
  left_ = size;
  state_ = size == 0 ? State::trailer : State::data;
  return step;
}

result<BodyDecoder::Step> BodyDecoder::next(std::string_view bytes) {
  switch (state_) {
    case State::done:
      return Step{};
    case State::size:
    case State::trailer:
      return line(bytes);
    case State::data_end: {
      if (!std::string_view("\r\n").starts_with(bytes.substr(0, 2)))
        return bad("a chunk without its end");
      if (bytes.size() < 2) return Step{};
      state_ = State::size;
      return Step{2, {}};
    }
    case State::plain:
    case State::data: {
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
      left_ -= n;
      if (left_ == 0) state_ = state_ == State::plain ? State::done : State::data_end;
      return Step{n, bytes.substr(0, n)};
    }
  }
  return Step{};
}

std::string http_date(WallTime at) {
  const time_t seconds = std::chrono::system_clock::to_time_t(at);
  tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 40> text{};
  strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return text.data();
}

std::string_view reason_phrase(int status) {
  constexpr std::array<std::pair<int, std::string_view>, 30> kPhrases{
      {{100, "Continue"},
       {101, "Switching Protocols"},
       {200, "OK"},
       {201, "Created"},
       {202, "Accepted"},
       {204, "No Content"},
       {206, "Partial Content"},
       {304, "Not Modified"},
       {307, "Temporary Redirect"},
       {400, "Bad Request"},
       {401, "Unauthorized"},
       {403, "Forbidden"},
       {404, "Not Found"},
       {405, "Method Not Allowed"},
       {408, "Request Timeout"},
       {409, "Conflict"},
       {412, "Precondition Failed"},
       {413, "Content Too Large"},
       {415, "Unsupported Media Type"},
       {417, "Expectation Failed"},
       {421, "Misdirected Request"},
       {422, "Unprocessable Content"},
       {429, "Too Many Requests"},
       {431, "Request Header Fields Too Large"},
       {500, "Internal Server Error"},
       {501, "Not Implemented"},
       {502, "Bad Gateway"},
       {503, "Service Unavailable"},
       {504, "Gateway Timeout"},
       {505, "HTTP Version Not Supported"}}};
  const auto found = std::ranges::find(kPhrases, status, &std::pair<int, std::string_view>::first);
  return found != kPhrases.end() ? found->second : "Status";
}

}  // namespace keybearer::http
