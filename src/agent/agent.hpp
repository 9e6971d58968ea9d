#pragma once
// The main job: a recipe of named parts (agent.cpp). What each does is in its own file: when to
// start and what with (start_policy), from secrets to files and child (delivery_loop), the end
// (lifecycle, shutdown), another configuration (reload).

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <exception>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "agent/rendering.hpp"
#include "auth/cloud.hpp"
#include "base/random.hpp"
#include "child/spawner.hpp"
#include "config/control_socket.hpp"
#include "config/load.hpp"
#include "http/client.hpp"
#include "process/env_block.hpp"

namespace keybearer {

enum class Mode {
  run,          // files, variables and a child
  run_once,     // the same for a job: no restart on changes
  render,       // files, kept fresh
  render_once,  // files, then the end
  preview,      // as render_once, but nothing is written and no command runs
};

using Reloaded = std::expected<std::shared_ptr<Rendering>, std::vector<config::Problem>>;

// What the agent does not make itself, so that all of it runs on fakes under a frozen clock.
struct Parts {
  // For the first configuration and for each that a reload brings.
  std::function<std::unique_ptr<http::Client>(const config::Config&)> make_http;
  // For auth methods that ask others than the server: metadata services and the like.
  std::function<std::unique_ptr<http::Client>(http::ClientOptions)> make_cloud_http;
  std::shared_ptr<child::Spawner> spawner;
  Random random;
  EnvBlock environment;  // ours, which the child may inherit
  // The next signal for us; called again after each. Null: none ever comes.
  std::function<boost::asio::awaitable<int>()> next_signal;
  // Reads the configuration and the templates again. Null: there is none to read.
  std::function<Reloaded()> reload;
  // Where it may listen for `status` and its like. Null: no control socket.
  std::optional<config::Surroundings> control = {};
  // The agent puts there what is done when a handler outside of all coroutines throws.
  std::shared_ptr<std::function<void(std::exception_ptr)>> loop_exception;
};
// The real ones, but for `reload`.
[[nodiscard]] Parts make_parts(boost::asio::io_context& context);

// In Mode::preview: gets the files when all are there, and returns the exit code.
using PreviewSink = std::function<int(const std::vector<render::RenderedFile>&)>;

// Until all is over: keybearer's exit code. An internal error ends it in order, and is then
// rethrown.
[[nodiscard]] boost::asio::awaitable<int> run_agent(Parts parts,
                                                    std::shared_ptr<Rendering> rendering, Mode mode,
                                                    PreviewSink preview = {});
// The same with a loop of its own. `reload`: see Parts.
[[nodiscard]] int run_agent(std::shared_ptr<Rendering> rendering, Mode mode,
                            PreviewSink preview = {}, std::function<Reloaded()> reload = {});

}  // namespace keybearer
