#include "base/hardening.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>

namespace keybearer {
namespace {

rlim_t current_core_limit() noexcept {
  rlimit limit{};
  getrlimit(RLIMIT_CORE, &limit);
  return limit.rlim_cur;
}

const rlim_t kOriginalCoreLimit = current_core_limit();

}  // namespace

rlim_t original_core_limit() noexcept {
  return kOriginalCoreLimit;
}

void harden_process() noexcept {
  rlimit limit{};
  getrlimit(RLIMIT_CORE, &limit);
  limit.rlim_cur = 0;
  setrlimit(RLIMIT_CORE, &limit);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

void become_subreaper() noexcept {
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

}  // namespace keybearer
