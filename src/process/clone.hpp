#pragma once
// clone(2) of a child that has our memory until it execs, while we wait.
//
// ThreadSanitizer's own takes every child for a copy of the process, and ends us by what it makes of
// that. The C library's it does not know: then the child is to it the thread that waits.

#include <sched.h>

#if __has_feature(thread_sanitizer)
#define KEYBEARER_CLONE __clone
// Before a function that execs: its call is not noted, as it never returns.
#define KEYBEARER_CLONED [[clang::disable_sanitizer_instrumentation]]
extern "C" int __clone(int (*start)(void*), void* stack, int flags, void* argument, ...) noexcept;
#else
#define KEYBEARER_CLONE clone
#define KEYBEARER_CLONED
#endif

namespace keybearer {

template <class... Ids>
int clone_sharing_memory(int (*start)(void*), void* stack, int flags, void* argument, Ids... ids) {
  return KEYBEARER_CLONE(start, stack, CLONE_VM | CLONE_VFORK | flags, argument, ids...);
}

}  // namespace keybearer
