#pragma once
// Credentials from who hands them out: STS, the container's and the instance's metadata service, the
// portal of single sign-on.
//
// Errors of all: what went wrong, with whom, and what to do. An outage kind with
// Reason::credentials_away when they can't be asked now (no answer, 5xx, 429); denied when they
// answered no; config when a token file can't be used. Sources: as in documents.hpp.

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>

#include "auth/aws/keys.hpp"
#include "auth/aws/sources.hpp"
#include "auth/cloud.hpp"

namespace keybearer::auth::aws {

// AssumeRoleWithWebIdentity, unsigned. `token`: what the web identity's file holds now.
[[nodiscard]] boost::asio::awaitable<result<Keys>> assume_role(CloudHttp& http,
                                                               const Source& source, Secret token,
                                                               std::string ca_bundle);

// ECS and EKS Pod Identity. `token`: for the header Authorization; null: none.
[[nodiscard]] boost::asio::awaitable<result<Keys>> container_keys(
    CloudHttp& http, const Source& source, std::shared_ptr<const Secret> token);

inline constexpr const char* kSsoAdvice = "run aws sso login";  // only a person can
// The credentials of the role that single sign-on gives.
[[nodiscard]] boost::asio::awaitable<result<Keys>> sso_keys(CloudHttp& http, const Source& source,
                                                            const SsoToken& token, WallTime now,
                                                            std::string ca_bundle);

// The metadata of an EC2 instance, version 2: each request carries a token, which is fetched first,
// kept for its time, and fetched again when the service does not take it any more (401). Without an
// answer to the token's request, version 1 is tried where that is allowed.
class InstanceMetadata {
 public:
  // `http` must outlive it.
  explicit InstanceMetadata(CloudHttp& http) : http_(http) {}

  [[nodiscard]] boost::asio::awaitable<result<Keys>> keys(const Source& source);
  [[nodiscard]] boost::asio::awaitable<result<std::string>> region(const std::string& service,
                                                                   bool v1_allowed);

 private:
  [[nodiscard]] boost::asio::awaitable<result<http::Response>> get(const std::string& service,
                                                                   const char* path,
                                                                   std::string_view name,
                                                                   bool v1_allowed);
  [[nodiscard]] boost::asio::awaitable<result<>> fetch_token(const std::string& service,
                                                             bool v1_allowed);

  CloudHttp& http_;
  std::shared_ptr<const Secret> token_ = {};  // null with version 1
  std::optional<Instant> token_ends_ = {};    // nullopt: none was asked for yet
  bool token_lost_ = false;  // its request got no answer: the hop limit, most likely
};

}  // namespace keybearer::auth::aws
