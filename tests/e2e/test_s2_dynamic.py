"""S2, dynamic secrets: leases, renewal, the wall of max_ttl, revocation."""
import json
import os
import stat
import time

import pytest

from bases import KV, LOGIN, S2_READONLY, app_user, kv_base, login_files, s2_base, s2_run, s2_toml, toml
from harness import EX_UNAVAILABLE, observe, wait_for

RENEW = "sys/leases/renew"


def test_S2_01_one_set_for_each_instance(s):
    s2_base(s)
    other = s.run_log("run2.jsonl")
    s.run(s2_toml(s))
    second = s2_toml(s).replace(s.app_toml(), s.app_toml(log="run2.jsonl"))
    s.start("run", "-c", s.config(second, name="second.toml", addr=s.new_tap().url))
    users = [log.wait_starts(1, 5)[0]["env"]["PGUSER"] for log in (s.runlog, other)]
    assert len(set(users)) == 2 and set(users) <= set(s.pg.roles())
    assert all(user.startswith("v-") and "-readonly-" in user for user in users)
    assert s.tap.data_reads(S2_READONLY)[0].reply["lease_id"].startswith(S2_READONLY + "/")


def test_S2_02_limited_life(s):
    s2_base(s)
    agent = s2_run(s)
    s.runlog.wait_starts(1, 5)
    works = observe(12, lambda: s.pg.works(*app_user(s)), 1.0)
    assert all(ok for _, ok in works)
    agent.kill()
    wait_for(lambda: not s.pg.roles(), 9 + 3, "the end of the user")


def test_S2_08_readonly(s):
    s2_base(s, ttl="1m", max_ttl="5m")
    s2_run(s)
    url = s.runlog.wait_starts(1, 5)[0]["env"]["DATABASE_URL"]
    user = app_user(s)
    assert url.startswith("postgresql://v-") and user[0].startswith("v-")
    assert s.pg.run_as(*user) == ""
    assert "permission denied for schema public" in s.pg.run_as(*user, "CREATE TABLE test (id int)")
    assert "permission denied" in s.pg.run_as(*user, "INSERT INTO t VALUES (2)")


def test_S2_09_readwrite(s):
    s2_base(s, ttl="1m", max_ttl="5m")
    s2_run(s, role="readwrite")
    s.runlog.wait_starts(1, 5)
    for statement in ("INSERT INTO t VALUES (2)", "UPDATE t SET id = 3 WHERE id = 2", "DELETE FROM t WHERE id = 3",
                      "SELECT id FROM t"):
        assert s.pg.run_as(*app_user(s), statement) == "", statement


def test_S2_10_max_ttl_is_a_wall(s):
    s2_base(s)
    s2_run(s)
    first = s.runlog.wait_starts(1, 5)[0]
    taken = s.tap.data_reads(S2_READONLY)[0].time
    works = observe(42, lambda: s.pg.works(*app_user(s)), 1.0)  # a third is due after 45 s
    assert all(ok for _, ok in works), works
    reads = s.tap.data_reads(S2_READONLY)
    assert len(reads) == 2, s.tap
    assert 15 <= reads[1].time - taken <= 27, "while the old user has 3 s or more"
    renewals = [e for e in s.tap.entries(RENEW) if e.time < reads[1].time]
    assert len(renewals) >= 3 and renewals[-1].reply["lease_duration"] < 9, s.tap
    starts = s.runlog.starts()
    assert len(starts) == 2 and starts[1]["env"]["PGUSER"] != first["env"]["PGUSER"]


@pytest.mark.parametrize("ttl", [1, 2, 3])
def test_leases_of_a_few_seconds_are_renewed_in_silence(s, ttl):
    """They are used up at once when they are not; the server counts in whole seconds."""
    s.budget = ttl > 1  # twice a second
    s2_base(s, ttl=f"{ttl}s", max_ttl="10m")
    agent = s2_run(s)
    s.runlog.wait_starts(1, 5)
    works = observe(10, lambda: s.pg.works(*app_user(s)), 0.5)
    assert all(ok for _, ok in works), works
    assert len(s.tap.data_reads(S2_READONLY)) == 1 and all(e.status == 200 for e in s.tap.entries(RENEW)), s.tap
    assert "ERROR" not in agent.stderr and "WARN" not in agent.stderr and '"error"' not in agent.stderr, agent.stderr


def test_S2_11_renew_at_two_thirds(s):
    s2_base(s, max_ttl="10m")
    s2_run(s, lease='min_remaining = "0s"\nincrement = "9s"')
    s.runlog.wait_starts(1, 5)
    wait_for(lambda: s.tap.count(RENEW) >= 4, 28, "four renewals")
    lease = s.tap.data_reads(S2_READONLY)[0]
    renewals = s.tap.entries(RENEW)
    times = [lease.time] + [e.time for e in renewals]
    assert all(5 <= later - earlier <= 7 for earlier, later in zip(times, times[1:])), s.tap
    assert all(e.body == {"lease_id": lease.reply["lease_id"], "increment": 9} for e in renewals)


def test_S2_12_window_of_the_first_renewal(s):
    """With defaults, between a half and two thirds of the TTL; 10,000 TTLs are a unit test's."""
    s2_base(s)
    roles = {f"r{ttl}": ttl for ttl in (20, 24, 28, 32, 36)}
    for role, ttl in roles.items():
        s.vault.dynamic(role, f"{ttl}s", "10m")
    variables = "".join(f'''
[env.USER_{role}]
contents = '{{{{ with secret "database/creds/{role}" }}}}{{{{ .Data.username }}}}{{{{ end }}}}'
''' for role in roles)
    s.run(toml(LOGIN + "[exec]\ncommand = @app@\n" + variables, app=s.app_toml()))
    s.runlog.wait_starts(1, 5)
    wait_for(lambda: len({e.body["lease_id"] for e in s.tap.entries(RENEW)}) == len(roles), 30, "a renewal of each")
    for role, ttl in roles.items():
        taken = s.tap.data_reads(f"database/creds/{role}")[0]
        renewed = next(e for e in s.tap.entries(RENEW) if e.body["lease_id"] == taken.reply["lease_id"])
        assert 0.495 <= (renewed.time - taken.time) / ttl <= 0.675, (role, s.tap)


def test_S2_13_increment(s):
    s2_base(s, max_ttl="1h")
    s2_run(s, lease='increment = "30m"')
    s.runlog.wait_starts(1, 5)
    wait_for(lambda: s.tap.count(RENEW) >= 1, 9, "a renewal")
    observe(10, lambda: None, 1.0)
    renewals = s.tap.entries(RENEW)
    assert len(renewals) == 1 and renewals[0].body["increment"] == 1800, s.tap
    assert renewals[0].reply["lease_duration"] == 1800


def test_S2_14_renewal_failed_for_a_passing_reason(s):
    s2_base(s, ttl="12s", max_ttl="10m")
    s2_run(s)
    app = s.runlog.wait_starts(1, 5)[0]
    s.tap.fail(RENEW, 502, 2)
    wait_for(lambda: [e for e in s.tap.entries(RENEW) if e.status == 200], 13, "a renewal that works")
    assert s.tap.count(S2_READONLY) == 1 and s.runlog.lines() == [app] and s.pg.works(*app_user(s))

    s.vault.request("PUT", "sys/leases/revoke", {"lease_id": s.tap.data_reads(S2_READONLY)[0].reply["lease_id"]})
    second = s.runlog.wait_starts(2, 14)[1]
    assert second["env"]["PGUSER"] != app["env"]["PGUSER"] and s.pg.works(*app_user(s))
    assert s.tap.count(S2_READONLY) == 2, s.tap
    renewals = s.tap.entries(RENEW)
    assert all(later.time >= earlier.answered for earlier, later in zip(renewals, renewals[1:]))


def test_S2_15_renewing_changes_nothing_for_the_program(s):
    s2_base(s, ttl="4s", max_ttl="10m")
    s2_run(s, more='''
[[template]]
destination = "out/user"
contents = '{{ with secret "database/creds/readonly" }}{{ .Data.username }} {{ .Data.password }}{{ end }}'
''')
    app = s.runlog.wait_starts(1, 5)[0]
    before = s.read("out/user")
    wait_for(lambda: s.tap.count(RENEW) >= 5, 14, "five renewals")
    assert s.read("out/user") == before and s.runlog.lines() == [app] and s.tap.count(S2_READONLY) == 1


@pytest.mark.parametrize("flags, code", [((), 0), (("--life", 1), 0), (("--life", 1, "--exit", 3), 3)])
def test_S2_16_revoke_at_the_end(s, flags, code):
    s2_base(s)
    agent = s2_run(s, app=flags)
    s.runlog.wait_starts(1, 5)
    assert s.pg.roles()
    assert (agent.wait_exit(5) if flags else agent.stop()) == code
    wait_for(lambda: not s.pg.roles(), 2, "no user left")
    revocations = [e for e in s.tap.entries() if "revoke" in e.path]
    assert [e.path for e in revocations] == ["sys/leases/revoke", "auth/token/revoke-self"], s.tap
    assert revocations[0].body["lease_id"] == s.tap.data_reads(S2_READONLY)[0].reply["lease_id"]
    token = s.tap.logins()[0].reply["auth"]["client_token"]
    assert s.vault.lookup(token) is None


def test_S2_16_revoke_without_the_right_to(s):
    s2_base(s, may_revoke=False)
    agent = s2_run(s)
    s.runlog.wait_starts(1, 5)
    assert agent.stop() == 0
    wait_for(lambda: not s.pg.roles(), 2, "no user left: the token's end takes its leases along")
    assert len(agent.lines_about("revoke", levels=("warn", "error"))) <= 1, agent.stderr


@pytest.mark.parametrize("how", ["refuses", "hangs"])
def test_S2_16_server_down_at_the_end(s, how):
    s2_base(s)
    agent = s2_run(s)
    s.runlog.wait_starts(1, 5)
    (s.tap.refuse if how == "refuses" else s.vault.freeze)()
    begin = time.monotonic()
    assert agent.stop() == 0
    assert time.monotonic() - begin <= 6


def test_S2_05_a_lease_revoked_by_somebody_else(s):
    s2_base(s, ttl="1m", max_ttl="10m")
    s2_run(s, lease='check_interval = "2s"')
    first = s.runlog.wait_starts(1, 5)[0]
    s.vault.request("PUT", "sys/leases/revoke", {"lease_id": s.tap.data_reads(S2_READONLY)[0].reply["lease_id"]})
    second = s.runlog.wait_starts(2, 5)[1]
    assert second["env"]["PGUSER"] != first["env"]["PGUSER"] and s.pg.works(*app_user(s))
    assert s.tap.count(S2_READONLY) == 2, s.tap


def test_S2_31_the_token_must_outlive_the_lease(s):
    """A token of 8 s at most: a new login and a new lease before its end, overlapping."""
    s.vault.database(s.pg)
    s.vault.dynamic("readonly", "1h", "2h")
    s.vault.policy("app", "database/creds/*", **{"sys/leases/revoke": ["update"]})
    login_files(s, "app", "app", token_ttl="8s", token_max_ttl="8s")
    s2_run(s)
    s.runlog.wait_starts(1, 5)
    works = observe(20, lambda: s.pg.works(*app_user(s)), 0.2)
    assert all(ok for _, ok in works), [when for when, ok in works if not ok]
    assert 3 <= len(s.tap.logins()) <= 6, s.tap


def test_S2_18_host_and_database_from_elsewhere(s):
    s2_base(s)
    s.vault.kv2("secret")
    s.vault.post("secret/data/myapp", {"data": {"host": "127.0.0.1", "port": 5432, "database": "my app/db"}})
    s.vault.policy("app", "database/creds/*", "secret/data/myapp", **{"sys/leases/revoke": ["update"]})
    s.run(toml(LOGIN + '''
[env.DATABASE_URL]
contents = \'\'\'{{ with secret "secret/data/myapp" }}{{ $db := .Data.data }}{{ with secret "database/creds/readonly" -}}
postgresql://{{ .Data.username | urlquery }}:{{ .Data.password | urlquery }}@{{ $db.host }}:{{ $db.port }}/{{ $db.database | urlquery }}
{{- end }}{{ end }}\'\'\'
[exec]
command = @app@
''', app=s.app_toml()))
    url = s.runlog.wait_starts(1, 5)[0]["env"]["DATABASE_URL"]
    reply = s.tap.data_reads(S2_READONLY)[0].reply["data"]
    assert url == f"postgresql://{reply['username']}:{reply['password']}@127.0.0.1:5432/my+app%2Fdb"


def test_S2_19_one_shot_credentials_file(s):
    s2_base(s, ttl="1m", max_ttl="5m")
    agent = s.render(LOGIN.replace("@vault@", "").replace("@auth@", "") + '''
[[template]]
destination = "out/db-creds.json"
contents = '{{ with secret "database/creds/readwrite" }}{"lease_id":{{ .LeaseID | toJSON }},"lease_duration":{{ .LeaseDuration }},"data":{{ .Data | toJSON }}}{{ end }}'
''', "--once")
    assert agent.wait_exit(5) == 0, agent.stderr
    assert agent.lived < 2
    written = json.loads(s.read("out/db-creds.json"))
    assert s.pg.works(written["data"]["username"], written["data"]["password"])
    assert stat.S_IMODE(os.stat(s.path("out/db-creds.json")).st_mode) == 0o600
    assert not s.tap.count("sys/leases/revoke") and not s.tap.count("auth/token/revoke-self"), "another container needs them"
    assert s.vault.lookup(s.tap.logins()[0].reply["auth"]["client_token"]) is not None
    assert len(s.tap.logins()) == 1 and s.tap.count("database/creds/readwrite") == 1


@pytest.mark.parametrize("code", [0, 2])
def test_S2_21_a_job_in_a_wrapper(s, code):
    """Longer than the lease's TTL: renewed while the job runs, revoked after it; no restart when a secret changes."""
    s2_base(s, ttl="4s", max_ttl="10m")
    s.vault.kv2("kv")
    s.vault.put("kv/data/app", {"value": s.canary("kv-first")})
    s.vault.policy("app", "database/creds/*", "kv/*", **{"sys/leases/revoke": ["update"]})
    text = s2_toml(s, role="readwrite", app=("--life", 7, "--exit", code), more='''
[template_config]
static_secret_render_interval = "1s"
[[template]]
destination = "out/value"
contents = '{{ with secret "kv/data/app" }}{{ .Data.data.value }}{{ end }}'
''')
    agent = s.run(text, flags=("--once",))
    s.runlog.wait_starts(1, 5)
    s.vault.put("kv/data/app", {"value": s.canary("kv-second")})
    observe(6, lambda: None, 1.0)
    assert s.pg.works(*app_user(s))
    assert agent.wait_exit(5) == code
    assert len(s.runlog.starts()) == 1 and s.tap.count(RENEW) >= 2
    wait_for(lambda: not s.pg.roles(), 2, "no user left")


def test_S2_03_one_write_reaches_every_instance(s):
    kv_base(s)
    logs = []
    for number in range(3):
        logs.append(s.run_log(f"run{number}.jsonl"))
        text = toml(KV, interval="1s", app=s.app_toml(log=f"run{number}.jsonl"), exec='debounce = "100ms"')
        s.start("run", "-c", s.config(text.replace("out/config.ini", f"out/config{number}.ini"), name=f"agent{number}.toml",
                                      addr=s.new_tap().url))
    for log in logs:
        log.wait_starts(1, 5)
    new = s.canary("kv-second")
    s.vault.put("kv/data/app", {"value": new})
    for number, log in enumerate(logs):
        log.wait_starts(2, 5)
        assert s.read(f"out/config{number}.ini") == f"value = {new}"
    observe(2, lambda: None, 1.0)
    assert [len(log.starts()) for log in logs] == [2, 2, 2]


def verify_toml(s, command, more=""):
    """exec.verify with a shell command; each attempt leaves its PGUSER in verified."""
    with open(s.path("verify.sh"), "w", encoding="utf-8") as file:
        file.write('echo "$PGUSER" >> verified; echo "trying $PGUSER with $PGPASSWORD"\n' + command)
    return s2_toml(s, more=f'[exec.verify]\ncommand = ["/bin/sh", "verify.sh"]\nattempts = 3\nbackoff = "1s"\n{more}')


def verified(s):
    return (s.read("verified") or "").split()


def test_S2_17_new_credentials_are_tried_before_the_program_has_them(s):
    """The first credentials don't work: a second later others are fetched and do; those that failed are revoked."""
    s2_base(s, ttl="1m", max_ttl="10m")
    s.run(verify_toml(s, 'test "$(wc -l <verified)" -ge 2\n').replace("revoke_on_exit = true", 'revoke_on_exit = true\ndrain = "1s"'))
    begin = time.monotonic()
    app = s.runlog.wait_starts(1, 6)[0]
    assert 0.9 <= time.monotonic() - begin <= 4
    tried = verified(s)
    assert len(tried) == 2 and tried[0] != tried[1] and app["env"]["PGUSER"] == tried[1]
    assert s.tap.count(S2_READONLY) == 2 and s.pg.works(*app_user(s))
    wait_for(lambda: s.pg.roles() == [tried[1]], 5, "the end of the unused user")


def test_S2_17_no_attempt_works_at_the_first_start(s):
    s2_base(s, ttl="1m", max_ttl="10m")
    agent = s.run(verify_toml(s, "echo no such database >&2; exit 7\n"))
    assert agent.wait_exit(8) == EX_UNAVAILABLE
    assert not s.runlog.starts() and len(set(verified(s))) == 3, agent.stderr
    assert "exec.verify" in agent.stderr and "ended with code 7" in agent.stderr and "no such database" in agent.stderr
    wait_for(lambda: not s.pg.roles(), 2, "no user left")


def test_S2_17_no_attempt_works_later(s):
    """The program keeps what it has, and that is not revoked; an alarm is raised."""
    s2_base(s, ttl="10s", max_ttl="12s")
    with open(s.path("alert.sh"), "w", encoding="utf-8") as file:
        file.write('echo "$KEYBEARER_EVENT" >> alarms\n')
    text = verify_toml(s, 'test "$(wc -l <verified)" = 1\n').replace('[env.DATABASE_URL]', 'drain = "0s"\n[env.DATABASE_URL]')
    s.run('notify.command = ["/bin/sh", "alert.sh"]\n' + text)
    first = s.runlog.wait_starts(1, 5)[0]
    user = app_user(s)
    wait_for(lambda: "verify.refused" in (s.read("alarms") or ""), 14, "the alarm")
    assert s.pg.works(*user) and s.runlog.lines() == [first] and len(verified(s)) >= 4


def test_S2_03_restarts_are_spread_over_the_splay(s):
    kv_base(s)
    logs = []
    for number in range(4):
        logs.append(s.run_log(f"run{number}.jsonl"))
        text = toml(KV, interval="1s", app=s.app_toml(log=f"run{number}.jsonl"), exec='debounce = "100ms"\nsplay = "4s"')
        s.start("run", "-c", s.config(f'name = "app-{number}"\n' + text.replace("out/config.ini", f"out/config{number}.ini"),
                                      name=f"agent{number}.toml", addr=s.new_tap().url))
    for log in logs:
        log.wait_starts(1, 5)
    s.vault.put("kv/data/app", {"value": s.canary("kv-second")})
    times = [log.wait_starts(2, 8)[1]["time"] for log in logs]
    assert max(times) - min(times) > 1, times
