#pragma once
// Whose token a request goes out with, and how ours is kept ours. Pure.
//
// By class, not by a list of paths: an answer to a request made with our token that holds our token
// or its accessor is not passed on, whatever the path and its spelling. What a list is needed for is
// what destroys: revocations of ours are refused, by every form. Rules: section 6 of RULES.md.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.hpp"
#include "config/config.hpp"
#include "http/message.hpp"
#include "serve/rules.hpp"

namespace keybearer::serve {

// Our login, as far as it must be recognised. Views of what lives longer.
struct OwnLogin {
  std::string_view token, accessor;
  std::string_view mount;  // "auth/approle": its leases begin so
};

enum class Credential { none, clients, ours };

// `path`: below /v1/, without slashes at its ends, decoded. Namespaces may stand in front.
[[nodiscard]] bool is_login_path(std::string_view path);
// Needs no token, or works without one: ours is not spent on it.
[[nodiscard]] bool is_open_path(std::string_view path);
// What only the root namespace answers (OpenBao refuses it in others).
[[nodiscard]] bool is_of_the_root(std::string_view path);
// Is `path` this one, whatever the namespace in front?
[[nodiscard]] bool is_path(std::string_view path, std::string_view wanted);
[[nodiscard]] bool is_below(std::string_view path, std::string_view directory);

[[nodiscard]] Credential choose_credential(config::ApiProxy::UseToken mode,
                                           const http::RequestHead& head, std::string_view path);
// The client's own: X-Vault-Token, or a Bearer token.
[[nodiscard]] std::string_view clients_token(const http::RequestHead& head);

// Must the body be looked at before the request goes out?
[[nodiscard]] bool needs_body(std::string_view path);
// Refuses what would revoke our token, and with `made_with_ours` what would wrap it or make others
// of it. `creation_allowed`: by a rule or by api_proxy.allow_token_creation.
[[nodiscard]] std::optional<Refusal> check_token_use(const http::RequestHead& head,
                                                     std::string_view path, std::string_view body,
                                                     const OwnLogin& own, bool made_with_ours,
                                                     bool creation_allowed);

// lookup-self and renew-self of our token: the answer without what tells it. Nullopt: not JSON.
[[nodiscard]] bool is_self_path(std::string_view path);
[[nodiscard]] std::optional<Secret> without_token(std::string_view body);
// May hold a token of ours in a form that can't be searched: no encoding of its content.
[[nodiscard]] bool may_hold_tokens(std::string_view path);

// Looks for our token and accessor in an answer that passes through in pieces. What may be the
// beginning of one is held back until it is known.
class LeakScanner {
 public:
  explicit LeakScanner(const OwnLogin& own);
  // What may be passed on now; nullopt: there it is, and nothing more may be passed on.
  [[nodiscard]] std::optional<Secret> feed(std::string_view piece);
  [[nodiscard]] Secret rest() { return std::move(held_); }
  // The same for a whole answer, also in JSON's own escapes.
  [[nodiscard]] bool leaks(std::string_view body) const;

 private:
  [[nodiscard]] bool found_in(std::string_view text) const;
  std::vector<Secret> needles_;
  Secret held_, token_, accessor_;
};

}  // namespace keybearer::serve
