"""[state]: a restart of keybearer against the real server and its audit log, a real database, and kills."""
import json
import os
import random
import re
import time

import pytest

from bases import LOGIN, login_files, toml
from harness import wait_for, wait_until

STATE = "@top@" + LOGIN + '''
[state]
path = "state/keybearer.state"
key_file = "boot/state.key"
[template_config]
static_secret_render_interval = "1s"
[env]
PGUSER = { secret = "database/creds/app", key = "username" }
PGPASSWORD = { secret = "database/creds/app", key = "password" }
VALUE = { secret = "kv/data/app", key = "value" }
[exec]
command = @app@
debounce = "100ms"
@more@
'''
CREDS = "database/creds/app"


class Audit:
    """The server's own record of what it was asked for."""

    def __init__(self, s):
        self.path = os.path.join(s.logs, "audit.log")
        s.vault.post("sys/audit/file", {"type": "file", "options": {"file_path": self.path}})

    def requests(self, path, operation=None):
        with open(self.path, encoding="utf-8") as log:
            lines = [json.loads(line) for line in log if line.endswith("\n")]
        return [line for line in lines if line["type"] == "response" and line["request"]["path"] == path
                and operation in (None, line["request"]["operation"])]

    def count(self, path, operation=None):
        return len(self.requests(path, operation))


def world(s, ttl="1m", max_ttl="10m", **role):
    s.vault.kv2("kv")
    first = s.canary("state-value")
    s.vault.put("kv/data/app", {"value": first})
    s.vault.database(s.pg)
    s.vault.dynamic("app", ttl, max_ttl)
    s.vault.policy("state", "kv/data/*", "kv/metadata/*", CREDS)
    login_files(s, "app", "state", **{"token_ttl": "10m", **role})
    s.write("boot/state.key", os.urandom(32))
    return first


def start(s, **values):
    return s.run(toml(STATE, app=s.app_toml(), **values))


def run_once(s, number, **values):
    """Starts it, waits for the program, stops it; what the program was started with."""
    agent = start(s, **values)
    line = s.runlog.wait_starts(number, 10)[-1]["env"]
    agent.stop()
    assert not agent.lines_about("state.refused"), agent.stderr
    return line


def test_a_restart_neither_logs_in_nor_issues_anything_again(s):
    first = world(s)
    audit = Audit(s)
    seen = [run_once(s, number) for number in range(1, 5)]
    assert len({line["PGUSER"] for line in seen}) == 1
    assert {line["VALUE"] for line in seen} == {first}
    assert s.pg.works(seen[0]["PGUSER"], seen[0]["PGPASSWORD"])
    assert audit.count("auth/approle/login") == 1
    assert audit.count(CREDS) == 1
    assert audit.count("kv/data/app", "read") == 1  # its version is compared instead
    assert audit.count("kv/metadata/app", "read") >= 3
    assert audit.count("auth/token/revoke-self") == 0 and audit.count("sys/leases/revoke") == 0


def test_what_was_changed_while_it_was_down(s):
    world(s)
    audit = Audit(s)
    before = run_once(s, 1)
    second = s.canary("state-second")
    s.vault.put("kv/data/app", {"value": second})
    s.vault.post("sys/leases/revoke-prefix/" + CREDS)  # as an operator does
    after = run_once(s, 2)
    assert after["VALUE"] == second
    assert after["PGUSER"] != before["PGUSER"]
    assert audit.count(CREDS) == 2 and audit.count("auth/approle/login") == 1
    assert s.pg.works(after["PGUSER"], after["PGPASSWORD"])
    assert len(s.runlog.starts()) == 2  # known before the start, not after it


def test_a_token_that_was_revoked_while_it_was_down(s):
    world(s)
    audit = Audit(s)
    before = run_once(s, 1)
    accessor = s.vault.accessor_of(s.tap.logins()[0])
    s.vault.revoke_accessor(accessor)
    after = run_once(s, 2)
    assert after["PGUSER"] != before["PGUSER"]
    assert s.pg.works(after["PGUSER"], after["PGPASSWORD"])
    assert audit.count("auth/approle/login") == 2


def test_starts_from_the_last_good_values_and_refreshes_them(s):
    world(s, ttl="10m", max_ttl="1h")
    on_state = '[outage]\non_start = "state"\n'
    before = run_once(s, 1, more=on_state)
    s.tap.refuse()
    agent = start(s, more=on_state)
    line = s.runlog.wait_starts(2, 10)[-1]["env"]
    assert line == before
    second = s.canary("state-second")
    s.vault.put("kv/data/app", {"value": second})
    s.tap.accept()
    assert s.runlog.wait_starts(3, 30)[-1]["env"]["VALUE"] == second
    assert s.runlog.starts()[-1]["env"]["PGUSER"] == before["PGUSER"]
    agent.stop()


@pytest.mark.parametrize("spoil,why", [
    (lambda b: b[:-5], "truncated"), (lambda b: b[:40] + bytes([b[40] ^ 1]) + b[41:], "other-key"),
    (lambda b: b[:-20] + bytes([b[-20] ^ 1]) + b[-19:], "tampered"), (lambda b: b[:9] + b"\x07" + b[10:], "newer"),
    (lambda b: b"", "truncated"), (lambda b: os.urandom(len(b)), "not-a-state")])
def test_a_spoilt_state_is_refused_kept_and_nothing_is_lost(s, spoil, why):
    world(s)
    run_once(s, 1)
    with open(s.path("state/keybearer.state"), "rb") as file:
        spoilt = spoil(file.read())
    s.write("state/keybearer.state", spoilt)
    agent = start(s)
    after = s.runlog.wait_starts(2, 10)[-1]["env"]
    agent.stop()
    refused = agent.lines_about("state.refused")
    assert len(refused) == 1 and (why in refused[0] or why == "other-key"), agent.stderr
    with open(s.path("state/keybearer.state.refused"), "rb") as file:
        assert file.read() == spoilt
    assert s.pg.works(after["PGUSER"], after["PGPASSWORD"])
    assert run_once(s, 3)["PGUSER"] == after["PGUSER"]


def test_an_older_copy_is_refused(s):
    world(s)
    run_once(s, 1)
    with open(s.path("state/keybearer.state"), "rb") as file:
        old = file.read()
    run_once(s, 2)
    s.write("state/keybearer.state", old)
    agent = start(s)
    s.runlog.wait_starts(3, 10)
    agent.stop()
    assert "replayed" in agent.lines_about("state.refused")[0]


def test_killed_at_random_moments_it_resumes_or_begins_again(s):
    """The kills themselves are counted in tests/unit/state; here the whole program goes through them."""
    world(s)
    audit = Audit(s)
    choose = random.Random(1)
    for _ in range(200 if os.environ.get("KEYBEARER_LONG") else 12):
        agent = start(s)
        s.vault.put("kv/data/app", {"value": s.canary("killed")})
        moment = time.monotonic() + choose.random() * 0.4
        wait_until(moment)
        agent.kill()
    agent = start(s)
    known = len(s.runlog.starts())
    line = s.runlog.wait_starts(known + 1, 10)[-1]["env"]
    agent.stop()
    for each in s.agents:
        assert not each.lines_about("state.refused"), each.stderr
    assert audit.count("auth/approle/login") <= 3, "a kill before the first state is all that costs a login"
    assert line["PGUSER"]


def test_the_key(s):
    world(s)
    for content, mode, word in ((b"short", 0o600, "32 bytes"), (os.urandom(32), 0o640, "chmod 600"), (b"", 0o600, "32 bytes")):
        s.write("boot/state.key", content, mode)
        agent = start(s)
        assert agent.wait_exit(10) == 78
        assert word in agent.stderr and "agent.toml:" in agent.stderr, agent.stderr
    s.write("state/key", os.urandom(32))
    agent = s.run(toml(STATE, app=s.app_toml()).replace("boot/state.key", "state/key"))
    assert agent.wait_exit(10) == 78 and "beside" in agent.stderr
    assert not s.runlog.starts()
    assert re.search(r"state\.key_file", agent.stderr)


def test_T5_a_new_token_disturbs_nothing_but_what_it_must(s):
    """By the audit log: after a re-login KV is not read again, and the dynamic credentials once, by overlap."""
    world(s, token_ttl="8s", token_max_ttl="8s")
    audit = Audit(s)
    text = toml(STATE, app=s.app_toml())
    text = text[:text.index("[state]")] + text[text.index("[template_config]"):]
    agent = s.run(text)
    wait_for(lambda: audit.count("auth/approle/login") >= 3 and len(s.runlog.starts()) >= 3, 40, "three logins")
    starts = s.runlog.starts()
    logins = audit.count("auth/approle/login")
    assert audit.count("kv/data/app", "read") == 1
    assert audit.count(CREDS) in (logins, logins - 1)  # one each; the newest may be on its way
    users = [line["env"]["PGUSER"] for line in starts]
    assert len(set(users)) == len(users)
    last = starts[-1]["env"]
    assert s.pg.works(last["PGUSER"], last["PGPASSWORD"])
    agent.stop()
