#include "http/url.hpp"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <cctype>
#include <charconv>

#include "http/scheme.hpp"

namespace keybearer::http {
namespace {

bool valid_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc{} && end == text.data() + text.size() && port >= 1 && port <= 65535;
}

bool valid_host(std::string_view host, bool bracketed) {
  if (host.empty() || host.size() > 253) return false;
  return std::ranges::all_of(host, [bracketed](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '_' ||
           (bracketed && (c == ':' || c == '%'));
  });
}

std::unexpected<Error> bad(std::string_view why) {
  return fail(ErrorKind::config,
              std::string(why) + "; expected http://HOST:PORT, https://HOST:PORT or unix:///PATH");
}

}  // namespace

bool take_scheme(std::string_view& text, std::string_view scheme) {
  const auto same = [](unsigned char a, unsigned char b) { return std::tolower(a) == b; };
  if (!std::ranges::equal(text.substr(0, scheme.size()), scheme, same)) return false;
  text.remove_prefix(scheme.size());
  return true;
}

result<Url> parse_url(std::string_view text) {
  Url url;
  if (take_scheme(text, "unix://")) {
    url.scheme = Url::Scheme::unix_socket;
    url.socket_path = text;
    if (!url.socket_path.starts_with('/')) return bad("a unix socket needs an absolute path");
    if (url.socket_path.size() > 107) return bad("the socket's path is longer than 107 bytes");
    return url;
  }
  if (take_scheme(text, "https://")) {
    url.scheme = Url::Scheme::https;
  } else if (take_scheme(text, "http://")) {
    url.scheme = Url::Scheme::http;
  } else {
    return bad("unknown or missing scheme");
  }

  const auto slash = std::min(text.find_first_of("/?#"), text.size());
  std::string_view authority = text.substr(0, slash);
  std::string_view path = text.substr(slash);
  if (authority.find('@') != std::string_view::npos)
    return bad("user and password do not belong in an address");
  if (path.find_first_of("?# \r\n\t") != std::string_view::npos)
    return bad("no query, fragment or blank in an address");
  while (path.ends_with('/')) path.remove_suffix(1);
  if (path.ends_with("/v1")) return bad("leave out /v1: every request adds it");
  url.prefix = path;

  std::string_view port;
  const bool bracketed = authority.starts_with('[');
  if (bracketed) {
    const auto close = authority.find(']');
    if (close == std::string_view::npos) return bad("missing ]");
    url.host = authority.substr(1, close - 1);
    authority.remove_prefix(close + 1);
    if (!authority.empty() && !authority.starts_with(':')) return bad("bad port");
    if (!authority.empty()) port = authority.substr(1);
  } else {
    const auto colon = authority.find(':');
    url.host = authority.substr(0, colon);
    if (colon != std::string_view::npos) port = authority.substr(colon + 1);
    if (colon != std::string_view::npos && port.empty()) return bad("bad port");
  }
  if (!valid_host(url.host, bracketed)) return bad("bad host name");
  for (char& c : url.host) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (port.empty()) port = url.scheme == Url::Scheme::https ? "443" : "80";
  if (!valid_port(port)) return bad("bad port");
  url.port = port;
  return url;
}

std::string Url::authority() const {
  if (scheme == Scheme::unix_socket) return "localhost";
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + port;
}

std::string Url::text() const {
  if (scheme == Scheme::unix_socket) return "unix://" + socket_path;
  return (scheme == Scheme::https ? "https://" : "http://") + authority() + prefix;
}

bool Url::is_loopback() const {
  if (scheme == Scheme::unix_socket || host == "localhost" || host == "localhost.") return true;
  boost::system::error_code error;  // 127.evil.example is a name, not an address
  const auto address = boost::asio::ip::make_address(host, error);
  return !error && address.is_loopback();
}

}  // namespace keybearer::http
