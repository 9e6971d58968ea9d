#include <unistd.h>

#include <cstdio>
#include <exception>

#include "base/offload.hpp"
#include "cli/cli.hpp"
#include "cli/commands.hpp"
#include "process/standard_streams.hpp"

namespace {

// The only catch-all: whatever gets here is a bug, said in one line.
int run(int argc, char** argv) {
  try {
    return keybearer::cli::flushed(keybearer::cli::main(argc, argv));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "keybearer: internal error: %s\n", e.what());
  } catch (...) {
    std::fputs("keybearer: internal error\n", stderr);
  }
  return keybearer::kBug;
}

}  // namespace

int main(int argc, char** argv) {
  keybearer::hold_standard_streams();
  const int code = run(argc, argv);
  // A thread that is not joined may still use what exit(3) would destroy.
  if (keybearer::offloads_running() > 0) _exit(code);
  return code;
}
