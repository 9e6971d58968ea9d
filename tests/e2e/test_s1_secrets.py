"""S1, the integration process: static and dynamic secrets."""
import hashlib
import time

from bases import (LOGIN, S1_CREDS, S1_DATABASE, S1_ENV, S1_FILE, S1_REFETCH, S1_SAMPLE, kv_base, kv_run, s1_base,
                   s1_run, s1_write, toml)
from harness import observe, wait_for, wait_until


def test_S1_10_one_read_for_three_templates(s):
    s1_base(s, ttl="10m")
    more = "".join(S1_FILE.replace("out/config.ini", f"out/{n}.ini") for n in (2, 3))
    s1_run(s, parts=S1_ENV + S1_FILE + more, interval="30s")
    s.runlog.wait_starts(1, 5)
    observe(3, lambda: None, 1.0)
    assert s.read("out/2.ini") == s.read("out/3.ini") == s.read("out/config.ini")
    assert s.tap.count("kv-demo/*") == 1, s.tap


def test_S1_11_read_again_after_the_interval(s):
    s1_base(s, ttl="10m")
    s.vault.kv1("kv1")
    s.vault.put("kv1/plain", {"KEY": s.canary("plain")})
    s.vault.policy("plain", "kv1/*")
    s.vault.post("auth/approle/role/myapp", {"token_policies": "myapp,plain"})
    s1_run(s, interval="2s", parts=S1_ENV + '''
[[template]]
destination = "out/plain"
contents = '{{ with secret "kv1/plain" }}{{ .Data.KEY }}{{ end }}'
''')
    s.runlog.wait_starts(1, 5)
    first = s.tap.data_reads(S1_SAMPLE)[0].time
    wait_until(first + 5)
    for path in ("kv-demo/*/sample", "kv1/plain"):
        times = [e.time - first for e in s.tap.entries(path)]
        assert len(times) == 3, s.tap
        assert 1.5 <= times[1] <= 2.6 and 3.2 <= times[2] <= 4.8, s.tap
    assert s.read("out/plain").startswith("cnry-plain-")


def test_S1_12_refreshed_in_the_background(s):
    """The program asks for nothing; signal mode shows that it is told, not restarted."""
    s1_base(s, ttl="10m")
    s1_run(s, interval="2s", parts=S1_FILE, on_change="never")
    app = s.runlog.wait_starts(1, 5)[0]
    values = s1_write(s)
    wait_for(lambda: values["DB_PASSWORD"] in s.read("out/config.ini"), 3.5, "the new value in the file")
    assert s.runlog.lines() == [app]


def test_S1_13_dynamic_secrets_are_read_again_at_four_fifths(s):
    s1_base(s, database=True)
    s1_run(s, parts=S1_DATABASE, auth='renew_at = 0.8\nmin_remaining = "0s"')
    s.runlog.wait_starts(1, 5)
    users, checked = [], 0

    def look():
        nonlocal checked
        starts = s.runlog.starts()
        for start in starts[checked:]:
            user = (start["env"]["DB_USER"], start["env"]["DB_USER_PASSWORD"])
            assert s.pg.works(*user)
            assert not users or s.pg.works(*users[-1]), "the old user is valid at the moment of the switch"
            users.append(user)
        checked = len(starts)
    observe(25.5, look, 0.05)
    reads = [e.time for e in s.tap.data_reads(S1_CREDS)]
    assert len(reads) == 4 and len(users) == 4 and len(set(users)) == 4, s.tap
    assert all(7 <= later - earlier <= 9 for earlier, later in zip(reads, reads[1:])), s.tap
    assert len(s.tap.logins()) == 1


def test_S1_14_each_answer_sets_the_schedule(s):
    s1_base(s, database=True, ttl="10m")
    s1_run(s, parts=S1_DATABASE)
    s.runlog.wait_starts(1, 5)
    s.vault.dynamic("myapp-role", "20s", "60s")
    wait_for(lambda: s.tap.count(S1_CREDS) == 3, 27, "the third read")
    first, second, third = [e.time for e in s.tap.data_reads(S1_CREDS)]
    assert 7 <= second - first <= 9 and 14 <= third - second <= 17, s.tap


def test_S1_15_any_leased_path(s):
    s.vault.post("sys/mounts/ssh", {"type": "ssh"})
    s.vault.post("sys/mounts/ssh/tune", {"default_lease_ttl": "10s"})
    s.vault.post("ssh/roles/otp", {"key_type": "otp", "default_user": "ubuntu", "cidr_list": "127.0.0.0/8"})
    s.vault.policy("otp", **{"ssh/creds/otp": ["create", "update"], "sys/leases/revoke": ["update"]})
    from bases import login_files
    login_files(s, "app", "otp", token_ttl="10m")
    s.run(toml(LOGIN + '''
[lease]
@lease@
[env.OTP]
contents = '{{ with secret "ssh/creds/otp" "ip=127.0.0.1" }}{{ .Data.key }}{{ end }}'
[exec]
command = @app@
debounce = "100ms"
''', lease=S1_REFETCH, app=s.app_toml()))
    starts = s.runlog.wait_starts(3, 22)
    keys = [start["env"]["OTP"] for start in starts]
    for key in keys:
        s.canaries.add(key, "one-time password")
    assert len(set(keys)) == 3
    asked = s.tap.entries("ssh/creds/otp")
    assert all(e.method in ("POST", "PUT") and e.body == {"ip": "127.0.0.1"} for e in asked), s.tap
    assert all(7 <= later.time - earlier.time <= 9 for earlier, later in zip(asked, asked[1:])), s.tap


def test_S1_31_a_permanent_program_is_left_alone(s):
    """Ten renewals of the token and the lease; 200 by the clock are a unit test's."""
    s1_base(s, database=True, ttl="4s")
    s.vault.dynamic("myapp-role", "4s", "10m")
    s1_run(s, parts=S1_ENV + S1_FILE + S1_DATABASE, lease="", interval="1s")
    app = s.runlog.wait_starts(1, 5)[0]
    wait_for(lambda: s.tap.count("auth/token/renew-self") >= 10 and s.tap.count("sys/leases/renew") >= 10, 30,
             "ten renewals")
    assert s.runlog.lines() == [app] and len(s.tap.logins()) == 1


def test_S1_33_regular_audit(s):
    s1_base(s, database=True)
    agent = s1_run(s, parts=S1_ENV + S1_FILE + S1_DATABASE, interval="1s", top='log_level = "debug"')
    s.runlog.wait_starts(1, 5)
    lease = s.tap.data_reads(S1_CREDS)[0].reply["lease_id"]
    s1_write(s)
    s.runlog.wait_starts(2, 5)
    wait_for(lambda: s.tap.count("auth/token/renew-self") >= 1, 10, "a renewal")
    time.sleep(0.2)
    assert agent.stop() == 0
    for entry in s.tap.entries():
        agents = [value for key, value in entry.headers.items() if key.lower() == "user-agent"]
        assert agents and agents[0].startswith("keybearer/"), entry
    events = agent.events()
    assert all(event["event"] and event["event"] == event["event"].lower() for event in events)
    names = " ".join(event["event"] for event in events)
    for word in ("login", "renew", "secret", "restart", "revoke"):
        assert word in names, f"no event of {word}: {sorted(set(names.split()))}"
    assert "render" in names or "file" in names or "template" in names, sorted(set(names.split()))
    assert lease not in agent.stderr, "a lease id is a handle: a hash of it is logged"
    handle = hashlib.sha256(lease.encode()).hexdigest()[:12]
    for name in ("secret.fetched", "lease.revoked"):
        assert [event for event in events if event["event"] == name and event.get("lease") == handle], name


def test_S1_11_a_value_that_vanishes_keeps_the_last(s):
    value = kv_base(s)
    agent = kv_run(s, interval="1s")
    app = s.runlog.wait_starts(1, 5)[0]
    s.vault.put("kv/data/app", {"other": s.canary("other")})
    agent.wait_line("value", "kv/data/app", timeout=5)
    observe(2, lambda: None, 1.0)
    assert s.read("out/config.ini") == f"value = {value}" and s.runlog.lines() == [app]
    new = s.canary("kv-third")
    s.vault.put("kv/data/app", {"value": new})
    assert s.runlog.wait_starts(2, 8)[1]["files"]["out/config.ini"] == f"value = {new}"
