#include "process/hardening.hpp"

#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

namespace keybearer {
namespace {

rlim_t current_core_limit() noexcept {
  rlimit limit{};
  getrlimit(RLIMIT_CORE, &limit);
  return limit.rlim_cur;
}

const rlim_t kOriginalCoreLimit = current_core_limit();
const auto kHeapBegin = reinterpret_cast<std::uintptr_t>(sbrk(0));  // nearly: before main()

// Under a limit, what is mapped later would fail once it is reached: then rather not at all.
bool may_lock_all_memory() noexcept {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY) return true;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3]{};
  return syscall(SYS_capget, &header, data) == 0 && (data[0].effective & (1U << CAP_IPC_LOCK)) != 0;
}

}  // namespace

rlim_t original_core_limit() noexcept {
  return kOriginalCoreLimit;
}

void hide_process() noexcept {
  rlimit limit{};
  getrlimit(RLIMIT_CORE, &limit);
  limit.rlim_cur = 0;
  setrlimit(RLIMIT_CORE, &limit);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

void show_process() noexcept {
  rlimit limit{};
  getrlimit(RLIMIT_CORE, &limit);
  limit.rlim_cur = kOriginalCoreLimit;
  setrlimit(RLIMIT_CORE, &limit);
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

void harden_process() noexcept {
  hide_process();
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

void lock_memory() noexcept {
  if (may_lock_all_memory()) {
    mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
    return;
  }
  // Under a small limit: at least the heap there is now, where secrets live.
  const auto end = reinterpret_cast<std::uintptr_t>(sbrk(0));
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return;
  const std::uintptr_t begin = kHeapBegin & ~(page - 1);
  const std::uintptr_t most = limit.rlim_cur & ~(page - 1);
  if (begin < end)
    (void)mlock2(reinterpret_cast<void*>(begin), std::min(end - begin, most), MLOCK_ONFAULT);
}

void become_subreaper() noexcept {
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

}  // namespace keybearer
