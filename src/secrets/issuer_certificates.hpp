#pragma once
// The certificates of issuers, for those who compare one that is kept on disk with them (S6). Each
// issuer is asked for once, however many certificates are waiting, and its answer is remembered for
// a minute: it is the server's answer of this start, not a cache to live with. Internal to secrets/.

#include <boost/asio/awaitable.hpp>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/event.hpp"
#include "vault/client.hpp"

namespace keybearer::secrets {

class IssuerCertificates {
 public:
  // PEM; "": the server does not tell (denied, not there, no answer). That is remembered, too.
  [[nodiscard]] boost::asio::awaitable<std::string> get(vault::Client& client, std::string path);

 private:
  struct Look {
    Event ended;
    bool in_flight = true;
    bool cancelled = false;  // it was cancelled before there was an answer
    Instant sent;
    std::string certificate;
  };
  // By the client, of which each namespace has its own, and the path.
  std::map<std::pair<const vault::Client*, std::string>, std::shared_ptr<Look>> looks_;
};

}  // namespace keybearer::secrets
