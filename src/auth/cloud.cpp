#include "auth/cloud.hpp"

#include <algorithm>
#include <cctype>
#include <chrono>

#include "http/url.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr std::size_t kMaxAnswer = 64 << 10;
constexpr Duration kHostTimeout = 2s;
constexpr Duration kInternetTimeout = 10s;
constexpr std::size_t kMaxClients = 16;  // a method asks one or two services

struct Parts {
  std::string origin, target;
};

Parts split(const std::string& url) {
  const auto scheme = url.find("://");
  const auto path = url.find_first_of("/?", scheme == url.npos ? 0 : scheme + 3);
  if (path == url.npos) return {.origin = url, .target = "/"};
  return {.origin = url.substr(0, path),
          .target = (url[path] == '?' ? "/" : "") + url.substr(path)};
}

http::ClientOptions options_for(const CloudRequest& request, http::Url url,
                                const http::ProxyOptions& proxy) {
  const bool host = request.reach == Reach::host;
  http::ClientOptions options;
  options.addresses.push_back(std::move(url));
  options.ca_cert = request.ca_cert;
  if (!host) options.proxy = proxy;
  options.timeout = host ? kHostTimeout : kInternetTimeout;
  options.connect_timeout = std::min(options.connect_timeout, options.timeout);
  options.max_response_size = kMaxAnswer;
  options.max_connections = 1;
  options.redirects = false;
  return options;
}

// The client's advice is about [vault]; here it would mislead.
std::string without_advice(std::string text) {
  const auto key = std::min(text.find("vault."), text.find("VAULT_"));
  if (key == text.npos) return text;
  const auto end =
      std::max({text.rfind("; ", key) + 1, text.rfind(" (", key) + 1, text.rfind(": ", key) + 1});
  return end == 0 ? text : text.substr(0, end - 1);
}

}  // namespace

asio::awaitable<result<http::Response>> CloudHttp::send(CloudRequest request) {
  const auto [origin, target] = split(request.url);
  const std::string shown = origin + target.substr(0, target.find('?'));
  auto url = http::parse_url(origin);
  if (!url || url->scheme == http::Url::Scheme::unix_socket)
    co_return fail(ErrorKind::config, shown + ": not an http:// or https:// address");
  if (!parts_.make_http) co_return fail(ErrorKind::config, shown + ": cannot be asked here");
  const std::string key =
      origin + (request.reach == Reach::host ? " host " : " internet ") + request.ca_cert;
  if (clients_.size() >= kMaxClients && !clients_.contains(key)) clients_.clear();
  auto& client = clients_[key];
  if (!client) client = parts_.make_http(options_for(request, *url, parts_.proxy));
  request.headers.emplace_back("Accept", "*/*");  // STS answers JSON to who asks for it
  http::Request sent{.method = std::move(request.method),
                     .target = target,
                     .headers = std::move(request.headers),
                     .secret_headers = std::move(request.secret_headers),
                     .body = std::move(request.body),
                     .content_type = std::move(request.content_type),
                     .wanted_header = std::move(request.wanted_header),
                     .repeatable = true};  // credentials that nobody got are no harm
  sent.timeout = request.reach == Reach::host ? kHostTimeout : kInternetTimeout;
  auto answer = co_await client->send(std::move(sent));
  if (answer && answer->status >= 300 && answer->status < 400) {
    co_return std::unexpected(Error{.kind = ErrorKind::bad_reply,
                                    .text = shown + ": answers with a redirect (" +
                                            std::to_string(answer->status) + "): not followed",
                                    .status = answer->status,
                                    .reason = Reason::credentials_away});
  }
  if (answer) co_return answer;
  Error error = std::move(answer).error();
  const std::string address = url->text() + ": ";  // said already
  if (error.text.starts_with(address)) error.text.erase(0, address.size());
  error.text = shown + ": " + without_advice(std::move(error.text));
  if (is_outage(error.kind)) error.reason = Reason::credentials_away;
  co_return std::unexpected(std::move(error));
}

std::string form_escaped(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  constexpr std::string_view kPlain = "-_.~";
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x80 && std::isalnum(byte)) || kPlain.contains(c)) {
      out += c;
    } else {
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

}  // namespace keybearer::auth
