#include "vault/hints.hpp"

namespace keybearer {
namespace {

// Of "GET pki/issue/web: 405 unsupported operation".
std::string_view path_of(std::string_view text) {
  const auto begin = text.find(' ');
  const auto end = text.find(": ");
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) return {};
  std::string_view path = text.substr(begin + 1, end - begin - 1);
  constexpr std::string_view kProbe = "sys/internal/ui/mounts/";  // asked of the path behind it
  if (path.starts_with(kProbe)) path.remove_prefix(kProbe.size());
  return path;
}

}  // namespace

std::string hint(const Error& error) {
  const std::string path(path_of(error.text));
  if (error.status >= 400 && error.status < 500 && path.starts_with("v1/"))
    return ": leave out v1/: write " + path.substr(3);
  if (error.status == 405 && error.text.starts_with("GET ")) {
    return ": this path must be written: secret \"" + path +
           "\" \"key=value\" (pki: \"common_name=...\"), or [[secret]] with data";
  }
  if (error.reason == Reason::credentials_away || error.reason == Reason::no_namespace)
    return "";  // its text says what to do
  switch (error.kind) {
    case ErrorKind::denied:
      return ": let the role's policy allow it (keybearer check --online lists what is missing)";
    case ErrorKind::not_found:
      if (error.reason == Reason::no_mount && error.text.find("engine at v1/") != std::string::npos)
        return ": leave out v1/, a path begins with its mount (kv/data/app)";
      if (error.reason == Reason::no_mount &&
          error.text.find("no auth method at") != std::string::npos)
        return ": no auth method is enabled there; correct the path, or enable one";
      if (error.reason == Reason::no_mount)
        return ": no secrets engine is mounted there; correct the path, or mount one";
      if (path.find_first_of("#?") != std::string::npos)
        return ": # and ? are a part of the name here; a key stands in `key`, a version in "
               "[[secret]]";
      return ": write the secret, or make it optional (a default, or [[secret]] with optional = "
             "true)";
    case ErrorKind::refused:
      return ": correct the path or its parameters";
    case ErrorKind::network:
      if (error.reason == Reason::proxy) return "";  // its text says what to do
      if (error.text.ends_with("too many open files"))
        return ": raise the limit of descriptors (ulimit -n, LimitNOFILE)";
      if (error.text.find(": https://127.0.0.1:8200: ") != std::string::npos)
        return ": is the server up, and that its address? It is the default: set vault.address "
               "(VAULT_ADDR)";
      return ": is the server up, and vault.address (VAULT_ADDR) right?";
    case ErrorKind::tls:
      if (error.reason != Reason::none) return "";  // its text says what to do
      return ": see vault.ca_cert (VAULT_CACERT), tls_server_name, client_cert";
    case ErrorKind::sealed:
      if (error.status == 472 || error.status == 473 || error.status == 429)
        return ": this node is a standby: name the active one, or a load balancer before all";
      if (error.status == 412) return "";  // it is tried again, and its text says what it is
      return ": unseal the server";
    case ErrorKind::throttled:
      return ": the server limits requests (sys/quotas/rate-limit): raise its limit, or ask less "
             "often (template_config.static_secret_render_interval, vault.budget)";
    case ErrorKind::bad_reply:
      if (error.reason == Reason::foreign_response) return "";  // its text says what to do
      if (error.text.find("vault.max_response_size") != std::string::npos) return "";  // the same
      return ": is vault.address that of a Vault server?";
    default:
      return "";
  }
}

}  // namespace keybearer
