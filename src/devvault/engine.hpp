#pragma once
// What can be mounted: secret engines and auth methods. One class each; their paths come without
// the mount's own.

#include <memory>
#include <string_view>

#include "devvault/answer.hpp"
#include "devvault/store.hpp"

namespace keybearer::devvault {

class Engine {
 public:
  virtual ~Engine() = default;
  // `call.path` is whole, `path` is what comes after the mount.
  [[nodiscard]] virtual Answer handle(const Call& call, std::string_view path) = 0;
  // Needs no token.
  [[nodiscard]] virtual bool is_login(std::string_view /*path*/) const { return false; }
  // Is there something at this path, so that a write is an update and not a create?
  [[nodiscard]] virtual bool exists(std::string_view /*path*/) const { return true; }
};

[[nodiscard]] std::unique_ptr<Engine> make_kv1();
[[nodiscard]] std::unique_ptr<Engine> make_kv2();
[[nodiscard]] std::unique_ptr<Engine> make_approle(Store& store, std::string mount);
[[nodiscard]] std::unique_ptr<Engine> make_token_auth(Store& store);
[[nodiscard]] std::unique_ptr<Engine> make_database(Store& store);

}  // namespace keybearer::devvault
