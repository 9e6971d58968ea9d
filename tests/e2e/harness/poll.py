"""Waiting: poll with a deadline, never sleep for luck."""
import os
import time

# For slow machines: stretches every deadline, never a window that a scenario measures.
PATIENCE = float(os.environ.get("KEYBEARER_E2E_PATIENCE", "1"))


def wait_for(condition, timeout, what="the condition", interval=0.02):
    """The first true result of condition(); fails after timeout seconds, saying what was waited for."""
    end = time.monotonic() + timeout * PATIENCE
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() >= end:
            described = what() if callable(what) else what
            raise AssertionError(f"not within {timeout} s: {described}")
        time.sleep(interval)


def observe(seconds, look, interval=0.25):
    """Calls look() until the time is over; returns [(seconds since the beginning, result)]."""
    begin, seen = time.monotonic(), []
    while (elapsed := time.monotonic() - begin) < seconds:
        seen.append((elapsed, look()))
        time.sleep(max(0.0, min(interval, seconds - (time.monotonic() - begin))))
    return seen


def wait_until(moment):
    """Sleeps until this time.monotonic(): only for scenarios that are about the passing of time."""
    time.sleep(max(0.0, moment - time.monotonic()))
