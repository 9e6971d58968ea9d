#pragma once
// The main job: owns the server connection, the token, the secrets, the templates and the program;
// decides in which order they start, what meets what, in which order they stop, and the exit code.

#include "config/config.hpp"
#include "http/client.hpp"
#include "render/renderer.hpp"

namespace keybearer {

enum class Job {
  run,          // files, variables and a program
  run_once,     // the same for a job: no restart on changes
  render,       // files, kept fresh
  render_once,  // files, then the end
};

// Blocks until all is over; returns keybearer's exit code.
[[nodiscard]] int run_agent(const config::Config& config, Job job, render::Renderer renderer);

// [vault] as the HTTP client takes it. The addresses must be good (http::parse_url).
[[nodiscard]] http::ClientOptions client_options(const config::Config& config);

}  // namespace keybearer
