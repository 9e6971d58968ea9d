#pragma once
// What an answer of the server does to a secret. Internal to secrets/.

#include "secrets/requests.hpp"
#include "secrets/watched_secret.hpp"

namespace keybearer::secrets {

// What it was asked for with, and why.
struct Request {
  vault::Token token;
  lease::Cause cause = lease::Cause::interval;
  bool token_replaced = false;  // the maker of its lease has a successor
};

// Half an answer (whole_answer.hpp) is an error. A lease or token that came with it is revoked.
[[nodiscard]] result<vault::Reply> require_whole(WatchContext& context, const WatchedSecret& secret,
                                                 vault::Reply reply);

// The answer is served: a new generation, unless it says what is in force already. The lease of the
// one before is superseded. Returns what is due next.
[[nodiscard]] lease::Step accept_reply(WatchContext& context, WatchedSecret& secret,
                                       vault::Reply reply, Request request);

// "7s", for logs.
[[nodiscard]] std::string seconds_text(Duration time);

}  // namespace keybearer::secrets
