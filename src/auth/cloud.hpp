#pragma once
// Small requests to others than the Vault server: the metadata services of clouds, and the services
// that exchange one credential for another (AWS STS, Microsoft's login, Google's IAM Credentials).
//
//     const AuthMethodRegistration registration(          // a method that asks a cloud says so
//         "gcp", [](const config::Method& method, const CloudParts& cloud)
//                    -> std::unique_ptr<AuthMethod> { ... });
//     CloudHttp http_(cloud);                             // a member of the method
//     auto answer = co_await http_.send({.url = "http://metadata.google.internal/computeMetadata/...",
//                                        .headers = {{"Metadata-Flavor", "Google"}},
//                                        .wanted_header = "Metadata-Flavor"});
//     if (!answer) co_return std::unexpected(...);        // no answer: an outage kind
//     if (answer->status != 200) ...                      // any status but a redirect comes back
//     cloud.variable("GCE_METADATA_HOST")                 // "" where it is not set
//
// Metadata services (Reach::host) are asked straight, whatever proxies the environment names, and
// have 2 s to answer; public services (Reach::internet) go through HTTPS_PROXY, HTTP_PROXY, NO_PROXY
// as every program's requests, and have 10 s. Both: one try, at most 64 KiB, no redirect is followed.
// Nothing of it counts as a request to the server (S1), and no token of Vault's is ever sent.
//
// In tests: tests/support/fake_cloud.hpp.

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/secret.hpp"
#include "http/client.hpp"
#include "http/proxy.hpp"

namespace keybearer::auth {

// What such a method gets from outside. Everything may be empty: then there is no cloud to ask, and
// no variable is set.
struct CloudParts {
  std::function<std::unique_ptr<http::Client>(http::ClientOptions)> make_http = {};
  // Of the environment that keybearer was started with. Not for secrets: those are keys of the
  // method (config/methods/NAME.cpp), so that they are masked and withheld from the program.
  std::function<std::string(const std::string& name)> variable = {};
  http::ProxyOptions proxy = {};             // of the environment; never vault.proxy_address
  std::function<WallTime()> now = wall_now;  // for signatures, and for when credentials end
};

// Where a request goes.
enum class Reach {
  host,      // a service of this host, node or cluster
  internet,  // a public service
};

struct CloudRequest {
  std::string method = "GET";
  std::string url;  // "http://169.254.169.254/latest/api/token?x=y", already escaped
  std::vector<std::pair<std::string, std::string>> headers = {};  // nothing secret
  std::vector<std::pair<std::string, std::shared_ptr<const Secret>>> secret_headers = {};
  Secret body = {};
  std::string content_type = "application/x-www-form-urlencoded";
  std::string wanted_header = {};  // of the answer
  Reach reach = Reach::host;
  std::string ca_cert = {};  // a PEM file, where the system's authorities are not meant
};

class CloudHttp {
 public:
  explicit CloudHttp(const CloudParts& parts) : parts_(parts) {}

  // Any status but 3xx is an answer. Errors: an outage kind with Reason::credentials_away when none
  // came (a redirect is bad_reply); config when the URL is none. The text begins with the URL
  // without its query.
  [[nodiscard]] boost::asio::awaitable<result<http::Response>> send(CloudRequest request);

 private:
  CloudParts parts_;
  std::map<std::string, std::unique_ptr<http::Client>> clients_;  // by origin, reach and authority
};

// Text for application/x-www-form-urlencoded and for a query: all but unreserved characters escaped
// (RFC 3986 section 2.3).
[[nodiscard]] std::string form_escaped(std::string_view text);

}  // namespace keybearer::auth
