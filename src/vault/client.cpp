#include "vault/client.hpp"

#include "base/event.hpp"
#include "base/redactor.hpp"
#include "json/json.hpp"
#include "vault/paths.hpp"
#include "vault/reply.hpp"

namespace keybearer::vault {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

// Revocations happen on the way out: a server that hangs must not hold up the exit.
constexpr Duration kRevokeTimeout = 5s;

struct Call {
  std::string method, path;
  std::string query = {};
  Token token = {};
  Secret body = {};
  std::optional<Duration> timeout = {};
  std::optional<std::string> vault_namespace = {};  // else the session's
  std::string wrap_ttl = {};                        // the answer is to be wrapped
  Traffic traffic = Traffic::secrets;
  bool repeatable = false;  // beyond GET: doing it twice does no harm
  Instant latest = Instant::max();
  Instant give_up_at = Instant::max();
  std::uint64_t* seen = nullptr;
};

Error in_call(std::string_view method, std::string_view path, Error error) {
  return std::move(error).within(std::string(method) + " " + std::string(path));
}

// Revocations have little time and are not worth a pause that the server asked for.
Call as_revocation(Call call) {
  const Instant now = Clock::now();
  call.timeout = kRevokeTimeout;
  call.traffic = Traffic::control;
  call.repeatable = true;
  call.latest = now + kRevokeTimeout / 2;
  call.give_up_at = now + kRevokeTimeout;
  return call;
}

result<> without_answer(result<Reply> reply) {
  if (!reply) return std::unexpected(std::move(reply).error());
  return {};
}

result<Auth> auth_of(result<Reply> reply, std::string_view path) {
  if (!reply) return std::unexpected(std::move(reply).error());
  if (reply->auth && reply->auth->token) return *std::move(reply->auth);
  const bool mfa =
      reply->auth && value_at(value_at(reply->body, "auth"), "mfa_requirement").is_map();
  return std::unexpected(
      in_call("POST", path,
              mfa ? Error{.kind = ErrorKind::denied,
                          .text = "the login asks for a second factor (MFA), which a program "
                                  "can't give",
                          .reason = Reason::mfa_required}
                  : Error{.kind = ErrorKind::bad_reply,
                          .text = "an answer without a token",
                          .reason = Reason::no_token_in_reply}));
}

// 400 is a no. So is the 500 of a name that the method can't have (a user "a@b" of userpass): nothing
// outside will change it.
bool is_login_refusal(const Error& error) {
  if (error.status == 400) return error.kind == ErrorKind::refused;
  return error.status == 500 && error.text.contains("failed to determine alias name");
}

// One probe of a mount that others wait for.
struct Probe {
  Event done;
  std::optional<Error> outage;  // shared by all who waited: asking again would only hammer
};

}  // namespace

struct Client::Impl {
  std::unique_ptr<Session> own;
  Session& session;
  std::optional<std::string> vault_namespace = {};             // else the session's
  std::map<std::string, std::unique_ptr<Client>> others = {};  // by namespace
  std::vector<Mount> mounts = {};
  std::map<std::string, std::shared_ptr<Probe>> probes = {};  // in flight, by the path's first part

  [[nodiscard]] const Token& token() const { return session.token(); }
  [[nodiscard]] const std::string& space() const {
    return vault_namespace ? *vault_namespace : session.vault_namespace();
  }

  http::Request request_of(const Call& call, std::string target) const {
    http::Request request{.method = call.method,
                          .target = std::move(target),
                          .headers = {{"X-Vault-Request", "true"}},
                          .token = call.token,
                          .body = call.body.clone(),
                          .timeout = call.timeout,
                          .repeatable = call.repeatable};
    const std::string& there = call.vault_namespace ? *call.vault_namespace : space();
    if (!there.empty()) request.headers.emplace_back("X-Vault-Namespace", there);
    if (!call.wrap_ttl.empty()) request.headers.emplace_back("X-Vault-Wrap-TTL", call.wrap_ttl);
    return request;
  }

  asio::awaitable<result<Reply>> send(Call call) {
    auto target_text = target(call.path, call.query);
    if (!target_text) {
      co_return std::unexpected(in_call(call.method, call.path, std::move(target_text).error()));
    }
    const std::string there = call.vault_namespace ? *call.vault_namespace : space();
    auto request = request_of(call, *std::move(target_text));
    const bool repeatable = http::is_repeatable(request), login = !call.token;
    auto response =
        co_await session.send(std::move(request), call.traffic, call.latest, call.give_up_at);
    if (!response) {
      co_return std::unexpected(in_call(call.method, call.path, std::move(response).error()));
    }
    const Asked asked{.method = call.method,
                      .path = call.path,
                      .token = std::move(call.token),
                      .body = std::move(call.body),
                      .repeatable = repeatable,
                      .seen = call.seen};
    auto reply = parse_reply(*std::move(response), asked);
    if (!reply && reply.error().reason == Reason::no_namespace) {
      reply.error().text += ": \"" + there + "\"; correct vault.namespace (VAULT_NAMESPACE) or " +
                            (login ? "auto_auth.method.namespace" : "that of its [[secret]]");
    }
    co_return reply;
  }

  asio::awaitable<result<Auth>> renew(Token which, std::optional<Duration> increment,
                                      std::optional<Duration> timeout, Instant latest) {
    Call call{.method = "POST",
              .path = "auth/token/renew-self",
              .token = std::move(which),
              .timeout = timeout,
              .traffic = Traffic::control,
              .repeatable = true,
              .latest = latest};
    call.body =
        increment ? json_object({{"increment", seconds_text(*increment)}}) : json_object({});
    const Token renewed = call.token;
    auto reply = co_await send(std::move(call));
    // The token itself may be left out of what is said of it.
    if (reply && reply->auth && !reply->auth->token) reply->auth->token = renewed;
    auto auth = auth_of(std::move(reply), "auth/token/renew-self");
    if (!auth) co_return std::unexpected(renewal_error(std::move(auth).error()));
    co_return auth;
  }

  const Mount* known_mount(std::string_view path) const {
    for (const Mount& mount : mounts) {
      if (is_under_mount(path, mount.path)) return &mount;
    }
    return nullptr;
  }

  asio::awaitable<result<Mount>> probe(std::string path) {
    Call call{.method = "GET", .path = "sys/internal/ui/mounts/" + path, .token = token()};
    auto reply = co_await send(std::move(call));
    if (!reply) {
      Error error = std::move(reply).error();
      if (error.kind == ErrorKind::denied || error.kind == ErrorKind::not_found) {
        error.text += "; no secrets engine at " + path + ", or no right to know it";
      }
      co_return std::unexpected(std::move(error));
    }
    auto mount = parse_mount(*reply);
    // The server names the mounts of auth methods without auth/.
    if (mount && path.starts_with("auth/") && !mount->path.starts_with("auth/"))
      mount->path.insert(0, "auth/");
    if (mount && !is_under_mount(path, mount->path))
      mount->path = std::string(within_namespace(mount->path, space()));
    if (mount && !is_under_mount(path, mount->path)) {
      mount = fail(ErrorKind::bad_reply, "the answer is about another mount, " + mount->path);
    }
    if (!mount) co_return std::unexpected(in_call("GET", path, std::move(mount).error()));
    mounts.push_back(*mount);
    co_return mount;
  }
};

const Value& Reply::data() const {
  return value_at(body, "data");
}

Client::Client(Session& session) : impl_(new Impl{.own = nullptr, .session = session}) {}
Client::Client(std::unique_ptr<http::Client> http, SessionOptions options) {
  auto own = std::make_unique<Session>(std::move(http), std::move(options));
  Session& session = *own;
  impl_.reset(new Impl{.own = std::move(own), .session = session});
}
Client::Client(std::unique_ptr<http::Client> http, std::string vault_namespace)
    : Client(std::move(http), SessionOptions{.vault_namespace = std::move(vault_namespace)}) {}
Client::~Client() = default;

Client& Client::in_namespace(const std::optional<std::string>& vault_namespace) {
  if (!vault_namespace) return *this;
  auto& other = impl_->others[*vault_namespace];
  if (!other) {
    other = std::make_unique<Client>(impl_->session);
    other->impl_->vault_namespace = vault_namespace;
  }
  return *other;
}

Session& Client::session() const {
  return impl_->session;
}
void Client::set_token(Token token) {
  impl_->session.set_token(std::move(token));
}
const Token& Client::token() const {
  return impl_->token();
}
const http::Url& Client::address() const {
  return impl_->session.address();
}

asio::awaitable<result<Reply>> Client::read(std::string path, std::string query, Instant latest,
                                            std::uint64_t* seen) {
  Call call{.method = "GET",
            .path = std::move(path),
            .query = std::move(query),
            .token = token(),
            .latest = latest,
            .seen = seen};
  co_return co_await impl_->send(std::move(call));
}

asio::awaitable<result<Reply>> Client::write(std::string path, Secret json_body, Instant latest) {
  Call call{.method = "PUT",
            .path = std::move(path),
            .token = token(),
            .body = std::move(json_body),
            .latest = latest};
  co_return co_await impl_->send(std::move(call));
}

asio::awaitable<result<Reply>> Client::list(std::string path) {
  return read(std::move(path), "list=true");
}

asio::awaitable<result<Auth>> Client::login(std::string path, Secret json_body,
                                            std::optional<std::string> vault_namespace,
                                            Timeout timeout, Instant latest) {
  Call call{.method = "POST",
            .path = path,
            .body = std::move(json_body),
            .timeout = timeout,
            .vault_namespace = std::move(vault_namespace),
            .traffic = Traffic::control,
            .latest = latest};
  auto reply = co_await impl_->send(std::move(call));
  if (!reply && is_login_refusal(reply.error())) reply.error().kind = ErrorKind::denied;
  if (!reply && reply.error().reason == Reason::no_namespace)
    reply.error().kind = ErrorKind::config;
  co_return auth_of(std::move(reply), path);
}

asio::awaitable<result<Auth>> Client::lookup_self(Token token, Timeout timeout) {
  Call call{.method = "GET",
            .path = "auth/token/lookup-self",
            .token = token,
            .timeout = timeout,
            .traffic = Traffic::control};
  const auto reply = co_await impl_->send(std::move(call));
  if (!reply) co_return std::unexpected(reply.error());
  auto auth = parse_lookup(*reply, std::move(token));
  if (!auth) {
    co_return std::unexpected(in_call("GET", "auth/token/lookup-self", std::move(auth).error()));
  }
  co_return auth;
}

asio::awaitable<result<Auth>> Client::renew_self(std::optional<Duration> increment, Timeout timeout,
                                                 Instant latest) {
  return impl_->renew(token(), increment, timeout, latest);
}

asio::awaitable<result<Auth>> Client::renew_token(Token token, std::optional<Duration> increment,
                                                  Instant latest) {
  return impl_->renew(std::move(token), increment, {}, latest);
}

asio::awaitable<result<>> Client::revoke_self(Token token) {
  Call call{.method = "POST", .path = "auth/token/revoke-self", .token = std::move(token)};
  co_return without_answer(co_await impl_->send(as_revocation(std::move(call))));
}

asio::awaitable<result<Lease>> Client::renew_lease(std::string lease_id,
                                                   std::optional<Duration> increment,
                                                   Instant latest) {
  Call call{.method = "PUT",
            .path = "sys/leases/renew",
            .token = token(),
            .body = lease_renewal(lease_id, increment),
            .traffic = Traffic::control,
            .repeatable = true,
            .latest = latest};
  auto reply = co_await impl_->send(std::move(call));
  if (!reply) co_return std::unexpected(renewal_error(std::move(reply).error()));
  if (reply->body.is_nil()) {  // a 204 grants nothing
    co_return std::unexpected(in_call("PUT", "sys/leases/renew",
                                      {.kind = ErrorKind::refused,
                                       .text = "204, an answer without a lease",
                                       .status = 204,
                                       .reason = Reason::renewal_refused}));
  }
  co_return std::move(reply->lease);
}

asio::awaitable<result<>> Client::lookup_lease(std::string lease_id) {
  Call call{.method = "PUT",
            .path = "sys/leases/lookup",
            .token = token(),
            .body = json_object({{"lease_id", lease_id}}),
            .repeatable = true};
  co_return without_answer(co_await impl_->send(std::move(call)));
}

asio::awaitable<result<>> Client::revoke_lease(std::string lease_id, Token token) {
  if (!token) token = impl_->token();
  Call call{.method = "PUT",
            .path = "sys/leases/revoke",
            .token = std::move(token),
            .body = json_object({{"lease_id", lease_id}})};
  co_return without_answer(co_await impl_->send(as_revocation(std::move(call))));
}

asio::awaitable<result<WrapInfo>> Client::wrapping_lookup(Token wrapping_token, Timeout timeout) {
  Call call{.method = "POST",
            .path = "sys/wrapping/lookup",
            .body = json_object({{"token", wrapping_token->reveal()}}),
            .timeout = timeout,
            .traffic = Traffic::control,
            .repeatable = true};
  const auto reply = co_await impl_->send(std::move(call));
  if (!reply) co_return std::unexpected(reply.error());
  WrapInfo wrap;
  wrap.token = std::move(wrapping_token);
  wrap.creation_path = text_at(reply->data(), "creation_path");
  wrap.ttl = std::chrono::seconds(int_at(reply->data(), "creation_ttl"));
  if (wrap.creation_path.empty())  // half an answer tells of no theft
    co_return half_answer("POST", "sys/wrapping/lookup", "a creation_path");
  co_return wrap;
}

asio::awaitable<result<WrapInfo>> Client::wrap(Token wrapped, Duration ttl) {
  Call call{.method = "PUT",
            .path = "sys/wrapping/wrap",
            .token = token(),
            .body = json_object({{"token", wrapped->reveal()}}),
            .wrap_ttl = seconds_text(ttl),
            .traffic = Traffic::control,
            .repeatable = true};  // a wrapping token that nobody has ends by itself
  auto reply = co_await impl_->send(std::move(call));
  if (!reply) co_return std::unexpected(std::move(reply).error());
  if (!reply->wrap || !reply->wrap->token)
    co_return half_answer("PUT", "sys/wrapping/wrap", "a wrapping token");
  co_return *std::move(reply->wrap);
}

asio::awaitable<result<Reply>> Client::unwrap(Token wrapping_token, Timeout timeout) {
  Call call{.method = "POST",
            .path = "sys/wrapping/unwrap",
            .token = std::move(wrapping_token),
            .timeout = timeout,
            .traffic = Traffic::control};
  auto reply = co_await impl_->send(std::move(call));
  const bool has_data = reply && reply->data().is_map() && !reply->data().entries().empty();
  if (reply && !has_data && !reply->auth)
    co_return half_answer("POST", "sys/wrapping/unwrap", "what was wrapped", Reason::lost_answer);
  if (!has_data) co_return reply;                           // a token
  for (const auto& [key, value] : reply->data().entries())  // a secret_id
    if (value.is_text()) redactor().add_credential(value.as_text());
  co_return reply;
}

asio::awaitable<result<Mount>> Client::mount_of(std::string path) {
  const auto key = path.substr(0, path.find('/'));
  for (;;) {
    if (const Mount* known = impl_->known_mount(path)) co_return *known;
    const auto in_flight = impl_->probes.find(key);
    if (in_flight == impl_->probes.end()) break;
    const auto probe = in_flight->second;
    (void)co_await probe->done.wait(0);
    if (probe->outage) co_return std::unexpected(*probe->outage);
  }
  struct Landing {
    Impl& impl;
    const std::string& key;
    std::shared_ptr<Probe> probe;
    ~Landing() {
      impl.probes.erase(key);
      probe->done.set();
    }
  };
  const Landing landing{*impl_, key,
                        impl_->probes.emplace(key, std::make_shared<Probe>()).first->second};
  auto mount = co_await impl_->probe(path);
  if (!mount && is_outage(mount.error().kind)) landing.probe->outage = mount.error();
  co_return mount;
}

asio::awaitable<result<std::vector<std::vector<std::string>>>> Client::capabilities_self(
    std::vector<std::string> paths) {
  List wanted(paths.begin(), paths.end());
  Value body = Value::map();
  body.set("paths", Value::list(std::move(wanted)));
  Call call{.method = "POST",
            .path = "sys/capabilities-self",
            .token = token(),
            .body = Secret(json::write(body)),
            .repeatable = true};
  const auto reply = co_await impl_->send(std::move(call));
  if (!reply) co_return std::unexpected(reply.error());
  std::vector<std::vector<std::string>> out;
  for (const auto& path : paths) {
    auto& rights = out.emplace_back();
    const Value& given = value_at(reply->data(), path);
    if (!given.is_list()) continue;
    for (const Value& right : given.items()) {
      if (right.is_text()) rights.emplace_back(right.as_text());
    }
  }
  co_return out;
}

// Asked in the root namespace, without a token: sys/health knows no other.
asio::awaitable<result<Client::Health>> Client::health() {
  http::Request request{
      .method = "GET", .target = "/v1/sys/health", .headers = {{"X-Vault-Request", "true"}}};
  auto response = co_await impl_->session.send(std::move(request), Traffic::control);
  if (!response)
    co_return std::unexpected(in_call("GET", "sys/health", std::move(response).error()));
  auto health = parse_health(*std::move(response));
  if (!health) co_return std::unexpected(in_call("GET", "sys/health", std::move(health).error()));
  co_return health;
}

}  // namespace keybearer::vault
