#pragma once
// What makes two requests the same, and what an answer is for the cache. Pure.

#include <optional>
#include <string>
#include <string_view>

#include "base/secret.hpp"
#include "base/time.hpp"
#include "config/config.hpp"
#include "http/message.hpp"
#include "serve/token_guard.hpp"

namespace keybearer::serve {

// Method, path, parameters in order of their names, the body's JSON value, namespace, token and wrap
// TTL; nothing else. A digest of this process: no part of it can be read back.
struct KeyParts {
  std::string_view method, path, query, body, vault_namespace, token, wrap_ttl;
};
[[nodiscard]] std::string cache_key(const KeyParts& parts);

// May the answer be kept or shared at all? Reads of secrets; nothing below auth/ or sys/, but the
// KV preflight; nothing wrapped, upgraded or of a client that cares for the server's state.
[[nodiscard]] bool is_cacheable_request(const http::RequestHead& head, std::string_view method,
                                        std::string_view path);

// A login, or the making of a token: kept only where cache.tokens says so. Not where a header is a
// credential of its own.
[[nodiscard]] bool is_token_request(const http::RequestHead& head, std::string_view path);

enum class Cached { no, lease, kv, list, token };

struct CachedAnswer {
  Cached kind = Cached::no;
  std::string lease_id = {};
  std::string issued = {}, accessor = {};  // the token's digest, of a token
  Duration ttl{};                          // of a lease or token
  bool renewable = false;
  std::string version = {};   // of KV v2; empty: not told
  std::string metadata = {};  // the path to compare at: "kv/metadata/app"; empty: none
  // Where the number of the lease_duration stands in the body; both 0: nowhere.
  std::size_t duration_at = 0, duration_size = 0;
};
// `method`, `path`: as rules see them, the path without a namespace.
[[nodiscard]] CachedAnswer judge_answer(std::string_view method, std::string_view path,
                                        std::string_view query, int status,
                                        const http::Headers& headers, std::string_view body,
                                        const config::Cache& config);
[[nodiscard]] CachedAnswer judge_token(int status, const http::Headers& headers,
                                       std::string_view body);
// What an answer tells of a token's life: a login, a renewal, a look-up.
struct TokenSeen {
  std::string token;  // its digest
  Duration ttl{};     // zero: it never ends
};
[[nodiscard]] std::optional<TokenSeen> token_seen(std::string_view path, std::string_view body);
// The same body with what is left of the lease.
[[nodiscard]] Secret with_duration(std::string_view body, const CachedAnswer& answer,
                                   Duration left);

// What a request through the proxy takes out of the cache (rows of the peers' omissions).
struct Eviction {
  enum class What {
    nothing,
    lease,
    lease_prefix,
    renewed,
    path,
    tokens,
    token_renewed
  } what = What::nothing;
  std::string value = {};
  std::string other = {};  // of a lease: the one in the path where the body names one, too
};
// How tokens are known: never by themselves.
[[nodiscard]] std::string token_digest(std::string_view token);
[[nodiscard]] Eviction eviction_of(std::string_view method, std::string_view path,
                                   std::string_view body);

}  // namespace keybearer::serve
