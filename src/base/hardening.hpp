#pragma once
// What keeps a process that holds secrets to itself.

#include <sys/resource.h>

namespace keybearer {

// No core files, not dumpable (which also keeps ptrace and /proc/PID/mem away from the same user),
// no new privileges for us or what we start (prctl(2)).
void harden_process() noexcept;
// The soft limit of core files before that: what a program of ours gets back.
[[nodiscard]] rlim_t original_core_limit() noexcept;

// Orphans below us become our children, so that whole trees can be ended and reaped
// (PR_SET_CHILD_SUBREAPER).
void become_subreaper() noexcept;

}  // namespace keybearer
