#pragma once
// A Vault server in memory, behind the HTTP seam: AppRole logins, KV 2, database roles with leases,
// token and lease life on the frozen clock. It records every request, can be away, deny paths, and
// fail the request of a chosen number.
//
//     auto server = std::make_unique<test::ModelServer>();
//     server->kv["kv/app"] = {1, R"({"key":"canary-1"})"};
//     server->roles["database/creds/app"] = {.ttl = 1h, .max_ttl = 24h};
//     server->away = ErrorKind::network;                       // until it is reset
//     server->fail_at = 3;                                     // the fourth request gets no answer
//
// Ends of tokens and leases are checked at each request: what has ended is gone.

#include <boost/asio/awaitable.hpp>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/timer.hpp"
#include "http/client.hpp"
#include "json/json.hpp"

namespace keybearer::test {

using namespace std::chrono_literals;

class ModelServer : public http::Client {
 public:
  struct Kv {
    int version = 1;
    std::string data;  // a JSON object
  };
  struct Role {
    Duration ttl = 1h;
    Duration max_ttl = 24h;
    bool renewable = true;
  };
  struct Lease {
    std::string id, path, token, user;
    Instant issued, end;
    Duration max_ttl{};
    bool revoked = false;
    [[nodiscard]] bool alive() const { return !revoked && Clock::now() < end; }
  };
  struct Token {
    std::string id;
    Instant issued, end;
    bool revoked = false;
    [[nodiscard]] bool alive() const { return !revoked && Clock::now() < end; }
  };
  struct Asked {
    std::string route, token, body;
    Instant at;
    std::string vault_namespace = {};
    int status = 0;  // 0: no answer
  };

  // How it behaves.
  std::map<std::string, Kv> kv;       // "kv/app"
  std::map<std::string, Role> roles;  // "database/creds/app"
  Duration token_ttl = 1h;
  Duration token_max_ttl = 24h * 30;
  bool token_renewable = true;
  bool login_allowed = true;
  std::set<std::string> denied;       // "GET kv/data/app"
  std::map<std::string, int> broken;  // the same: always this status
  std::optional<ErrorKind> away;      // no answer to anything
  std::optional<long> fail_at;        // no answer to this request, from 0
  std::optional<std::pair<int, std::string>> status_for_all = {};  // a page of its own

  // What happened.
  std::vector<Asked> asked;
  std::map<std::string, Lease> leases;
  std::map<std::string, Token> tokens;
  int logins = 0;
  std::map<std::string, std::string> wrapped;  // wrapping token -> what it wraps
  std::vector<std::string> wrap_ttls;

  [[nodiscard]] long count(std::string_view route) const {
    long n = 0;
    for (const Asked& each : asked) n += each.route.starts_with(route) ? 1 : 0;
    return n;
  }
  [[nodiscard]] long most_in_a_minute() const {
    long most = 0;
    for (std::size_t i = 0, first = 0; i < asked.size(); ++i) {
      while (asked[i].at - asked[first].at >= 60s) ++first;
      most = std::max(most, static_cast<long>(i - first + 1));
    }
    return most;
  }
  [[nodiscard]] const Lease* lease_of(const std::string& user) const {
    for (const auto& [id, lease] : leases)
      if (lease.user == user) return &lease;
    return nullptr;
  }
  [[nodiscard]] std::vector<const Lease*> living_leases() const {
    std::vector<const Lease*> out;
    for (const auto& [id, lease] : leases)
      if (lease.alive() && tokens.at(lease.token).alive()) out.push_back(&lease);
    return out;
  }
  void put(const std::string& path, std::string data) {
    Kv& secret = kv[path];
    ++secret.version;
    secret.data = std::move(data);
  }
  void lose_tokens() {
    for (auto& [id, token] : tokens) token.revoked = true;
  }

  boost::asio::awaitable<result<http::Response>> send(http::Request request) override {
    Asked now{.route = request.method + " " + request.target.substr(4),
              .token = request.token ? std::string(request.token->reveal()) : "",
              .body = std::string(request.body.reveal()),
              .at = Clock::now()};
    const long number = static_cast<long>(asked.size());
    asked.push_back(now);
    if (away) co_return fail(*away, "no answer");
    if (fail_at == number) co_return fail(ErrorKind::network, "no answer (chosen)");
    for (const auto& [name, value] : request.headers) {
      if (name == "X-Vault-Wrap-TTL") wrap_ttls.push_back(value);
      if (name == "X-Vault-Namespace")
        asked[static_cast<std::size_t>(number)].vault_namespace = value;
    }
    auto [status, body] = status_for_all ? *status_for_all : answer(now);
    asked[static_cast<std::size_t>(number)].status = status;
    http::Response response;
    response.status = status;
    response.asked = now.at;
    response.content_type = status_for_all ? "text/html" : "application/json";
    response.body = Secret(body);
    co_return response;
  }
  [[nodiscard]] const http::Url& address() const override { return url_; }

 private:
  using Reply = std::pair<int, std::string>;
  static Reply error(int status, const std::string& text) {
    return {status, R"({"errors":[")" + text + R"("]})"};
  }
  static std::string field(const std::string& body, const std::string& name) {
    const auto parsed = json::parse(body);
    return parsed ? std::string(text_at(*parsed, name)) : "";
  }
  static std::string seconds(Duration time) { return std::to_string(time.count() / 1000); }

  std::string auth(const Token& token) const {
    return R"({"auth":{"client_token":")" + token.id + R"(","accessor":"acc-)" +
           token.id.substr(17) +
           R"(","policies":["app"],"entity_id":"e","token_type":"service","lease_duration":)" +
           seconds(token.end - Clock::now()) + R"(,"renewable":)" +
           (token_renewable ? "true" : "false") + "}}";
  }

  Reply login() {
    if (!login_allowed) return error(400, "invalid role or secret ID");
    ++logins;
    Token token{.id = "hvs.canary-token-" + std::to_string(logins),
                .issued = Clock::now(),
                .end = Clock::now() + token_ttl};
    tokens[token.id] = token;
    return {200, auth(token)};
  }

  Reply answer(const Asked& now) {
    const std::string& route = now.route;
    const std::string path = route.substr(route.find(' ') + 1);
    if (const auto status = broken.find(route); status != broken.end())
      return error(status->second, "broken");
    if (path.starts_with("sys/health"))
      return {200, R"({"initialized":true,"sealed":false,"standby":false,"version":"1.14.2"})"};
    if (path == "auth/approle/login") return login();
    const auto known = tokens.find(now.token);
    if (known == tokens.end() || !known->second.alive() || denied.contains(route))
      return error(403, "permission denied");
    Token& token = known->second;
    if (path == "auth/token/renew-self") {
      if (!token_renewable) return error(400, "lease is not renewable");
      token.end = std::min(Clock::now() + token_ttl, token.issued + token_max_ttl);
      return {200, auth(token)};
    }
    if (path == "auth/token/lookup-self") {
      return {200, R"({"data":{"accessor":"a","policies":["app"],"type":"service","ttl":)" +
                       seconds(token.end - Clock::now()) + R"(,"renewable":true}})"};
    }
    if (path == "auth/token/revoke-self") {
      token.revoked = true;
      return {204, ""};
    }
    if (path == "sys/wrapping/wrap") {
      const std::string id = "hvs.canary-wrap-" + std::to_string(wrapped.size() + 1);
      wrapped[id] = now.body;
      return {200, R"({"wrap_info":{"token":")" + id +
                       R"(","accessor":"wa","ttl":120,"creation_time":"2026-11-29T10:00:00Z",)"
                       R"("creation_path":"sys/wrapping/wrap"}})"};
    }
    if (path == "sys/leases/lookup") {
      const auto lease = leases.find(field(now.body, "lease_id"));
      if (lease == leases.end() || !lease->second.alive() ||
          !tokens.at(lease->second.token).alive())
        return error(400, "invalid lease");
      return {200, R"({"data":{"ttl":1}})"};
    }
    if (path == "sys/leases/renew") return renew(field(now.body, "lease_id"));
    if (path == "sys/leases/revoke") {
      const auto lease = leases.find(field(now.body, "lease_id"));
      if (lease != leases.end()) lease->second.revoked = true;
      return {204, ""};
    }
    if (constexpr std::string_view probe = "sys/internal/ui/mounts/"; path.starts_with(probe))
      return mount(path.substr(probe.size()));
    if (route.starts_with("LIST ")) return {200, R"({"data":{"keys":["app"]}})"};
    if (const auto role = roles.find(path); role != roles.end())
      return issue(path, role->second, token);
    return read_kv(path);
  }

  static Reply mount(const std::string& path) {
    const std::string name = path.substr(0, path.find('/'));
    const bool database = name == "database";
    return {200, R"({"data":{"path":")" + name + R"(/","type":")" + (database ? name : "kv") +
                     R"(","options":)" + (database ? "null" : R"({"version":"2"})") + "}}"};
  }

  Reply read_kv(const std::string& path) const {
    for (const auto& [name, secret] : kv) {
      const auto slash = name.find('/');
      const std::string mount = name.substr(0, slash), rest = name.substr(slash);
      const std::string version = std::to_string(secret.version);
      if (path == mount + "/data" + rest) {
        return {200, R"({"data":{"data":)" + secret.data + R"(,"metadata":{"version":)" + version +
                         R"(,"deletion_time":"","destroyed":false}}})"};
      }
      if (path == mount + "/metadata" + rest) {
        return {200, R"({"data":{"current_version":)" + version + R"(,"versions":{")" + version +
                         R"(":{"deletion_time":"","destroyed":false}}}})"};
      }
    }
    return error(404, "");
  }

  Reply issue(const std::string& path, const Role& role, const Token& token) {
    const std::string number = std::to_string(leases.size() + 1);
    Lease lease{.id = path + "/lease-" + number,
                .path = path,
                .token = token.id,
                .user = "user-" + number,
                .issued = Clock::now(),
                .end = Clock::now() + role.ttl,
                .max_ttl = role.max_ttl};
    leases[lease.id] = lease;
    return {200, R"({"lease_id":")" + lease.id + R"(","renewable":)" +
                     (role.renewable ? "true" : "false") + R"(,"lease_duration":)" +
                     seconds(role.ttl) + R"(,"data":{"username":")" + lease.user +
                     R"(","password":"canary-pw-)" + number + R"("}})"};
  }

  Reply renew(const std::string& id) {
    const auto at = leases.find(id);
    if (at == leases.end() || !at->second.alive()) return error(400, "lease not found");
    Lease& lease = at->second;
    const Role& role = roles.at(lease.path);
    lease.end = std::max(lease.end, std::min(Clock::now() + role.ttl, lease.issued + role.max_ttl));
    const Duration left = std::min(lease.end, lease.issued + role.max_ttl) - Clock::now();
    return {200, R"({"lease_id":")" + id + R"(","renewable":true,"lease_duration":)" +
                     seconds(left) + R"(,"data":null})"};
  }

  http::Url url_ = http::parse_url("http://127.0.0.1:8200").value();
};

}  // namespace keybearer::test
