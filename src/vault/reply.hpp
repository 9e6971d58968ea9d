#pragma once
// What the server answered, as values of ours or as an Error. Pure. A server may be old, new,
// broken or hostile: unknown members are passed over, members of a wrong type make it a bad_reply,
// durations are kept within a century.

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/secret.hpp"
#include "http/client.hpp"
#include "vault/client.hpp"

namespace keybearer::vault {

// Is it the server itself that answered, and not a gateway in front of it?
[[nodiscard]] bool is_vault_response(const http::Response& response);

// What was asked, for the text of an error, and what must not be repeated in it.
struct Asked {
  std::string_view method, path;
  Token token = {};
  Secret body =
      {};  // its texts are masked wherever the server repeats them, but for the configuration's own
  bool repeatable = true;  // else an answer that can't be used may have been lost: lost_answer
  std::uint64_t* seen = nullptr;  // see Client::read
};

// Errors: "GET kv/data/app: 403 permission denied". KV v2's 404 for a deleted or destroyed version
// says so. An error that is not Vault's own (a page of a gateway) is an outage whatever its status:
// 5xx server, 429 throttled, 408 timeout, else bad_reply.
[[nodiscard]] result<Reply> parse_reply(http::Response response, const Asked& asked);

// A renewal that was answered, but not granted, whatever the status: refused, renewal_refused.
// Outages and denials (403) stay what they are.
[[nodiscard]] Error renewal_error(Error error);

// `data` of auth/token/lookup-self, told of `token`.
[[nodiscard]] result<Auth> parse_lookup(const Reply& reply, Token token);
[[nodiscard]] result<Mount> parse_mount(const Reply& reply);
// Any status: sys/health tells the state by it.
[[nodiscard]] result<Client::Health> parse_health(http::Response response);

// A 2xx answer without what was asked for: "an answer without WHAT".
[[nodiscard]] std::unexpected<Error> half_answer(std::string_view method, std::string_view path,
                                                 std::string_view what,
                                                 Reason reason = Reason::none);

}  // namespace keybearer::vault
