#pragma once
// Which forward proxy a connection goes through, if any. Pure.
//
// An address of ours (vault.proxy_address, VAULT_PROXY_ADDR) holds for every server, as in Vault's
// own clients. The variables of all programs (HTTPS_PROXY, HTTP_PROXY) follow Go's rules: by the
// scheme of the server, never for loopback, and not for what NO_PROXY names. User and password of
// its URL are credentials of ours: they are in no text.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/secret.hpp"
#include "http/url.hpp"

namespace keybearer::http {

struct ProxyOptions {
  std::string address = {};  // for every server; with the name of where it was set
  std::string address_source = "vault.proxy_address";
  std::string https_proxy = {}, http_proxy = {}, no_proxy = {};  // of the environment
};

struct Proxy {
  Url url;
  std::string source;                                // "vault.proxy_address", "HTTPS_PROXY"
  std::shared_ptr<const Secret> authorization = {};  // "Basic ...", or null

  [[nodiscard]] std::string text() const { return url.text() + " (" + source + ")"; }
};

// "http://user:password@host:port", "host:port"; without a port 80, as in Go. Errors: config, without
// any part of the user info.
[[nodiscard]] result<Proxy> parse_proxy(std::string_view text, std::string_view source);

// nullopt: straight to the server. Errors: config.
[[nodiscard]] result<std::optional<Proxy>> proxy_for(const Url& server,
                                                     const ProxyOptions& options);

// Does NO_PROXY name this server? Hosts (also what is below them), addresses, networks, each with or
// without a port; "*" is every one.
[[nodiscard]] bool is_excepted(std::string_view no_proxy, const Url& server);

// The same text with *** for user and password, for people.
[[nodiscard]] std::string without_user_info(std::string_view text);

// What a proxy answered to CONNECT: nothing when the tunnel is there. `head`: all that it sent, up to
// the end of its header at least. Errors: network with Reason::proxy.
[[nodiscard]] result<> tunnel_is_open(std::string_view head, const Proxy& proxy, const Url& server);
[[nodiscard]] Error wants_credentials(const Proxy& proxy);

}  // namespace keybearer::http
