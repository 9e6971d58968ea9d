"""The program under keybearer: signals, its end, its whole tree (behaviour.md 4)."""
import os
import signal
import time

import pytest

from bases import KV, kv_base, kv_run, toml
from harness import observe, wait_for


def gone(pid):
    return not os.path.exists(f"/proc/{pid}")



@pytest.mark.parametrize("flags, code", [(("--life", 0.3), 0), (("--life", 0.3, "--exit", 7), 7), (("--exit", 1), 1)])
def test_the_exit_code_is_the_programs(s, flags, code):
    kv_base(s)
    agent = kv_run(s, app=flags)
    assert agent.wait_exit(5) == code
    assert s.tap.last().path == "auth/token/revoke-self"


def test_a_program_killed_by_a_signal(s):
    kv_base(s)
    agent = kv_run(s)
    os.kill(s.runlog.wait_starts(1, 5)[0]["pid"], signal.SIGKILL)
    assert agent.wait_exit(5) == 128 + 9


def test_other_signals_reach_the_program(s):
    kv_base(s)
    agent = kv_run(s)
    s.runlog.wait_starts(1, 5)
    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH):
        agent.send(number)
        wait_for(lambda: s.runlog.signals() and s.runlog.signals()[-1]["signal"] == number, 2, f"signal {number}")
    assert agent.alive and len(s.runlog.starts()) == 1


def test_the_programs_code_after_sigterm(s):
    kv_base(s)
    agent = kv_run(s, app=("--on-term", 5))
    s.runlog.wait_starts(1, 5)
    assert agent.stop(5) == 5


def test_a_program_that_ignores_sigterm_is_killed_after_the_grace(s):
    kv_base(s)
    agent = kv_run(s, app=("--on-term", "ignore"), exec='stop_timeout = "1s"')
    app = s.runlog.wait_starts(1, 5)[0]
    begin = time.monotonic()
    assert agent.stop(6) == 137
    assert 0.8 <= time.monotonic() - begin <= 3 and gone(app["pid"])


def test_a_second_and_a_third_sigterm(s):
    kv_base(s)
    agent = kv_run(s, app=("--on-term", "ignore"), exec='stop_timeout = "30s"')
    s.runlog.wait_starts(1, 5)
    begin = time.monotonic()
    agent.send(signal.SIGTERM)
    wait_for(s.runlog.signals, 2, "the stop signal")
    agent.send(signal.SIGTERM)
    assert agent.wait_exit(5) == 137
    assert time.monotonic() - begin <= 3


def test_the_stop_signal_comes_at_once(s):
    kv_base(s)
    agent = kv_run(s)
    s.runlog.wait_starts(1, 5)
    sent = time.time()
    assert agent.stop(5) == 0
    assert s.runlog.signals()[0]["time"] - sent < 0.3  # 100 ms, and what a busy machine adds


def test_the_whole_tree_ends_before_the_next_program_starts(s):
    """A grandchild in a session of its own that ignores SIGTERM."""
    kv_base(s)
    s.write("program", f'''#!/bin/sh
setsid sh -c 'trap "" TERM; echo $$ >>grandchildren; while :; do sleep 0.1; done' &
exec {s.app} run.jsonl
''', 0o755)
    s.run(toml(KV, interval="1s", app='["./program"]', exec='debounce = "100ms"\nstop_timeout = "1s"'))
    s.runlog.wait_starts(1, 5)
    first = int(wait_for(lambda: s.read("grandchildren"), 2, "the grandchild").split()[0])
    s.vault.put("kv/data/app", {"value": s.canary("kv-second")})
    s.runlog.wait_starts(2, 8)
    assert gone(first), "the next program starts only when the old tree is gone"
    s.agents[0].stop(8)
    for pid in (s.read("grandchildren") or "").split():
        wait_for(lambda: gone(pid), 2, "the end of the grandchildren")


def test_only_three_descriptors_and_a_clean_mask(s):
    """The mask of a program, not of a shell, which blocks signals while it waits."""
    kv_base(s)
    s.write("program", '#!/bin/sh\nls -l /proc/self/fd >fds; exec grep -E "^Sig(Blk|Ign)" /proc/self/status >mask\n', 0o755)
    agent = s.run(toml(KV, interval="1s", app='["./program"]'))
    assert agent.wait_exit(5) == 0
    seen = [line.split(" ")[-3] for line in s.read("fds").splitlines() if " -> " in line and "/proc/" not in line]
    assert set(seen) <= {"0", "1", "2"}, s.read("fds")  # and the directory that ls itself reads
    assert set(line.split()[1] for line in s.read("mask").splitlines()) == {"0000000000000000"}, s.read("mask")


def test_restart_on_failure_with_a_limit(s):
    kv_base(s)
    agent = kv_run(s, app=("--exit", 3), exec='restart_on_exit = "on-failure"\nmax_restarts = 2\nrestart_backoff = "100ms"')
    assert agent.wait_exit(10) == 3
    assert len(s.runlog.starts()) == 3


def test_changes_within_the_debounce_are_one_restart(s):
    kv_base(s)
    s.vault.put("kv/data/other", {"value": s.canary("other-first")})
    kv_run(s, interval="1s", exec='debounce = "3s"', more='''
[[template]]
destination = "out/other"
contents = '{{ with secret "kv/data/other" }}{{ .Data.data.value }}{{ end }}'
''')
    s.runlog.wait_starts(1, 5)
    s.vault.put("kv/data/app", {"value": s.canary("kv-second")})
    wait_for(lambda: "second" in s.read("out/config.ini"), 3, "the first change in its file")
    s.vault.put("kv/data/other", {"value": s.canary("other-second")})
    s.runlog.wait_starts(2, 10)
    observe(4, lambda: None, 1.0)
    assert len(s.runlog.starts()) == 2 and "second" in s.read("out/other")


def test_killed_keybearer_leaves_no_program_behind(s):
    kv_base(s)
    agent = kv_run(s)
    app = s.runlog.wait_starts(1, 5)[0]
    agent.kill()
    wait_for(lambda: gone(app["pid"]), 2, "the end of the program")


def test_no_program_starts_after_a_stop_has_begun(s):
    kv_base(s)
    agent = kv_run(s, interval="1s", app=("--slow-term", 1))
    s.runlog.wait_starts(1, 5)
    s.vault.put("kv/data/app", {"value": s.canary("kv-second")})
    wait_for(s.runlog.signals, 5, "the restart has begun")
    agent.send(signal.SIGTERM)
    agent.wait_exit(6)
    observe(0.5, lambda: None, 0.1)
    assert len(s.runlog.starts()) == 1


def test_the_environment_of_the_program(s):
    kv_base(s)
    kv_run(s, exec='inherit_env = ["HOME", "KEEP_*"]', more='[env]\nVALUE = \'{{ with secret "kv/data/app" }}{{ .Data.data.value }}{{ end }}\'')
    env = s.runlog.wait_starts(1, 5)[0]["env"]
    assert set(env) <= {"HOME", "VALUE"} and env["HOME"] == s.home and env["VALUE"].startswith("cnry-")


@pytest.mark.parametrize("value", ["with \"quotes\" and 'more'", "line one\nline two", "ümlaut € 漢字", "$HOME `id` \\ %s #;",
                                   " blanks at both ends ", "=equals=&amp;"])
def test_values_arrive_as_they_are(s, value):
    value = f"{value}|{s.canary('tail')}|{value}"
    kv_base(s, value=value)
    kv_run(s, more='[env]\nVALUE = \'{{ with secret "kv/data/app" }}{{ .Data.data.value }}{{ end }}\'')
    start = s.runlog.wait_starts(1, 5)[0]
    assert start["env"]["VALUE"].encode("latin-1").decode() == value
    assert start["files"]["out/config.ini"].encode("latin-1").decode() == "value = " + value


SIGNALS = """#!/usr/bin/python3
import os, signal, sys, time
numbers = [n for n in signal.valid_signals() if n not in (signal.SIGKILL, signal.SIGSTOP)]
signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
open("ready", "a").write("x")
while True:
    number = signal.sigwait(numbers)
    open("seen", "a").write(f"{int(number)}\\n")
    if number == signal.SIGTERM:
        sys.exit(0)
"""
OURS = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGCHLD}
NEVER = {signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGKILL, signal.SIGSEGV, signal.SIGPIPE,
         signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGXCPU, signal.SIGXFSZ, signal.SIGSYS}


def signal_program(s, exec=""):
    kv_base(s)
    s.write("program", SIGNALS, 0o755)
    agent = s.run(toml(KV, interval="1s", app='["./program"]', exec='debounce = "100ms"\n' + exec))
    wait_for(lambda: s.read("ready"), 5, "the program")
    return agent, lambda: {int(line) for line in (s.read("seen") or "").split()}


def test_every_signal_but_ours_reaches_the_program(s):
    agent, seen = signal_program(s)
    every = {n for n in signal.valid_signals() if 1 <= n <= 31 or signal.SIGRTMIN <= n <= signal.SIGRTMAX}
    forwarded = every - OURS - NEVER
    for number in sorted(forwarded):
        agent.send(number)
    wait_for(lambda: forwarded <= seen(), 4, lambda: f"{forwarded - seen()}")
    assert seen() == {int(n) for n in forwarded} and agent.alive
    assert agent.stop(5) == 0


def test_only_the_listed_signals_are_forwarded(s):
    agent, seen = signal_program(s, 'forward_signals = ["SIGUSR2", "SIGRTMIN+2"]\n')
    for number in (signal.SIGUSR1, signal.SIGALRM, signal.SIGWINCH, signal.SIGRTMIN + 2, signal.SIGUSR2):
        agent.send(number)
    wait_for(lambda: len(seen()) == 2, 4, "the two signals")
    assert seen() == {signal.SIGUSR2, signal.SIGRTMIN + 2} and agent.alive


def test_hup_goes_to_the_program_when_it_is_configured(s):
    agent, seen = signal_program(s, 'hup = "forward"\n')
    agent.send(signal.SIGHUP)
    wait_for(lambda: seen() == {signal.SIGHUP}, 4, "the signal")
    assert agent.alive


def test_a_signal_during_a_restart_reaches_the_new_program(s):
    agent, seen = signal_program(s)
    s.write("program", SIGNALS.replace("sys.exit(0)", "time.sleep(1); os._exit(0)"), 0o755)
    s.vault.put("kv/data/app", {"value": s.canary("second")})
    wait_for(lambda: len(s.read("ready")) == 2, 8, "the second program, which is slow to stop")
    os.unlink(s.path("seen"))
    s.vault.put("kv/data/app", {"value": s.canary("third")})
    wait_for(lambda: signal.SIGTERM in seen(), 5, "the restart has begun")
    agent.send(signal.SIGUSR1)
    wait_for(lambda: len(s.read("ready")) == 3 and signal.SIGUSR1 in seen(), 8, "the signal reaches the new one")


def test_one_stop_signal_after_another(s):
    kv_base(s)
    agent = kv_run(s, app=("--on-term", "ignore"), exec='stop_escalation = [["SIGUSR1", "300ms"], ["SIGTERM", "300ms"]]')
    s.runlog.wait_starts(1, 5)
    assert agent.stop(6) == 137
    assert [line["signal"] for line in s.runlog.signals()] == [signal.SIGUSR1, signal.SIGTERM]


def test_what_the_program_is_started_with(s):
    kv_base(s)
    s.write("program", "#!/bin/sh\numask; nice; ulimit -n; ulimit -c; id -u; id -g; echo error >&2\n", 0o755)
    os.chmod(s.directory, 0o755)
    os.chmod(s.work, 0o755)
    owner = 'user = "daemon"\ngroup = "1"\n' if os.geteuid() == 0 else ""
    agent = s.run(toml(KV, interval="1s", app='["./program"]', exec=owner + """
umask = "0037"
nice = 5
stdout = "said"
stderr = "said"
rlimits = { nofile = 123, core = 0 }
"""))
    assert agent.wait_exit(5) == 0, agent.stderr
    ids = ["1", "1"] if owner else [str(os.getuid()), str(os.getgid())]
    assert s.read("said").split() == ["0037", "5", "123", "0", *ids, "error"]
    assert os.stat(s.path("said")).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("key, value, code", [("user", "nobody-of-this-name", 78), ("stdout", "no/such/directory/file", 73)])
def test_what_the_program_cannot_be_started_with(s, key, value, code):
    kv_base(s)
    agent = s.run(toml(KV, interval="1s", app='["/bin/true"]', exec=f'{key} = "{value}"'))
    assert agent.wait_exit(5) == code
    assert f"exec.{key}" in agent.stderr


def test_a_command_in_one_word_says_how_to_write_it(s):
    kv_base(s)
    agent = s.run(toml(KV, interval="1s", app='["echo hi && exit 4"]'))
    assert agent.wait_exit(5) == 127
    assert "one word; for the shell write a string, not a list" in agent.stderr
