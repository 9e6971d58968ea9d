#include <cstdio>
#include <exception>

#include "cli/cli.hpp"
#include "cli/commands.hpp"
#include "process/standard_streams.hpp"

// The only catch-all: whatever gets here is a bug, said in one line.
int main(int argc, char** argv) {
  keybearer::hold_standard_streams();
  try {
    return keybearer::cli::flushed(keybearer::cli::main(argc, argv));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "keybearer: internal error: %s\n", e.what());
  } catch (...) {
    std::fputs("keybearer: internal error\n", stderr);
  }
  return keybearer::cli::kBug;
}
