#pragma once
// AWS Signature Version 4. Pure.
//
// Source: AWS, "Create a signed AWS API request" (reference_sigv-create-signed-request), with the
// published test suite as tests/unit/auth/aws/sigv4_suite.jsonl.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/secret.hpp"
#include "base/time.hpp"

namespace keybearer::auth::aws {

struct SignedRequest {
  std::string_view method;
  std::string_view path;        // canonical: escaped and without "." and ".." parts
  std::string_view query = {};  // canonical: escaped and sorted
  // All of them are signed, in any order and case; values that repeat a name stay in order.
  std::vector<std::pair<std::string, std::string_view>> headers;
  std::string_view body = {};
};

// What a signature is good for.
struct Scope {
  std::string time;  // "20150830T123600Z"
  std::string region;
  std::string service;

  [[nodiscard]] std::string date() const { return time.substr(0, 8); }
  // "20150830/us-east-1/service/aws4_request"
  [[nodiscard]] std::string text() const;
};

// "20150830T123600Z"
[[nodiscard]] std::string amz_time(WallTime time);

// The steps, each of which AWS documents with its values. The first may hold a session token.
[[nodiscard]] Secret canonical_request(const SignedRequest& request);
[[nodiscard]] std::string signed_headers(const SignedRequest& request);  // "host;x-amz-date"
[[nodiscard]] std::string string_to_sign(const Scope& scope, std::string_view canonical_request);
[[nodiscard]] Secret signing_key(std::string_view secret_access_key, const Scope& scope);

// The value of the header Authorization.
[[nodiscard]] Secret authorization(const SignedRequest& request, const Scope& scope,
                                   std::string_view access_key_id,
                                   std::string_view secret_access_key);

}  // namespace keybearer::auth::aws
