#include "tmpl/go/go_url.hpp"

#include <algorithm>

#include "base/bytes.hpp"
#include "tmpl/go/go_strings.hpp"
#include "tmpl/go/ip_text.hpp"
#include "tmpl/go/strconv.hpp"
#include "tmpl/go/unicode.hpp"
#include "tmpl/work.hpp"

namespace keybearer::tmpl {
namespace {

// The parts of an address: each lets other characters stand unescaped.
enum class Part : std::uint8_t { path, host, zone, user, fragment };

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
bool stands(char c, Part part) {
  if (is_word(c)) return true;
  switch (part) {
    case Part::path:
      return std::string_view("-._~$&+,/:;=@").contains(c);
    case Part::host:
    case Part::zone:
      return std::string_view("-._~!\"$&'()*+,:;<=>[]").contains(c);
    case Part::user:
      return std::string_view("-._~$&+,;=").contains(c);
    case Part::fragment:
      return std::string_view("-._~!$&()*+,/:;=?@").contains(c);
  }
  return false;
}

std::string escaped(std::string_view text, Part part) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (stands(c, part)) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

using Text = std::expected<std::string, std::string>;

Text unescaped(std::string_view text, Part part) {
  const bool in_host = part == Part::host || part == Part::zone;
  spend(text.size());
  if (!in_host && !text.contains('%')) return std::string(text);
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c != '%') {
      if (in_host && static_cast<unsigned char>(c) < 0x80 && !stands(c, part))
        return std::unexpected("invalid character " + quote({&c, 1}) + " in host name");
      out += c;
      continue;
    }
    const auto bad_escape = [&] {
      return std::unexpected("invalid URL escape " + quote(text.substr(i, 3)));
    };
    if (i + 2 >= text.size() || hex_value(text[i + 1]) < 0 || hex_value(text[i + 2]) < 0)
      return bad_escape();
    const auto byte = static_cast<char>(hex_value(text[i + 1]) << 4 | hex_value(text[i + 2]));
    const bool is_percent = byte == '%';
    // In a host only what is not ASCII is escaped, and the percent sign of a zone.
    if (part == Part::host && static_cast<unsigned char>(byte) < 0x80 && !is_percent)
      return bad_escape();
    if (part == Part::zone && !is_percent && byte != ' ' && !stands(byte, Part::host))
      return bad_escape();
    out += byte;
    i += 2;
  }
  return out;
}

bool is_optional_port(std::string_view port) {
  if (port.empty()) return true;
  return port[0] == ':' && port.find_first_not_of("0123456789", 1) == std::string_view::npos;
}

// "[fe80::1%25en0]:80", taken apart at the last bracket.
Text bracketed_host(std::string_view host) {
  const auto close = host.rfind(']');
  if (close == std::string_view::npos) return std::unexpected("missing ']' in host");
  const std::string_view port = host.substr(close + 1);
  if (!is_optional_port(port))
    return std::unexpected("invalid port " + quote(port) + " after host");
  const std::string_view name = host.substr(1, close - 1);
  const auto zone_at = std::min(name.find("%25"), name.size());
  const Text address = unescaped(name.substr(0, zone_at), Part::host);
  if (!address) return address;
  const Text zone = unescaped(name.substr(zone_at), Part::zone);
  if (!zone) return zone;
  const std::string whole = *address + *zone;
  if (std::string wrong = ip_error(whole); !wrong.empty())
    return std::unexpected("invalid host: " + std::move(wrong));
  if (!whole.contains(':')) return std::unexpected("invalid IP-literal");  // IPv4
  return "[" + *address + *zone + "]" + std::string(port);
}

Text parsed_host(std::string_view scheme, std::string_view host) {
  const auto open = host.rfind('[');
  if (open != std::string_view::npos && open > 0) return std::unexpected("invalid IP-literal");
  if (open == 0) return bracketed_host(host);
  // Elsewhere (lists of hosts) other colons are let through.
  const bool strict = scheme == "http" || scheme == "https";
  const auto colon = strict ? host.find(':') : host.rfind(':');
  if (colon != std::string_view::npos && !is_optional_port(host.substr(colon)))
    return std::unexpected("invalid port " + quote(host.substr(colon)) + " after host");
  return unescaped(host, Part::host);
}

bool is_user_info(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    return is_word(c) || std::string_view("-._:~!$&'()*+,;=%@").contains(c);
  });
}

// What is wrong with it; nothing: it is in `url`.
std::optional<std::string> parse_authority(Url& url, std::string_view authority) {
  const auto at = authority.rfind('@');
  const bool has_user = at != std::string_view::npos;
  const Text host = parsed_host(url.scheme, has_user ? authority.substr(at + 1) : authority);
  if (!host) return host.error();
  url.host = *host;
  if (!has_user) return std::nullopt;
  const std::string_view info = authority.substr(0, at);
  if (!is_user_info(info)) return "net/url: invalid userinfo";
  const auto colon = info.find(':');
  const Text name = unescaped(info.substr(0, colon), Part::user);
  if (!name) return name.error();
  url.user = UserInfo{*name, std::nullopt};
  if (colon == std::string_view::npos) return std::nullopt;
  const Text password = unescaped(info.substr(colon + 1), Part::user);
  if (!password) return password.error();
  url.user->password = *password;
  return std::nullopt;
}

// How long "scheme" is before its colon; 0: there is none; nothing: the colon comes first.
std::optional<std::size_t> scheme_length(std::string_view raw) {
  for (std::size_t i = 0; i < raw.size(); ++i) {
    const char c = raw[i];
    if (c == ':') return i == 0 ? std::nullopt : std::optional(i);
    const bool later = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
    if (later ? i == 0 : !is_word(c)) return 0;
  }
  return 0;
}

// All but the fragment.
std::expected<Url, std::string> parse_front(std::string_view rest) {
  Url url;
  const auto is_control = [](unsigned char c) { return (c < ' ') | (c == 0x7F); };
  if (run_without(rest, is_control) < rest.size())
    return std::unexpected("net/url: invalid control character in URL");
  if (rest == "*") {
    url.path = "*";
  } else {
    const auto length = scheme_length(rest);
    if (!length) return std::unexpected("missing protocol scheme");
    url.scheme = mapped(rest.substr(0, *length), Case::lower);
    if (*length != 0) rest.remove_prefix(*length + 1);
    if (const auto mark = rest.find('?'); mark != std::string_view::npos) {
      url.query = rest.substr(mark + 1);
      rest = rest.substr(0, mark);
    }
    const bool is_rooted = rest.starts_with('/');
    if (!is_rooted && !url.scheme.empty()) {
      url.opaque = rest;
      rest = {};
    } else if (!is_rooted && rest.substr(0, rest.find('/')).contains(':')) {
      return std::unexpected("first path segment in URL cannot contain colon");
    }
    if (rest.starts_with("//") && (!url.scheme.empty() || !rest.starts_with("///"))) {
      const auto slash = std::min(rest.find('/', 2), rest.size());
      if (auto error = parse_authority(url, rest.substr(2, slash - 2)))
        return std::unexpected(std::move(*error));
      rest.remove_prefix(slash);
    }
    Text path = unescaped(rest, Part::path);
    if (!path) return std::unexpected(path.error());
    url.path = *std::move(path);
  }
  return url;
}

}  // namespace

std::string UserInfo::text() const {
  std::string out = escaped(name, Part::user);
  if (password) out += ":" + escaped(*password, Part::user);
  return out;
}

std::string Url::hostname() const {
  std::string_view name = host;
  const auto colon = name.rfind(':');
  if (colon != std::string_view::npos && is_optional_port(name.substr(colon)))
    name = name.substr(0, colon);
  if (name.starts_with('[') && name.ends_with(']')) name = name.substr(1, name.size() - 2);
  return std::string(name);
}

std::string Url::text() const {
  std::string out = scheme.empty() ? "" : scheme + ":";
  if (!opaque.empty()) {
    out += opaque;
  } else {
    const bool has_authority = !host.empty() || user;
    if (has_authority || (!scheme.empty() && !path.empty())) out += "//";
    if (user) out += user->text() + "@";
    out += escaped(host, Part::host);
    const std::string shown = path == "*" ? path : escaped(path, Part::path);
    if (!shown.empty() && shown[0] != '/' && !host.empty()) out += '/';
    // Else a first segment with a colon would be taken for a scheme.
    if (out.empty() && shown.substr(0, shown.find('/')).contains(':')) out += "./";
    out += shown;
  }
  if (!query.empty()) out += "?" + query;
  if (!fragment.empty()) out += "#" + escaped(fragment, Part::fragment);
  return out;
}

std::expected<Url, std::string> parse_url(std::string_view raw) {
  const auto hash = raw.find('#');
  const std::string_view front = raw.substr(0, hash);
  auto url = parse_front(front);
  if (!url) return url;
  if (hash != std::string_view::npos) {
    const Text fragment = unescaped(raw.substr(hash + 1), Part::fragment);
    if (!fragment) return std::unexpected(fragment.error());
    url->fragment = *fragment;
  }
  return url;
}

std::optional<std::string> query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    std::string pair(query.substr(0, query.find('&')));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    std::ranges::replace(pair, '+', ' ');
    const auto equals = std::min(pair.find('='), pair.size());
    const Text key = unescaped(std::string_view(pair).substr(0, equals), Part::path);
    if (pair.find(';') != std::string::npos || !key || *key != name) continue;
    const auto value = std::string_view(pair).substr(std::min(equals + 1, pair.size()));
    if (Text text = unescaped(value, Part::path)) return *std::move(text);
  }
  return std::nullopt;
}

}  // namespace keybearer::tmpl
