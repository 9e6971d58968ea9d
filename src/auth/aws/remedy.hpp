#pragma once
// What a refusal of auth/aws/login means, and what to do about it. Pure.
//
// Source: answers of Vault 1.14's aws method and of STS, measured. Beyond the few words that are
// looked for here, texts are only shown: servers differ.

#include <string>

#include "auth/aws/login_request.hpp"
#include "base/error.hpp"

namespace keybearer::auth::aws {

struct LoginFacts {
  std::string mount, role;  // "": none was given
  std::string header_value;
  StsEndpoint sts;
  std::string source;  // of the credentials, for people
  std::string access_key_id;
  std::string expires;  // "": not known
  std::string now;      // by our clock
};

// The same error with what to do; an outage kind where the server could not ask STS, which passes by
// itself.
[[nodiscard]] Error explained(Error error, const LoginFacts& facts);

}  // namespace keybearer::auth::aws
