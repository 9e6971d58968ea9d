#pragma once
// What an answer that is no success means, and its text for the log: whether the server itself said
// it or something in between, and nothing of what was sent. Internal to vault/. Rules: T12, S3.

#include <string>

#include "base/error.hpp"
#include "http/client.hpp"
#include "json/json.hpp"
#include "vault/reply.hpp"

namespace keybearer::vault {

inline constexpr json::Limits kReplyLimits{.max_depth = 64};

// The kind of an answer that is not 2xx. Not known here: that a 400 at a login is a denial.
[[nodiscard]] ErrorKind kind_of_status(int status);

// The server's own errors are objects with "errors", or its usual envelope (KV v2 for a deleted
// version, some plugins), or have no body at all.
[[nodiscard]] bool is_vault_body(const Value& body);
// Of an answer that is not the server's.
[[nodiscard]] std::string foreign_response_text(const http::Response& response);
// Of an answer that is not 2xx.
[[nodiscard]] Error error_of(const http::Response& response, const Asked& asked);
// A write whose answer can't be used, or came from a gateway, may have been done.
[[nodiscard]] Error may_be_lost(Error error, const Asked& asked);
// "GET kv/data/app: ..."
[[nodiscard]] Error in_request(const Asked& asked, Error error);

}  // namespace keybearer::vault
