#include "http/redirect.hpp"

#include <algorithm>

namespace keybearer::http {

result<RedirectTarget> follow(int status, std::string_view method, std::string_view location,
                              std::span<const Url> addresses, std::size_t from) {
  if ((status == 301 || status == 302) && method != "GET") {
    return fail(ErrorKind::bad_reply,
                "redirect " + std::to_string(status) + " of a " + std::string(method) + " refused");
  }
  if (!std::ranges::all_of(location, [](unsigned char c) { return c > ' ' && c != 0x7f; }))
    return fail(ErrorKind::bad_reply, "redirect to an address that can't be read, refused");
  if (location.starts_with('/') && !location.starts_with("//"))
    return RedirectTarget{from, std::string(location)};

  const auto authority = location.find("://");
  const auto path =
      authority == std::string_view::npos ? authority : location.find('/', authority + 3);
  const auto target =
      path == std::string_view::npos ? std::string_view("/") : location.substr(path);
  const auto origin = parse_url(location.substr(0, path));
  if (!origin)
    return fail(ErrorKind::bad_reply, "redirect to an address that can't be read, refused");
  if (addresses[from].scheme == Url::Scheme::https && origin->scheme == Url::Scheme::http) {
    return fail(ErrorKind::bad_reply, "redirect from https to " + origin->text() + " refused");
  }
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    const Url& known = addresses[i];
    if (known.scheme == origin->scheme && known.host == origin->host &&
        known.port == origin->port) {
      return RedirectTarget{i, std::string(target)};
    }
  }
  return fail(ErrorKind::bad_reply,
              "redirect to " + origin->text() + " refused: it is not in vault.address");
}

}  // namespace keybearer::http
