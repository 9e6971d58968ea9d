#pragma once
// The main job: owns the server connection, the token, the secrets, the templates and the program;
// decides in which order they start, what meets what, in which order they stop, and the exit code.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "base/random.hpp"
#include "child/spawner.hpp"
#include "config/config.hpp"
#include "http/client.hpp"
#include "process/env_block.hpp"
#include "render/renderer.hpp"

namespace keybearer {

enum class Mode {
  run,          // files, variables and a child
  run_once,     // the same for a job: no restart on changes
  render,       // files, kept fresh
  render_once,  // files, then the end
  preview,      // as render_once, but nothing is written and no command runs
};

// What the agent does not make itself, so that all of it runs on fakes under a frozen clock.
struct Parts {
  std::unique_ptr<http::Client> http;
  std::shared_ptr<child::Spawner> spawner;
  Random random;
  EnvBlock environment;  // ours, which the child may inherit
  // The next signal for us; called again after each. Default: none ever comes.
  std::function<boost::asio::awaitable<int>()> next_signal;
};
// The real ones.
[[nodiscard]] Parts make_parts(boost::asio::io_context& context, const config::Config& config);

// In Mode::preview: gets the files when all are there, and returns the exit code.
using PreviewSink = std::function<int(const std::vector<render::RenderedFile>&)>;

// Until all is over: keybearer's exit code. An internal error ends it in order with 70, and is then
// rethrown. `config` must outlive it.
[[nodiscard]] boost::asio::awaitable<int> run_agent(boost::asio::io_context& context, Parts parts,
                                                    const config::Config& config, Mode mode,
                                                    render::Renderer renderer,
                                                    PreviewSink preview = {});
// The same on the real parts, with a loop of its own.
[[nodiscard]] int run_agent(const config::Config& config, Mode mode, render::Renderer renderer,
                            PreviewSink preview = {});

// [vault] as the HTTP client takes it. The addresses must be good (http::parse_url).
[[nodiscard]] http::ClientOptions client_options(const config::Config& config);

// ": what to do about it", or nothing.
[[nodiscard]] std::string hint(const Error& error);

}  // namespace keybearer
