#include <unistd.h>

#include <cstdio>
#include <exception>

#include "base/offload.hpp"
#include "cli/cli.hpp"
#include "cli/commands.hpp"
#include "process/standard_streams.hpp"

// The only catch-all: whatever gets here is a bug, said in one line.
int main(int argc, char** argv) {
  keybearer::hold_standard_streams();
  try {
    const int code = keybearer::cli::flushed(keybearer::cli::main(argc, argv));
    // A thread that nobody waits for may still use what exit(3) would destroy.
    if (keybearer::offloads_running() > 0) _exit(code);
    return code;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "keybearer: internal error: %s\n", e.what());
  } catch (...) {
    std::fputs("keybearer: internal error\n", stderr);
  }
  return keybearer::kBug;
}
