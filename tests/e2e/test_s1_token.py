"""S1, the integration process: login, the token's life, its end."""
import os
import signal
import time

import pytest

from bases import (S1_CREDS, S1_DATABASE, S1_ENV, S1_FILE, S1_SAMPLE, kv_base, kv_run, s1_base, s1_run, s1_toml,
                   s1_write)
from harness import EX_AUTH, EX_NOT_READY, observe, wait_for, wait_until

NO_MINIMUM = 'renew_at = 0.8\nmin_remaining = "0s"'


def token_requests(s, since=0.0):
    return s.tap.entries("auth/token/*", since=since)


def test_S1_01_login(s):
    s1_base(s)
    s1_run(s, top='log_level = "trace"')
    s.runlog.wait_starts(1, 5)
    observe(9, lambda: None, 1.0)
    assert len(s.tap.logins()) == 1
    token = s.tap.logins()[0].reply["auth"]["client_token"]
    for entry in s.tap.entries():
        if "login" not in entry.path and entry.path != "sys/health":
            sent = {key.lower(): value for key, value in entry.headers.items()}
            assert sent["x-vault-token"] == token
        assert token not in entry.path + entry.query


def test_S1_02_no_token_request_before_it_is_due(s):
    s1_base(s, ttl="60s")
    s1_run(s)
    s.runlog.wait_starts(1, 5)
    login = s.tap.logins()[0].time
    wait_until(login + 50)
    requests = token_requests(s)
    assert len(requests) == 1 and requests[0].path == "auth/token/renew-self", s.tap
    assert 45 <= requests[0].time - login <= 49


def test_S1_03_renewal_at_four_fifths(s):
    s1_base(s)
    s1_run(s, auth=NO_MINIMUM)
    s.runlog.wait_starts(1, 5)
    observe(30, lambda: None, 1.0)
    times = [s.tap.logins()[0].time] + [e.time for e in token_requests(s)]
    assert len(times) >= 4 and len(s.tap.logins()) == 1
    assert all(7 <= later - earlier <= 9 for earlier, later in zip(times, times[1:])), s.tap
    assert all(e.path == "auth/token/renew-self" and e.status == 200 for e in token_requests(s)), s.tap


def test_S1_04_each_answer_sets_the_next_time(s):
    """10 s, at most 22 s: the renewal at 16 s gives 6 s, so the next step is due at 21 s, not at 24."""
    s1_base(s, token_max_ttl="22s")
    s1_run(s, auth=NO_MINIMUM)
    s.runlog.wait_starts(1, 5)
    login = s.tap.logins()[0].time
    wait_for(lambda: len(s.tap.logins()) == 2, 24, "the login before the token can live no longer")
    steps = [e for e in s.tap.entries("auth/*") if e.time > login]
    renewals = [e for e in steps if e.path.endswith("renew-self") and e.time < login + 18]
    assert len(renewals) == 2 and all(e.status == 200 for e in renewals), s.tap
    assert renewals[1].reply["auth"]["lease_duration"] < 10
    following = [e for e in steps if e.time > renewals[1].time]
    assert 2.5 <= following[0].time - renewals[1].time <= 6, s.tap
    assert s.tap.logins()[1].time < login + 22
    assert len(s.runlog.starts()) == 1


ALERT = '''#!/bin/sh
{ echo "event=$KEYBEARER_EVENT reason=$KEYBEARER_REASON"; env; } >>alert.log
'''
NOTIFY = '[notify]\ncommand = ["./alert"]\n'


def _alerts(s):
    return [line for line in (s.read("alert.log") or "").splitlines() if line.startswith("event=")]


def _lose_token(s):
    s.vault.revoke_accessor(s.vault.accessor_of(s.tap.logins()[-1]))


def test_S1_05_renewal_failure_exit(s):
    s1_base(s, database=True)
    s.write("alert", ALERT, 0o755)
    agent = s1_run(s, parts=S1_ENV + S1_FILE + S1_DATABASE, auth='on_renew_failure = "exit"', more=NOTIFY)
    s.runlog.wait_starts(1, 5)
    _lose_token(s)
    assert agent.wait_exit(13) == EX_AUTH
    assert [line["signal"] for line in s.runlog.signals()] == [signal.SIGTERM]
    assert len(_alerts(s)) == 1 and not _alerts(s)[0].startswith("event= "), s.read("alert.log")
    assert len(agent.lines_about("token", levels=("error",))) == 1, agent.stderr
    assert len(s.tap.logins()) == 1


def test_S1_05_renewal_failure_keep(s):
    s1_base(s, database=True)
    s.write("alert", ALERT, 0o755)
    agent = s1_run(s, parts=S1_ENV + S1_FILE + S1_DATABASE, auth='on_renew_failure = "keep"', more=NOTIFY)
    app = s.runlog.wait_starts(1, 5)[0]
    before = s.read("out/config.ini")
    _lose_token(s)
    wait_for(lambda: _alerts(s), 13, "the alert")
    observe(10, lambda: None, 1.0)
    assert agent.alive and s.runlog.lines() == [app] and s.read("out/config.ini") == before
    assert len(_alerts(s)) == 1
    assert agent.lines_about("token", "lost"), agent.stderr
    assert len(s.tap.logins()) == 1


def test_S1_06_one_login_with_exit(s):
    s1_base(s)
    agent = s1_run(s, auth='on_renew_failure = "exit"')
    s.runlog.wait_starts(1, 5)
    _lose_token(s)
    assert agent.wait_exit(13) == EX_AUTH
    assert len(s.tap.logins()) == 1


def test_S1_06_relogin_replaces_leases(s):
    s1_base(s, database=True)
    s1_run(s, parts=S1_ENV + S1_DATABASE, auth='on_renew_failure = "relogin"')
    first = s.runlog.wait_starts(1, 5)[0]
    _lose_token(s)
    second = s.runlog.wait_starts(2, 14)[1]
    observe(3, lambda: None, 1.0)
    assert len(s.tap.logins()) == 2, s.tap
    assert second["env"]["DB_USER"] != first["env"]["DB_USER"]
    assert s.pg.works(second["env"]["DB_USER"], second["env"]["DB_USER_PASSWORD"])
    assert second["env"]["DB_PASSWORD"] == first["env"]["DB_PASSWORD"]


def test_S1_06_relogin_leaves_a_kv_only_program_alone(s):
    s1_base(s)
    s1_run(s, auth='on_renew_failure = "relogin"', interval="2s")
    s.runlog.wait_starts(1, 5)
    _lose_token(s)
    wait_for(lambda: len(s.tap.logins()) == 2, 13, "the second login")
    observe(8, lambda: None, 1.0)
    assert len(s.runlog.starts()) == 1 and len(s.tap.logins()) == 2, s.tap


def test_S1_06_a_spent_secret_id_is_not_hammered(s):
    s1_base(s, secret_id_num_uses=1)
    agent = s1_run(s, auth='on_renew_failure = "relogin"')
    s.runlog.wait_starts(1, 5)
    _lose_token(s)
    assert agent.wait_exit(25) == EX_AUTH
    refused = s.tap.logins()[1:]
    assert len(refused) <= 1, s.tap


def test_S1_07_a_hiccup_is_not_a_failure(s):
    s1_base(s, ttl="40s")
    s1_run(s)
    app = s.runlog.wait_starts(1, 5)[0]
    s.tap.fail("auth/token/renew-self", 503, 3)
    tries = wait_for(lambda: [t for t in [s.tap.entries("auth/token/renew-self")] if len(t) >= 4], 41, "four tries")[0]
    wait_for(lambda: tries[3].status, 2, "the answer")
    assert [e.status for e in tries] == [503, 503, 503, 200]
    assert tries[3].time - s.tap.logins()[0].time < 40
    assert len(s.tap.logins()) == 1 and s.runlog.lines() == [app]


def test_S1_08_defaults(s):
    s1_base(s)
    s1_write(s, API_KEY=None)
    agent = s1_run(s, parts=S1_ENV, interval="1s")
    app = s.runlog.wait_starts(1, 5)[0]
    assert app["env"]["API_KEY"] == "none" and app["env"]["DB_PASSWORD"].startswith("cnry-")
    assert agent.lines_about("API_KEY", levels=("warn",)), agent.stderr
    s.vault.request("DELETE", S1_SAMPLE)
    observe(4, lambda: None, 1.0)
    assert s.runlog.lines() == [app] and agent.alive


def test_S1_08_no_start_without_a_required_value(s):
    s1_base(s)
    s1_write(s, DB_PASSWORD=None)
    agent = s1_run(s, parts=S1_ENV, template='start_grace = "2s"', interval="1s")
    assert agent.wait_exit(8) == EX_NOT_READY
    assert not s.runlog.starts()
    assert agent.lines_about("DB_PASSWORD", S1_SAMPLE), agent.stderr


@pytest.mark.parametrize("ttl, warning", [("5s", "short"), ("768h", "long"), ("40s", "timeout")])
def test_S1_09_suitable_token_ttl(s, ttl, warning):
    s1_base(s, ttl=ttl, token_max_ttl="768h")
    config = s.config(s1_toml(s))
    agent = s.start("check", "--online", "-c", config)
    assert agent.wait_exit(6) == 0, agent.stderr
    said = (agent.stdout + agent.stderr).lower()
    assert "ttl" in said and warning in said, said


def test_S1_16_three_independent_timers(s):
    s1_base(s, database=True)
    agent = s1_run(s, parts=S1_ENV + S1_DATABASE, auth=NO_MINIMUM, interval="1s")
    s.runlog.wait_starts(1, 5)
    s.tap.hang("kv-demo/*")
    begin = time.monotonic()
    observe(30, lambda: None, 1.0)
    assert agent.alive
    # What is under way at this moment has no answer yet.
    renewals = [e for e in s.tap.entries("auth/token/renew-self", since=begin) if e.answered]
    creds = [e for e in s.tap.entries(S1_CREDS, since=begin) if e.answered]
    assert len(renewals) >= 3 and all(e.status == 200 for e in renewals), s.tap
    assert len(creds) >= 3 and all(e.status == 200 for e in creds), s.tap
    user = s.runlog.starts()[-1]["env"]
    assert s.pg.works(user["DB_USER"], user["DB_USER_PASSWORD"])


def test_S1_17_memory_only(s):
    """The search of every file below the working directory, temp and home is the harness's."""
    s1_base(s, database=True)
    agent = s1_run(s, parts=S1_ENV + S1_DATABASE)
    s.runlog.wait_starts(1, 5)
    assert agent.stop() == 0
    agent = s1_run(s, parts=S1_ENV + S1_DATABASE)
    app = s.runlog.wait_starts(2, 5)[1]
    agent.kill()
    wait_for(lambda: not os.path.exists(f"/proc/{app['pid']}"), 2, "the end of the program with its keybearer")
    assert os.listdir(s.path("out")) == [] and os.listdir(s.home) == []


def test_S1_17_remove_on_exit(s):
    s1_base(s)
    agent = s1_run(s, parts=S1_FILE.replace('perms = "0600"', 'perms = "0600"\nremove_on_exit = true\nbackup = true'), interval="1s")
    s.runlog.wait_starts(1, 5)
    s1_write(s)
    s.runlog.wait_starts(2, 5)
    assert s.read("out/config.ini") and s.read("out/config.ini.bak")
    assert agent.stop() == 0
    assert os.listdir(s.path("out")) == []


def test_S1_18_no_secret_in_the_log(s):
    """At trace, with server errors that quote what was sent; the search is the harness's."""
    kv_base(s)
    secret_id = (s.read("boot/secret-id") or "").strip()
    s.vault.put("kv/data/nested", {"a": s.canary("nested")})
    s.vault.post("kv/data/nested", {"data": {"outer": {"inner": s.canary("inner"), "list": [s.canary("listed")]}}})
    s.tap.fail("auth/approle/login", 503, 1, errors=[f"upstream said: secret_id={secret_id}"])
    agent = kv_run(s, interval="1s", top='log_level = "trace"', more='''
[[template]]
destination = "out/nested"
contents = '{{ with secret "kv/data/nested" }}{{ .Data.data.outer.inner }}{{ index .Data.data.outer.list 0 }}{{ end }}'
''')
    s.runlog.wait_starts(1, 6)
    token = s.tap.logins()[-1].reply["auth"]["client_token"]
    s.tap.fail("kv/*", 500, 3, errors=[f"request with {token} failed"])
    observe(5, lambda: None, 1.0)
    assert agent.alive


def test_S1_18_no_secret_in_a_template_error(s):
    value = kv_base(s)
    agent = s.render('''
[vault]
address = "@addr@"
[auto_auth.method]
type = "approle"
role_id_file_path = "boot/role-id"
secret_id_file_path = "boot/secret-id"
[[template]]
destination = "out/x"
contents = '{{ with secret "kv/data/app" }}{{ .Data.data.value | parseInt }}{{ index .Data.data.value 99999 }}{{ end }}'
''', "--once")
    assert agent.wait_exit(5) == 65, agent.stderr
    assert value not in agent.stderr and "out/x" in agent.stderr


def test_S1_19_end(s):
    s1_base(s, database=True)
    agent = s1_run(s, parts=S1_ENV + S1_FILE + S1_DATABASE)
    s.runlog.wait_starts(1, 5)
    told = time.monotonic()
    assert agent.stop() == 0
    after = s.tap.entries(since=told)
    assert [e.path for e in after] == ["sys/leases/revoke", "auth/token/revoke-self"], s.tap
    wait_for(lambda: not s.pg.roles(), 2, "no dynamic user left")
    assert agent.lived < 15


def test_S1_06_keep_goes_on_with_what_there_is(s):
    s1_base(s)
    agent = s1_run(s, auth='on_renew_failure = "keep"', interval="2s")
    app = s.runlog.wait_starts(1, 5)[0]
    _lose_token(s)
    agent.wait_line("token", "lost", timeout=13)
    observe(8, lambda: None, 1.0)
    assert s.runlog.lines() == [app] and len(s.tap.logins()) == 1, s.tap
