#pragma once
// Who is at the other end of a connection, and who may reach a unix socket's file.

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace keybearer::http {

struct Peer {
  // By the kernel's word (SO_PEERCRED), of a unix socket: of the process that connected.
  struct Credentials {
    uid_t uid = 0;
    gid_t gid = 0;
    pid_t pid = 0;
    std::vector<gid_t> groups = {};  // its other groups
  };
  // Of a client certificate that was verified.
  struct Certificate {
    std::string common_name;
    std::vector<std::string> names;  // DNS names, e-mail addresses and URIs (SPIFFE ids)
  };
  std::string address;  // "10.0.0.7"; empty for a unix socket
  std::string reached;  // the address of ours that it connected to
  std::optional<Credentials> credentials = {};
  std::optional<Certificate> certificate = {};

  [[nodiscard]] bool is_local_socket() const { return credentials.has_value(); }
  // "uid:1000 pid:77", "CN=pos-1", "127.0.0.1": for logs.
  [[nodiscard]] std::string text() const;
};

// Of a unix socket's file; what is not set stays ours.
struct SocketOwner {
  mode_t mode = 0600;
  std::optional<uid_t> uid = {};
  std::optional<gid_t> gid = {};
  friend bool operator==(const SocketOwner&, const SocketOwner&) = default;
};

}  // namespace keybearer::http
