#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "base/exit_code.hpp"
#include "cli/commands.hpp"
#include "process/hardening.hpp"

namespace keybearer::cli {
namespace {

// "ok", or what is missing; a required one decides the exit code.
bool tell(const char* name, bool active, const char* missing, bool required) {
  std::printf("%-22s %s\n", name,
              active ? "ok" : (std::string(required ? "MISSING: " : "no: ") + missing).c_str());
  return active || !required;
}

bool no_core_files() {
  rlimit limit{};
  return getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur == 0;
}

bool others_cant_trace() {
  std::FILE* file = std::fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
  if (file == nullptr) return false;
  const int scope = std::fgetc(file);
  std::fclose(file);
  return scope >= '1' && scope <= '3';
}

bool enough_locked_memory() {
  rlimit limit{};
  constexpr rlim_t kEnough = 64u << 20;
  return geteuid() == 0 || (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur >= kEnough);
}

}  // namespace

int self_test() {
  harden_process();
  bool good = tell("no core files", no_core_files(), "RLIMIT_CORE can't be set", true);
  good &= tell("memory is hidden", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0,
               "PR_SET_DUMPABLE is refused", true);
  good &= tell("no new privileges", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
               "PR_SET_NO_NEW_PRIVS is refused", true);
  (void)tell("memory is not swapped", enough_locked_memory(),
             "the limit of locked memory (ulimit -l) is below 64 MiB", false);
  (void)tell("others can't trace", others_cant_trace(), "kernel.yama.ptrace_scope is 0 or absent",
             false);
  (void)tell("child trees by cgroup", access("/sys/fs/cgroup/cgroup.procs", W_OK) == 0,
             "no writable cgroup v2: process groups and descendants instead", false);
  return good ? kOk : kConfig;
}

}  // namespace keybearer::cli
