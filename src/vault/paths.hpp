#pragma once
// Request targets and bodies of Vault's API. Pure.

#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "base/secret.hpp"

namespace keybearer::vault {

// "/v1/secret/data/a%20b?version=2" of "secret/data/a b" and "version=2". Slashes at the start are
// dropped, each part is escaped as Go's url.URL does it. A part "." or ".." is refused: it would
// reach another path than the one that was asked for. In `query`, which comes escaped, only what
// would break the request line is escaped.
[[nodiscard]] result<std::string> target(std::string_view path, std::string_view query = {});

// {"name":"value",...}
using Member = std::pair<std::string_view, std::string_view>;
[[nodiscard]] Secret json_object(std::initializer_list<Member> members);
[[nodiscard]] Secret json_object(std::span<const Member> members);

// The body of sys/leases/renew: {"lease_id":"...","increment":1800}, the increment in seconds.
[[nodiscard]] Secret lease_renewal(std::string_view lease_id, std::optional<Duration> increment);

// "600s", as Vault reads durations. Whole seconds, rounded up.
[[nodiscard]] std::string seconds_text(Duration time);

// Whether `path` lies in the mount "secret/" ("secret" itself does, too).
[[nodiscard]] bool is_under_mount(std::string_view path, std::string_view mount);

// "sub/kv/" of "team-a/sub/kv/", asked in the namespace "team-a": OpenBao names a mount from the root
// on where the path names a part of the namespace.
[[nodiscard]] std::string_view within_namespace(std::string_view mount, std::string_view space);

}  // namespace keybearer::vault
