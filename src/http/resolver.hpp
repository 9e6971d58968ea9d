#pragma once
// The addresses of a host. A numeric one and "localhost" are known at once. Any other name is
// looked up by getaddrinfo(3) in a thread of its own that nobody ever joins: while a name server is
// silent it can't be ended, and must hold up neither a deadline nor the way out.
//
// Why not c-ares: it would spare the thread (one per name at a time, only while a look-up runs), but
// it knows neither /etc/gai.conf nor the C library's own handling of resolv.conf options, and is
// another parser of what a network sends, in a program that already has one. What spoke for it most,
// the name service modules of the host (libnss_*.so, of another C library than the one that is linked
// in), is closed without it: a static program looks hosts up in /etc/hosts and by DNS only
// (nss(5): "files dns"), whatever nsswitch.conf says, and loads no module. systemd-resolved is
// reached by its stub name server, as every program that knows only DNS does.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/address.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "http/deadline.hpp"

namespace keybearer::http {

using Addresses = std::vector<boost::asio::ip::address>;

class Resolver {
 public:
  // At least one; first the one that was good last. A name is looked up once at a time: who comes
  // later waits for the same answer. Errors: network, timeout.
  [[nodiscard]] boost::asio::awaitable<result<Addresses>> addresses(std::string host, Limit limit);
  void remember_working(const std::string& host, const boost::asio::ip::address& address);

 private:
  struct Lookup;
  [[nodiscard]] result<std::shared_ptr<Lookup>> join_or_start(const std::string& host);
  [[nodiscard]] boost::asio::awaitable<result<Addresses>> look_up(std::string host, Limit limit);

  std::map<std::string, std::weak_ptr<Lookup>> look_ups_;  // kept by their threads and waiters
  std::map<std::string, boost::asio::ip::address> good_;
};

}  // namespace keybearer::http
