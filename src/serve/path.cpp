#include "serve/path.hpp"

#include <optional>

#include "base/utf8.hpp"
#include "http/message.hpp"

namespace keybearer::serve {
namespace {

std::unexpected<Error> bad(std::string_view why) {
  Error error{ErrorKind::refused, "bad path: " + std::string(why)};
  error.status = 400;
  return std::unexpected(std::move(error));
}

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Nullopt: broken percent-encoding.
std::optional<std::string> decoded(std::string_view text, bool plus_is_blank) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_blank) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      const int high = i + 2 < text.size() ? hex(text[i + 1]) : -1;
      const int low = high >= 0 ? hex(text[i + 2]) : -1;
      if (low < 0) return std::nullopt;
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return out;
}

bool has_encoded_separator(std::string_view raw) {
  for (std::size_t i = 0; i + 2 < raw.size(); ++i) {
    if (raw[i] != '%') continue;
    const int byte = hex(raw[i + 1]) * 16 + hex(raw[i + 2]);
    if (byte == '/' || byte == '\\') return true;
  }
  return false;
}

result<> check_segments(std::string_view path) {
  path.remove_prefix(1);
  while (!path.empty()) {
    const auto slash = path.find('/');
    const std::string_view segment = path.substr(0, slash);
    if (segment.empty()) return bad("two slashes in a row");
    if (segment == "." || segment == "..") return bad("a dot segment");
    path.remove_prefix(slash == path.npos ? path.size() : slash + 1);
  }
  return {};
}

}  // namespace

std::string_view Target::trimmed() const {
  std::string_view out = path;
  while (out.starts_with('/')) out.remove_prefix(1);
  while (out.ends_with('/')) out.remove_suffix(1);
  return out;
}

result<Target> parse_target(std::string_view target) {
  Target out;
  if (const auto scheme = target.find("://"); scheme != target.npos && !target.starts_with('/')) {
    if (!http::same_name(target.substr(0, scheme), "http") &&
        !http::same_name(target.substr(0, scheme), "https"))
      return bad("its scheme is not http");
    std::string_view rest = target.substr(scheme + 3);
    const auto slash = rest.find_first_of("/?");
    out.authority = rest.substr(0, slash);
    if (out.authority.empty()) return bad("no host in it");
    target = slash == rest.npos ? "/" : rest.substr(slash);
  }
  if (!target.starts_with('/')) return bad("it begins with a slash");
  out.raw = target;
  const auto mark = target.find('?');
  const std::string_view raw = target.substr(0, mark);
  if (mark != target.npos) out.query = target.substr(mark + 1);
  if (has_encoded_separator(raw)) return bad("an encoded slash");
  auto path = decoded(raw, false);
  if (!path) return bad("broken percent-encoding");
  for (const char c : *path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) return bad("a control character");
    if (c == '\\') return bad("a backslash");
  }
  for (std::size_t at = 0; at < path->size();) {
    const Rune rune = decode_rune(std::string_view(*path).substr(at));
    if (!rune.valid()) return bad("not UTF-8");
    at += rune.width;
  }
  if (auto good = check_segments(*path); !good) return std::unexpected(good.error());
  out.path = *std::move(path);
  return out;
}

std::optional<std::string> query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const auto end = query.find('&');
    const std::string_view item = query.substr(0, end);
    const auto equals = item.find('=');
    const auto value = decoded(equals == item.npos ? "" : item.substr(equals + 1), true);
    // What Go's parser can't read, it passes over: the next of that name counts.
    if (value && !item.contains(';') && decoded(item.substr(0, equals), true) == name) return value;
    query.remove_prefix(end == query.npos ? query.size() : end + 1);
  }
  return std::nullopt;
}

std::string shown_path(std::string_view path) {
  // What may be in a path of these is behind them.
  for (const std::string_view verb : {"/lookup/", "/renew/", "/revoke/", "/revoke-orphan/",
                                      "/lookup-accessor/", "/revoke-accessor/", "/unwrap/"}) {
    const auto at = path.find(verb);
    if (at == path.npos) continue;
    const std::string_view before = path.substr(0, at);
    if (before.contains("auth/token") || before.contains("sys"))
      return std::string(path.substr(0, at + verb.size())) + "...";
  }
  std::string out;
  while (!path.empty()) {
    const auto slash = path.find('/');
    const std::string_view segment = path.substr(0, slash);
    bool token = false;
    for (const std::string_view prefix : {"hvs.", "hvb.", "hvr.", "s.", "b.", "r."})
      token = token || (segment.starts_with(prefix) && segment.size() > prefix.size() + 20);
    out += token ? std::string_view("...") : segment;
    if (slash != path.npos) out += '/';
    path.remove_prefix(slash == path.npos ? path.size() : slash + 1);
  }
  return out;
}

}  // namespace keybearer::serve
