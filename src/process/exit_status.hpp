#pragma once
// How a program ended (waitid(2)).

namespace keybearer {

struct ExitStatus {
  bool signaled = false;
  int code = 0;  // exit code, or the signal's number
  [[nodiscard]] int shell_code() const { return signaled ? 128 + code : code; }
};

}  // namespace keybearer
