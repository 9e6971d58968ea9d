"""Programs that go into the background: legacy daemons, with exec.forking and without (behaviour.md 4, P10)."""
import os
import re
import shutil
import signal
import socket
import subprocess

import pytest

from bases import LOGIN, kv_base, toml
from harness import EX_CONFIG, observe, wait_for

# The file is the daemon's own business (a signal), the variable needs a restart.
TEXT = LOGIN + '''
[template_config]
static_secret_render_interval = "1s"
[[template]]
destination = "out/config.ini"
on_change = "signal"
contents = '{{ with secret "kv/data/app" }}value = {{ .Data.data.value }}{{ end }}'
[env]
@env@
[exec]
command = @app@
debounce = "100ms"
stop_timeout = "5s"
@exec@
'''
ENV = "VALUE = '{{ with secret \"kv/data/env\" }}{{ .Data.data.value }}{{ end }}'"

DOUBLE_FORK = r'''
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
static char pid_path[4096];
static volatile sig_atomic_t hups, stop;
static void on_hup(int s) { (void)s; hups++; }
static void on_term(int s) { (void)s; stop = 1; }
int main(int argc, char **argv) {
  (void)argc;
  snprintf(pid_path, sizeof pid_path, "%s/daemon.pid", argv[1]);
  if (fork() > 0) _exit(0);
  setsid();
  if (fork() > 0) _exit(0);
  umask(0);
  signal(SIGHUP, on_hup);
  signal(SIGTERM, on_term);
  sigset_t none, both;
  sigemptyset(&none); sigemptyset(&both); sigaddset(&both, SIGHUP); sigaddset(&both, SIGTERM);
  sigprocmask(SIG_BLOCK, &both, 0);
  FILE *f = fopen(pid_path, "w");
  fprintf(f, "%d\n", getpid());
  fclose(f);
  pid_t worker = fork();
  if (worker == 0) { signal(SIGTERM, SIG_DFL); signal(SIGHUP, SIG_IGN); sigprocmask(SIG_SETMASK, &none, 0); for (;;) pause(); }
  while (!stop) {
    sigsuspend(&none);
    char path[4200];
    snprintf(path, sizeof path, "%s/hups", argv[1]);
    f = fopen(path, "w");
    fprintf(f, "%d", (int)hups);
    fclose(f);
  }
  kill(worker, SIGTERM);
  unlink(pid_path);
  return 0;
}
'''


def parent_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            state, parent = file.read().rpartition(")")[2].split()[:2]
    except OSError:
        return None
    return None if state == "Z" else int(parent)


def workers_of(pid):
    return sorted(int(p) for p in os.listdir("/proc") if p.isdigit() and parent_of(p) == pid)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Nginx:
    name, reloads = "nginx", True

    def __init__(self, s):
        os.chmod(s.directory, 0o755)
        self.pid_file = s.path("nginx.pid")
        s.write("nginx.conf", f"pid {self.pid_file};\nerror_log {s.path('nginx.err')};\nworker_processes 1;\nevents {{}}\n"
                f"http {{ access_log off; server {{ listen 127.0.0.1:{free_port()}; }} }}\n")
        self.command = ["/usr/sbin/nginx", "-p", s.work, "-e", s.path("nginx.err"), "-c", s.path("nginx.conf")]


class Redis:
    name, reloads = "redis-server", False

    def __init__(self, s):
        self.pid_file = s.path("redis.pid")
        s.write("redis.conf", f"daemonize yes\nport 0\nunixsocket {s.path('redis.sock')}\npidfile {self.pid_file}\n"
                f"dir {s.work}\nlogfile {s.path('redis.log')}\nsave \"\"\n")
        self.command = ["/usr/bin/redis-server", s.path("redis.conf")]


class Apache:
    name, reloads = "apache2", True

    def __init__(self, s):
        os.chmod(s.directory, 0o755)
        self.pid_file = s.path("apache.pid")
        port = free_port()
        modules = "/usr/lib/apache2/modules"
        s.write("apache.conf", f"ServerRoot {s.work}\nServerName localhost\nPidFile {self.pid_file}\nErrorLog {s.path('apache.err')}\n"
                f"Listen 127.0.0.1:{port}\nUser www-data\nGroup www-data\nStartServers 1\nMinSpareServers 1\n"
                f"LoadModule mpm_prefork_module {modules}/mod_mpm_prefork.so\n"
                f"LoadModule authz_core_module {modules}/mod_authz_core.so\n")
        self.command = ["/usr/sbin/apache2", "-f", s.path("apache.conf"), "-k", "start"]


class DoubleFork:
    name, reloads = "daemon", True

    def __init__(self, s):
        self.pid_file = s.path("daemon.pid")
        source = s.write("daemon.c", DOUBLE_FORK)
        subprocess.run(["cc", "-o", s.path("daemon"), source], check=True)
        self.command = [s.path("daemon"), s.work]


DAEMONS = {"nginx": (Nginx, "/usr/sbin/nginx"), "redis": (Redis, "/usr/bin/redis-server"),
           "apache": (Apache, "/usr/sbin/apache2"), "double-fork": (DoubleFork, "/usr/bin/cc")}


@pytest.fixture(params=DAEMONS)
def daemon(s, request):
    kind, program = DAEMONS[request.param]
    if not os.path.exists(program):
        pytest.skip(f"{program} is not installed (packaging/packages.txt)")
    s.budget = False
    kv_base(s)
    s.vault.put("kv/data/env", {"value": s.canary("env-first")})
    made = kind(s)
    made.s = s
    yield made
    pid = main_pid(made)
    if pid and parent_of(pid) is not None:
        os.kill(pid, signal.SIGKILL)


def main_pid(daemon):
    text = daemon.s.read(daemon.pid_file) or ""
    return int(text) if text.strip().isdigit() else 0


def start(daemon, forking=True, pid_file=True, env=True, exec=""):
    exec += f"\nforking = {str(forking).lower()}\n"
    if pid_file and forking:
        exec += f'pid_file = "{daemon.pid_file}"\n'
    words = "[" + ", ".join(f'"{word}"' for word in daemon.command) + "]"
    return daemon.s.run(toml(TEXT, app=words, exec=exec, env=ENV if env else ""))


def wait_main(daemon, other_than=0):
    return wait_for(lambda: (pid := main_pid(daemon)) and pid != other_than and parent_of(pid) is not None and pid, 8,
                    lambda: f"the daemon; the log:\n{daemon.s.agents[-1].stderr}")


def change(daemon, path):
    daemon.s.vault.put(path, {"value": daemon.s.canary("next")})


def test_without_forking_it_is_an_error_that_says_what_to_write(daemon):
    agent = start(daemon, forking=False)
    assert agent.wait_exit(8) == EX_CONFIG, agent.stderr
    said = agent.lines_about("of it went on", "exec.forking = true", levels=("error",))
    assert len(said) == 1, agent.stderr
    found = re.search(r"(\d+) process(?:es)? of it went on \((.*?)\)", said[0])
    listed = re.findall(r"([^, ]+) (\d+)", found.group(2))
    assert len(listed) == int(found.group(1)) >= 1
    assert all(name == daemon.name for name, _ in listed), said
    assert all(parent_of(int(pid)) is None for _, pid in listed)


@pytest.mark.parametrize("pid_file", [True, False], ids=["pid-file", "no-pid-file"])
def test_it_is_alive_while_its_daemon_is_and_a_stop_ends_all(daemon, pid_file):
    agent = start(daemon, pid_file=pid_file)
    pid = wait_main(daemon)
    assert all(alive for _, alive in observe(1.0, lambda: agent.alive)), agent.stderr
    tree = [pid, *workers_of(pid)]
    assert agent.stop(8) == 0, agent.stderr
    assert all(parent_of(p) is None for p in tree)


@pytest.mark.parametrize("pid_file", [True, False], ids=["pid-file", "no-pid-file"])
def test_a_change_reloads_it(daemon, pid_file):
    if not daemon.reloads:
        pytest.skip("this one has no reload by a signal")
    agent = start(daemon, pid_file=pid_file)
    pid = wait_main(daemon)
    before = wait_for(lambda: workers_of(pid), 5, "its workers")
    change(daemon, "kv/data/app")
    if daemon.name == "daemon":
        wait_for(lambda: daemon.s.read("hups") == "1", 8, lambda: f"the signal; the log:\n{agent.stderr}")
    else:
        wait_for(lambda: (now := workers_of(pid)) and not set(now) & set(before), 8,
                 lambda: f"new workers; the log:\n{agent.stderr}")
    assert main_pid(daemon) == pid and agent.alive
    assert agent.lines_about("reload: ", "config.ini"), agent.stderr


def test_a_change_of_a_variable_starts_it_again(daemon):
    agent = start(daemon)
    first = wait_main(daemon)
    change(daemon, "kv/data/env")
    second = wait_main(daemon, other_than=first)
    assert parent_of(first) is None, agent.stderr
    if daemon.name in ("daemon", "apache2"):  # the others write their titles over it
        with open(f"/proc/{second}/environ", "rb") as file:
            assert b"VALUE=cnry-next" in file.read()
    assert agent.stop(8) == 0, agent.stderr
    assert parent_of(second) is None


def test_a_crash_is_its_end(daemon):
    agent = start(daemon)
    pid = wait_main(daemon)
    os.kill(pid, signal.SIGSTOP)  # it would start other workers meanwhile
    for victim in [*workers_of(pid), pid]:
        os.kill(victim, signal.SIGKILL)
    assert agent.wait_exit(8) == 128 + signal.SIGKILL, agent.stderr


def test_after_a_crash_it_is_started_again_by_the_policy(daemon):
    agent = start(daemon, exec='restart_on_exit = "on-failure"\nrestart_backoff = "100ms"')
    pid = wait_main(daemon)
    os.kill(pid, signal.SIGSTOP)
    for victim in [*workers_of(pid), pid]:
        os.kill(victim, signal.SIGKILL)
    wait_main(daemon, other_than=pid)
    assert agent.alive


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSEGV])
def test_the_end_of_its_main_process_is_its_end_though_workers_live(daemon, end):
    """As systemd does where PIDFile= names the main process: the rest is stopped."""
    agent = start(daemon)
    pid = wait_main(daemon)
    workers = workers_of(pid) if daemon.name == "redis-server" else wait_for(lambda: workers_of(pid), 5, "its workers")
    wait_for(lambda: agent.lines_about("in the background"), 4, "the daemon is known")
    os.kill(pid, end)
    if daemon.name != "redis-server":  # it catches SIGSEGV to write a report, and ends with it all the same
        assert agent.wait_exit(8) == 128 + end, agent.stderr
    else:
        assert agent.wait_exit(8) in (128 + end, 1), agent.stderr
    assert all(parent_of(worker) is None for worker in workers)


def test_after_the_end_of_its_main_process_the_policy_starts_it_again(daemon):
    agent = start(daemon, exec='restart_on_exit = "on-failure"\nrestart_backoff = "100ms"')
    pid = wait_main(daemon)
    workers = workers_of(pid)
    wait_for(lambda: agent.lines_about("in the background"), 4, "the daemon is known")
    os.kill(pid, signal.SIGKILL)
    wait_main(daemon, other_than=pid)
    assert agent.alive and all(parent_of(worker) != pid for worker in workers)
    assert agent.stop(8) == 0, agent.stderr


def test_without_a_pid_file_it_lives_as_long_as_its_workers(s):
    kv_base(s)
    s.budget = False
    s.vault.put("kv/data/env", {"value": s.canary("env-first")})
    daemon = Nginx(s)
    daemon.s = s
    if not os.path.exists(daemon.command[0]):
        pytest.skip("nginx is not installed (packaging/packages.txt)")
    agent = start(daemon, pid_file=False)
    pid = wait_main(daemon)
    workers = wait_for(lambda: workers_of(pid), 5, "its workers")
    os.kill(pid, signal.SIGKILL)
    assert all(alive for _, alive in observe(1.0, lambda: agent.alive)), agent.stderr
    assert all(parent_of(worker) is not None for worker in workers)
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    assert agent.wait_exit(8) == 128 + signal.SIGKILL, agent.stderr


def test_a_killed_keybearer_takes_it_along(daemon):
    agent = start(daemon)
    pid = wait_main(daemon)
    tree = [pid, *workers_of(pid)]
    wait_for(lambda: agent.lines_about("in the background"), 4, "the daemon is known")
    agent.kill()
    wait_for(lambda: all(parent_of(p) is None for p in tree), 3, "the end of the daemon")


def test_a_pid_file_that_names_a_stranger_is_not_believed(s):
    kv_base(s)
    s.vault.put("kv/data/env", {"value": s.canary("env-first")})
    daemon = DoubleFork(s)
    daemon.s = s
    stranger = subprocess.Popen(["/bin/sleep", "100"])
    try:
        s.write("other.pid", f"{stranger.pid}\n")
        words = "[" + ", ".join(f'"{word}"' for word in daemon.command) + "]"
        agent = s.run(toml(TEXT, app=words, exec='forking = true\npid_file = "other.pid"', env=""))
        wait_main(daemon)
        change(daemon, "kv/data/app")
        wait_for(lambda: s.read("hups") == "1", 8, lambda: f"the signal; the log:\n{agent.stderr}")
        assert stranger.poll() is None and agent.lines_about("pid_file", levels=("warn",))
        assert agent.stop(8) == 0
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_what_a_program_left_behind_for_a_moment_is_no_daemon(s):
    """It told its helper to end, and did not wait for it."""
    kv_base(s)
    s.write("program", '#!/bin/sh\n(sleep 0.1) &\nexit 0\n', 0o755)
    agent = s.run(toml(TEXT, app='["./program"]', env=""))
    assert agent.wait_exit(5) == 0, agent.stderr
    assert not agent.lines_about("went on")
    shutil.rmtree(s.path("out"), ignore_errors=True)
