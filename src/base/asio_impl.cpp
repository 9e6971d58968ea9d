// Asio's non-template code, compiled once.
#include <sys/timerfd.h>

// Asio waits by CLOCK_MONOTONIC, which stands still while the machine sleeps; Clock does not. With
// the kernel's timer on the same clock, a timer that became due meanwhile fires at the wake-up
// (timerfd_create(2)).
#define timerfd_create(clock, flags) timerfd_create(CLOCK_BOOTTIME, flags)

#include <boost/asio/impl/src.hpp>
