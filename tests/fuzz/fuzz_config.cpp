// Any text as agent.toml: no crash; problems, or a configuration.

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "config/load.hpp"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace keybearer;
  static const int file = memfd_create("agent.toml", 0);
  if (fchmod(file, 0600) != 0 || ftruncate(file, 0) != 0 ||
      pwrite(file, data, size, 0) != static_cast<ssize_t>(size))
    return 0;
  config::Input input;
  input.paths = {"/proc/self/fd/" + std::to_string(file)};
  input.env = [](const std::string& name) -> std::optional<std::string> {
    return name == "HOME" ? std::optional<std::string>("/root") : std::nullopt;
  };
  (void)config::load(input);
  return 0;
}
