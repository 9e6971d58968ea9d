"""How old a value may get while the server is away, and what a refusal does: max_stale, on_stale, on_error."""
import time

from bases import KV_DATA, KV_METADATA, kv_base, kv_run
from harness import EX_NOT_READY, observe, wait_for

STALE = '''[[secret]]
path = "kv/data/app"
max_stale = "3s"
on_stale = "@what@"
'''
DEFAULT = '''[env.VALUE]
secret = "kv/data/app"
key = "value"
default = "safe"
'''


def run(s, more, what="keep", env=""):
    return kv_run(s, more=more.replace("@what@", what) + env)


def test_on_stale_stop_stops_the_program_and_starts_it_again(s):
    kv_base(s)
    agent = run(s, STALE, "stop")
    s.runlog.wait_starts(1, 5)
    s.tap.refuse()
    away = time.monotonic()
    wait_for(s.runlog.exits, 15, "the end of the program")
    assert time.monotonic() - away >= 2, "within max_stale it goes on"
    assert all(agent.alive for _, _ in observe(2, lambda: agent.alive))
    assert len(s.runlog.starts()) == 1
    assert len(agent.lines_about("secret.stale")) == 1 and len(agent.lines_about("child.held")) == 1
    second = s.canary("stale-second")
    s.vault.put(KV_DATA, {"value": second})
    s.tap.accept()
    s.runlog.wait_starts(2, 20)
    assert second in s.read("out/config.ini")
    assert agent.stop() == 0
    assert len(s.runlog.starts()) == 2


def test_stopped_by_us_while_the_program_is_held(s):
    kv_base(s)
    agent = run(s, STALE, "stop")
    s.runlog.wait_starts(1, 5)
    s.tap.refuse()
    wait_for(s.runlog.exits, 15, "the end of the program")
    assert agent.stop() == 0


def test_on_stale_keep_only_says_so(s):
    kv_base(s)
    agent = run(s, STALE)
    s.runlog.wait_starts(1, 5)
    s.tap.refuse()
    agent.wait_line("secret.stale", timeout=15)
    assert not s.runlog.exits() and agent.alive
    s.tap.accept()
    agent.wait_line("secret.recovered", timeout=20)
    assert len(s.runlog.starts()) == 1


def test_on_stale_default_and_back(s):
    first = kv_base(s)
    run(s, STALE, "default", DEFAULT)
    assert s.runlog.wait_starts(1, 5)[0]["env"]["VALUE"] == first
    s.tap.refuse()
    assert s.runlog.wait_starts(2, 15)[-1]["env"]["VALUE"] == "safe"
    s.tap.accept()
    assert s.runlog.wait_starts(3, 20)[-1]["env"]["VALUE"] == first


def test_on_error_exit_ends_in_order_with_its_code(s):
    kv_base(s)
    agent = run(s, '[[secret]]\npath = "kv/data/app"\non_error = "exit"\n')
    s.runlog.wait_starts(1, 5)
    s.vault.request("DELETE", KV_METADATA)  # with all its versions
    assert agent.wait_exit(20) == EX_NOT_READY
    assert len(s.runlog.exits()) == 1
    assert agent.lines_about("on_error", "kv/")


def test_on_error_default_and_back(s):
    first = kv_base(s)
    run(s, '[[secret]]\npath = "kv/data/app"\non_error = "default"\n', env=DEFAULT)
    assert s.runlog.wait_starts(1, 5)[0]["env"]["VALUE"] == first
    s.vault.request("DELETE", KV_METADATA)
    assert s.runlog.wait_starts(2, 15)[-1]["env"]["VALUE"] == "safe"
    third = s.canary("error-third")
    s.vault.put(KV_DATA, {"value": third})
    assert s.runlog.wait_starts(3, 30)[-1]["env"]["VALUE"] == third
