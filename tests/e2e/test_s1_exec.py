"""S1, option 3: environment or file, then exec; restarts; start and configuration."""
import os
import signal
import socket
import stat
import subprocess
import time

import pytest

from bases import S1_ENV, S1_FILE, S1_SAMPLE, kv_base, kv_run, s1_base, s1_run, s1_toml, s1_write
from harness import APPS, EX_CONFIG, EX_UNAVAILABLE, Vault, free_port, observe, wait_for


def golden(values):
    return f"[database]\npassword = {values['DB_PASSWORD']}\napi_key = {values['API_KEY']}\n"


def env_of(start):
    return {key: start["env"].get(key) for key in ("DB_PASSWORD", "API_KEY")}


def test_S1_20_same_for_every_language(s):
    s1_base(s, ttl="10m")
    values = s1_write(s)
    seen = []
    for number, program in enumerate([[s.app], [os.path.join(APPS, "app.py")], ["/bin/sh", os.path.join(APPS, "app.sh")]]):
        log = s.run_log(f"run{number}.jsonl")
        text = s1_toml(s).replace(s.app_toml("--file", "out/config.ini"), "[]")
        text = text.replace("command = []\n", "")
        agent = s.run(text, *program, f"run{number}.jsonl", "--file", "out/config.ini")
        start = log.wait_starts(1, 5)[0]
        seen.append({"env": {k: v for k, v in start["env"].items() if k not in ("_", "PWD", "SHLVL", "OLDPWD", "LC_CTYPE")},
                     "files": {k: v.rstrip("\n") for k, v in start["files"].items()}})
        assert agent.stop() == 0
    assert seen[0] == seen[1] == seen[2]
    assert seen[0]["env"]["DB_PASSWORD"] == values["DB_PASSWORD"]


def test_S1_25_env_then_exec(s):
    s1_base(s)
    values = s1_write(s)
    agent = s1_run(s, parts=S1_ENV, exec='debounce = "5s"')
    before = agent.seen["environ"]
    start = s.runlog.wait_starts(1, 2)[0]
    assert env_of(start) == values
    assert start["argv"] == s.app_command("--file", "out/config.ini")
    assert time.monotonic() - agent.begin < 2, "the first start never waits for the debounce"
    agent.look()
    assert agent.seen["environ"] == before and values["DB_PASSWORD"].encode() not in before


def test_S1_26_changed_restart_equal_carry_on(s):
    s1_base(s, ttl="10m")
    s1_run(s, parts=S1_ENV, interval="1s")
    first = s.runlog.wait_starts(1, 5)[0]
    values = s1_write(s)
    second = s.runlog.wait_starts(2, 5)[1]
    assert env_of(second) == values
    ended = s.runlog.exits()[0]
    assert ended["pid"] == first["pid"] and ended["time"] <= second["time"]
    assert not os.path.exists(f"/proc/{first['pid']}")
    s.vault.put(S1_SAMPLE, values)
    observe(10, lambda: None, 1.0)
    assert [line["pid"] for line in s.runlog.starts()] == [first["pid"], second["pid"]]


def test_S1_27_file_then_exec(s):
    s1_base(s)
    values = s1_write(s)
    s1_run(s, parts=S1_FILE)
    start = s.runlog.wait_starts(1, 5)[0]
    assert start["files"]["out/config.ini"] == golden(values)
    assert stat.S_IMODE(os.stat(s.path("out/config.ini")).st_mode) == 0o600


def test_S1_28_changed_render_then_restart(s):
    s1_base(s, ttl="10m")
    old = s1_write(s)
    s1_run(s, parts=S1_FILE, interval="1s")
    s.runlog.wait_starts(1, 5)
    new = s1_write(s)
    seen = {text for _, text in observe(3, lambda: s.read("out/config.ini"), 0.001)}
    second = s.runlog.wait_starts(2, 4)[1]
    assert second["files"]["out/config.ini"] == golden(new)
    assert seen == {golden(old), golden(new)}


def test_S1_29_env_and_file_and_child_in_one(s):
    s1_base(s, ttl="10m")
    s1_run(s, interval="1s")
    s.runlog.wait_starts(1, 5)
    values = s1_write(s)
    second = s.runlog.wait_starts(2, 5)[1]
    assert env_of(second) == values and second["files"]["out/config.ini"] == golden(values)
    observe(3, lambda: None, 1.0)
    assert len(s.runlog.starts()) == 2


def test_S1_30_never_keeps_the_child(s):
    s1_base(s, ttl="10m")
    old = s1_write(s)
    s1_run(s, interval="1s", on_change="never", exec='restart_on_exit = "always"\nrestart_backoff = "100ms"')
    app = s.runlog.wait_starts(1, 5)[0]
    new = s1_write(s)
    wait_for(lambda: s.read("out/config.ini") == golden(new), 4, "the new file")
    observe(3, lambda: None, 1.0)
    assert s.runlog.lines() == [app] and env_of(app) == old
    os.kill(app["pid"], signal.SIGTERM)  # its next natural start uses the new values
    second = s.runlog.wait_starts(2, 5)[1]
    assert env_of(second) == new and second["files"]["out/config.ini"] == golden(new)


def test_S1_30_signal_tells_the_child(s):
    s1_base(s, ttl="10m")
    s1_run(s, parts=S1_FILE, interval="1s", on_change="signal")
    s.runlog.wait_starts(1, 5)
    new = s1_write(s)
    told = wait_for(s.runlog.signals, 5, "the signal")
    observe(2, lambda: None, 1.0)
    assert len(s.runlog.signals()) == 1 and told[0]["signal"] == signal.SIGHUP
    assert told[0]["files"]["out/config.ini"] == golden(new) and len(s.runlog.starts()) == 1


def _server_comes_late(s, **values):
    """The base is written, then the server goes; keybearer starts without it."""
    s.use_vault(directory=s.path("out/vault-storage"))
    s1_base(s, ttl="10m")
    s.vault.kill()
    return s1_run(s, **values)


def test_S1_32_server_down_at_start_waits(s):
    agent = _server_comes_late(s, auth='max_backoff = "1s"')
    observe(4, lambda: None, 1.0)
    assert agent.alive and not s.runlog.starts() and s.read("out/config.ini") is None
    s.vault.restart()
    start = s.runlog.wait_starts(1, 4)[0]
    assert all(env_of(start).values())


def test_S1_32_start_timeout(s):
    port = free_port()
    agent = s1_run_at(s, f"http://127.0.0.1:{port}", more='[outage]\nstart_timeout = "3s"\n')
    assert agent.wait_exit(6) == EX_UNAVAILABLE
    assert 2.5 <= agent.lived <= 4
    assert f"127.0.0.1:{port}" in agent.stderr and "refused" in agent.stderr
    assert not s.runlog.starts()


def s1_run_at(s, addr, **values):
    s.write("boot/role-id", "some-role")
    s.write("boot/secret-id", s.canary("secret-id"))
    return s.run(s1_toml(s, **values), addr=addr)


def test_S1_32_sealed_at_start_waits(s):
    s.use_vault(directory=s.path("out/vault-storage"))
    s1_base(s, ttl="10m")
    s.vault.seal()
    agent = s1_run(s, auth='max_backoff = "1s"')
    agent.wait_line("sealed", timeout=3)
    assert agent.alive and not s.runlog.starts()
    s.vault.unseal()
    s.runlog.wait_starts(1, 5)


@pytest.mark.parametrize("change, place, words", [
    (("[exec]", "[exec]\ncommand = [\n"), ":", ()),
    (('perms = "0600"', 'prems = "0600"'), ":", ("prems", "perms", "did you mean")),
    (('perms = "0600"', 'perms = "0600"\nsource = "x.tmpl"'), ":", ("source", "contents")),
])
def test_S1_34_configuration_first(s, change, place, words):
    s1_base(s)
    text = s1_toml(s)
    assert change[0] in text
    agent = s.run(text.replace(*change))
    assert agent.wait_exit(3) == EX_CONFIG
    assert "agent.toml" + place in agent.stderr, agent.stderr
    for word in words:
        assert word in agent.stderr, agent.stderr
    assert s.tap.count() == 0 and not s.runlog.starts()


def test_S1_34_missing_file(s):
    agent = s.start("run", "-c", "no-such.toml", "--", s.app, "run.jsonl")
    assert agent.wait_exit(3) == EX_CONFIG
    assert "no-such.toml" in agent.stderr


def test_S1_26_back_to_the_old_value_within_the_debounce(s):
    """A, B, A within the debounce: the program is what it was started with, nothing happens."""
    value = kv_base(s)
    kv_run(s, interval="1s", exec='debounce = "4s"')
    app = s.runlog.wait_starts(1, 5)[0]
    s.vault.put("kv/data/app", {"value": s.canary("kv-second")})
    wait_for(lambda: "second" in s.read("out/config.ini"), 3, "the second value in the file")
    s.vault.put("kv/data/app", {"value": value})
    observe(8, lambda: None, 1.0)
    assert s.runlog.lines() == [app] and s.read("out/config.ini") == f"value = {value}"


def test_S1_32_ca_unknown(s):
    """TLS that can't be trusted is an outage with its cause, not a crash."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
                    "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", s.path("boot/key.pem"),
                    "-out", s.path("boot/cert.pem")], check=True, capture_output=True)
    server = Vault(s.canaries, os.path.join(s.logs, "tls.log"), tls=(s.path("boot/cert.pem"), s.path("boot/key.pem")))
    try:
        def listens():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", server.port)) == 0
        wait_for(listens, 10, "the TLS server")
        agent = s1_run_at(s, f"https://127.0.0.1:{server.port}", more='[outage]\non_start = "fail"\n')
        assert agent.wait_exit(15) == EX_UNAVAILABLE, agent.stderr
        assert "certificate" in agent.stderr, agent.stderr
    finally:
        server.kill()
