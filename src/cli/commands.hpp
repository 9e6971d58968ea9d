#pragma once
// The commands, one file each. Each returns keybearer's exit code.

#include <string>

#include "config/load.hpp"

namespace keybearer::cli {

// Exit codes of keybearer's own failures, stable and documented (sysexits.h where it has one).
enum ExitCode : int {
  kOk = 0,
  kUsage = 64,
  kTemplate = 65,
  kUnavailable = 69,
  kBug = 70,
  kCantWrite = 73,
  kNotReady = 75,
  kDenied = 77,
  kConfig = 78,
};

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
  bool show = false;
  bool online = false;
};
[[nodiscard]] int check(const CheckOptions& options);

[[nodiscard]] int version(bool json);

}  // namespace keybearer::cli
