#pragma once
// The commands, one file each. Each returns keybearer's exit code.

#include <string>

#include "base/exit_code.hpp"
#include "cli/instance.hpp"
#include "config/load.hpp"

namespace keybearer::cli {

struct RunOptions {
  config::Input input;
  bool once = false;
};
[[nodiscard]] int run(const RunOptions& options);

struct RenderOptions {
  config::Input input;
  bool once = false;
  bool dry_run = false, diff = false;
  bool show_values = false;
  std::string values;  // file with made-up secrets: no server
  std::string source;  // one template to standard output; "-": standard input
};
[[nodiscard]] int render(const RenderOptions& options);
[[nodiscard]] int render_files(const RenderOptions& options);  // writes them, once or forever

struct CheckOptions {
  config::Input input;
  bool show = false, changed = false;
  bool strict = false;  // what is warned of is an error
  bool online = false;
  bool print_policy = false;
};
[[nodiscard]] int check(const CheckOptions& options);

struct GetOptions {
  config::Input input;
  std::string path;  // PATH or PATH#KEY
  bool show_values = false;
};
[[nodiscard]] int get(const GetOptions& options);

struct EnvOptions {
  config::Input input;
  bool names = false, show_values = false;
};
[[nodiscard]] int env(const EnvOptions& options);

struct ExplainOptions {
  config::Input input;
  std::string path;
};
// What keybearer would do with a path; reads nothing there.
[[nodiscard]] int explain(const ExplainOptions& options);

struct InitOptions {
  config::Input input;
  std::vector<std::string> paths;  // of secrets
  std::string output = "agent.toml";
  bool force = false;
};
// Writes a commented agent.toml for these secrets, checked.
[[nodiscard]] int init(const InitOptions& options);

// Of a running instance, by its control socket.
struct StatusOptions {
  InstanceOptions instance;
  bool json = false, watch = false, ready = false;
  bool show_ids = false;  // of leases, in the JSON
};
[[nodiscard]] int status(const StatusOptions& options);
struct RotateOptions {
  InstanceOptions instance;
  std::string secret;  // "": all
  std::string target;  // of a template
  bool json = false;
};
[[nodiscard]] int rotate(const RotateOptions& options);
struct ControlOptions {
  InstanceOptions instance;
};
[[nodiscard]] int reload(const ControlOptions& options);
// Returns when it has ended.
[[nodiscard]] int stop(const ControlOptions& options);

[[nodiscard]] int copy_to(const std::string& directory);
// Which protections are active here; 78 when a required one is not.
[[nodiscard]] int self_test();
[[nodiscard]] int version(bool json);

}  // namespace keybearer::cli
