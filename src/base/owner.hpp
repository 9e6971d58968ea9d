#pragma once
// User and group names to numbers, from /etc/passwd and /etc/group: a static program has no other
// name service.

#include <sys/types.h>

#include <optional>
#include <string>

#include "base/error.hpp"

namespace keybearer {

struct Owner {
  std::optional<uid_t> user;
  std::optional<gid_t> group;
};

// Names or numbers; empty: unchanged. Error kind io: no such user.
[[nodiscard]] result<Owner> owner_of(const std::string& user, const std::string& group);

}  // namespace keybearer
