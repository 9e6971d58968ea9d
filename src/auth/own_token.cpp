#include "auth/own_token.hpp"

#include <boost/asio/this_coro.hpp>
#include <utility>

#include "base/log.hpp"
#include "base/task_group.hpp"

namespace keybearer::auth {
namespace {

namespace asio = boost::asio;

constexpr int kForbidden = 403;

asio::awaitable<void> revoke_one(vault::Client& client, OwnToken own) {
  const auto revoked = co_await client.revoke_self(std::move(own.token));
  if (revoked) {
    log::info("token.revoked", "token revoked");
  } else if (own.end && *own.end <= Clock::now()) {
    log::debug("token.ended", "the token has ended by itself");
  } else if (revoked.error().status == kForbidden) {
    log::warn("token.not_revoked", revoked.error().text +
                                       ": it is revoked already, or its policies lack update on "
                                       "auth/token/revoke-self and it lives on until its TTL ends");
  } else {
    log::warn("token.not_revoked",
              revoked.error().text + ": the token lives on until its TTL ends");
  }
}

}  // namespace

bool OwnToken::revocable() const {
  return token && !batch && (!end || *end > Clock::now());
}

asio::awaitable<void> revoke_all(vault::Client& client, std::vector<OwnToken> tokens) {
  TaskGroup group(co_await asio::this_coro::executor);
  for (auto& each : tokens)
    if (each.revocable()) group.spawn(revoke_one(client, std::move(each)));
  co_await group.join();
}

}  // namespace keybearer::auth
