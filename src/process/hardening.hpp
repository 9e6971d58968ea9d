#pragma once
// What keeps a process that holds secrets to itself. Each measure is best effort: where the system
// does not allow one, the others still hold.

#include <sys/resource.h>

namespace keybearer {

// Before anything secret is read: no core files, not dumpable (which also keeps ptrace,
// /proc/PID/mem and /proc/PID/environ away from the same user). `show_process` takes it back, for
// hardening = false.
void hide_process() noexcept;
void show_process() noexcept;

// No core files, not dumpable (which also keeps ptrace and /proc/PID/mem away from the same user),
// no new privileges for us or what we start (prctl(2)).
void harden_process() noexcept;
// Where the limit allows it, no page of ours is ever swapped out (mlockall(2), as they are
// touched). Takes half a millisecond, so not before the program is started.
void lock_memory() noexcept;
// The soft limit of core files before that: what a program of ours gets back.
[[nodiscard]] rlim_t original_core_limit() noexcept;

// Orphans below us become our children, so that whole trees can be ended and reaped
// (PR_SET_CHILD_SUBREAPER).
void become_subreaper() noexcept;

}  // namespace keybearer
