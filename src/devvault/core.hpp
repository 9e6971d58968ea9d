#pragma once
// The whole server as a function of a request and a time: routing, tokens, policies, wrapping,
// sealing, namespaces. No socket, no clock.
//
// A namespace is a Core below another: with its own mounts, policies, tokens and leases. What is the
// server's alone (sealing, wrapping tokens, the clock's sweep) is the root's.

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
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

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
  Core(Core& parent, const std::string& name);  // a namespace
  void mount_own();                             // what every namespace has from the start
  void sweep(WallTime now);

  // Namespaces: the one that is named ("team-a/sub"; null: it is not there), the one that a path
  // begins with (taken off it), and the one that a request is really about.
  [[nodiscard]] Core& root() { return parent_ == nullptr ? *this : parent_->root(); }
  [[nodiscard]] Core* below(std::string_view name);
  [[nodiscard]] Core& enter(std::string& path);
  [[nodiscard]] Core& meant_by(const Call& call, const std::string& token);
  template <class Has>
  [[nodiscard]] Core* holder(const Has& has);  // of a token or lease, here or below
  // What a token may do at a path here: its policies are those of its own namespace.
  [[nodiscard]] Capabilities granted(const Token& token, std::string_view path);
  [[nodiscard]] bool may_touch(const Token& token, std::string_view mount);

  [[nodiscard]] http::ServerResponse serve(Call call, const http::ServerRequest& request);
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
  [[nodiscard]] Value seal_status();
  [[nodiscard]] Answer mounts(const Call& call, bool auth, std::string_view path);
  [[nodiscard]] Answer mount(const Call& call, bool auth, const std::string& at);
  [[nodiscard]] Answer namespaces(const Call& call, const std::string& name);
  [[nodiscard]] Answer ui_mount(const Call& call, std::string_view path);
  [[nodiscard]] Answer policy(const Call& call, bool acl, const std::string& name);
  [[nodiscard]] Answer capabilities(const Call& call, const std::string& kind);
  [[nodiscard]] Answer leases(const Call& call, std::string_view path);
  [[nodiscard]] Answer renew_lease(const Call& call, const std::string& id);
  [[nodiscard]] Answer wrapping(const Call& call, const std::string& kind);
  [[nodiscard]] std::unique_ptr<Engine> make_engine(const std::string& type, const Value& options,
                                                    const std::string& at);

  Core* parent_ = nullptr;
  std::string path_;  // "team-a/sub/"; "" of the root
  std::string id_;    // at the end of its tokens and leases; "" of the root
  std::map<std::string, std::unique_ptr<Core>, std::less<>> children_;  // by name
  Store store_;
  Mounts mounts_;  // by path with a slash at its end: "secret/", "auth/approle/"
  std::map<std::string, Wrapped> wrapped_;  // by token
  std::string cluster_id_;
  bool sealed_ = false;
};

}  // namespace keybearer::devvault
