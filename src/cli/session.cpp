#include "cli/session.hpp"

#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>
#include <exception>

#include "agent/settings.hpp"
#include "auth/identity.hpp"
#include "auth/method.hpp"
#include "base/exit_code.hpp"
#include "base/log.hpp"
#include "cli/terminal.hpp"
#include "vault/hints.hpp"
#include "vault/session.hpp"

namespace keybearer::cli {
namespace {

using boost::asio::awaitable;

awaitable<int> logged_in(const config::Config& config, vault::Client& client,
                         const SessionWork& work) {
  const EnvBlock environment = EnvBlock::from(environ);
  auto method = auth::make_auth_method(
      config.auto_auth.method,
      cloud_parts(config, environment,
                  [executor = co_await boost::asio::this_coro::executor](auto options) {
                    return http::make_client(executor, std::move(options));
                  }));
  if (!method) {
    complain(method.error().text);
    co_return kConfig;
  }
  if (const auto seen = (*method)->look(); !seen) {
    complain_of(seen.error());
    co_return exit_code_of(seen.error());
  }
  auto auth = co_await (*method)->login(client, {});
  if (!auth) {
    if (auth.error().kind == ErrorKind::denied)
      complain(auth.error().text);  // it says itself what to do; no policy would help
    else
      complain_of(auth.error());
    co_return exit_code_of(auth.error());
  }
  int code = kDenied;
  const auto& wanted = config.auto_auth.verify_identity;
  if (const auto good = wanted ? auth::verify_identity(*wanted, *auth) : result<>{}; !good) {
    complain_of(good.error());
  } else {
    client.set_token(auth->token);
    code = co_await work(client, *auth);
  }
  if ((*method)->owns_token() && auth->type != "batch") co_await client.revoke_self(auth->token);
  co_return code;
}

awaitable<void> into(int& code, const config::Config& config, vault::Client& client,
                     const SessionWork& work) {
  code = co_await logged_in(config, client, work);
}

}  // namespace

int exit_code_of(const Error& error) {
  if (is_outage(error.kind)) return kUnavailable;
  if (error.kind == ErrorKind::config) return kConfig;
  return error.kind == ErrorKind::not_found || error.kind == ErrorKind::refused ? kNotReady
                                                                                : kDenied;
}

void complain_of(const Error& error) {
  complain(error.text + hint(error));
}

int with_login(config::Config& config, const SessionWork& work) {
  if (config.auto_auth.method.used_up_by_login()) {
    complain("the wrapped secret_id would be used up by this login: not tried");
    return kConfig;
  }
  config.auto_auth.method.spare_files();
  (void)log::open({.level = log::Level::error, .file = {}, .name = {}});
  boost::asio::io_context context(1);
  vault::Client client(http::make_client(context.get_executor(), client_options(config)),
                       vault::session_options(config));
  int code = kBug;
  std::exception_ptr failure;
  boost::asio::co_spawn(context, into(code, config, client, work), [&](std::exception_ptr e) {
    failure = std::move(e);
    context.stop();
  });
  context.run();
  if (failure) std::rethrow_exception(failure);
  return code;
}

}  // namespace keybearer::cli
