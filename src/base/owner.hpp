#pragma once
// User and group names to numbers, from /etc/passwd and /etc/group: a static program has no other
// name service.

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace keybearer {

struct Owner {
  std::optional<uid_t> user;
  std::optional<gid_t> group;
};

// Names or numbers; empty: unchanged. Error kind io: no such user.
[[nodiscard]] result<Owner> owner_of(const std::string& user, const std::string& group);

// The group of a user's line in /etc/passwd.
[[nodiscard]] std::optional<gid_t> primary_group_of(uid_t user);
// `group`, and all that list the user in /etc/group.
[[nodiscard]] std::vector<gid_t> supplementary_groups_of(const std::string& user, gid_t group);

}  // namespace keybearer
