#pragma once
// What every part of the server shares: tokens, leases, policies. What has ended is swept before
// each request, so that nothing here has a timer.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "devvault/answer.hpp"
#include "devvault/policy.hpp"

namespace keybearer::devvault {

constexpr Seconds kDefaultTtl{768 * 3600};  // of the server: default and longest

struct Token {
  std::string id = {}, accessor = {};
  std::string path = {};  // what made it: "auth/approle/login"
  std::string display_name = {}, entity_id = {}, role = {};
  std::string parent = {};  // accessor; "" for an orphan
  std::vector<std::string> policies = {};
  Value meta = {};
  bool batch = false, renewable = true;
  int num_uses = 0;  // 0: without limit; -1: this was the last
  Seconds ttl{0};    // at its creation and at a renewal without increment; 0: never ends
  Seconds max_ttl{kDefaultTtl};
  Seconds explicit_max_ttl{0};
  Seconds period{0};
  WallTime created = {}, renewed = {}, expires = {};
  bool was_renewed = false;

  [[nodiscard]] bool is_root() const;
  [[nodiscard]] bool endless() const { return ttl == Seconds(0); }
};

struct Lease {
  std::string id = {}, accessor = {};  // of the token that asked
  Seconds ttl{0}, max_ttl{0};
  WallTime issued = {}, renewed = {}, expires = {};
  bool was_renewed = false;
};

class Store {
 public:
  // `suffix`: at the end of the tokens, accessors and leases of a namespace.
  explicit Store(std::string suffix = {});

  // Fills in id (unless given), accessor and times.
  Token& add_token(Token token, WallTime now);
  [[nodiscard]] Token* token(const std::string& id);
  [[nodiscard]] Token* by_accessor(std::string_view accessor);
  // With its children and leases.
  void revoke_token(const std::string& id, bool leave_children = false);
  void revoke_tokens_below(std::string_view path);  // made by a path that begins so

  Lease& add_lease(std::string path, Seconds ttl, Seconds max_ttl, const Token* token,
                   WallTime now);
  [[nodiscard]] Lease* lease(const std::string& id);
  void revoke_lease(const std::string& id) { leases_.erase(id); }
  void revoke_leases_below(std::string_view prefix);
  [[nodiscard]] const std::map<std::string, Lease>& leases() const { return leases_; }

  // A new end for a token or lease; says by a warning when it is less than was asked for.
  [[nodiscard]] static Seconds renewed_ttl(Seconds asked, Seconds max_ttl, WallTime start,
                                           WallTime now, std::vector<std::string>& warnings);

  void sweep(WallTime now);

  std::map<std::string, Policy> policies;
  [[nodiscard]] Capabilities capabilities(const Token& token, std::string_view path) const;
  [[nodiscard]] std::vector<const Policy*> policies_of(const Token& token) const;

  [[nodiscard]] const std::map<std::string, std::unique_ptr<Token>>& tokens() const {
    return tokens_;
  }

 private:
  std::string suffix_;
  std::map<std::string, std::unique_ptr<Token>> tokens_;  // by id
  std::map<std::string, Lease> leases_;                   // by id
};

// The auth part of an answer that gives out or renews a token.
[[nodiscard]] Answer token_answer(const Token& token, Seconds ttl);

}  // namespace keybearer::devvault
