#include "process/exit_status.hpp"

#include "base/signal_table.hpp"

namespace keybearer {

std::string described(ExitStatus status) {
  return status.signaled ? "was ended by signal " + std::to_string(status.code) + " (" +
                               signal_name(status.code) + ")"
                         : "exited with code " + std::to_string(status.code);
}

}  // namespace keybearer
