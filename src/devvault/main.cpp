// keybearer-devvault: an in-memory server that speaks Vault's HTTP API, for demos and tests.
// Nothing in it is safe for anything else.

#include <signal.h>
#include <stdio.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <optional>

#include "devvault/core.hpp"
#include "devvault/seed.hpp"
#include "http/server.hpp"

namespace {

using namespace keybearer;

constexpr const char* kUsage =
    "usage: keybearer-devvault [--listen 127.0.0.1:8200] [--root-token root] [--seed FILE.toml]\n"
    "An in-memory server that speaks Vault's HTTP API, for demos and tests. Port 0: any.\n";
constexpr int kUsageError = 64, kConfigError = 78, kUnavailable = 69;

struct Options {
  std::string listen = "127.0.0.1:8200", root_token = "root", seed;
};

std::optional<Options> parse_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    std::string name = argv[i];
    std::string value;
    if (const auto equals = name.find('='); equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    } else if (i + 1 < argc) {
      value = argv[++i];
    } else {
      return {};
    }
    if (name == "--listen")
      options.listen = value;
    else if (name == "--root-token")
      options.root_token = value;
    else if (name == "--seed")
      options.seed = value;
    else
      return {};
  }
  return options;
}

int fail_with(int code, const Error& error) {
  fprintf(stderr, "keybearer-devvault: %s\n", error.text.c_str());
  return code;
}

boost::asio::awaitable<http::ServerResponse> answer(devvault::Core* core,
                                                    http::ServerRequest request) {
  co_return core->handle(request, wall_now());
}

int serve(const Options& options) {
  boost::asio::io_context context(1);
  devvault::Core core(options.root_token, wall_now());
  if (!options.seed.empty()) {
    if (const auto seeded = devvault::apply_seed(core, options.seed, wall_now()); !seeded) {
      return fail_with(kConfigError, seeded.error());
    }
  }
  http::ServerOptions server_options;
  const bool any_port =
      options.listen.ends_with(":0");  // no port of an address, but one to listen on
  const auto url =
      http::parse_url("http://" + (any_port ? options.listen.substr(0, options.listen.size() - 2)
                                            : options.listen));
  if (!url) return fail_with(kUsageError, Error(url.error()).within("--listen " + options.listen));
  server_options.address = *url;
  if (any_port) server_options.address.port = "0";

  http::Server server(context.get_executor(), server_options,
                      http::whole_bodies([&core](http::ServerRequest request) {
                        return answer(&core, std::move(request));
                      }));
  if (const auto listening = server.listen(); !listening) {
    return fail_with(listening.error().kind == ErrorKind::config ? kUsageError : kUnavailable,
                     listening.error());
  }
  boost::asio::signal_set signals(context, SIGINT, SIGTERM);
  signals.async_wait([&server](const boost::system::error_code& error, int) {
    if (!error) server.stop();
  });
  boost::asio::co_spawn(context, server.run(), [&signals](std::exception_ptr failure) {
    signals.cancel();
    if (failure) std::rethrow_exception(failure);
  });
  printf("ready %s version devvault-%s\n", server.address().text().c_str(), KEYBEARER_VERSION);
  fflush(stdout);
  context.run();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = parse_options(argc, argv);
  if (!options) {
    fputs(kUsage, stderr);
    return kUsageError;
  }
  return serve(*options);
}
