#include "http/proxy.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <cctype>
#include <charconv>

#include "http/scheme.hpp"

namespace keybearer::http {
namespace {

namespace ip = boost::asio::ip;

std::optional<ip::address> address_of(std::string_view text) {
  boost::system::error_code error;
  const auto address = ip::make_address(std::string(text), error);
  return error ? std::nullopt : std::optional(address);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// "host:port" and "[v6]:port"; a host alone has no port.
std::pair<std::string_view, std::string_view> split_port(std::string_view entry) {
  if (entry.starts_with('[')) {
    const auto close = entry.find(']');
    if (close == entry.npos) return {entry, {}};
    const auto rest = entry.substr(close + 1);
    return {entry.substr(1, close - 1), rest.starts_with(':') ? rest.substr(1) : ""};
  }
  const auto colon = entry.find(':');
  if (colon == entry.npos || entry.find(':', colon + 1) != entry.npos) return {entry, {}};
  return {entry.substr(0, colon), entry.substr(colon + 1)};
}

template <class Bytes>
bool same_bits(const Bytes& a, const Bytes& b, unsigned bits) {
  for (std::size_t i = 0; i < a.size() && bits > 0; ++i) {
    const unsigned used = std::min(bits, 8U);
    const auto mask = static_cast<unsigned char>(0xFF << (8 - used));
    if (((a[i] ^ b[i]) & mask) != 0) return false;
    bits -= used;
  }
  return true;
}

// "10.0.0.0/8"; nullopt: no network at all.
std::optional<bool> in_network(std::string_view entry, const std::optional<ip::address>& host) {
  const auto slash = entry.find('/');
  if (slash == entry.npos) return std::nullopt;
  const auto network = address_of(entry.substr(0, slash));
  unsigned bits = 0;
  const auto text = entry.substr(slash + 1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bits);
  if (!network || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (bits > (network->is_v4() ? 32U : 128U)) return std::nullopt;
  if (!host || host->is_v4() != network->is_v4()) return false;
  return host->is_v4() ? same_bits(host->to_v4().to_bytes(), network->to_v4().to_bytes(), bits)
                       : same_bits(host->to_v6().to_bytes(), network->to_v6().to_bytes(), bits);
}

bool names(std::string_view entry, const Url& server, const std::optional<ip::address>& address) {
  if (entry == "*") return true;
  if (const auto network = in_network(entry, address)) return *network;
  auto [host, port] = split_port(entry);
  if (host.empty() || (!port.empty() && port != server.port)) return false;
  if (const auto listed = address_of(host)) return address && *address == *listed;
  if (host.starts_with("*.")) host.remove_prefix(1);
  if (host.starts_with('.')) return server.host.ends_with(host);
  return server.host == host || server.host.ends_with("." + std::string(host));
}

std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    const char* const digits = text.data() + i + 1;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      out += static_cast<char>(byte);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string base64(const std::string& text) {
  std::string out((text.size() + 2) / 3 * 4 + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

Error proxy_error(const Proxy& proxy, std::string what) {
  return {.kind = ErrorKind::network,
          .text = "the proxy " + proxy.text() + " " + std::move(what),
          .reason = Reason::proxy};
}

}  // namespace

bool is_excepted(std::string_view no_proxy, const Url& server) {
  const auto address = address_of(server.host);
  const std::string all = lower(no_proxy);
  std::string_view rest = all;
  while (!rest.empty()) {
    const auto comma = std::min(rest.find(','), rest.size());
    const auto entry = trimmed(rest.substr(0, comma));
    if (!entry.empty() && names(entry, server, address)) return true;
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return false;
}

std::string without_user_info(std::string_view text) {
  const auto scheme = text.find("://");
  const auto begin = scheme == text.npos ? 0 : scheme + 3;
  const auto at = text.substr(0, text.find_first_of("/?#", begin)).rfind('@');
  if (at == text.npos || at < begin) return std::string(text);
  return std::string(text.substr(0, begin)) + "***" + std::string(text.substr(at));
}

result<Proxy> parse_proxy(std::string_view text, std::string_view source) {
  const auto wrong = [source](std::string_view why) {
    return fail(ErrorKind::config, std::string(source) + ": " + std::string(why) +
                                       "; expected http://[USER:PASSWORD@]HOST:PORT");
  };
  const bool has_scheme = text.find("://") != text.npos;
  if (has_scheme && !take_scheme(text, "http://"))
    return wrong("only plain http proxies are supported (they tunnel https)");
  text = text.substr(0, text.find_first_of("/?#"));
  const auto at = text.rfind('@');
  const auto url = parse_url("http://" + std::string(at == text.npos ? text : text.substr(at + 1)));
  if (!url) return wrong("not a host and port");
  Proxy proxy{.url = *url, .source = std::string(source)};
  if (at == text.npos || at == 0) return proxy;
  const auto user_info = text.substr(0, at);
  const auto colon = std::min(user_info.find(':'), user_info.size());
  const auto password = user_info.substr(std::min(colon + 1, user_info.size()));
  proxy.authorization = std::make_shared<const Secret>(
      "Basic " + base64(unescaped(user_info.substr(0, colon)) + ":" + unescaped(password)));
  return proxy;
}

result<std::optional<Proxy>> proxy_for(const Url& server, const ProxyOptions& options) {
  if (server.scheme == Url::Scheme::unix_socket) return std::optional<Proxy>();
  if (!options.address.empty()) return parse_proxy(options.address, options.address_source);
  const bool https = server.scheme == Url::Scheme::https;
  const std::string& text = https ? options.https_proxy : options.http_proxy;
  if (text.empty() || server.is_loopback() || is_excepted(options.no_proxy, server))
    return std::optional<Proxy>();
  return parse_proxy(text, https ? "HTTPS_PROXY" : "HTTP_PROXY");
}

Error wants_credentials(const Proxy& proxy) {
  return proxy_error(proxy, proxy.authorization != nullptr
                                ? "refuses the user and password of its address (407): correct them"
                                : "wants a user and a password (407): put them in its address, "
                                  "http://USER:PASSWORD@HOST:PORT");
}

result<> tunnel_is_open(std::string_view head, const Proxy& proxy, const Url& server) {
  const auto end = head.find("\r\n\r\n");
  int status = 0;
  if (end != head.npos && head.starts_with("HTTP/1.") && head.size() > 12)
    std::from_chars(head.data() + 9, head.data() + 12, status);
  const std::string where = server.authority();
  if (status < 100 || status > 599)
    return std::unexpected(proxy_error(proxy,
                                       "does not answer as an HTTP proxy does: is that its "
                                       "address and port?"));
  if (status == 407) return std::unexpected(wants_credentials(proxy));
  const std::string code = " (" + std::to_string(status) + ")";
  if (status == 403)
    return std::unexpected(proxy_error(proxy, "does not permit connections to " + where + code +
                                                  ": have it allowed there, or except the server "
                                                  "by NO_PROXY"));
  if (status == 400 || status == 404 || status == 405 || status == 501)
    return std::unexpected(
        proxy_error(proxy, "makes no tunnels" + code + ": is it a forward proxy?"));
  if (status < 200 || status > 299)
    return std::unexpected(proxy_error(proxy, "could not reach " + where + code));
  if (head.size() > end + 4)  // the server speaks only after us
    return std::unexpected(
        proxy_error(proxy, "answered with a page instead of a tunnel: is it a forward proxy?"));
  return {};
}

}  // namespace keybearer::http
