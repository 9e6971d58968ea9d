#pragma once
// How a program ended (waitid(2)).

#include <string>

namespace keybearer {

struct ExitStatus {
  bool signaled = false;
  int code = 0;  // exit code, or the signal's number
  [[nodiscard]] int shell_code() const { return signaled ? 128 + code : code; }
};

// "exited with code 3", "was ended by signal 15 (SIGTERM)"
[[nodiscard]] std::string described(ExitStatus status);

}  // namespace keybearer
