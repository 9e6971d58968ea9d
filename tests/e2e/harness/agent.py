"""One keybearer process, and the run log of its application."""
import json
import os
import signal
import subprocess
import time

from .poll import wait_for

PROGRAM = os.environ.get("KEYBEARER", "")
# The documented exit codes (cli.md).
EX_USAGE, EX_TEMPLATE, EX_UNAVAILABLE, EX_IO, EX_NOT_READY, EX_AUTH, EX_CONFIG = 64, 65, 69, 73, 75, 77, 78


class RunLog:
    def __init__(self, path):
        self.path = path

    def lines(self):
        try:
            with open(self.path, encoding="ascii") as file:
                content = file.read()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in content.split("\n")[:-1]]

    def starts(self):
        return [line for line in self.lines() if line["event"] == "start"]

    def signals(self):
        return [line for line in self.lines() if line["event"] == "signal"]

    def exits(self):
        return [line for line in self.lines() if line["event"] == "exit"]

    def wait_starts(self, count, timeout):
        wait_for(lambda: len(self.starts()) >= count, timeout,
                 lambda: f"{count} starts of the application, there are {len(self.starts())}")
        return self.starts()


class Agent:
    """Runs keybearer in `cwd`; stdout and stderr go to files."""

    def __init__(self, name, args, cwd, env, logs, preexec=None, program=None):
        self.name = name
        self.out_path, self.err_path = os.path.join(logs, f"{name}.out"), os.path.join(logs, f"{name}.err")
        self.begin = time.monotonic()
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            # A process group of its own, as a service manager would give it.
            self.process = subprocess.Popen([program or PROGRAM, *args], cwd=cwd, env=env, stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=err, start_new_session=True, preexec_fn=preexec)
        self.pid = self.process.pid
        self.ended_at = None
        self.killed_by_test = False
        self.given = []
        self.seen = {}  # command line and environment as /proc showed them
        self.look()

    def look(self):
        for what in ("cmdline", "environ"):
            try:
                with open(f"/proc/{self.pid}/{what}", "rb") as file:
                    content = file.read()
                if content:
                    self.seen[what] = content
            except OSError:
                pass

    @property
    def stderr(self):
        with open(self.err_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    @property
    def stdout(self):
        with open(self.out_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def events(self, *levels):
        """JSON log lines, all or of these levels."""
        found = []
        for line in self.stderr.splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and "level" in event and (not levels or event["level"] in levels):
                found.append(event)
        return found

    def lines_about(self, *words, levels=()):
        """Log lines that hold all these words, whatever their case."""
        lines = [json.dumps(event) for event in self.events(*levels)]
        return [line for line in lines if all(word.lower() in line.lower() for word in words)]

    def wait_line(self, *words, timeout=5):
        return wait_for(lambda: self.lines_about(*words), timeout,
                        lambda: f"a log line about {words}; the log:\n{self.stderr}")

    @property
    def alive(self):
        return self.process.poll() is None

    def wait_exit(self, timeout):
        wait_for(lambda: not self.alive, timeout, lambda: f"the end of {self.name}; its log:\n{self.stderr}", 0.005)
        self.ended_at = self.ended_at or time.monotonic()
        return self.process.returncode

    @property
    def lived(self):
        """Seconds from start to end."""
        return self.ended_at - self.begin

    @property
    def lived_now(self):
        """Seconds since its start."""
        return time.monotonic() - self.begin

    def send(self, number):
        self.look()
        self.process.send_signal(number)

    def stop(self, timeout=40, number=signal.SIGTERM):
        """In order; returns the exit code."""
        if self.alive:
            self.send(number)
        return self.wait_exit(timeout)

    def kill(self):
        if self.alive:
            self.killed_by_test = True
            self.process.kill()
        self.process.wait()
        self.ended_at = self.ended_at or time.monotonic()

    def status(self, field):
        """A value of /proc/PID/status, in its own unit."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith(field + ":"):
                    return int(line.split()[1])
        raise KeyError(field)
