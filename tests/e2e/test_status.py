"""status, rotate, reload, stop and the service manager's protocol, from outside: as a user, a probe and systemd see them."""
import datetime
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import termios
import time

import pytest

from bases import KV_DATA, LOGIN, kv_base, login_files, toml
from harness import control, wait_for
from harness.stub import UnixConnection
from harness.agent import EX_CONFIG, EX_TEMPLATE, EX_UNAVAILABLE, EX_USAGE, PROGRAM

TEXT = LOGIN + '''
[template_config]
static_secret_render_interval = "never"
[[template]]
destination = "out/config.ini"
contents = '{{ with secret "kv/data/app" }}value = {{ .Data.data.value }}{{ end }}'
[exec]
command = @app@
debounce = "0s"
'''


# The machine's other instances, of root, are none of these scenarios' business.
ALONE = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh"] if os.geteuid() == 0 else []


def keybearer(s, *args, env=None, timeout=30, alone=True):
    """(exit code, standard output, standard error); no value may be in either."""
    s.budget = False  # what is asked for by hand comes when it comes
    done = subprocess.run([*(ALONE if alone else []), PROGRAM, *args], cwd=s.work, env=s.environment(env), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=timeout, check=False)
    hits = list(s.canaries.hits((done.stdout + done.stderr).encode()))
    assert not hits, hits
    return done.returncode, done.stdout, done.stderr


def started(s, text=TEXT, name="agent.toml", env=None, **values):
    kv_base(s)
    agent = s.start("run", "-c", s.config(toml(text, app=s.app_toml(), **values), name), env=env)
    s.runlog.wait_starts(1, 10)
    wait_for(lambda: control.sockets(s.runtime), 5, lambda: f"a control socket; the log:\n{agent.stderr}")
    return agent


def status_of(s, *args, alone=True):
    code, out, err = keybearer(s, "status", "--json", *args, alone=alone)
    assert code == 0, err
    return json.loads(out)


def test_status_tells_all_and_no_value(s):
    agent = started(s)
    seen = status_of(s)
    assert seen["ready"] and seen["schema"] == 1
    assert seen["instance"]["pid"] == agent.pid and seen["instance"]["config"] == [os.path.realpath(s.path("agent.toml"))]
    assert seen["token"]["phase"] == "valid" and 500 < seen["token"]["expires_in"] <= 600
    assert [one["path"] for one in seen["secrets"]] == ["kv/data/app"] and seen["secrets"][0]["version"] == 1
    assert seen["files"][0]["mode"] == "0600" and seen["files"][0]["result"] == "written"
    assert seen["child"]["state"] == "running" and seen["child"]["pid"] == s.runlog.starts()[0]["pid"]
    assert any(event["event"] == "file.written" for event in seen["events"])
    code, out, _ = keybearer(s, "status")
    assert code == 0 and "\x1b" not in out
    for part in ("ready      yes", "kv/data/app", "out/config.ini", f"pid {agent.pid}", "valid  approle"):
        assert part in out, out


def test_the_schema_is_what_the_manual_says(s):
    started(s)
    page = os.path.join(os.path.dirname(__file__), "..", "..", "packaging", "man", "keybearer.1")
    with open(page, encoding="utf-8") as file:
        section = re.search(r"\n\.Sh STATUS\n(.*?)\n\.Sh ", file.read(), re.S)[1]
    words = set(re.findall(r"[a-z_]+", section))

    def keys(value):
        if isinstance(value, dict):
            for key, inner in value.items():
                yield key
                yield from keys(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from keys(inner)
    assert not {key for key in keys(status_of(s))} - words - {"approle"}


# The documented schema (keybearer(1), STATUS): what each key holds. A trailing "?": or null.
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
COUNTS = {"succeeded": "count", "refused": "count", "unanswered": "count"}
SCHEMA = {
    "schema": [1], "time": "time", "ready": "bool", "reasons": [{"subject": "text", "reason": "text"}],
    "instance": {"name": "text", "version": "text", "pid": "count", "mode": ("run", "run --once", "render"), "started": "time", "uptime": "seconds",
                 "config": ["text"], "config_reload": ("ok", "failed")},
    "token": {"phase": ("logging_in", "valid", "ending", "lost"), "method": "text", "mount": "text?", "accessor": "text?", "ttl": "seconds",
              "renewable": "bool", "expires": "time?", "expires_in": "seconds?", "next": "time?", "next_in": "seconds?", "logins": {"*": COUNTS},
              "renewals": COUNTS, "error": "text?"},
    "server": {"address": "text", "version": "text?", "reachable": "bool", "reachable_since": "time?", "error": "text?"},
    "secrets": [{"path": "text", "kind": ("kv", "dynamic", "static-role", "cert", "token", "write", None),
                 "state": ("pending", "fresh", "failing", "absent", "denied", "defaults", "expired"), "ttl": "seconds?", "lease": "text?", "lease_id": "text?",
                 "renewable": "bool", "next_action": ("renew", "read", "compare", "look up", None), "generation": "count", "version": "count?",
                 "required": "bool", "defaults": "bool", "stale": "bool", "reason": "text?", "error": "text?", "fetches": COUNTS, "lease_ends": "time?",
                 "lease_ends_in": "seconds?", "next_refresh": "time?", "next_refresh_in": "seconds?", "last_success": "time?"}],
    "files": [{"path": "text", "mode": "text?", "last_written": "time?", "result": ("written", "unchanged", "failed", "pending"), "written": "count",
               "error": "text?"}],
    "child": {"state": "text", "command": "text", "pid": "count?", "since": "time?", "uptime": "seconds?", "restarts": "count", "outdated": "bool",
              "last_exit": "exit?", "roll_backs": "count"},
    "requests": {"succeeded": "count", "refused": "count", "failed": "count", "unanswered": "count", "throttled": "count"},
    "listeners": ["text"],
    "events": [{"time": "time", "level": ("debug", "info", "warn", "error"), "event": "text", "message": "text", "fields": "fields"}],
}
KINDS = {
    "text": lambda v: isinstance(v, str) and v != "", "bool": lambda v: isinstance(v, bool), "time": lambda v: isinstance(v, str) and TIME.fullmatch(v),
    "count": lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 0, "fields": lambda v: isinstance(v, (dict, str)),
    "seconds": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and v >= 0,
    "exit": lambda v: set(v) == {"kind", "code"} and v["kind"] in ("exit", "signal") and isinstance(v["code"], int)}


def differences(value, schema, where=""):
    """What of a status does not fit the schema."""
    if isinstance(schema, str):
        if (value is None and schema.endswith("?")) or (value is not None and KINDS[schema.rstrip("?")](value)):
            return []
        return [f"{where}: {value!r} is no {schema}"]
    if isinstance(schema, tuple) or schema == [1]:
        return [] if value in schema else [f"{where}: {value!r} is none of {schema}"]
    if isinstance(schema, list):
        return [one for n, item in enumerate(value) for one in differences(item, schema[0], f"{where}[{n}]")]
    if "*" in schema:
        schema = dict.fromkeys(value, schema["*"])
    missing = [f"{where}: {sorted(set(value) ^ set(schema))}"] if set(value) != set(schema) else []
    return missing + [one for key in sorted(set(value) & set(schema)) for one in differences(value[key], schema[key], f"{where}.{key}")]


def test_what_is_printed_fits_the_schema(s):
    """A real instance with something of each kind: in force, failing, expired, reloaded, restarted; as its owner sees it, with ids, and by a listener."""
    s.vault.kv2("kv")
    s.vault.put(KV_DATA, {"value": s.canary("kv-value")})
    text = database(s).replace("[exec]", 'KV = "vault:kv/app#value"\nOPT = { secret = "kv/none", key = "x", default = "d" }\n[exec]')
    text += '[[secret]]\npath = "kv/none"\noptional = true\n[[template]]\ndestination = "out/f"\ncontents = "x"\n'
    text += '[[listener]]\ntype = "unix"\naddress = "health.sock"\nrole = "metrics_only"\n'
    agent = s.start("run", "-c", s.config(text))
    s.runlog.wait_starts(1, 10)
    wait_for(lambda: control.sockets(s.runtime), 5, lambda: agent.stderr)
    for args in ((), ("--show-ids",)):
        seen = status_of(s, *args)
        assert not differences(seen, SCHEMA), differences(seen, SCHEMA)
        assert {one["kind"] for one in seen["secrets"]} >= {"dynamic", "kv"} and seen["files"] and seen["listeners"]
        assert [one for one in seen["secrets"] if one["lease_id"]] if args else all(one["lease_id"] is None for one in seen["secrets"])
    begin = time.monotonic()
    code, out, _ = keybearer(s, "rotate")
    assert code == 75 and "kv/none: " in out and time.monotonic() - begin < 10, out  # what is not there is not waited for
    s.runlog.wait_starts(2, 10)
    s.tap.refuse()
    keybearer(s, "rotate", "kv/app")
    after = wait_for(lambda: (now := status_of(s)) and now["server"]["reachable"] is False and now, 10)
    assert not differences(after, SCHEMA) and after["child"]["restarts"] == 1 and after["child"]["last_exit"]
    assert after["server"]["error"] and not after["ready"] or after["secrets"]
    connection = UnixConnection(s.path("health.sock"), timeout=10)
    connection.request("GET", "/?format=json")
    shown = json.loads(connection.getresponse().read())
    assert set(SCHEMA["token"]) - set(shown["token"]) == {"accessor"}  # anybody may ask there
    assert not differences(shown, {**SCHEMA, "token": {k: v for k, v in SCHEMA["token"].items() if k != "accessor"}})
    page = os.path.join(os.path.dirname(__file__), "..", "..", "packaging", "man", "keybearer.1")
    with open(page, encoding="utf-8") as file:
        section = re.search(r"\n\.Sh STATUS\n(.*?)\n\.Sh ", file.read(), re.S)[1]
    for part in (SCHEMA["token"]["phase"], SCHEMA["secrets"][0]["kind"], SCHEMA["secrets"][0]["state"], SCHEMA["files"][0]["result"]):
        assert all(re.search(rf"(?<![\w-]){word}(?![\w-])", section) for word in part if word), part


def test_ready_is_zero_or_one_and_quick(s):
    with open(PROGRAM, "rb") as file:
        program = file.read()
    sanitized = b"__asan_init" in program or b"__tsan_init" in program
    agent = started(s)
    times = []
    for _ in range(10):
        begin = time.monotonic()
        assert keybearer(s, "status", "--ready") == (0, "", "")
        times.append(time.monotonic() - begin)
    print("status --ready, milliseconds:", [round(each * 1000, 1) for each in sorted(times)])
    assert min(times) < (1 if sanitized else 0.2), times
    # By itself, as a container's probe runs it, without arguments: 20 ms, unless it is a build that is made to look for faults.
    alone = []
    for _ in range(20):
        begin = time.monotonic()
        assert subprocess.run([PROGRAM, "status", "--ready", "-c", "agent.toml"], cwd=s.work, env=s.environment({}), timeout=20, check=False).returncode == 0
        alone.append(time.monotonic() - begin)
    print("by itself:", [round(each * 1000, 1) for each in sorted(alone)])
    assert min(alone) < (0.5 if sanitized else 0.02), alone
    agent.stop()
    code, out, err = keybearer(s, "status", "--ready")
    assert code == 1 and not out and "no running instance" in err


def test_ready_says_why_not(s):
    kv_base(s)
    s.vault.policy("kv-reader", "kv/data/other")
    s.start("run", "-c", s.config(toml(TEXT, app=s.app_toml()).replace("[template_config]", "[template_config]\nstart_grace = '1m'")))
    wait_for(lambda: control.sockets(s.runtime), 5)
    code, _, err = wait_for(lambda: (lambda got: got if "permission denied" in got[2] else None)(keybearer(s, "status", "--ready")), 10)
    assert code == 1 and "kv/data/app: permission denied" in err
    assert status_of(s)["ready"] is False


def test_which_instance(s):
    kv_base(s)
    names = ("one", "two")
    for name in names:
        text = toml(TEXT, app=s.app_toml(log=f"{name}.jsonl")).replace("config.ini", f"{name}.ini")
        s.run_log(f"{name}.jsonl")
        s.start("run", "-c", s.config(f'name = "{name}"\n' + text, f"{name}.toml"))
    wait_for(lambda: len(control.sockets(s.runtime)) == 2, 10)
    paths = control.sockets(s.runtime)
    assert [os.path.basename(path)[:8] for path in paths] == ["control-", "control."], paths
    assert any(agent.lines_about("another instance of this name") for agent in s.agents)
    code, out, err = keybearer(s, "status", "--json")
    assert code == EX_USAGE and not out and "several instances are running" in err and "one.toml" in err and "two.toml" in err
    assert keybearer(s, "status", "--ready")[0] == 1
    for number, name in enumerate(names):
        for args in (("--name", name), ("-c", f"{name}.toml"), ("-c", s.path(f"{name}.toml"))):
            assert status_of(s, *args)["instance"]["pid"] == s.agents[number].pid, args
            assert keybearer(s, "status", "--ready", *args)[0] == 0
    for path in paths:
        assert status_of(s, "--socket", path)["instance"]["pid"] == control.ask(path)[2]
    for args in (("--name", "three"), ("-c", "agent.toml"), ("--socket", s.path("none.sock"))):
        code, _, err = keybearer(s, "status", *args)
        assert code == EX_UNAVAILABLE and "no running instance" in err, (args, err)


@pytest.mark.parametrize("kill", [False, True])
def test_none_is_running(s, kill):
    agent = started(s)
    if kill:
        agent.kill()
    else:
        agent.stop()
        assert not control.sockets(s.runtime)
    for command in ("status", "rotate", "reload", "stop"):
        code, out, err = keybearer(s, command)
        assert code == EX_UNAVAILABLE and not out and "no running instance" in err and "looked in" in err, err


def test_the_default_places(s):
    """As root /run/keybearer, else $XDG_RUNTIME_DIR; by the configuration's name."""
    name = f"kb-test-{os.getpid()}"
    kv_base(s)
    agent = s.start("run", "-c", s.config(f'name = "{name}"\n' + toml(TEXT, app=s.app_toml())), env={"RUNTIME_DIRECTORY": None})
    path = f"/run/keybearer/{name}.sock" if os.geteuid() == 0 else os.path.join(s.temp, "keybearer", f"{name}.sock")
    wait_for(lambda: os.path.exists(path), 5)
    info = os.stat(path)
    assert info.st_mode & 0o777 == 0o600 and info.st_uid == os.geteuid()
    assert status_of(s, "--name", name, alone=False)["instance"]["pid"] == agent.pid
    # The place is named in the configuration: found by it, wherever that is.
    moved = os.path.join(s.runtime, "moved.sock")
    other = s.start("run", "-c", s.config(f'[control]\nsocket = "{moved}"\n' + toml(TEXT, app=s.app_toml()), "moved.toml"))
    wait_for(lambda: os.path.exists(moved), 5)
    assert status_of(s, "-c", "moved.toml")["instance"]["pid"] == other.pid


def test_another_user_is_not_answered(s):
    started(s)
    path = control.sockets(s.runtime)[0]
    assert os.stat(path).st_mode & 0o777 == 0o600
    if os.geteuid() != 0:
        return  # no other user to be
    os.chmod(path, 0o666)  # as if somebody had opened it
    for directory in (s.directory, os.path.dirname(s.directory), s.runtime):
        os.chmod(directory, 0o755)
    code = ("import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
            "s.sendall(b'GET /status HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\nsys.stdout.write(s.recv(100000).decode())")
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "python3", "-c", code, path],
                          capture_output=True, text=True, timeout=20, check=False, cwd="/")
    assert "token" not in done.stdout and "200 OK" not in done.stdout, done


def test_rotate(s):
    agent = started(s)
    second = s.canary("kv-second")
    s.vault.put(KV_DATA, {"value": second})
    code, out, _ = keybearer(s, "rotate", "kv/app")
    assert code == 0 and out == "kv/data/app: version 1 -> 2\n"
    s.runlog.wait_starts(2, 10)
    assert s.read("out/config.ini") == f"value = {second}"
    assert keybearer(s, "rotate", "--template", "out/config.ini")[:2] == (0, "kv/data/app: unchanged (version 2)\n")
    assert json.loads(keybearer(s, "rotate", "--json")[1])["secrets"] == [
        {"path": "kv/data/app", "done": True, "text": "unchanged (version 2)"}]
    for args in (("kv/other",), ("--template", "other.ini")):
        code, out, err = keybearer(s, "rotate", *args)
        assert code == EX_USAGE and not out and args[-1] in err, (args, out, err)
    assert len(s.runlog.starts()) == 2 and agent.alive


def database(s, ttl="10m"):
    s.vault.database(s.pg, "database")
    s.vault.dynamic("app", ttl, "20m", mount="database")
    s.vault.policy("db", "database/creds/app", "kv/data/*", **{"sys/leases/revoke": ["update"]})
    login_files(s, "app", "db", token_ttl="30m")
    return toml(LOGIN) + '''
[lease]
drain = "2s"
[env]
DB_USER = "vault:database/creds/app#username"
[exec]
command = @app@
debounce = "0s"
'''.replace("@app@", s.app_toml())


def moment(text):
    """Seconds since 1970 of RFC 3339, whatever its fraction."""
    return datetime.datetime.fromisoformat(re.sub(r"(\.\d{3})\d*", r"\1", text).replace("Z", "+00:00")).timestamp()


def test_s0_09_live_ttl(s):
    """S0-09: what is shown falls in real time, without a request; after the end exactly 0, and expired."""
    s.start("run", "-c", s.config(database(s, ttl="8s").replace("[lease]", "[lease]\nrenew_at = 0.9")))
    s.runlog.wait_starts(1, 10)
    one = lambda: status_of(s)["secrets"][0]  # noqa: E731
    first, begin = one()["ttl"], time.monotonic()
    asked = s.tap.count()
    second = wait_for(lambda: (lambda now: now if first - now > 2 else None)(one()["ttl"]), 6)
    assert abs((first - second) - (time.monotonic() - begin)) < 1 and s.tap.count() == asked
    s.tap.refuse()
    ended = wait_for(lambda: (lambda now: now if now["state"] == "expired" else None)(one()), 20)
    assert ended["ttl"] == 0 and ended["lease_ends_in"] == 0
    assert keybearer(s, "status", "--ready")[0] == 1


def test_s2_04_lease_tracking_and_s2_33_kinds(s):
    """S2-04: who has which lease, when does it end. S2-33: kind, life and next action at a glance."""
    s.vault.kv2("kv")
    s.vault.put(KV_DATA, {"value": s.canary("kv-value")})
    text = database(s).replace("[exec]", 'KV = "vault:kv/app#value"\n[exec]')
    s.start("run", "-c", s.config(text))
    s.runlog.wait_starts(1, 10)
    seen = {one["path"]: one for one in status_of(s, "--show-ids")["secrets"]}
    lease = next(one for path, one in seen.items() if path.startswith("database/"))
    listed = s.vault.raw("LIST", "sys/leases/lookup/database/creds/app")[1]["data"]["keys"]
    assert lease["lease_id"] in [f"database/creds/app/{key}" for key in listed] and lease["renewable"] is True
    looked = s.vault.post("sys/leases/lookup", {"lease_id": lease["lease_id"]})["data"]
    assert abs(moment(lease["lease_ends"]) - moment(looked["expire_time"])) < 1.5
    hidden = {one["path"]: one for one in status_of(s)["secrets"]}
    assert all(one["lease_id"] is None for one in hidden.values()) and any(one["lease"] for one in hidden.values())
    assert {one["kind"]: one["next_action"] for one in seen.values()} == {"dynamic": "renew", "kv": "compare"}
    out = keybearer(s, "status")[1]
    assert re.search(r"database/creds/app +dynamic +fresh .* renew in \d+m", out), out


def test_rotate_of_a_lease_is_an_overlap(s):
    text = database(s)

    def leases():
        status, answer = s.vault.raw("LIST", "sys/leases/lookup/database/creds/app")
        return answer["data"]["keys"] if status == 200 else []
    s.start("run", "-c", s.config(text))
    s.runlog.wait_starts(1, 10)
    first = leases()
    code, out, _ = keybearer(s, "rotate", "database/creds/app")
    assert code == 0 and out.startswith("database/creds/app: "), out
    s.runlog.wait_starts(2, 10)
    assert len(first) == 1 and set(leases()) > set(first)  # both live
    wait_for(lambda: len(leases()) == 1 and leases() != first, 10)


def test_rotate_of_all_is_an_overlap_of_each(s):
    """Two leases and a KV secret: all are fetched, the old leases live until the program has the new ones and the drain is over."""
    s.vault.kv2("kv")
    s.vault.put(KV_DATA, {"value": s.canary("kv-value")})
    text = database(s)
    s.vault.dynamic("other", "10m", "20m", mount="database")
    s.vault.policy("db", "database/creds/app", "database/creds/other", "kv/data/*", **{"sys/leases/revoke": ["update"]})
    text = text.replace('debounce = "0s"', 'debounce = "500ms"').replace("[exec]", 'OTHER = "vault:database/creds/other#username"\nKV = "vault:kv/app#value"\n[exec]')

    def leases(name):
        status, answer = s.vault.raw("LIST", f"sys/leases/lookup/database/creds/{name}")
        return answer["data"]["keys"] if status == 200 else []
    s.start("run", "-c", s.config(text))
    s.runlog.wait_starts(1, 10)
    wait_for(lambda: control.sockets(s.runtime), 5)
    first = {name: leases(name) for name in ("app", "other")}
    code, out, err = keybearer(s, "rotate")
    assert code == 0 and len(out.splitlines()) == 3 and "kv/app: unchanged (version 1)" in out, (out, err)
    s.runlog.wait_starts(2, 10)
    for name, before in first.items():
        assert len(before) == 1 and set(leases(name)) > set(before), name
    wait_for(lambda: all(len(leases(name)) == 1 and leases(name) != before for name, before in first.items()), 10)
    assert len(s.runlog.starts()) == 2  # one restart for all


def test_rotate_that_fails_says_so(s):
    agent = started(s)
    s.tap.fail("kv/data/app", 403)
    s.tap.fail("kv/metadata/app", 403)
    code, out, _ = keybearer(s, "rotate", "kv/app")
    assert code == 75 and out == "kv/data/app: GET kv/data/app: 403 injected\n", out
    code, out, _ = keybearer(s, "rotate", "--json", "kv/app")
    assert code == 75 and [(one["path"], one["done"]) for one in json.loads(out)["secrets"]] == [("kv/data/app", False)]
    s.tap.clear()
    assert keybearer(s, "rotate", "kv/app")[:2] == (0, "kv/data/app: unchanged (version 1)\n")
    # One of a template and one by itself; one that the template does not use.
    assert keybearer(s, "rotate", "kv/app", "--template", "config.ini")[0] == 0
    assert agent.alive and len(s.runlog.starts()) == 1


def test_reload_says_what_changed_or_every_error(s):
    agent = started(s)
    assert keybearer(s, "reload")[:2] == (0, "reloaded; changed: nothing\n")
    text = toml(TEXT, app=s.app_toml())
    s.config("[notify]\ntimeout = '3s'\n" + text)
    code, out, _ = keybearer(s, "reload")
    assert (code, out) == (0, "reloaded; changed: notify\n")
    s.config("nmae = 'x'\n[notify]\ntimeout = 'soon'\n" + text)
    code, out, err = keybearer(s, "reload")
    assert code == EX_CONFIG and not out
    assert "agent.toml:1:" in err and "agent.toml:3:" in err and "stays in force" in err, err
    assert status_of(s)["instance"]["config_reload"] == "failed"
    s.config(text.replace("{{ end }}", ""))
    code, _, err = keybearer(s, "reload")
    assert code == EX_TEMPLATE and "agent.toml:" in err
    s.config(text)
    assert keybearer(s, "reload")[0] == 0 and agent.alive and len(s.runlog.starts()) == 1
    s.config(f'[control]\nsocket = "{s.runtime}/moved.sock"\n' + text)
    code, out, _ = keybearer(s, "reload")
    assert code == 0 and re.search(r"changed, but needs a restart of keybearer: .*control", out), out


def test_nothing_is_begun_while_it_stops(s):
    kv_base(s)
    s.write("program", '#!/bin/sh\ntrap "" TERM\necho >>began\nwhile :; do sleep 0.05; done\n', 0o755)
    text = toml(TEXT, app='["./program"]') + 'stop_timeout = "5s"\n'
    agent = s.start("run", "-c", s.config(text))
    wait_for(lambda: s.read("began") and control.sockets(s.runtime), 5, "the program and a control socket")
    agent.send(signal.SIGTERM)
    agent.wait_line("stopping", "SIGTERM")
    s.config(text.replace("out/config.ini", "out/other.ini"))
    since = time.monotonic()
    code, out, err = keybearer(s, "reload")
    assert (code, out, err) == (EX_UNAVAILABLE, "", "keybearer: keybearer is stopping: nothing is read again\n")
    code, out, err = keybearer(s, "rotate")
    assert (code, out, err) == (EX_UNAVAILABLE, "", "keybearer: keybearer is stopping: nothing is fetched any more\n")
    agent.send(signal.SIGHUP)
    wait_for(lambda: len(agent.lines_about("nothing is read again")) == 2, 3, "what SIGHUP is answered")
    assert not agent.lines_about("configuration and templates read again") and s.read("out/other.ini") is None
    assert not s.tap.entries(since=since), s.tap
    agent.send(signal.SIGTERM)
    assert agent.wait_exit(4) == 137


def test_who_is_turned_away_is_not_told_of_the_configuration(s):
    agent = started(s)
    for _ in range(5):  # until all places were taken while it asked
        waiting = [UnixConnection(control.sockets(s.runtime)[0], timeout=10) for _ in range(17)]
        for connection in waiting:
            connection.request("POST", "/reload")
        code, out, err = keybearer(s, "reload")
        for connection in waiting:
            assert connection.getresponse().status in (200, 503)
            connection.close()
        if code:
            break
    assert (code, out, err) == (EX_UNAVAILABLE, "", "keybearer: too many connections to this listener\n")
    assert agent.alive and len(s.runlog.starts()) == 1


@pytest.mark.parametrize("words", [("rotate", ""), ("rotate", "--template", ""), ("stop", "--name", ""), ("stop", "--socket", ""), ("stop", "-c", ""),
                                   ("reload", "--name="), ("status", "--socket="), ("copy-to", "")], ids=" ".join)
def test_an_empty_word_is_not_the_default(s, words):
    """"$NAME" that is not set must not rotate everything, stop another instance or write into the root."""
    agent = started(s)
    agent.wait_line("server.connected")  # what is asked in passing
    since = time.monotonic()
    code, out, err = keybearer(s, *words)
    assert code == EX_USAGE and not out and ("empty" in err or "missing" in err), (out, err)
    assert agent.alive and not s.tap.entries(since=since)


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_a_reload_runs_no_command_beside_itself(s, ends):
    """A command of a file that is under way, or waits for another try, is not run a second time because the file is looked at again."""
    kv_base(s)
    script = "echo begun >>commands; sleep 1.5; echo ended >>commands" if ends == "well" else "echo begun >>commands; exit 1"
    command = f'command = ["/bin/sh", "-c", "{script}"]\n[exec]'
    agent = s.start("run", "-c", s.config(toml(TEXT, app=s.app_toml()).replace("[exec]", command)))
    wait_for(lambda: s.read("commands") and control.sockets(s.runtime), 5, "the command and a control socket")
    if ends == "badly":
        wait_for(lambda: len(agent.lines_about("the command failed")) == 3, 8, "three tries, and a pause of two seconds at least")
    begun = s.read("commands").count("begun")
    assert keybearer(s, "reload")[0] == 0
    assert keybearer(s, "status")[0] == 0
    if ends == "well":
        agent.wait_line("command done")
        assert s.read("commands") == "begun\nended\n"
    else:
        assert s.read("commands").count("begun") == begun


def test_stop_is_in_order_and_waits(s):
    agent = started(s)
    assert keybearer(s, "stop") == (0, "", "")
    assert agent.wait_exit(1) == 0
    assert [line["signal"] for line in s.runlog.signals()] == ["SIGTERM"] or s.runlog.signals()
    assert not control.sockets(s.runtime)


# --- status --watch, on a terminal of its own


class Terminal:
    def __init__(self, s, *args, size=(30, 100)):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(s.work)
            os.execve(PROGRAM, [PROGRAM, *args], s.environment({"TERM": "xterm"}))
        self.resize(*size)
        self.before = None
        self.text = ""

    def resize(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def read(self):
        while select.select([self.fd], [], [], 0)[0]:
            try:
                piece = os.read(self.fd, 65536)
            except OSError:
                break
            if not piece:
                break
            self.text += piece.decode(errors="replace")
        return self.text

    def wait(self, part, timeout=10):
        wait_for(lambda: part in self.read(), timeout, lambda: f"{part!r} on the screen:\n{self.text!r}")

    def end(self, key=b"q"):
        if key:
            os.write(self.fd, key)
        _, code = wait_for(lambda: (lambda got: got if got[0] else None)(os.waitpid(self.pid, os.WNOHANG)), 10)
        self.read()
        os.close(self.fd)
        return os.waitstatus_to_exitcode(code)


def test_watch_redraws_counts_down_and_restores_the_terminal(s):
    started(s)
    terminal = Terminal(s, "status", "--watch", "-c", "agent.toml")
    terminal.wait("ends in 9m")
    assert "\x1b[?1049h" in terminal.text and "\x1b[?25l" in terminal.text
    first = set(re.findall(r"ends in (\S+ \S+)", terminal.text))
    wait_for(lambda: len(set(re.findall(r"ends in (\S+ \S+)", terminal.read()))) > len(first) + 1, 10)
    terminal.text = ""
    terminal.resize(12, 40)
    terminal.wait("\x1b[12;1Hq: quit")  # the last line of the smaller screen
    lines = terminal.text.rsplit("\x1b[H", 1)[1].split("\r\n")
    assert all(len(re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", line)) <= 40 for line in lines[:-1]), lines
    s.vault.put(KV_DATA, {"value": s.canary("kv-new")})
    assert keybearer(s, "rotate")[0] == 0
    terminal.resize(40, 120)
    terminal.wait("restarts 1")
    assert terminal.end() == 0
    assert terminal.text.endswith("\x1b[?25h\x1b[?1049l")
    assert not list(s.canaries.hits(terminal.text.encode()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_watch_restores_the_terminal_when_it_is_ended(s, number):
    agent = started(s)
    terminal = Terminal(s, "status", "--watch", "-c", "agent.toml")
    terminal.wait("q: quit")
    os.kill(terminal.pid, number)
    assert terminal.end(b"") == 0 and terminal.text.endswith("\x1b[?25h\x1b[?1049l")
    # One that watches an instance that ends says so, and goes on.
    terminal = Terminal(s, "status", "--watch", "-c", "agent.toml")
    terminal.wait("q: quit")
    agent.stop()
    terminal.wait("No such file")
    assert terminal.end() == 0


def test_watch_needs_a_terminal(s):
    started(s)
    code, out, err = keybearer(s, "status", "--watch")
    assert code == EX_USAGE and not out and "no terminal" in err


def test_watch_in_tmux(s):
    """A real terminal: what is on its screen, and that the shell's screen is back afterwards."""
    started(s)
    tmux = ["tmux", "-L", f"kb{os.getpid()}", "-f", "/dev/null"]
    env = s.environment({"TERM": "xterm-256color", "TMUX_TMPDIR": s.temp, "PS1": "$ "})

    def run(*args):
        return subprocess.run([*tmux, *args], env=env, capture_output=True, text=True, timeout=20, check=False).stdout
    try:
        run("new-session", "-d", "-x", "100", "-y", "30", "sh")
        run("send-keys", "echo before; cd " + s.work + "; " + PROGRAM + " status --watch -c agent.toml", "Enter")
        screen = wait_for(lambda: (lambda text: text if "q: quit" in text else None)(run("capture-pane", "-p")), 10)
        assert screen.startswith("keybearer ") and "kv/data/app" in screen and "out/config.ini" in screen and "before" not in screen
        assert not list(s.canaries.hits(screen.encode()))
        run("send-keys", "q")
        wait_for(lambda: "before" in run("capture-pane", "-p"), 10)
        assert "q: quit" not in run("capture-pane", "-p")
    finally:
        run("kill-server")


# --- the service manager


def test_the_service_manager_hears(s):
    kv_base(s)
    path = os.path.join(s.runtime, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(10)

        def hear(*begins):
            while True:
                message = manager.recv(4096).decode()
                assert not list(s.canaries.hits(message.encode()))
                if message.startswith(begins):
                    return message
        agent = s.start("run", "-c", s.config(toml(TEXT, app=s.app_toml())),
                        env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "300000"})
        ready = hear("READY=1")
        assert s.runlog.starts() or s.runlog.wait_starts(1, 2)
        assert "STATUS=1 secret, 1 file, child " in ready
        for _ in range(3):
            assert hear("WATCHDOG=1") == "WATCHDOG=1"
        agent.send(signal.SIGHUP)
        assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", hear("RELOADING"))
        hear("READY=1")
        agent.send(signal.SIGTERM)
        hear("STOPPING=1")
        agent.wait_exit(20)
    with open(f"{s.path('run.jsonl')}", encoding="utf-8") as file:
        assert "NOTIFY_SOCKET" not in file.read()


def test_the_unit_is_right(s):
    """systemd itself finds nothing to say of the unit, where it is installed."""
    unit = os.path.join(os.path.dirname(__file__), "..", "..", "packaging", "systemd", "keybearer.service")
    with open(unit, encoding="utf-8") as file:
        text = file.read()
    assert "Type=notify\n" in text and "WatchdogSec=" in text and "TimeoutStartSec=infinity" in text
    if shutil.which("systemd-analyze"):
        path = s.write("my-app.service", text.replace("/usr/local/bin/keybearer", PROGRAM).replace("/usr/local/bin/my-app", "/bin/true")
                       .replace("Documentation=man:keybearer(1) man:agent.toml(5)\n", ""))
        done = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, timeout=60, check=False)
        assert "my-app.service" not in done.stderr, done.stderr
