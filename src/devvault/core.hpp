#pragma once
// The whole server as a function of a request and a time: routing, tokens, policies, wrapping,
// sealing. No socket, no clock.

#include <map>
#include <memory>
#include <string>

#include "devvault/engine.hpp"
#include "http/server.hpp"

namespace keybearer::devvault {

struct Mount {
  std::string type;  // "kv", "approle"
  Value options;     // {"version":"2"}
  std::string description;
  std::string accessor;
  std::unique_ptr<Engine> engine;
};

class Core {
 public:
  explicit Core(const std::string& root_token, WallTime now);

  [[nodiscard]] http::ServerResponse handle(const http::ServerRequest& request, WallTime now);

  // As root, for a seed; the answer's errors say what is wrong.
  [[nodiscard]] Answer as_root(Operation operation, const std::string& path, const Value& body,
                               WallTime now);

 private:
  struct Wrapped {
    std::string body, creation_path;
    WallTime created, expires;
    Seconds ttl;
  };
  using Mounts = std::map<std::string, Mount, std::less<>>;

  // Where a path goes: the mount's own path and what is behind it.
  struct Route {
    std::string mount;
    Mount* to = nullptr;
    std::string path;
  };
  [[nodiscard]] Route route(std::string_view path);
  [[nodiscard]] Answer answer(Call& call, const http::ServerRequest& request);
  [[nodiscard]] Answer dispatch(const Call& call);
  [[nodiscard]] bool allowed(const Call& call, const Token& token);
  void use(Token& token);
  [[nodiscard]] http::ServerResponse finish(const Call& call, const Answer& answer,
                                            const http::ServerRequest& request);
  [[nodiscard]] Value wrap(const Call& call, const Answer& answer, Seconds ttl);

  [[nodiscard]] Answer sys(const Call& call, std::string_view path);
  [[nodiscard]] Answer open_sys(const Call& call, const std::string& path);  // what needs no token
  [[nodiscard]] Answer health(const Call& call) const;
  [[nodiscard]] Value seal_status() const;
  [[nodiscard]] Answer mounts(const Call& call, bool auth, std::string_view path);
  [[nodiscard]] Answer mount(const Call& call, bool auth, const std::string& at);
  [[nodiscard]] Answer ui_mount(const Call& call, std::string_view path);
  [[nodiscard]] Answer policy(const Call& call, bool acl, const std::string& name);
  [[nodiscard]] Answer capabilities(const Call& call, const std::string& kind);
  [[nodiscard]] Answer leases(const Call& call, std::string_view path);
  [[nodiscard]] Answer renew_lease(const Call& call, const std::string& id);
  [[nodiscard]] Answer wrapping(const Call& call, const std::string& kind);
  [[nodiscard]] std::unique_ptr<Engine> make_engine(const std::string& type, const Value& options,
                                                    const std::string& at);

  Store store_;
  Mounts mounts_;  // by path with a slash at its end: "secret/", "auth/approle/"
  std::map<std::string, Wrapped> wrapped_;  // by token
  std::string cluster_id_;
  bool sealed_ = false;
};

}  // namespace keybearer::devvault
