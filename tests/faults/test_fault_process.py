"""Faults of the program and of the process: 32 to 38 and 40."""
import fcntl
import os
import resource
import shutil
import signal
import socket
import threading
import time

import pytest

import system
from bases import KV, KV_DATA, kv_base, kv_run, s2_base, s2_toml, toml
from harness import EX_CONFIG, EX_NOT_READY, observe, wait_for
from system import running

NOTIFY = 'notify.command = ["/bin/sh", "-c", "echo $KEYBEARER_EVENT >> alarms"]\n'
QUICK = 'debounce = "100ms"\n'


def run_program(s, text, exec="", **values):
    """keybearer with a shell script as its program."""
    s.write("program", "#!/bin/sh\n" + text, 0o755)
    return s.run(toml(KV, interval="1s", app='["./program"]', exec=QUICK + exec, **values))


def next_value(s, name="kv-next"):
    value = s.canary(name)
    s.vault.put(KV_DATA, {"value": value})
    return value


# --- 32: a program that can't be started

def wrong_machine(s):
    """A program of another kind of processor."""
    with open(s.app, "rb") as file:
        content = bytearray(file.read())
    content[18:20] = b"\x2a\x00"
    s.write("program", bytes(content), 0o755)


@pytest.mark.parametrize("kind, code", [("machine", 126), ("interpreter", 126), ("text", 126), ("empty", 126), ("directory", 126)])
def test_F32_program_that_is_none(s, kind, code):
    kv_base(s)
    if kind == "machine":
        wrong_machine(s)
    elif kind == "directory":
        os.mkdir(s.path("program"))
    else:
        s.write("program", {"interpreter": "#!/no/such/interpreter\n", "text": "echo x\n", "empty": ""}[kind], 0o755)
    agent = s.run(toml(KV, interval="1s", app='["./program"]', exec='restart_on_exit = "always"'))
    assert agent.wait_exit(4) == code and "./program" in agent.stderr, agent.stderr
    assert len(agent.lines_about("can't start")) == 1, agent.stderr


@pytest.mark.parametrize("what, code", [("gone", 127), ("no-program", 126)])
def test_F32_program_that_goes_before_a_restart(s, what, code):
    kv_base(s)
    shutil.copy(s.app, s.path("program"))
    agent = s.run(toml(KV, interval="1s", app='["./program", "run.jsonl"]', exec=QUICK + 'restart_on_exit = "always"'))
    s.runlog.wait_starts(1, 5)
    os.unlink(s.path("program"))
    if what == "no-program":
        s.write("program", "text", 0o755)
    next_value(s)
    assert agent.wait_exit(6) == code, agent.stderr
    assert len(agent.lines_about("can't start")) == 1 and len(s.runlog.starts()) == 1
    assert s.tap.last().path == "auth/token/revoke-self", s.tap


def test_F32_no_more_processes_for_a_moment(s):
    """The first start fails for a passing reason: again after a pause."""
    kv_base(s)
    text = toml(KV, interval="1s", app=s.app_toml(), exec=QUICK)
    agent = system.start_injected(s, ["clone:error=EAGAIN:when=1"], "run", "-c", s.config(text))
    s.runlog.wait_starts(1, 6)
    assert agent.lines_about("no more processes"), agent.stderr


# --- 33 and 34: the old one goes before the next comes

def test_F33_the_port_is_free_for_the_next(s):
    """A program that ignores TERM and holds a port."""
    kv_base(s)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    s.write("serve.py", f'''
import signal, socket, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
listener = socket.socket()
try:
    listener.bind(("127.0.0.1", {port}))
    listener.listen()
    said = "bound"
except OSError:
    said = "busy"
open("ports", "a").write(said + "\\n")
time.sleep(60)
''')
    run_program(s, "exec /usr/bin/python3 serve.py\n", exec='stop_timeout = "1s"')
    wait_for(lambda: s.read("ports"), 4, "the program")
    for count in (2, 3):
        next_value(s)
        wait_for(lambda: len((s.read("ports") or "").split()) >= count, 6, "the next program")
    assert s.read("ports").split() == ["bound"] * 3


def test_F34_program_that_forks_away(s):
    """It ends at once and leaves a daemon: keybearer ends with its code, and nothing runs on unseen."""
    kv_base(s)
    agent = run_program(s, 'setsid /bin/sh -c "echo \\$\\$ > daemon; exec sleep 100" &\nwhile ! [ -s daemon ]; do :; done\nexit 4\n')
    assert agent.wait_exit(6) == 4
    assert not running(int(s.read("daemon")))


@pytest.mark.parametrize("job", ["once", "daemon"])
def test_F34_hook_that_leaves_a_daemon(s, job):
    """A daemon in a session of its own holds the command's output: waited for until the time-out, not forever."""
    kv_base(s)
    text = toml(KV[:KV.index("[exec]")], interval="1s")
    text += 'command = ["/bin/sh", "-c", "setsid sleep 15 & echo $! > daemon"]\ncommand_timeout = "1s"\n'
    agent = s.render(text, *(["--once"] if job == "once" else []))
    try:
        if job == "once":
            agent.wait_exit(5)
        else:
            agent.wait_line("hook.", timeout=5)
    finally:
        wait_for(lambda: s.read("daemon"), 2, "the daemon")
        pid = int(s.read("daemon"))
        if running(pid):
            os.kill(pid, signal.SIGKILL)


def test_F34_orphans_are_reaped(s):
    """Three hundred that end at about the same time leave no zombie."""
    kv_base(s)
    agent = run_program(s, f'i=0; while [ $i -lt 300 ]; do (setsid sleep 0.3 &); i=$((i+1)); done\nexec {s.app} run.jsonl\n')
    pid = s.runlog.wait_starts(1, 9)[0]["pid"]

    def children():
        with open(f"/proc/{agent.pid}/task/{agent.pid}/children", encoding="ascii") as file:
            return file.read().split()
    wait_for(lambda: children() == [str(pid)], 4, lambda: f"no other children: {len(children())}")



TREE = r"""#!/bin/sh
# In the group, in a session of its own, a daemon, and one that ignores TERM and cleared its environment.
(trap "" TERM; exec sleep 1000) & echo $! >> tree
setsid sh -c 'echo $$ >> tree; exec sleep 1000' &
(setsid sh -c '(sh -c "echo \$\$ >> tree; exec sleep 1000") & exit 0')
env -i /usr/bin/setsid /bin/sh -c 'trap "" TERM HUP INT; echo $$ >> tree; while :; do /bin/sleep 1; done' &
echo $$ >> tree
exec sleep 1000
"""


def tree_of(s):
    return wait_for(lambda: (pids := (s.read("tree") or "").split()) and len(pids) == 5 and [int(p) for p in pids], 5, "the tree")


def guards():
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as comm, open(f"/proc/{pid}/cmdline", "rb") as line:
                if comm.read().strip() == "keybearer-guard":
                    found.append((int(pid), line.read().split(b"\0")[1]))
        except (OSError, IndexError):
            pass
    return found


def mark_of(pid):
    with open(f"/proc/{pid}/limits", encoding="ascii") as limits:
        return next(line.split()[3].encode() for line in limits if line.startswith("Max file locks"))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_F34_killed_keybearer_ends_the_whole_tree(s, number):
    """Grandchildren in sessions of their own, too: they have the secrets in their environment."""
    kv_base(s)
    s.write("program", TREE, 0o755)
    agent = s.run(toml(KV, interval="1s", app='["./program"]', exec=QUICK))
    pids = tree_of(s)
    agent.killed_by_test = True
    agent.send(number)
    wait_for(lambda: not any(running(pid) for pid in pids), 4, lambda: f"left: {[p for p in pids if running(p)]}")


def test_F34_killed_keybearer_ends_a_command_under_way(s):
    kv_base(s)
    text = toml(KV, interval="1s", app=s.app_toml("--file", "out/config.ini"), exec=QUICK)
    text = text.replace("[exec]", 'command = ["/bin/sh", "-c", "sleep 1000 & echo $! > hook; wait"]\n[exec]', 1)
    agent = s.run(text)
    pid = int(wait_for(lambda: s.read("hook"), 5, "the command"))
    agent.kill()
    wait_for(lambda: not running(pid), 4, "the end of the command's process")


def test_F34_the_guard_is_nobodys_child_and_goes_with_keybearer(s):
    kv_base(s)
    agent = s.run(toml(KV, interval="1s", app=s.app_toml("--file", "out/config.ini"), exec=QUICK))
    pid = s.runlog.wait_starts(1, 5)[0]["pid"]
    mark = mark_of(pid)
    mine = [guard for guard, of in guards() if of == mark]
    assert len(mine) == 1, guards()
    with open(f"/proc/{mine[0]}/environ", "rb") as environ, open(f"/proc/{mine[0]}/status", encoding="ascii") as status:
        assert environ.read() == b""
        memory = int(next(line.split()[1] for line in status if line.startswith("VmRSS")))
    assert memory <= 64, f"{memory} KiB"
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # a stop of the whole control group
        os.kill(mine[0], number)
    observe(0.3, lambda: None, 0.1)
    assert running(mine[0])
    assert agent.stop(5) == 0
    wait_for(lambda: not running(mine[0]), 1, "the end of the guard")


def test_F34_processes_that_a_program_left_are_named(s):
    kv_base(s)
    agent = run_program(s, "setsid sleep 100 & sleep 100 & exit 0\n")
    assert agent.wait_exit(6) == EX_CONFIG
    assert agent.lines_about("2 processes of it went on", "sleep ", "exec.forking = true", levels=("error",)), agent.stderr


# --- 35: a crash loop

def test_F35_crash_loop_after_a_change(s):
    kv_base(s)
    agent = run_program(s, f"grep -q next out/config.ini && {{ echo crash >> crashes; exit 3; }}\nexec {s.app} run.jsonl\n",
                        exec='restart_on_exit = "on-failure"\nmax_restarts = 2\nrestart_backoff = "200ms"', top=NOTIFY)
    s.runlog.wait_starts(1, 5)
    next_value(s)
    assert agent.wait_exit(8) == 3, agent.stderr
    assert s.read("crashes").count("crash") == 3
    assert len((s.read("alarms") or "").split()) == 1, s.read("alarms")


# --- 36: floods, and nobody who reads

def blocked_pipe():
    """(reader, writer) of a full pipe."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        pass
    os.set_blocking(writer, True)
    return reader, writer


def test_F36_nobody_reads_our_log(s):
    """A stuck reader of the log does not stop the program's start, its changes, or the end."""
    kv_base(s)
    reader, writer = blocked_pipe()
    try:
        agent = s.start("run", "-c", s.config(toml(KV, interval="1s", app=s.app_toml(), exec=QUICK)), preexec=lambda: os.dup2(writer, 2))
        s.runlog.wait_starts(1, 4)
        next_value(s)
        s.runlog.wait_starts(2, 4)
        assert agent.stop(3) == 0
    finally:
        for end in (reader, writer):
            os.close(end)


def test_F36_reader_of_our_log_stops_later(s):
    """TERM wins, also when a line of the log can't leave."""
    kv_base(s)
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    try:
        text = toml(KV, interval="1s", app=s.app_toml(), exec=QUICK, top='log_level = "trace"')
        agent = s.start("run", "-c", s.config(text), preexec=lambda: os.dup2(writer, 2))
        s.runlog.wait_starts(1, 4)
        os.set_blocking(writer, False)
        try:
            while True:
                os.write(writer, b"x")
        except BlockingIOError:
            pass
        os.set_blocking(writer, True)
        assert agent.stop(3) == 0
    finally:
        for end in (reader, writer):
            os.close(end)


def test_F36_a_command_that_floods(s):
    """400 MB of output: bounded memory and log, and the others go on."""
    kv_base(s)
    flood = 'command = ["/bin/sh", "-c", "yes | head -c 400000000; echo end >> floods"]\n'
    text = toml(KV[:KV.index("[exec]")], interval="1s") + flood
    agent = s.render(text)
    wait_for(lambda: s.read("floods"), 8, "the end of the flood")
    agent.wait_line("hook.succeeded", timeout=3)
    assert agent.status("VmHWM") < 64 * 1024 and os.path.getsize(agent.err_path) < 10_000_000
    value = next_value(s)
    wait_for(lambda: s.read("out/config.ini") == f"value = {value}", 4, "the next value")


# --- 37: many changes

def test_F37_many_changes_are_few_restarts(s):
    kv_base(s)
    kv_run(s, exec='debounce = "1s"\ndebounce_max = "3s"')
    s.runlog.wait_starts(1, 5)
    begin = time.monotonic()
    observe(6, lambda: next_value(s), 0.25)
    last = next_value(s, "kv-last")
    wait_for(lambda: s.runlog.starts()[-1]["files"]["out/config.ini"] == f"value = {last}", 5, "the last value")
    assert len(s.runlog.starts()) <= 2 + (time.monotonic() - begin) / 3 + 1, len(s.runlog.starts())


# --- 38: storms of signals

def test_F38_a_storm_of_hups(s):
    kv_base(s)
    agent = kv_run(s)
    s.runlog.wait_starts(1, 5)
    for _ in range(500):
        agent.process.send_signal(signal.SIGHUP)
    value = next_value(s)
    assert s.runlog.wait_starts(2, 4)[1]["files"]["out/config.ini"] == f"value = {value}" and agent.alive
    for _ in range(200):
        agent.process.send_signal(signal.SIGHUP)
    begin = time.monotonic()
    assert agent.stop(3) == 0 and time.monotonic() - begin < 1


def test_F38_terms_and_hups_from_many_sides(s):
    """Whatever comes: it ends soon, in order, and nothing is left."""
    kv_base(s)
    agent = kv_run(s, app=("--slow-term", 0.3))
    pid = s.runlog.wait_starts(1, 5)[0]["pid"]
    next_value(s)
    wait_for(s.runlog.signals, 4, "the restart has begun")

    def storm(number):
        for _ in range(100):
            if agent.process.poll() is None:
                agent.process.send_signal(number)
    threads = [threading.Thread(target=storm, args=(number,)) for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)]
    for thread in threads:
        thread.start()
    code = agent.wait_exit(4)
    for thread in threads:
        thread.join()
    assert code in (0, 137) and not running(pid), code
    assert not [line for line in s.runlog.starts() if running(line["pid"])]


@pytest.mark.parametrize("more", [(signal.SIGINT,), (signal.SIGINT, signal.SIGQUIT)], ids=["two", "three"])
def test_F38_many_terms_at_once(s, more):
    """Stopped and continued, so that they are there together. The third kills the program."""
    kv_base(s)
    agent = kv_run(s, app=("--on-term", 5, "--slow-term", 0.2))
    pid = s.runlog.wait_starts(1, 5)[0]["pid"]
    agent.send(signal.SIGSTOP)
    for number in (signal.SIGTERM, *more):
        agent.process.send_signal(number)
    agent.process.send_signal(signal.SIGCONT)
    assert agent.wait_exit(4) == (5 if len(more) == 1 else 137) and not running(pid), agent.stderr
    assert s.tap.last().path == "auth/token/revoke-self", s.tap


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_F38_other_signals_on_the_way_out(s, number):
    """While the token is revoked a reopening of logs, or a signal for a program that has gone, ends nothing early."""
    kv_base(s)
    agent = kv_run(s, app=("--on-term", 5))
    s.runlog.wait_starts(1, 5)
    s.tap.delay("auth/token/revoke-self", 1)
    agent.send(signal.SIGTERM)
    wait_for(lambda: s.tap.count("auth/token/revoke-self"), 3, "the revocation")
    agent.process.send_signal(number)
    assert agent.wait_exit(4) == 5 and agent.lines_about("token revoked"), agent.stderr


def test_F38_a_second_term_while_the_server_keeps_the_revocation_waiting(s):
    """The program has gone; who is in a hurry need not wait for the server."""
    kv_base(s)
    agent = kv_run(s, app=("--on-term", 5))
    s.runlog.wait_starts(1, 5)
    s.tap.hang("auth/token/revoke-self")
    agent.send(signal.SIGTERM)
    wait_for(lambda: s.tap.count("auth/token/revoke-self"), 3, "the revocation")
    begin = time.monotonic()
    agent.send(signal.SIGTERM)
    assert agent.wait_exit(4) == 5 and time.monotonic() - begin < 2, agent.stderr


def test_F38_a_third_term_kills_the_program_in_its_grace(s):
    kv_base(s)
    agent = kv_run(s, app=("--on-term", "ignore"), exec=QUICK + 'stop_timeout = "30s"')
    pid = s.runlog.wait_starts(1, 5)[0]["pid"]
    for count in (1, 2, 3):
        agent.send(signal.SIGTERM)
        wait_for(lambda: not agent.alive or len(s.runlog.signals()) >= min(count, 2), 2, "the signal")
    begin = time.monotonic()
    assert agent.wait_exit(3) == 137 and time.monotonic() - begin < 0.8 and not running(pid), agent.stderr
    assert s.tap.last().path == "auth/token/revoke-self", s.tap


def test_F38_term_while_new_values_are_tried(s):
    kv_base(s)
    agent = kv_run(s, more='[exec.verify]\ncommand = ["/bin/sh", "-c", "echo x >> tries; exec sleep 60"]')
    wait_for(lambda: s.read("tries"), 4, "exec.verify")
    begin = time.monotonic()
    assert agent.stop(4) == EX_NOT_READY and time.monotonic() - begin < 1 and not s.runlog.starts()


def test_F38_term_while_an_alarm_hangs(s):
    """Whoever is told of an alarm does not hold up the end longer than revocations may: 5 s."""
    kv_base(s)
    agent = kv_run(s, top='notify.command = ["/bin/sh", "-c", "echo $$$$ >> alarms; exec sleep 60"]\n')
    s.runlog.wait_starts(1, 5)
    s.vault.put(KV_DATA, {"other": "x"})
    wait_for(lambda: s.read("alarms"), 4, "the alarm")
    begin = time.monotonic()
    assert agent.stop(12) == 0 and time.monotonic() - begin < 6
    wait_for(lambda: not running(int(s.read("alarms").split()[0])), 1, "the end of who was told")


@pytest.mark.parametrize("how", ["blocked", "ignored"])
def test_F38_started_with_signals_off(s, how):
    """Whoever starts it may have blocked or ignored them: TERM wins all the same, for the program too."""
    kv_base(s)
    numbers = [signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1]

    def off():
        if how == "blocked":
            signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
        else:
            for number in numbers:
                signal.signal(number, signal.SIG_IGN)
    s.write("program", '#!/bin/sh\ntrap "echo term >> seen; exit 6" TERM\necho start >> seen\nwhile :; do sleep 0.05; done\n', 0o755)
    agent = s.start("run", "-c", s.config(toml(KV, interval="1s", app='["./program"]', exec=QUICK)), preexec=off)
    wait_for(lambda: s.read("seen"), 4, "the program")
    next_value(s)
    wait_for(lambda: (s.read("seen") or "").count("start") == 2, 4, "the restart")
    assert agent.stop(4) == 6 and s.read("seen").count("term") == 2


def test_F38_signals_for_a_program_that_there_is_not(s):
    kv_base(s)
    text = toml(KV[:KV.index("[exec]")], interval="1s")
    agent = s.start("render", "-c", s.config(text))
    wait_for(lambda: s.read("out/config.ini"), 5, "the file")
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGVTALRM, signal.SIGRTMIN + 3):
        agent.process.send_signal(number)
    new = next_value(s)
    wait_for(lambda: s.read("out/config.ini") == f"value = {new}", 4, "the new file")
    assert agent.stop() == 0


# A system call that the start makes, and which of them.
MOMENTS = [("openat", 3), ("close", 3), ("fcntl", 2), ("read", 3), ("rt_sigaction", 6), ("rt_sigaction", 20), ("epoll_ctl", 2),
           ("socket", 1), ("connect", 1), ("sendmsg", 1), ("recvmsg", 1), ("epoll_wait", 1), ("epoll_wait", 2), ("epoll_wait", 3),
           ("sendmsg", 2), ("recvmsg", 3), ("epoll_wait", 5), ("fsync", 1), ("renameat", 1), ("clone", 1), ("clone3", 1), ("write", 6)]


def test_F38_term_at_any_moment_of_the_start(s):
    """It ends at once, in order, and whoever has logged in revokes the token."""
    s.budget = False  # many starts
    kv_base(s)
    name = s.config(toml(KV, interval="1m", app=s.app_toml(), top='pid_file = "pid"'))
    for moment in MOMENTS:
        before, starts = s.tap.count(), len(s.runlog.starts())
        agent = system.start_injected(s, ["%s:signal=TERM:when=%d" % moment], "run", "-c", name)
        wait_for(lambda: not agent.alive or len(s.runlog.starts()) > starts, 4, f"the end, or the program, after {moment}")
        if agent.alive:
            agent.process.send_signal(signal.SIGTERM)
        begin = time.monotonic()
        code = agent.wait_exit(4)
        asked = s.tap.entries()[before:]
        granted = agent.lines_about("auth.login", "logged in")
        revoked = [e for e in asked if e.path.endswith("revoke-self") and e.status == 204]
        # Before there is anything to put in order it may simply die.
        assert code in (0, EX_NOT_READY) or (code == -signal.SIGTERM and not asked), (moment, code, agent.stderr)
        assert time.monotonic() - begin < 2 and len(granted) == len(revoked), (moment, asked)
        assert code < 0 or s.read("pid") is None, moment
        agent.killed_by_test = code == -signal.SIGTERM
    assert not [line for line in s.runlog.starts() if running(line["pid"])]


# --- 40: nothing left

@pytest.mark.parametrize("job", ["run", "render"])
@pytest.mark.parametrize("closed", [(0, 1, 2), (2,), (1,), (0,)], ids=["all", "stderr", "stdout", "stdin"])
def test_F40_closed_standard_descriptors(s, job, closed):
    """No file and no connection may become the standard output of us or of the program."""
    value = kv_base(s)
    name = s.config(toml(KV if job == "run" else KV[:KV.index("[exec]")], interval="1s", app=s.app_toml(), top='log_level = "trace"'))

    def close():
        for fd in closed:
            os.close(fd)
    agent = s.start(job, "-c", name, preexec=close)
    wait_for(lambda: s.read("out/config.ini") is not None, 5, "the file")
    links = {fd: os.readlink(f"/proc/{agent.pid}/fd/{fd}") for fd in system.descriptors(agent.pid) if fd <= 2}
    new = next_value(s)
    wait_for(lambda: s.read("out/config.ini") == f"value = {new}", 4, "the next value")
    assert agent.stop(4) == 0 and value
    assert sorted(links) == [0, 1, 2] and all(links[fd] == "/dev/null" for fd in closed), links
    assert all(e.method in ("GET", "POST", "PUT", "LIST", "DELETE") for e in s.tap.entries()), s.tap


def test_F40_the_program_may_use_what_is_closed_here(s):
    """Where we have no input and no outputs it reads nothing and writes to the null device, without an error; so do the commands of files."""
    kv_base(s)
    s.write("program", '#!/bin/sh\ncat >got && echo out && echo error >&2 && echo good >done\nexec sleep 100\n', 0o755)
    s.start("run", "-c", s.config(toml(KV, interval="1s", app='["./program"]', exec=QUICK)), preexec=lambda: [os.close(fd) for fd in (0, 1, 2)])
    wait_for(lambda: s.read("done") == "good\n", 4, "the program's writes")
    assert s.read("got") == ""


def broken_output(writer, *numbers):
    for number in numbers:
        os.dup2(writer, number)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)


@pytest.mark.parametrize("job", ["run", "render"])
def test_F40_nobody_is_at_the_other_end_of_stderr(s, job):
    kv_base(s)
    reader, writer = os.pipe()
    os.close(reader)
    name = s.config(toml(KV if job == "run" else KV[:KV.index("[exec]")], interval="1s", app=s.app_toml(), exec=QUICK))
    agent = s.start(job, "-c", name, preexec=lambda: broken_output(writer, 1, 2))
    os.close(writer)
    wait_for(lambda: s.read("out/config.ini"), 4, "the file")
    value = next_value(s)
    wait_for(lambda: s.read("out/config.ini") == f"value = {value}", 4, "the next value")
    assert agent.stop(4) == 0


def test_F40_nobody_reads_why_the_configuration_is_wrong(s):
    """The exit code is all that is left of it: no death by SIGPIPE."""
    s.write("bad.toml", "x = 1\n")
    reader, writer = os.pipe()
    os.close(reader)
    agent = s.start("run", "-c", "bad.toml", preexec=lambda: broken_output(writer, 2))
    os.close(writer)
    assert agent.wait_exit(3) == EX_CONFIG


@pytest.mark.parametrize("spare", [0, 1, 2, 3])
def test_F40_few_descriptors_left(s, spare):
    """A program runs all the time; when there are descriptors again, all goes on."""
    kv_base(s)
    agent = kv_run(s, vault='[vault.retry]\nmax_backoff = "1s"')
    s.runlog.wait_starts(1, 5)
    soft, hard = resource.prlimit(agent.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, (system.descriptors(agent.pid)[-1] + 1 + spare, hard))
    next_value(s)
    observe(2.5, lambda: None, 0.5)
    assert agent.alive and any(running(line["pid"]) for line in s.runlog.starts()), agent.stderr
    resource.prlimit(agent.pid, resource.RLIMIT_NOFILE, (soft, hard))
    last = next_value(s, "kv-last")
    wait_for(lambda: s.runlog.starts()[-1]["files"]["out/config.ini"] == f"value = {last}", 8, "the program has the last value")


def test_F40_descriptors_are_given_back(s):
    """After outages, restarts, commands and reopened logs there are as many as before."""
    kv_base(s)
    text = toml(KV, interval="1s", app=s.app_toml("--file", "out/config.ini"), exec=QUICK, vault='[vault.retry]\nmax_backoff = "1s"',
                top='log_file = "log"')
    agent = s.run(text.replace("destination", 'command = ["/bin/sh", "-c", "echo x >> hooks"]\ndestination'))
    s.runlog.wait_starts(1, 5)
    next_value(s)
    s.runlog.wait_starts(2, 5)
    wait_for(lambda: s.read("hooks").count("x") == 2, 3, "the command")
    before = len(wait_for(lambda: system.descriptors(agent.pid), 1))
    for count in range(3, 6):
        s.tap.refuse()
        for _ in range(20):
            agent.send(signal.SIGHUP)
        s.tap.accept()
        next_value(s)
        s.runlog.wait_starts(count, 6)
        wait_for(lambda: s.read("hooks").count("x") == count, 3, "the command")
    wait_for(lambda: len(system.descriptors(agent.pid)) <= before, 2, lambda: f"{len(system.descriptors(agent.pid))} of {before}")


def test_F40_no_descriptor_for_a_command(s):
    """A command that can't be started for want of descriptors is tried again."""
    kv_base(s)
    text = toml(KV[:KV.index("[exec]")], interval="1s") + 'command = ["/bin/sh", "-c", "echo x >> hooks"]\n'
    agent = system.start_injected(s, ["pipe2:error=EMFILE:when=1"], "render", "-c", s.config(text))
    wait_for(lambda: s.read("hooks"), 5, "the command")
    assert agent.alive and agent.lines_about("hook.failed"), agent.stderr


def test_F40_memory_runs_out(s):
    """An answer for which there is no memory is refused as one that is too large; the program goes on."""
    value = kv_base(s, metadata=False)
    agent = kv_run(s)
    app = s.runlog.wait_starts(1, 5)[0]
    size = agent.status("VmSize") * 1024
    resource.prlimit(agent.pid, resource.RLIMIT_AS, (size + 2_000_000, resource.RLIM_INFINITY))
    s.tap.reply(KV_DATA, 200, b'{"data":{"data":{"value":"' + b"x" * 9_000_000 + b'"}}}', 2)
    wait_for(lambda: len([e for e in s.tap.entries(KV_DATA) if e.fault]) == 2 or not agent.alive, 6, "the answers")
    observe(1, lambda: None, 0.5)
    assert agent.alive and s.runlog.lines() == [app] and s.read("out/config.ini") == f"value = {value}", agent.stderr
    resource.prlimit(agent.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    next_value(s)
    s.runlog.wait_starts(2, 6)


def test_F40_no_thread_for_a_name(s):
    """Looking up a name needs a thread: without one it is tried again."""
    kv_base(s)
    text = toml(KV, interval="1s", app=s.app_toml(), addr=f"http://vault.keybearer.test:{s.tap.port}")
    script = system.name_service(s, "127.0.0.1 vault.keybearer.test\n", "nameserver 127.0.0.1\n")
    args = [*script[:-1], system.STRACE, *system.injected("clone3:error=EAGAIN:when=1"), "run", "-c", s.config(text)]
    agent = s.start(*args, program=system.UNSHARE)
    s.runlog.wait_starts(1, 6)
    assert agent.alive


def test_F40_no_thread_for_many_files(s):
    """Sixteen files and more are synced by a helper: without one they are synced all the same."""
    value = kv_base(s)
    text = toml(KV, interval="1s", app=s.app_toml(), exec=QUICK)
    text += "".join(f"""
[[template]]
destination = "out/f{n}"
contents = '{{{{ with secret "kv/data/app" }}}}{{{{ .Data.data.value }}}}{{{{ end }}}}'
""" for n in range(20))
    agent = system.start_injected(s, ["clone3:error=EAGAIN"], "run", "-c", s.config(text))
    s.runlog.wait_starts(1, 5)
    assert agent.alive and all(s.read(f"out/f{n}") == value for n in range(20))


def test_F40_a_program_killed_for_its_memory(s):
    """As the kernel does it: 137, and its lease goes."""
    s2_base(s)
    agent = s.run(s2_toml(s, exec='restart_on_exit = "never"'))
    os.kill(s.runlog.wait_starts(1, 5)[0]["pid"], signal.SIGKILL)
    assert agent.wait_exit(5) == 137
    wait_for(lambda: not s.pg.roles(), 2, "the lease is revoked")
    assert agent.lines_about("child.exited", "signal 9"), agent.stderr
