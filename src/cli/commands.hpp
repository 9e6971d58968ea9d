#pragma once
// The commands, one file each. Each returns keybearer's exit code.

#include <string>

#include "base/exit_code.hpp"
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
[[nodiscard]] int render_files(const RenderOptions& options);  // writes them, once or for ever

struct CheckOptions {
  config::Input input;
  bool show = false, changed = false;
  bool online = false;
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

[[nodiscard]] int version(bool json);

}  // namespace keybearer::cli
