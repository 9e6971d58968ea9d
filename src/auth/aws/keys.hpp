#pragma once
// A set of AWS credentials.

#include <memory>
#include <optional>
#include <string>

#include "base/secret.hpp"
#include "base/time.hpp"

namespace keybearer::auth::aws {

struct Keys {
  std::string access_key_id;  // not secret
  std::shared_ptr<const Secret> secret_access_key;
  std::shared_ptr<const Secret> session_token = {};  // null: a user's own keys, which do not end
  std::optional<WallTime> expires = {};              // nullopt: not known
};

}  // namespace keybearer::auth::aws
