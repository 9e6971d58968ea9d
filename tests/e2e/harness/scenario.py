"""What a scenario works with: a directory, a server, a tap, a database, applications; and the checks after it."""
import os
import secrets
import shutil
import signal
import string

from .agent import Agent, RunLog
from . import control
from .canary import Canaries
from .tap import Tap
from .vault import Vault

APPS = os.path.join(os.path.dirname(os.path.dirname(__file__)), "apps")


class Scenario:
    """work/ is keybearer's working directory. Secrets are intended only in work/out (rendered files), work/boot
    (credentials the test supplies), run logs and what allow() names."""

    def __init__(self, directory, app, postgres, server=Vault):
        self._server = server  # Vault, or another kind of it
        self.directory = str(directory)
        self.app = app
        self._postgres = postgres  # () -> Postgres
        self.work = os.path.join(self.directory, "work")
        self.logs = os.path.join(self.directory, "logs")
        self.temp = os.path.join(self.work, "tmp")
        self.home = os.path.join(self.work, "home")
        self.runtime = os.path.join(self.directory, "run")  # control sockets
        for path in (self.work, self.logs, self.temp, self.home, self.runtime, self.path("out"), self.path("boot")):
            os.makedirs(path, mode=0o700, exist_ok=True)
        self.canaries = Canaries()
        self.agents = []
        self.failed = False
        self.budget = True  # False: a scenario whose own faults force faster requests
        self._allowed = {self.path("out"), self.path("boot")}
        self._vault = self._tap = self._pg = None
        self._taps = []
        self.runlog = self.run_log("run.jsonl")

    # --- the parts

    @property
    def vault(self):
        if not self._vault:
            self._vault = self._server(self.canaries, os.path.join(self.logs, "vault.log"))
        return self._vault

    def use_vault(self, **options):
        """Another kind of server: directory=..., tls=(cert, key), env={...}."""
        assert not self._vault
        self._vault = self._server(self.canaries, os.path.join(self.logs, "vault.log"), **options)
        return self._vault

    @property
    def tap(self):
        if not self._tap:
            self._tap = self.new_tap()
        return self._tap

    def new_tap(self):
        tap = Tap(self.canaries)
        tap.upstream = ("127.0.0.1", self._vault.port if self._vault else self.vault.port)
        self._taps.append(tap)
        return tap

    @property
    def pg(self):
        if not self._pg:
            self._pg = self._postgres()
            self._pg.reset()
            self.canaries.add(self._pg.admin_password, "the database administrator's password")
        return self._pg

    # --- files

    def path(self, name):
        return os.path.join(self.work, name)

    def write(self, name, text, mode=0o600):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        new = path + ".new"
        with open(new, "w" if isinstance(text, str) else "wb") as file:
            file.write(text)
        os.chmod(new, mode)
        os.rename(new, path)
        return path

    def read(self, name):
        """Content of a rendered file; None while it is not there."""
        try:
            with open(self.path(name), encoding="utf-8", errors="surrogateescape") as file:
                return file.read()
        except FileNotFoundError:
            return None

    def run_log(self, name):
        self.allow(name)
        return RunLog(self.path(name))

    def allow(self, *names):
        """Secrets may be in these files or directories below work/."""
        self._allowed |= {self.path(name) for name in names}

    def canary(self, name):
        value = f"cnry-{name}-{secrets.token_hex(6)}"
        self.canaries.add(value, name)
        return value

    # --- keybearer

    def environment(self, extra=None):
        env = {"PATH": os.environ["PATH"], "HOME": self.home, "TMPDIR": self.temp, "XDG_RUNTIME_DIR": self.temp,
               "RUNTIME_DIRECTORY": self.runtime, "LANG": "C.UTF-8"}
        if options := os.environ.get("TSAN_OPTIONS"):
            env["TSAN_OPTIONS"] = options
        env.update(extra or {})
        return {key: value for key, value in env.items() if value is not None}

    def start(self, *args, env=None, name=None, cwd=None, preexec=None, program=None):
        name = name or f"keybearer{len(self.agents) + 1}"
        for tap in self._taps:
            tap.next_client()
        if args[:1] == ("render",) and "--once" in args and "--log-format" not in args:
            args += ("--log-format", "json")  # a command that ends logs text, which events() can't read
        agent = Agent(name, [str(a) for a in args], cwd or self.work, self.environment(env), self.logs, preexec, program)
        agent.given = list((env or {}).values())  # what the test itself put into its environment
        self.agents.append(agent)
        return agent

    def config(self, text, name="agent.toml", **values):
        """Writes a configuration; @name@ is replaced by values, @addr@ by the tap's address."""
        if "@addr@" in text:
            values.setdefault("addr", self.tap.url)
        for key, value in values.items():
            text = text.replace(f"@{key}@", str(value))
        self.write(name, text, 0o644)
        return name

    def run(self, text, *command, env=None, flags=(), **values):
        """keybearer run -c agent.toml FLAGS [-- command]"""
        args = ["run", "-c", self.config(text, **values), *flags]
        return self.start(*args, *(["--", *command] if command else []), env=env)

    def render(self, text, *flags, env=None, **values):
        return self.start("render", "-c", self.config(text, **values), *flags, env=env)

    def app_command(self, *flags, log="run.jsonl"):
        return [self.app, log, *[str(flag) for flag in flags]]

    def app_toml(self, *flags, log="run.jsonl"):
        """The value of exec.command."""
        return "[" + ", ".join(f'"{part}"' for part in self.app_command(*flags, log=log)) + "]"

    # --- the end

    def verify(self):
        """After every scenario: no canary where none belongs, the request budget kept, no debris, no core file."""
        for agent in self.agents:
            agent.look()
        problems = [f"{what} shows {hit}" for what, text in control.replies(self.runtime) for hit in self.canaries.hits(text.encode())]
        self.stop_agents()
        for agent in self.agents:
            for name in (agent.out_path, agent.err_path):
                with open(name, "rb") as file:
                    problems += [f"{name} shows {hit}" for hit in self.canaries.hits(file.read())]
            problems += [f"command line of {agent.name} shows {hit}"
                         for hit in self.canaries.hits(agent.seen.get("cmdline", b""))]
            environ = agent.seen.get("environ", b"")
            for value in agent.given:
                environ = environ.replace(str(value).encode(), b"")
            problems += [f"environment of {agent.name} shows {hit}" for hit in self.canaries.hits(environ)]
            if agent.process.returncode is not None and agent.process.returncode < 0 and not agent.killed_by_test:
                problems.append(f"{agent.name} died of signal {-agent.process.returncode}:\n{agent.stderr[-3000:]}")
            if "Sanitizer" in agent.stderr or "runtime error:" in agent.stderr:
                problems.append(f"{agent.name}: a sanitizer reports:\n{agent.stderr[-3000:]}")
        problems += self.canaries.hits_in_tree(self.work, lambda path: path in self._allowed)
        for parent, _, names in os.walk(self.work):
            problems += [f"left behind: {os.path.join(parent, n)}" for n in names if self._is_debris(n)]
        if self.budget:
            problems += [violation for tap in self._taps for violation in tap.budget_violations()]
        assert not problems, "\n".join(problems)

    @staticmethod
    def _is_debris(name):
        return name == "core" or name.startswith("core.") or name.endswith((".tmp", ".new")) or ".tmp." in name

    def stop_agents(self):
        for agent in self.agents:
            if agent.alive:
                agent.send(signal.SIGTERM)
        for agent in self.agents:
            agent.wait_exit(20)

    def close(self):
        for agent in self.agents:
            agent.kill()
        for line in self._runlogs():
            _kill_quietly(line["pid"])  # applications of a keybearer that a scenario killed
        for tap in self._taps:
            tap.close()
        if self._vault:
            self._vault.kill()

    def _runlogs(self):
        for name in os.listdir(self.work):
            if name.endswith(".jsonl"):
                lines = RunLog(self.path(name)).lines()
                ended = {line["pid"] for line in lines if line["event"] == "exit"}
                yield from (line for line in lines if line["event"] == "start" and line["pid"] not in ended)

    def remove(self):
        shutil.rmtree(self.directory, ignore_errors=True)


def _kill_quietly(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            if b".jsonl" not in file.read():
                return
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass


def fields(text, section=None):
    """name = value lines of an ini file, of one section or of all."""
    found, current = {}, None
    for line in (text or "").splitlines():
        if line.startswith("["):
            current = line.strip("[]")
        elif " = " in line and section in (None, current):
            key, value = line.split(" = ", 1)
            found[key.strip(string.whitespace)] = value
    return found
