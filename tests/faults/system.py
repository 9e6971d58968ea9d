"""Faults of the system: full and read-only file systems, limits, errors and signals at a chosen system call."""
import functools
import os
import resource
import subprocess

import pytest

from harness.agent import PROGRAM

STRACE, UNSHARE = "/usr/bin/strace", "/usr/bin/unshare"


@functools.cache
def allowed(*command):
    return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0


def need_mounts():
    if not allowed(UNSHARE, "-m", "true"):
        pytest.skip("mounts are not permitted here: root with CAP_SYS_ADMIN is needed")


def need_tracing():
    if not allowed(STRACE, "-D", "-qq", "-o", "/dev/null", "true"):
        pytest.skip("tracing is not permitted here: ptrace(2) is needed")


class Mounts:
    def __init__(self, s):
        self._s, self._made = s, []

    def tmpfs(self, name, size="64k"):
        """A small file system at work/NAME."""
        path = self._s.path(name)
        os.makedirs(path, mode=0o700, exist_ok=True)
        self._mount("-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", path)
        return path

    def bind(self, source, name):
        """The file `source` mounted by itself at work/NAME."""
        self._mount("--bind", self._s.path(source), self._s.path(name))

    @staticmethod
    def readonly(path):
        subprocess.run(["mount", "-o", "remount,ro", path], check=True)

    def _mount(self, *args):
        need_mounts()
        subprocess.run(["mount", *args], check=True)
        self._made.append(args[-1])

    def close(self):
        for path in reversed(self._made):
            subprocess.run(["umount", "-l", path], check=False)


def fill(path):
    """Takes all the space that is left; returns the file that holds it."""
    name = os.path.join(path, "filler")
    with open(name, "wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            pass
    return name


def injected(*faults, threads=False):
    """Arguments of strace before the program's own: each fault as "openat:error=EIO:when=3". The program is the direct child."""
    need_tracing()
    calls = sorted({call for fault in faults for call in fault.split(":")[0].split(",")})
    inject = [part for fault in faults for part in ("-e", f"inject={fault}")]
    return ["-D", "-qq", *(["-f"] if threads else []), "-o", "/dev/null", "-e", "trace=" + ",".join(calls), *inject, PROGRAM]


def start_injected(s, faults, *args, threads=False, **more):
    return s.start(*injected(*faults, threads=threads), *args, program=STRACE, **more)


def run_injected(s, fault, *args, also=(), timeout=20):
    """Returns (exit code, stderr); a code below 0 is a signal."""
    done = subprocess.run([STRACE, *injected(fault, *also), *args], cwd=s.work, env=s.environment(), capture_output=True, text=True,
                          errors="replace", timeout=timeout, check=False)
    return done.returncode, done.stderr


def count_calls(s, calls, *args):
    """How many of these system calls a run makes: {name: number}."""
    need_tracing()
    log = os.path.join(s.logs, "calls")
    command = [STRACE, "-D", "-qq", "-s", "0", "-o", log, "-e", "trace=" + ",".join(calls), PROGRAM, *args]
    subprocess.run(command, cwd=s.work, env=s.environment(), capture_output=True, timeout=20, check=True)
    found = {}
    with open(log, encoding="utf-8", errors="replace") as file:
        for line in file:
            name = line.split("(")[0]
            if name in calls:
                found[name] = found.get(name, 0) + 1
    os.unlink(log)
    return found


def name_service(s, hosts, resolver):
    """Arguments of unshare before the program's own: it sees work/hosts and work/resolv.conf as the system's."""
    need_mounts()
    s.write("hosts", hosts, 0o644)
    s.write("resolv.conf", resolver, 0o644)
    script = 'mount --bind hosts /etc/hosts && mount --bind resolv.conf /etc/resolv.conf && exec "$@"'
    return ["-m", "--propagation", "private", "/bin/sh", "-c", script, "sh", PROGRAM]


def rewrite(s, name, text):
    """In place: a mounted file must stay the same file."""
    with open(s.path(name), "w", encoding="ascii") as file:
        file.write(text)


def limit(which, value):
    """For preexec."""
    return lambda: resource.setrlimit(which, (value, value))


def descriptors(pid):
    return sorted(int(name) for name in os.listdir(f"/proc/{pid}/fd"))


def running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
