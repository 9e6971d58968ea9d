#pragma once
// Does an answer hold what was asked for? A gateway, or a server in trouble, may answer 204, or 200
// with half of it: that is a failed try, and the last good value stays. Pure.

#include <string_view>

#include "tmpl/template.hpp"
#include "vault/client.hpp"

namespace keybearer::secrets {

// What is missing in it, or of a wrong type: "data"; "": it is whole. `kv2`: what was answered
// before was KV v2, so this must be, too. A write may be answered with nothing at all.
[[nodiscard]] std::string_view missing_part(const tmpl::Dependency& dependency,
                                            const vault::Reply& reply, bool kv2);

}  // namespace keybearer::secrets
