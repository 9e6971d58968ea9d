#pragma once
// Finding a running keybearer and asking it: one request on its control socket, without a loop.

#include <sys/types.h>

#include <expected>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "config/control_socket.hpp"

namespace keybearer::cli {

// How the user names it: at most one of these; none: the only one that runs.
struct InstanceOptions {
  std::vector<std::string> config;  // -c
  std::string name;
  std::string socket;
};

struct Instance {
  std::string socket;
  pid_t pid = 0;  // 0: of another PID namespace
  std::string name = {};
  std::vector<std::string> config = {};  // files, absolute
};

struct ControlAnswer {
  int status = 0;
  std::string body;
};
// Errors: network (nobody listens), denied (not ours), timeout, bad_reply. `limit`: of the whole.
[[nodiscard]] result<ControlAnswer> ask(const Instance& instance, const std::string& method,
                                        const std::string& target, const std::string& body = "",
                                        Duration limit = std::chrono::seconds(5));

// The error is the exit code and what to say: 64 several, 69 none, 77 not permitted.
struct NotFound {
  int code = 0;
  std::string text;
};
[[nodiscard]] std::expected<Instance, NotFound> find_instance(const InstanceOptions& options,
                                                              const config::Surroundings& around);
[[nodiscard]] config::Surroundings our_surroundings();

}  // namespace keybearer::cli
