"""Credentials in files: a content is tried once, a file that can't be used is not new, a new one is seen at once."""
import os
import time

import pytest

from bases import KV, kv_base, toml
from harness import EX_CONFIG, observe, wait_for

TOKEN_FILE = '''
[vault]
address = "@addr@"
[auto_auth.method]
type = "token_file"
token_file_path = "boot/token"
[[template]]
destination = "out/value"
contents = '{{ with secret "kv/data/app" }}{{ .Data.data.value }}{{ end }}'
'''


def _replace(s, name, kind):
    path = s.path(name)
    if os.path.isdir(path):
        os.rmdir(path)
    elif os.path.lexists(path):
        os.unlink(path)
    if kind == "a directory":
        os.mkdir(path)
    elif kind == "too large":
        s.write(name, "x" * 100_000)
    elif kind == "empty":
        s.write(name, "")
    elif kind == "a FIFO":
        os.mkfifo(path)
    elif kind == "a link to nothing":
        os.symlink("/nowhere/at/all", path)


@pytest.mark.parametrize("kind", ["a directory", "too large", "empty", "a FIFO", "a link to nothing", "gone"])
def test_a_token_file_that_cannot_be_used(s, kind):
    """No storm, no second look-up, and SIGTERM is obeyed; the next good token is taken."""
    value = kv_base(s)
    new_token = lambda: s.vault.create_token(policies=["kv-reader"], ttl="1h")  # noqa: E731
    s.write("boot/token", new_token())
    agent = s.render(TOKEN_FILE)
    wait_for(lambda: s.read("out/value") == value, 5, "the value")
    before = len(agent.stderr.splitlines())
    _replace(s, "boot/token", kind)
    observe(12, lambda: None, 1.0)
    assert len(agent.stderr.splitlines()) - before <= 2, agent.stderr
    assert s.tap.count("auth/token/lookup-self") == 1, s.tap
    _replace(s, "boot/token", "gone")
    second = new_token()
    s.write("boot/token", second)
    wait_for(lambda: [e for e in s.tap.entries("auth/token/lookup-self") if e.token and e.status == 200][1:], 12, "the new token")
    told = time.monotonic()
    assert agent.stop() == 0 and time.monotonic() - told < 2


def test_a_refused_secret_id(s):
    """Touched or written again: not sent again. Another one: sent within two seconds, while the old token lives."""
    kv_base(s, token_type="batch", token_ttl="30s")
    s.run(toml(KV, interval="1m", app=s.app_toml(), exec='stop_timeout = "1s"'))
    s.runlog.wait_starts(1, 5)
    s.vault.post("auth/approle/role/app/secret-id/destroy", {"secret_id": s.read("boot/secret-id").strip()})
    wait_for(lambda: [e.status for e in s.tap.logins()] == [200, 400], 26, "the refused login")
    content = s.read("boot/secret-id")
    os.utime(s.path("boot/secret-id"))
    os.utime(s.path("boot/role-id"))
    observe(1.5, lambda: None, 0.5)
    s.write("boot/secret-id", content.strip())
    observe(1.5, lambda: None, 0.5)
    assert len(s.tap.logins()) == 2, s.tap
    s.write("boot/secret-id", s.vault.secret_id("app"))
    written = time.monotonic()
    wait_for(lambda: len(s.tap.logins()) == 3 and s.tap.logins()[2].status == 200, 2, "the login")
    assert time.monotonic() - written < 2


def test_the_removal_of_the_secret_id_file_is_said(s):
    kv_base(s)
    text = toml(KV, interval="1m", app=s.app_toml()).replace("remove_secret_id_file_after_reading = false\n", "")
    agent = s.run(text)
    s.runlog.wait_starts(1, 5)
    line = agent.lines_about("secret_id file removed after the login", "remove_secret_id_file_after_reading", levels=("info",))
    assert len(line) == 1 and "boot/secret-id" in str(line), agent.stderr
    assert agent.stop() == 0
    second = s.run(text)
    assert second.wait_exit(5) == EX_CONFIG
    assert "keybearer removes it after a login unless remove_secret_id_file_after_reading = false" in second.stderr


def test_a_batch_token_is_not_revoked(s):
    kv_base(s, token_type="batch", token_ttl="10m")
    agent = s.run(toml(KV, interval="1m", app=s.app_toml()))
    s.runlog.wait_starts(1, 5)
    assert agent.stop() == 0
    assert s.tap.count("auth/token/revoke-self") == 0, s.tap
    assert not agent.lines_about("revoke", levels=("warn", "error")), agent.stderr
