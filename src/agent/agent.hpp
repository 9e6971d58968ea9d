#pragma once
// The main job: owns the server connection, the token, the secrets, the templates and the program;
// decides in which order they start, what meets what, in which order they stop, and the exit code.

#include <functional>
#include <vector>

#include "config/config.hpp"
#include "http/client.hpp"
#include "render/renderer.hpp"

namespace keybearer {

enum class Job {
  run,          // files, variables and a program
  run_once,     // the same for a job: no restart on changes
  render,       // files, kept fresh
  render_once,  // files, then the end
  show,         // as render_once, but nothing is written and no command runs
};

// Blocks until all is over; returns keybearer's exit code.
// `show`, of Job::show, gets the files when all are there, and returns the exit code.
using Show = std::function<int(const std::vector<render::RenderedFile>&)>;
[[nodiscard]] int run_agent(const config::Config& config, Job job, render::Renderer renderer,
                            Show show = {});

// [vault] as the HTTP client takes it. The addresses must be good (http::parse_url).
[[nodiscard]] http::ClientOptions client_options(const config::Config& config);
[[nodiscard]] http::ProxyOptions proxy_options(const config::Config& config);

// ": what to do about it", or nothing.
[[nodiscard]] std::string hint(const Error& error);

}  // namespace keybearer
