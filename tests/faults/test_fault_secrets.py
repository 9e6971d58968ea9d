"""Faults of tokens, leases and values: 7, 9, 13, 17, 19, 20, 24, 25, 39."""
import json
import os
import signal
import time

import pytest

from bases import KV, KV_DATA, KV_METADATA, app_user, kv_base, kv_run, s2_base, s2_run, toml
from harness import EX_AUTH, observe, wait_for

NOTIFY = 'notify.command = ["/bin/sh", "-c", "echo $KEYBEARER_EVENT >> alarms"]\n'
OTHER = '''
[[template]]
destination = "out/other"
contents = '{{ with secret "kv/data/other" }}{{ .Data.data.value }}{{ end }}'
'''
VARIABLE = '[env]\nVALUE = { secret = "kv/data/app", key = "value" }\n'


def revoke(s):
    s.vault.revoke_accessor(s.vault.accessor_of(s.tap.logins()[-1]))


def alarms(s):
    return (s.read("alarms") or "").split()


# --- 7 and 13: what a login grants

@pytest.mark.parametrize("ttl", [-1, 0, 1, 2, 10**12, 10**18])
def test_F13_odd_token_ttls(s, ttl):
    """Floors and caps: never a zero sleep, never a storm of renewals or logins."""
    value = kv_base(s)
    token = s.vault.create_token(policies=["kv-reader"], ttl="10m")
    auth = {"client_token": token, "accessor": "a", "policies": ["default", "kv-reader"], "lease_duration": ttl, "renewable": True}
    s.tap.reply("auth/approle/login", 200, json.dumps({"auth": auth}).encode())
    s.tap.reply("auth/token/renew-self", 200, json.dumps({"auth": auth}).encode())
    agent = kv_run(s)
    s.runlog.wait_starts(1, 4)
    begin = time.monotonic()
    observe(5, lambda: None, 1.0)
    asked = s.tap.entries("auth/*", since=begin)
    assert agent.alive and s.read("out/config.ini") == f"value = {value}" and len(s.runlog.starts()) == 1
    assert len(asked) <= 6 and (ttl not in (0, 10**12, 10**18) or not asked), s.tap


@pytest.mark.parametrize("ttl", [1, 2])
def test_F13_leases_of_a_second(s, ttl):
    """The program is restarted when it must be, and nobody is flooded."""
    s.budget = False  # leases that end each second must be asked for each second
    s2_base(s, ttl=f"{ttl}s", max_ttl=f"{ttl}s")
    agent = s2_run(s)
    s.runlog.wait_starts(1, 5)
    begin = time.monotonic()
    observe(5, lambda: None, 1.0)
    asked = s.tap.count("*", since=begin)
    assert agent.alive and asked <= 30 and len(s.runlog.starts()) <= 7, s.tap


@pytest.mark.parametrize("ttl, rotation", [(-5, "2000-01-01T00:00:00Z"), (0, "2000-01-01T00:00:00Z"), (1, "2000-01-01T00:00:00Z"),
                                           (10**15, "2000-01-01T00:00:00Z"), (0, "2100-01-01T00:00:00.123456789Z"), (0, "yesterday")])
def test_F13_odd_static_roles(s, ttl, rotation):
    """Whatever the server says of its rotations, a path is asked in measure."""
    kv_base(s)
    s.vault.policy("kv-reader", "kv/data/*", "kv/metadata/*", "database/static-creds/*")
    value = s.canary("static")
    data = {"username": "u", "password": value, "ttl": ttl, "rotation_period": 5, "last_vault_rotation": rotation}
    s.tap.reply("database/static-creds/r", 200, json.dumps({"lease_id": "", "lease_duration": 0, "data": data}).encode())
    agent = kv_run(s, interval="5m", more='[env]\nX = { secret = "database/static-creds/r", key = "password" }')
    assert s.runlog.wait_starts(1, 5)[0]["env"]["X"] == value
    observe(4, lambda: None, 1.0)
    assert agent.alive and len(s.runlog.starts()) == 1 and s.tap.count("database/static-creds/r") <= 60, s.tap  # each 100 ms for 6 s, then growing


def test_F07_a_renewal_denied_is_not_asked_for_again(s):
    """The token is good, it may only not be renewed: the next login comes before it ends."""
    kv_base(s, token_ttl="8s", token_max_ttl="1m")
    s.tap.fail("auth/token/renew-self", 403, errors=("permission denied",))
    agent = kv_run(s, auth='renew_at = 0.5\nmin_remaining = "0s"')
    s.runlog.wait_starts(1, 5)
    login = s.tap.logins()[0].time
    second = wait_for(lambda: s.tap.logins()[1:], 9, "the second login")[0].time
    assert second - login < 8 and s.tap.count("auth/token/renew-self", since=login) == 1, s.tap
    assert s.tap.count("auth/token/lookup-self") == 1 and len(s.runlog.starts()) == 1 and agent.alive, s.tap


# --- 9: the token is revoked

def test_F09_one_login_for_all_who_are_denied(s):
    kv_base(s)
    names = [f"n{number}" for number in range(6)]
    for name in names:
        s.vault.put(f"kv/data/{name}", {"value": s.canary(name)})
    kv_run(s, more="".join(OTHER.replace("other", name) for name in names))
    s.runlog.wait_starts(1, 5)
    revoke(s)
    since = time.monotonic()
    wait_for(lambda: len(s.tap.logins()) == 2, 4, "the second login")
    new = s.canary("kv-second")
    s.vault.put(KV_DATA, {"value": new})
    s.runlog.wait_starts(2, 8)
    assert len(s.tap.logins()) == 2 and s.tap.count("auth/token/lookup-self", since=since) == 1, s.tap
    assert s.read("out/config.ini") == f"value = {new}" and len(s.runlog.starts()) == 2


def test_F09_only_what_the_token_owned_is_fetched_again(s):
    kv_base(s)
    kv_run(s)
    s.runlog.wait_starts(1, 5)
    revoke(s)
    since = time.monotonic()
    wait_for(lambda: len(s.tap.logins()) == 2, 4, "the second login")
    observe(7, lambda: None, 1.0)
    bodies = [e for e in s.tap.entries(KV_DATA, since=since) if e.status == 200]
    assert not bodies and [e for e in s.tap.entries(KV_METADATA, since=since) if e.status == 200], s.tap


# --- 17: the latest version is gone

@pytest.mark.parametrize("how", ["deleted", "destroyed"])
def test_F17_required_version_gone(s, how):
    value = kv_base(s)
    agent = kv_run(s, top=NOTIFY)
    app = s.runlog.wait_starts(1, 5)[0]
    if how == "deleted":
        s.vault.request("DELETE", KV_DATA)
    else:
        s.vault.post("kv/destroy/app", {"versions": [1]})
    wait_for(lambda: alarms(s), 4, "the alarm")
    agent.wait_line(KV_DATA, how, timeout=1)
    observe(3, lambda: None, 1.0)
    assert s.runlog.lines() == [app] and s.read("out/config.ini") == f"value = {value}" and len(alarms(s)) == 1


def test_F17_optional_version_gone(s):
    kv_base(s)
    kv_run(s, more=VARIABLE + '[[secret]]\npath = "kv/data/app"\noptional = true\ndefaults = { value = "none" }')
    s.runlog.wait_starts(1, 5)
    s.vault.request("DELETE", KV_DATA)
    app = s.runlog.wait_starts(2, 5)[1]
    assert app["env"]["VALUE"] == "none" and app["files"]["out/config.ini"] == "value = none"


# --- 19: values that a variable can't hold

@pytest.mark.parametrize("value", ["before\0after", "x" * 200_000], ids=["nul", "too-long"])
@pytest.mark.parametrize("when", ["start", "later"])
def test_F19_value_that_no_variable_can_hold(s, value, when):
    kv_base(s, value=value if when == "start" else "")
    s.vault.put("kv/data/other", {"value": s.canary("other")})
    agent = kv_run(s, more=VARIABLE + OTHER, template='start_grace = "2s"')
    if when == "start":
        assert agent.wait_exit(6) not in (0, 70) and "VALUE" in agent.stderr and not s.runlog.starts(), agent.stderr
        return
    app = s.runlog.wait_starts(1, 5)[0]
    s.vault.put(KV_DATA, {"value": value})
    agent.wait_line("VALUE", timeout=4)
    second = s.canary("other-second")
    s.vault.put("kv/data/other", {"value": second})
    wait_for(lambda: s.read("out/other") == second, 4, "the other secret in its file")
    assert agent.alive and s.runlog.lines() == [app], "the running program is not touched"


def test_F19_empty_value(s):
    kv_base(s)
    kv_run(s, more=VARIABLE)
    s.runlog.wait_starts(1, 5)
    s.vault.put(KV_DATA, {"value": ""})
    app = s.runlog.wait_starts(2, 5)[1]
    assert app["env"]["VALUE"] == "" and app["files"]["out/config.ini"] == "value = "


# --- 20: which of two

def test_F20_duplicate_keys_are_no_way_in(s):
    """Whatever is taken, file and variable agree."""
    kv_base(s, metadata=False)
    one, two = s.canary("one"), s.canary("two")
    body = f'{{"data":{{"data":{{"value":"{one}","value":"{two}"}},"metadata":{{"version":2}}}}}}'
    s.tap.reply(KV_DATA, 200, body.encode())
    kv_run(s, more=VARIABLE)
    app = s.runlog.wait_starts(1, 5)[0]
    assert app["files"]["out/config.ini"] == "value = " + app["env"]["VALUE"] and app["env"]["VALUE"] in (one, two)


# --- 24 and 25: credentials

def test_F24_credentials_briefly_missing(s):
    """The second login uses what is known; a newer secret_id is taken when it is there."""
    kv_base(s)
    kv_run(s)
    s.runlog.wait_starts(1, 5)
    for name in ("boot/role-id", "boot/secret-id"):
        os.unlink(s.path(name))
    revoke(s)
    wait_for(lambda: [e for e in s.tap.logins() if e.status == 200][1:], 4, "the second login")
    s.vault.post("auth/approle/role/app/secret-id/destroy", {"secret_id": s.tap.logins()[0].body["secret_id"]})
    s.write("boot/secret-id", s.vault.secret_id("app"))
    revoke(s)
    wait_for(lambda: [e for e in s.tap.logins() if e.status == 200][2:], 9, "the third login")
    assert len(s.tap.logins()) == 3 and len(s.runlog.starts()) == 1, s.tap


WRAPPING = 'secret_id_response_wrapping_path = "auth/approle/role/app/secret-id"\n'


def wrapped(s, path="auth/approle/role/app/secret-id"):
    """A wrapping token with a secret_id, in the file."""
    token = s.vault.post(path, headers={"X-Vault-Wrap-TTL": "5m"})["wrap_info"]["token"]
    s.write("boot/secret-id", token)
    return token


def wrapping_run(s, **values):
    text = toml(KV, interval="1s", app=s.app_toml(), top=NOTIFY, exec='debounce = "100ms"', **values)
    return s.run(text.replace("remove_secret_id", WRAPPING + "remove_secret_id"))


def test_F25_wrapping_token_used_by_somebody_else(s):
    kv_base(s)
    token = wrapped(s)
    s.vault.post("sys/wrapping/unwrap", token=token)
    agent = wrapping_run(s)
    assert agent.wait_exit(5) == EX_AUTH and not s.runlog.starts()
    assert agent.lines_about("wrapping token", levels=("error",)), agent.stderr
    assert s.tap.count("sys/wrapping/*") == 1 and not s.tap.logins(), s.tap
    assert len(alarms(s)) == 1, alarms(s)


def test_F25_wrapping_token_of_another_path_is_not_opened(s):
    kv_base(s)
    s.vault.approle("stranger", "default")
    token = wrapped(s, "auth/approle/role/stranger/secret-id")
    agent = wrapping_run(s)
    assert agent.wait_exit(5) == EX_AUTH and "stranger" in agent.stderr, agent.stderr
    assert s.tap.count("sys/wrapping/unwrap") == 0 and not s.tap.logins() and len(alarms(s)) == 1
    assert s.vault.post("sys/wrapping/unwrap", token=token)["data"]["secret_id"], "it is still as it was"


@pytest.mark.parametrize("lost", ["lookup", "unwrap", "login"])
def test_F25_an_answer_that_is_lost_on_the_way(s, lost):
    """What a server that failed has not done is asked for again. A lost unwrapping can't be had again: an alarm, no hammering."""
    kv_base(s)
    wrapped(s)
    path = {"lookup": "sys/wrapping/lookup", "unwrap": "sys/wrapping/unwrap", "login": "auth/approle/login"}[lost]
    s.tap.cut_body(path, 1)
    agent = wrapping_run(s)
    if lost == "unwrap":
        assert agent.wait_exit(8) == EX_AUTH and "lost on the way" in agent.stderr and not alarms(s), agent.stderr  # nobody stole it
        assert s.tap.count("sys/wrapping/*") <= 4 and not s.tap.logins(), s.tap
    else:
        s.runlog.wait_starts(1, 6)
        assert s.tap.count("sys/wrapping/unwrap") == 1, s.tap


# --- 39: the machine sleeps

def test_F39_asleep_past_the_end_of_token_and_lease(s):
    s2_base(s, ttl="4s", max_ttl="30s", token_ttl="6s", token_max_ttl="1m")
    agent = s2_run(s)
    before = s.runlog.wait_starts(1, 5)[0]["env"]["PGUSER"]
    agent.send(signal.SIGSTOP)
    wait_for(lambda: before not in s.pg.roles(), 10, "the end of the lease")
    wait_for(lambda: s.vault.lookup(s.tap.logins()[0].reply["auth"]["client_token"]) is None, 8, "the end of the token")
    since = time.monotonic()
    agent.send(signal.SIGCONT)
    s.runlog.wait_starts(2, 5)
    assert s.pg.works(*app_user(s)) and agent.alive
    assert len(s.tap.logins()) == 2 and s.tap.count("*", since=since) <= 10, s.tap


def test_F39_asleep_at_the_start(s):
    kv_base(s)
    s.tap.delay("auth/approle/login", 1, 1)
    agent = kv_run(s, template='start_grace = "1s"', vault='timeout = "2s"')
    wait_for(s.tap.logins, 3, "the login")
    agent.send(signal.SIGSTOP)
    observe(3.5, lambda: None, 1.0)
    agent.send(signal.SIGCONT)
    s.runlog.wait_starts(1, 6)
    agent.send(signal.SIGSTOP)
    agent.send(signal.SIGTERM)
    agent.send(signal.SIGCONT)
    assert agent.wait_exit(3) == 0
