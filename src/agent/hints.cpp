#include "agent/hints.hpp"

namespace keybearer {

std::string hint(const Error& error) {
  switch (error.kind) {
    case ErrorKind::denied:
      return ": let the role's policy allow it (keybearer check --online lists what is missing)";
    case ErrorKind::not_found:
      if (error.text.find("no handler for route") != std::string::npos)
        return ": no secrets engine is mounted there; correct the path, or mount one";
      return ": write the secret, or make it optional (a default, or [[secret]] with optional = "
             "true)";
    case ErrorKind::refused:
      return ": correct the path or its parameters";
    case ErrorKind::network:
      return ": is the server up, and vault.address (VAULT_ADDR) right?";
    case ErrorKind::tls:
      return ": see vault.ca_cert (VAULT_CACERT), tls_server_name, client_cert";
    case ErrorKind::sealed:
      return ": unseal the server";
    case ErrorKind::bad_reply:
      if (error.text.find("not the server's own") != std::string::npos)
        return " See vault.address (VAULT_ADDR)";
      return ": is vault.address that of a Vault server, and max_response_size large enough?";
    default:
      return "";
  }
}

}  // namespace keybearer
