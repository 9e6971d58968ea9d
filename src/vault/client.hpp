#pragma once
// Vault's HTTP API as far as keybearer uses it, over http::Client. Works for HashiCorp Vault and
// OpenBao: decides on status codes, never on error texts or token prefixes, and accepts unknown
// fields.
//
// Source: Vault HTTP API documentation; real answers in tests/contract.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/secret.hpp"
#include "http/client.hpp"
#include "json/value.hpp"
#include "vault/session.hpp"

namespace keybearer::vault {

// `auth` of an answer: what a login, a renewal or auth/token/create gives.
struct Auth {
  Token token;
  std::string accessor;
  std::vector<std::string> policies;
  std::string entity_id;
  std::map<std::string, std::string> metadata = {};
  std::string type;  // service, batch
  Duration ttl{};    // zero: never expires
  bool renewable = false;
  bool orphan = false;
  int num_uses = 0;  // 0: unlimited
  std::optional<Duration> explicit_max_ttl = {};
  Instant asked{};  // when the request was sent: `ttl` counts from then
};

struct Lease {
  std::string id;  // empty: none
  Duration ttl{};
  bool renewable = false;
  Instant asked{};  // when the request was sent: `ttl` counts from then
};

struct WrapInfo {
  Token token;
  std::string creation_path;
  Duration ttl{};
  std::string accessor = {}, wrapped_accessor = {};
  std::string creation_time = {};  // RFC 3339, as the server says it
};

// A 2xx answer (and the 404 with an envelope that KV v2 gives for a deleted version: not_found
// then).
struct Reply {
  Value body;  // the whole envelope as a map; nil after a 204
  Lease lease;
  std::optional<Auth> auth;
  std::optional<WrapInfo> wrap;
  std::vector<std::string> warnings;
  Instant asked{};  // when the request was sent: lifetimes in the answer count from then (T11)
  bool unchanged = false;  // what read() has seen before: nothing of it is here

  [[nodiscard]] const Value& data() const;  // body.data, or nil
};

// What a mount is, from sys/internal/ui/mounts.
struct Mount {
  std::string path;  // "secret/"
  std::string type;  // "kv"
  int kv_version = 1;
};

class Client {
 public:
  explicit Client(Session& session);  // shared with others; must outlive the client
  Client(std::unique_ptr<http::Client> http, SessionOptions options);  // with a session of its own
  Client(std::unique_ptr<http::Client> http, std::string vault_namespace);
  ~Client();

  [[nodiscard]] Session& session() const;
  // The same session in another namespace, with mounts of its own; this one for nullopt. Lives as
  // long as this one.
  [[nodiscard]] Client& in_namespace(const std::optional<std::string>& vault_namespace);

  // The token of all requests from now on; null: none. Only the auth loop sets it.
  void set_token(Token token);
  [[nodiscard]] const Token& token() const;

  // GET PATH (without /v1/); `query` comes escaped. Errors: denied 403, not_found 404, refused
  // other 4xx, throttled 429, sealed 412/472/473/503, server 5xx, and http's. The text is "GET
  // kv/data/app: 403 permission denied": the server's reason is trimmed to 300 characters and
  // masked wherever it repeats the token or a value of the request.
  // A Retry-After of the server holds a request back no longer than `latest`: the last moment of
  // what it keeps alive.
  // `seen`, for who looks again and again: an answer with the bytes that it is the fingerprint of,
  // but for their request_id, is `unchanged`, and not parsed. It becomes this answer's; 0: none, as
  // after an error. Must outlive the call.
  boost::asio::awaitable<result<Reply>> read(std::string path, std::string query = {},
                                             Instant latest = Instant::max(),
                                             std::uint64_t* seen = nullptr);
  boost::asio::awaitable<result<Reply>> write(std::string path, Secret json_body,
                                              Instant latest = Instant::max());  // PUT
  boost::asio::awaitable<result<Reply>> list(std::string path);                  // GET ?list=true

  // A `timeout` makes the HTTP client's own shorter, never longer.
  using Timeout = std::optional<Duration>;

  // POST auth/MOUNT/login without a token. `name_space` overrides the client's own. A 400 is
  // denied, a namespace that is not there config.
  boost::asio::awaitable<result<Auth>> login(std::string path, Secret json_body,
                                             std::optional<std::string> vault_namespace,
                                             Timeout timeout = {}, Instant latest = Instant::max());
  boost::asio::awaitable<result<Auth>> lookup_self(Token token, Timeout timeout = {});
  // Refused (Reason::renewal_refused) also when the server answers 204, 200 without a token, or 500
  // "failed to renew entry": the token lives on to its end.
  boost::asio::awaitable<result<Auth>> renew_self(std::optional<Duration> increment,
                                                  Timeout timeout = {},
                                                  Instant latest = Instant::max());
  // The same for a token that is not the client's (a minted one).
  boost::asio::awaitable<result<Auth>> renew_token(Token token, std::optional<Duration> increment,
                                                   Instant latest = Instant::max());
  // Revocations have at most 5 s, because they happen on the way out.
  boost::asio::awaitable<result<>> revoke_self(Token token);
  boost::asio::awaitable<result<Lease>> renew_lease(std::string lease_id,
                                                    std::optional<Duration> increment,
                                                    Instant latest = Instant::max());
  // Is it still there? Refused (400) when not.
  boost::asio::awaitable<result<>> lookup_lease(std::string lease_id);
  boost::asio::awaitable<result<>> revoke_lease(std::string lease_id, Token token);

  boost::asio::awaitable<result<WrapInfo>> wrapping_lookup(Token wrapping_token,
                                                           Timeout timeout = {});
  // sys/wrapping/wrap: `token` in a wrapping token, which can be unwrapped once and within `ttl`.
  boost::asio::awaitable<result<WrapInfo>> wrap(Token token, Duration ttl);
  boost::asio::awaitable<result<Reply>> unwrap(Token wrapping_token, Timeout timeout = {});

  // The mount that PATH lies in; a good answer is cached per mount, an error never is.
  boost::asio::awaitable<result<Mount>> mount_of(std::string path);
  // sys/capabilities-self, in the order of `paths`.
  boost::asio::awaitable<result<std::vector<std::vector<std::string>>>> capabilities_self(
      std::vector<std::string> paths);

  struct Health {
    bool initialized = false, sealed = false, standby = false;
    std::string version;
  };
  boost::asio::awaitable<result<Health>> health();

  [[nodiscard]] const http::Url& address() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace keybearer::vault
