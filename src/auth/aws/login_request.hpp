#pragma once
// What a login of type iam sends: a call sts:GetCallerIdentity, signed and not sent, which the
// server sends in our place to learn who signed it. Pure.
//
// Source: Vault API, auth/aws/login.

#include <string>
#include <string_view>

#include "auth/aws/keys.hpp"
#include "base/secret.hpp"
#include "base/time.hpp"

namespace keybearer::auth::aws {

// Where an identity is asked for, and what the signature is scoped to: always of one region.
struct StsEndpoint {
  std::string host;    // "sts.eu-west-1.amazonaws.com"
  std::string region;  // "eu-west-1"
  friend bool operator==(const StsEndpoint&, const StsEndpoint&) = default;
};

// Of a region, in its own partition (China, GovCloud and the others have domains of their own);
// "": the global one, which is signed for us-east-1. `fips`: AWS_USE_FIPS_ENDPOINT; where there is no
// such endpoint, GovCloud's are so by themselves.
[[nodiscard]] StsEndpoint sts_endpoint(std::string_view region, bool fips = false);

// "eu-west-1": letters, digits and dashes.
[[nodiscard]] bool is_region(std::string_view text);

struct LoginRequest {
  std::string_view role;          // "": the server takes the name in the identity
  std::string_view header_value;  // "": none
  StsEndpoint sts;
  WallTime now;
};

// The JSON body for auth/aws/login.
[[nodiscard]] Secret login_body(const LoginRequest& request, const Keys& keys);

// The header Authorization in it, for tests and for the redactor.
[[nodiscard]] Secret login_authorization(const LoginRequest& request, const Keys& keys);

}  // namespace keybearer::auth::aws
