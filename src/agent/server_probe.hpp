#pragma once
// Where no one has asked the server anything for a while, /readyz does: the next one tells.

#include <boost/asio/awaitable.hpp>

#include "agent/lifecycle.hpp"
#include "vault/client.hpp"
#include "vault/session.hpp"

namespace keybearer {

class ServerProbe {
 public:
  // All must outlive the lifecycle's tasks.
  ServerProbe(vault::Client& client, const vault::Session& session, Lifecycle& lifecycle)
      : client_(client), session_(session), lifecycle_(lifecycle) {}

  // At most one at a time, and none while answers are young.
  void ask();

 private:
  static boost::asio::awaitable<void> run(ServerProbe* probe);

  vault::Client& client_;
  const vault::Session& session_;
  Lifecycle& lifecycle_;
  bool running_ = false;
  Instant asked_{};
};

}  // namespace keybearer
