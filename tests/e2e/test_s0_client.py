"""S0, the client application: reading at start, staying fresh, schedules."""
import os

import pytest

from bases import (KV_DATA, KV_METADATA, S0_CREDS, S0_DYNAMIC, S0_KV_DATA, S0_KV_METADATA, S0_STATIC, S0_STATIC_CREDS,
                   kv_base, kv_run, s0_base, s0_run, s0_values, s0_write, section_works)
from harness import fields, observe, wait_for


def test_S0_01_read_at_start_once(s):
    s0_base(s)
    s0_run(s)
    first = s.runlog.wait_starts(1, 5)[0]
    assert len(s.tap.logins()) == 1
    for path in (S0_KV_DATA, S0_CREDS, S0_STATIC_CREDS):
        assert len(s.tap.data_reads(path)) == 1, s.tap
    seen = first["files"]["out/config.ini"]
    assert all(section in seen for section in ("[kv]", "[database_dynamic]", "[database_static]"))
    for section in ("database_dynamic", "database_static"):
        user = fields(seen, section)
        assert s.pg.works(user["username"], user["password"])
    assert fields(seen, "database_dynamic")["username"].startswith("v-approle-db-demo-")


def test_S0_02_stays_fresh_until_stopped(s):
    s0_base(s)
    s0_run(s)
    s.runlog.wait_starts(1, 5)
    works = observe(3, lambda: section_works(s, "database_dynamic"), 1.0)
    s0_write(s, "second")
    wait_for(lambda: s0_values(s, "kv").get("database_url") == "postgres://host/second", 6, "version 2 in the file")
    works += observe(22, lambda: section_works(s, "database_dynamic"), 1.0)
    assert all(ok for _, ok in works)


def test_S0_03_start_only_mode(s):
    s0_base(s)
    s0_run(s, sections=S0_DYNAMIC, interval="never")
    s.runlog.wait_starts(1, 5)
    before = s.read("out/config.ini")
    s0_write(s, "second")
    observe(20, lambda: None, 1.0)
    assert s.tap.count(S0_KV_DATA) == 1 and s.tap.count(S0_KV_METADATA) == 0
    assert s.read("out/config.ini") == before
    assert s.tap.count("sys/leases/renew") >= 1


def test_S0_04_later_starts_use_the_cache(s):
    s0_base(s, period="1h")
    s0_run(s, interval="5m", app=("--exit-first", 1, 1), exec='restart_on_exit = "on-failure"\nrestart_backoff = "200ms"')
    first, second = s.runlog.wait_starts(2, 6)
    assert first["files"] == second["files"] and "[kv]" in second["files"]["out/config.ini"]
    for path in (S0_KV_DATA, S0_CREDS, S0_STATIC_CREDS):
        assert len(s.tap.data_reads(path)) == 1, s.tap


def _identity(path):
    stat = os.stat(path)
    return stat.st_ino, stat.st_mtime_ns


def test_S0_05_kv_cache_by_version(s):
    value = kv_base(s)
    kv_run(s, interval="2s")
    s.runlog.wait_starts(1, 5)
    untouched = _identity(s.path("out/config.ini"))
    observe(10.2, lambda: None, 1.0)
    assert 4 <= s.tap.count(KV_METADATA) <= 6 and len(s.tap.data_reads(KV_DATA)) == 1, s.tap

    s.vault.put(KV_DATA, {"value": value})  # version 2, the same bytes
    wait_for(lambda: len(s.tap.data_reads(KV_DATA)) == 2, 3, "the new version is read")
    observe(2.5, lambda: None, 0.5)
    assert _identity(s.path("out/config.ini")) == untouched and len(s.runlog.starts()) == 1

    new = s.canary("kv-second")
    s.vault.put(KV_DATA, {"value": new})
    second = s.runlog.wait_starts(2, 5)[1]
    assert second["files"]["out/config.ini"] == f"value = {new}"
    after = _identity(s.path("out/config.ini"))
    observe(5, lambda: None, 1.0)
    assert len(s.runlog.starts()) == 2 and _identity(s.path("out/config.ini")) == after


def test_S0_05_kv_without_the_right_to_see_versions(s):
    value = kv_base(s, metadata=False)
    kv_run(s, interval="2s")
    s.runlog.wait_starts(1, 5)
    untouched = _identity(s.path("out/config.ini"))
    observe(8.2, lambda: None, 1.0)
    assert 4 <= len(s.tap.data_reads(KV_DATA)) <= 6, s.tap
    s.vault.put(KV_DATA, {"value": value})
    observe(3, lambda: None, 1.0)
    assert _identity(s.path("out/config.ini")) == untouched and len(s.runlog.starts()) == 1
    s.vault.put(KV_DATA, {"value": s.canary("kv-second")})
    s.runlog.wait_starts(2, 5)


def test_S0_06_interval_of_each_secret(s):
    kv_base(s)
    s.vault.put("kv/data/slow", {"value": s.canary("slow")})
    kv_run(s, more='''
[[secret]]
path = "kv/data/app"
static_secret_render_interval = "2s"
[[secret]]
path = "kv/data/slow"
static_secret_render_interval = "8s"
[[template]]
destination = "out/slow"
contents = '{{ with secret "kv/data/slow" }}{{ .Data.data.value }}{{ end }}'
''')
    s.runlog.wait_starts(1, 5)
    since = s.tap.entries()[-1].time + 0.001
    observe(16, lambda: None, 1.0)
    assert 7 <= s.tap.count("kv/*/app", since=since) <= 9, s.tap
    assert 1 <= s.tap.count("kv/*/slow", since=since) <= 3, s.tap


def test_S0_07_dynamic_credentials_are_replaced_ten_seconds_before_their_end(s):
    s0_base(s, dynamic=("30s", "30s"), static=False, token_ttl="10m")
    s0_run(s, sections=S0_DYNAMIC, lease='renew_at = 0.9\nmin_remaining = "10s"')
    s.runlog.wait_starts(1, 5)

    def seconds_left():
        user = s0_values(s, "database_dynamic")["username"]
        rows = s.pg.admin(f"SELECT extract(epoch FROM rolvaliduntil - now()) FROM pg_roles WHERE rolname = '{user}'")
        return float(rows[0][0]) if rows else -1.0
    left = observe(60, seconds_left, 0.5)
    reads = [e.time for e in s.tap.data_reads(S0_CREDS)]
    assert len(reads) >= 3, s.tap
    for earlier, later in zip(reads, reads[1:]):
        assert 19 <= later - earlier <= 21, s.tap
    assert min(seconds for _, seconds in left) >= 9


def test_S0_08_static_credentials_follow_each_rotation(s):
    s0_base(s)
    s0_run(s, sections=S0_STATIC, interval="5m")
    s.runlog.wait_starts(1, 5)
    # The server looks for due rotations every five seconds: its first one may come that late.
    seen = observe(31, lambda: (section_works(s, "database_static"), s0_values(s, "database_static")["password"]), 0.1)
    rotations = len({password for _, (_, password) in seen}) - 1
    assert rotations >= 2
    # A server that is late with a rotation says 0: then it is asked again, within the budget of every scenario.
    reads = s.tap.data_reads(S0_STATIC_CREDS)
    assert all(e.status == 200 for e in reads), s.tap
    in_time = [e for e in reads if e.reply["data"]["ttl"] > 0]
    assert len(in_time) <= 1 + 2 * (rotations + 1), s.tap
    dead_since = None
    for when, (works, _) in seen:
        if works:
            dead_since = None
        else:
            dead_since = when if dead_since is None else dead_since
            assert when - dead_since <= 3, "the file held a dead password for more than 3 s"


def test_S0_08_static_credentials_by_interval(s):
    s0_base(s, period="1h")
    s0_run(s, sections=S0_STATIC, interval="5m", exec='debounce = "100ms"', more=f'''
[[secret]]
path = "{S0_STATIC_CREDS}"
static_secret_render_interval = "3s"
''')
    s.runlog.wait_starts(1, 5)
    since = s.tap.entries()[-1].time + 0.001
    observe(12.5, lambda: None, 1.0)
    assert 4 <= s.tap.count(S0_STATIC_CREDS, since=since) <= 5, s.tap
    assert len(s.runlog.starts()) == 1
    s.vault.post("my-vault-app-database/rotate-role/db-demo-static")
    wait_for(lambda: section_works(s, "database_static"), 4, "the rotated password in the file")
    s.runlog.wait_starts(2, 4)


def test_S0_20_token_is_renewed_by_itself(s):
    kv_base(s, token_ttl="9s", token_max_ttl="1h")
    kv_run(s, interval="5m")
    s.runlog.wait_starts(1, 5)
    observe(30, lambda: None, 1.0)
    renewals = [e for e in s.tap.entries("auth/token/renew-self") if e.answered]
    assert 5 <= len(renewals) <= 7 and all(e.status == 200 for e in renewals), s.tap
    times = [s.tap.logins()[0].time] + [e.time for e in renewals]
    assert all(3.5 <= later - earlier <= 5.5 for earlier, later in zip(times, times[1:])), s.tap
    assert len(s.tap.logins()) == 1


def _own_memory(pid):
    """In KiB, without the pages of the program file: whether these are shared depends on who else runs it."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Anonymous:"))


def test_S0_24_memory_stays_bounded(s):
    """In real time: 25 rounds of 200 secrets; the 300 rounds by the clock are a unit test's."""
    s.budget = False  # 200 secrets every second, by configuration
    kv_base(s)
    templates = []
    for number in range(200):
        s.vault.post(f"kv/data/many/{number}", {"data": {"value": f"{number:04d}" * 256}})
        templates.append(f'''
[[template]]
destination = "out/{number}"
contents = '{{{{ with secret "kv/data/many/{number}" }}}}{{{{ .Data.data.value }}}}{{{{ end }}}}'
''')
    agent = kv_run(s, vault="[vault.budget]\nrequests_per_minute = 60000\nburst = 1000", more="".join(templates))
    s.runlog.wait_starts(1, 15)
    rounds = lambda: s.tap.count("kv/metadata/many/7")  # noqa: E731
    wait_for(lambda: rounds() >= 8, 40, "8 rounds")
    early = _own_memory(agent.pid)
    wait_for(lambda: rounds() >= 25, 60, "25 rounds")
    assert _own_memory(agent.pid) <= early + 256


def test_S0_25_pooled_and_parallel(s):
    kv_base(s)
    templates = []
    for number in range(50):
        s.vault.post(f"kv/data/many/{number}", {"data": {"value": str(number)}})
        templates.append(f'''
[[template]]
destination = "out/{number}"
contents = '{{{{ with secret "kv/data/many/{number}" }}}}{{{{ .Data.data.value }}}}{{{{ end }}}}'
''')
    s.tap.delay("*", 0.2)
    agent = kv_run(s, interval="2s", more="".join(templates))
    s.runlog.wait_starts(1, 5)
    assert s.runlog.starts()[0]["time"] - (_wall(agent)) < 3
    assert [s.read(f"out/{number}") for number in range(50)] == [str(number) for number in range(50)]
    wait_for(lambda: s.tap.count("kv/metadata/many/*") >= 50, 8, "a later round")
    assert s.tap.connections <= 10


def _wall(agent):
    """The wall-clock time of the agent's start."""
    import time
    return time.time() - (time.monotonic() - agent.begin)


@pytest.mark.parametrize("path, setup", [
    ("cubbyhole/x", lambda vault, token: vault.request("POST", "cubbyhole/x", {"value": "canary-cubbyhole-value"}, token=token)),
    ("totp/code/k", lambda vault, token: None),
])
def test_S0_28_engines_it_knows_nothing_about(s, path, setup):
    s.vault.post("sys/mounts/totp", {"type": "totp"})
    s.vault.post("totp/keys/k", {"generate": True, "issuer": "test", "account_name": "a@test"})
    s.vault.policy("any", "totp/code/*", "cubbyhole/*")
    token = s.vault.create_token(policies=["any"], ttl="10m")
    setup(s.vault, token)
    s.canaries.add("canary-cubbyhole-value", "the cubbyhole's value")
    key = "value" if path.startswith("cubbyhole") else "code"
    agent = s.render(f'''
[vault]
address = "@addr@"
[[template]]
destination = "out/x"
contents = '{{{{ with secret "{path}" }}}}{{{{ .Data.{key} }}}}{{{{ end }}}}'
''', "--once", env={"VAULT_TOKEN": token})
    assert agent.wait_exit(5) == 0
    text = s.read("out/x")
    assert text == "canary-cubbyhole-value" if key == "value" else (len(text) == 6 and text.isdigit())
