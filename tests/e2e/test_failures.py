"""What goes wrong at the start and later: the message, the exit code, and that nothing else is touched (behaviour.md 7)."""
import time

import pytest

from bases import KV, KV_DATA, LOGIN, kv_base, kv_run, s2_base, s2_run, s2_toml, toml
from harness import (EX_AUTH, EX_CONFIG, EX_IO, EX_NOT_READY, EX_TEMPLATE, EX_UNAVAILABLE, free_port, observe, wait_for)

GRACE = 'start_grace = "2s"'


def test_wrong_secret_id_ends_before_the_role_is_locked(s):
    kv_base(s)
    s.write("boot/secret-id", "no-such-secret-id-at-all")
    agent = kv_run(s, template=GRACE)
    assert agent.wait_exit(8) == EX_AUTH
    assert 1 <= len(s.tap.logins()) <= 3
    assert agent.lines_about("secret_id", levels=("error",)), agent.stderr
    assert "no-such-secret-id-at-all" not in agent.stderr and not s.runlog.starts()


def test_wrong_secret_id_once(s):
    kv_base(s)
    s.write("boot/secret-id", "no-such-secret-id-at-all")
    agent = s.run(toml(KV, interval="1m", app=s.app_toml()), flags=("--once",))
    assert agent.wait_exit(5) == EX_AUTH
    assert len(s.tap.logins()) == 1


@pytest.mark.parametrize("wrong, names", [("mount_path", "auto_auth.method.mount_path"), ("role_id", "auto_auth.method.role_id_file_path"),
                                          ("secret_id", "boot/secret-id")])
def test_a_login_that_is_refused_names_the_key_to_change(s, wrong, names):
    kv_base(s)
    if wrong != "mount_path":
        s.write("boot/" + wrong.replace("_", "-"), "no-such-id-at-all")
    text = toml(KV, interval="1m", app=s.app_toml())
    if wrong == "mount_path":
        text = text.replace('type = "approle"', 'type = "approle"\nmount_path = "elsewhere"')
    agent = s.run(text, flags=("--once",))
    assert agent.wait_exit(5) == EX_AUTH
    assert agent.lines_about(names, levels=("error",)), agent.stderr
    assert ("secret_id may have expired" in agent.stderr) == (wrong == "secret_id"), agent.stderr


def test_all_addresses_down_are_named_with_the_key_to_change(s):
    s.write("boot/role-id", "role")
    s.write("boot/secret-id", "secret")
    urls = [f"http://127.0.0.1:{free_port()}" for _ in range(2)]
    text = toml(KV, interval="1m", app=s.app_toml(), addr="@", more='[outage]\non_start = "fail"')
    text = text.replace('"@"', str(urls).replace("'", '"'))
    for agent in (s.run(text), s.start("check", "--online", "-c", s.config(text))):
        assert agent.wait_exit(5) == EX_UNAVAILABLE
        assert all(f"{url}: connection refused" in agent.stderr for url in urls), agent.stderr
        assert "vault.address (VAULT_ADDR)" in agent.stderr, agent.stderr


def test_missing_secret_is_waited_for_then_named(s):
    kv_base(s)
    s.vault.request("DELETE", "kv/metadata/app")
    agent = kv_run(s, template=GRACE)
    assert agent.wait_exit(8) == EX_NOT_READY
    assert 1.5 <= agent.lived <= 5
    assert agent.lines_about(KV_DATA, levels=("error",)), agent.stderr
    assert "out/config.ini" in agent.stderr and not s.runlog.starts()
    assert s.tap.last().path == "auth/token/revoke-self", s.tap


def test_missing_secret_that_comes_in_time(s):
    kv_base(s)
    s.vault.request("DELETE", "kv/metadata/app")
    kv_run(s)
    wait_for(lambda: s.tap.count(KV_DATA) >= 1, 3, "the first read")
    s.vault.put(KV_DATA, {"value": s.canary("late")})
    s.runlog.wait_starts(1, 8)


def test_denied_path(s):
    kv_base(s)
    s.vault.policy("kv-reader", "kv/data/other")
    agent = kv_run(s, template=GRACE)
    assert agent.wait_exit(8) == EX_AUTH
    assert agent.lines_about(KV_DATA, "denied", levels=("error",)), agent.stderr
    assert not s.runlog.starts() and s.tap.count("auth/token/lookup-self") <= 1


def test_missing_key(s):
    kv_base(s)
    s.vault.put(KV_DATA, {"other": s.canary("other")})
    agent = kv_run(s, template=GRACE)
    assert agent.wait_exit(8) == EX_NOT_READY
    assert agent.lines_about("value", "out/config.ini", levels=("error",)), agent.stderr
    assert "<no value>" not in agent.stderr and s.read("out/config.ini") is None


def test_missing_mount(s):
    kv_base(s)
    s.vault.policy("kv-reader", "*")
    agent = s.run(toml(KV, interval="1m", app=s.app_toml(), template=GRACE).replace('"kv/data/app"', '"nomount/data/app"'))
    assert agent.wait_exit(8) == EX_NOT_READY
    assert "nomount" in agent.stderr and "no secrets engine" in agent.stderr


def test_optional_secret_with_default(s):
    kv_base(s)
    s.vault.request("DELETE", "kv/metadata/app")
    s.vault.put("kv/data/other", {"value": s.canary("other")})
    s.run('''
[vault]
address = "@addr@"
[auto_auth.method]
type = "approle"
role_id_file_path = "boot/role-id"
secret_id_file_path = "boot/secret-id"
[env.MISSING]
contents = '{{ with secret "kv/data/app" }}{{ .Data.data.value }}{{ end }}'
default = "by default"
[env.THERE]
contents = '{{ with secret "kv/data/other" }}{{ .Data.data.value }}{{ end }}'
[exec]
command = @app@
''', app=s.app_toml())
    env = s.runlog.wait_starts(1, 6)[0]["env"]
    assert env["MISSING"] == "by default" and env["THERE"].startswith("cnry-")


def test_server_away_fail_at_once(s):
    port = free_port()
    s.write("boot/role-id", "role")
    s.write("boot/secret-id", s.canary("secret-id"))
    agent = s.run(toml(KV, interval="1s", app=s.app_toml(), more='[outage]\non_start = "fail"'), addr=f"http://127.0.0.1:{port}")
    assert agent.wait_exit(3) == EX_UNAVAILABLE
    assert f"127.0.0.1:{port}" in agent.stderr and "refused" in agent.stderr


def test_name_not_found_is_said(s):
    s.write("boot/role-id", "role")
    s.write("boot/secret-id", s.canary("secret-id"))
    agent = s.run(toml(KV, interval="1s", app=s.app_toml(), more='[outage]\non_start = "fail"'),
                  addr="http://no-such-host.invalid:8200")
    assert agent.wait_exit(12) == EX_UNAVAILABLE
    assert "no-such-host.invalid" in agent.stderr


def test_stopped_while_it_waits_for_the_server(s):
    s.write("boot/role-id", "role")
    s.write("boot/secret-id", s.canary("secret-id"))
    agent = s.run(toml(KV, interval="1s", app=s.app_toml()), addr=f"http://127.0.0.1:{free_port()}")
    agent.wait_line("refused", timeout=1)
    begin = time.monotonic()
    assert agent.stop() == EX_NOT_READY
    assert time.monotonic() - begin < 0.5  # 100 ms, and what a busy machine adds
    assert not s.runlog.starts()


def test_stopped_while_the_server_hangs(s):
    kv_base(s)
    s.tap.hang("auth/approle/login")
    agent = kv_run(s)
    wait_for(lambda: s.tap.logins(), 3, "the login")
    begin = time.monotonic()
    assert agent.stop() == EX_NOT_READY
    assert time.monotonic() - begin < 0.5


def test_stopped_between_login_and_secrets_revokes_the_token(s):
    kv_base(s)
    s.tap.hang(KV_DATA)
    agent = kv_run(s)
    wait_for(lambda: s.tap.count(KV_DATA), 3, "the read")
    assert agent.stop() == EX_NOT_READY
    assert s.tap.last().path == "auth/token/revoke-self", s.tap


def test_server_away_for_a_while(s):
    value = kv_base(s, token_ttl="1m")
    agent = kv_run(s, interval="1s", vault='[vault.retry]\nmax_backoff = "1s"')
    app = s.runlog.wait_starts(1, 5)[0]
    s.tap.refuse()
    agent.wait_line("refused", timeout=2.5)
    observe(5, lambda: None, 1.0)
    assert s.runlog.lines() == [app] and s.read("out/config.ini") == f"value = {value}"
    s.tap.accept()
    new = s.canary("kv-second")
    s.vault.put(KV_DATA, {"value": new})
    assert s.runlog.wait_starts(2, 5)[1]["files"]["out/config.ini"] == f"value = {new}"
    assert len(s.tap.logins()) == 1


@pytest.mark.parametrize("status", [429, 472, 473, 500, 502, 503])
def test_busy_and_broken_servers_are_outages(s, status):
    value = kv_base(s)
    agent = kv_run(s, interval="1s", vault='[vault.retry]\nmax_backoff = "1s"')
    app = s.runlog.wait_starts(1, 5)[0]
    s.tap.fail("*", status)
    observe(4, lambda: None, 1.0)
    assert agent.alive and s.runlog.lines() == [app] and s.read("out/config.ini") == f"value = {value}"
    s.tap.clear()
    new = s.canary("kv-second")
    s.vault.put(KV_DATA, {"value": new})
    s.runlog.wait_starts(2, 5)


def test_retry_after_is_obeyed(s):
    kv_base(s)
    s.tap.fail(KV_DATA, 429, 1, headers={"Retry-After": "3"})
    kv_run(s)
    s.runlog.wait_starts(1, 8)
    first, second = [e.time for e in s.tap.entries(KV_DATA)]
    assert 2.9 <= second - first <= 5, s.tap


def test_server_restarted_and_knows_nothing_any_more(s):
    """In memory: token, role and mounts are gone. The login is refused for good: an orderly stop, and why."""
    kv_base(s)
    agent = kv_run(s, interval="1s")
    s.runlog.wait_starts(1, 5)
    s.vault.restart()
    assert agent.wait_exit(10) == EX_AUTH
    assert [line["signal"] for line in s.runlog.signals()] == [15]
    assert agent.lines_about("mount_path", "403", levels=("error",)), agent.stderr
    assert len(s.tap.logins()) == 2, s.tap


def test_server_restarted_with_its_storage(s):
    s.use_vault(directory=s.path("out/vault-storage"))
    kv_base(s)
    agent = kv_run(s, interval="1s", vault='[vault.retry]\nmax_backoff = "1s"')
    s.runlog.wait_starts(1, 5)
    s.vault.restart()
    new = s.canary("kv-second")
    s.vault.put(KV_DATA, {"value": new})
    s.runlog.wait_starts(2, 8)
    assert agent.alive and len(s.tap.logins()) == 1


def test_sealed_server_is_an_outage(s):
    s.use_vault(directory=s.path("out/vault-storage"))
    value = kv_base(s)
    agent = kv_run(s, interval="1s", vault='[vault.retry]\nmax_backoff = "1s"')
    app = s.runlog.wait_starts(1, 5)[0]
    s.vault.seal()
    agent.wait_line("sealed", timeout=4)
    assert s.runlog.lines() == [app] and s.read("out/config.ini") == f"value = {value}"
    s.vault.unseal()
    s.vault.put(KV_DATA, {"value": s.canary("kv-second")})
    s.runlog.wait_starts(2, 6)


def test_database_away_keeps_the_credentials_there_are(s):
    s2_base(s, ttl="20s", max_ttl="10m")
    agent = s2_run(s)
    app = s.runlog.wait_starts(1, 5)[0]
    s.tap.fail("database/creds/*", 500)
    wait_for(lambda: s.tap.count("sys/leases/renew") >= 1, 14, "a renewal")
    assert agent.alive and s.runlog.lines() == [app]


# --- configuration: everything wrong is found together, before anything is contacted

BAD = [
    ("unknown key", '[exec]\ncommand = ["x"]\nstop_timout = "3s"', ["stop_timout", "stop_timeout", "did you mean"]),
    ("unknown table", "[vualt]\naddress = 'x'", ["vualt", "vault"]),
    ("wrong type", "[vault]\nmax_connections = 'many'", ["max_connections"]),
    ("bad duration", "[vault]\ntimeout = '5 parsecs'", ["timeout", "5 parsecs"]),
    ("mode as a number", "[[template]]\ncontents = 'x'\ndestination = 'out/x'\nperms = 644", ["perms"]),
    ("two excluding keys", "[[template]]\ncontents = 'x'\nsource = 'y'\ndestination = 'out/x'", ["source", "contents"]),
    ("no destination", "[[template]]\ncontents = 'x'", ["destination"]),
    ("reserved variable", "[env]\nLD_PRELOAD = 'x'", ["LD_PRELOAD"]),
    ("unknown method", "[auto_auth.method]\ntype = 'approll'", ["approll", "approle"]),
    ("method not supported", "[auto_auth.method]\ntype = 'kerberos'", ["kerberos", "not supported"]),
    ("unset environment", "[vault]\naddress = '${NO_SUCH_VARIABLE}'", ["NO_SUCH_VARIABLE"]),
    ("not TOML", "[vault\n", ["agent.toml:"]),
    ("name of a variable", "[[env_from]]\nsecret = 'kv/data/app'\nnames = { k = 'B C' }", ["agent.toml:3:", "env_from.names.k"]),
    ("reserved name", "[[env_from]]\nsecret = 'kv/data/app'\nnames = { k = 'PATH' }", ["env_from.names.k", "PATH is a reserved"]),
    ("prefix", '[[env_from]]\nsecret = "kv/data/app"\nprefix = "A="', ["agent.toml:3:", "env_from.prefix"]),
    ("two tables of a secret", "[[secret]]\npath = 'kv/a'\n[[secret]]\npath = 'kv/data/a'", ["agent.toml:3:", "agent.toml:1:"]),
    ("version", "[[secret]]\npath = 'kv/a'\nversion = -1", ["agent.toml:3:", "secret.version"]),
    ("NUL", '[[template]]\ncontents = ""\ndestination = "out/x\\u0000y"', ["agent.toml:3:", "template.destination", "NUL"]),
    ("two hooks", "[[template]]\ncontents = ''\ndestination = 'out/x'\ncommand = ['true']\nexec = { command = ['true'] }",
     ["agent.toml:5:", "template.exec.command", "excludes"]),
    ("our own header", "[vault]\nheaders = { host = 'x' }", ["agent.toml:2:", "vault.headers.host"]),
    ("two lines in a header", '[vault]\nheaders = { X-A = "a\\r\\nHost: b" }', ["agent.toml:2:", "vault.headers.X-A"]),
    ("two lines in a namespace", '[vault]\nnamespace = "a\\nb"', ["agent.toml:2:", "vault.namespace"]),
    ("no such user", "[[template]]\ncontents = ''\ndestination = 'out/x'\nuser = 'nope'", ["agent.toml:4:", "template.user", "nope"]),
    ("more than the default", "[exec]\ncommand = ['x']\ndebounce = '1m'", ["agent.toml:3:", "exec.debounce_max", "default of 30s"]),
]


@pytest.mark.parametrize("text, words", [pytest.param(text, words, id=name.replace(" ", "-")) for name, text, words in BAD])
@pytest.mark.parametrize("command", ["run", "check"])
def test_bad_configuration(s, command, text, words):
    agent = s.start(command, "-c", s.config(text), env={"VAULT_ADDR": s.tap.url, "VAULT_TOKEN": s.canary("token")})
    assert agent.wait_exit(3) == EX_CONFIG, agent.stderr
    said = agent.stderr + agent.stdout
    for word in [*words, "agent.toml:"]:
        assert word in said, said
    assert s.tap.count() == 0


def test_all_configuration_errors_at_once(s):
    text = '''
[vault]
timeout = "5 parsecs"
adress = "x"
[exec]
command = ["x"]
debounce = true
[[template]]
destination = "out/x"
contents = "x"
source = "y"
'''
    agent = s.start("run", "-c", s.config(text), env={"VAULT_ADDR": s.tap.url, "VAULT_TOKEN": s.canary("token")})
    assert agent.wait_exit(3) == EX_CONFIG
    for line, word in ((3, "timeout"), (4, "adress"), (7, "debounce"), (10, "source")):
        assert any(f"agent.toml:{line}:" in said and word in said for said in agent.stderr.splitlines()), agent.stderr
    assert s.tap.count() == 0


@pytest.mark.parametrize("command", ["run", "check"])
def test_section_in_a_format_that_has_none(s, command):
    agent = s.start(command, "-c", s.config("""
[exec]
command = ["x"]
[[template]]
destination = "out/x.env"
format = "env"
[template.values]
a = "1"
[template.values.sec]
x = "1"
"""), env={"VAULT_ADDR": s.tap.url, "VAULT_TOKEN": s.canary("token")})
    assert agent.wait_exit(3) == EX_CONFIG
    assert "agent.toml:10:" in agent.stderr and "template.values.sec.x" in agent.stderr and s.tap.count() == 0


@pytest.mark.parametrize("text", ['{{ with secret "kv/data/app" }}no end', "{{ nosuchfunction }}", "{{ if }}x{{ end }}"])
def test_template_syntax(s, text):
    kv_base(s)
    agent = s.run(toml(KV, interval="1s", app=s.app_toml()) + f'''
[[template]]
destination = "out/broken"
contents = '{text}'
''')
    assert agent.wait_exit(3) == EX_TEMPLATE
    assert "agent.toml:" in agent.stderr and text in agent.stderr and s.tap.count() == 0, agent.stderr


def test_missing_template_file(s):
    kv_base(s)
    agent = s.run(toml(KV, interval="1s", app=s.app_toml()) + '''
[[template]]
destination = "out/x"
source = "no-such.tmpl"
''')
    assert agent.wait_exit(3) in (EX_CONFIG, EX_TEMPLATE)
    assert "no-such.tmpl" in agent.stderr and s.tap.count() == 0


def test_missing_credential_files(s):
    kv_base(s)
    text = toml(KV, interval="1s", app=s.app_toml())
    for name in ("boot/role-id", "boot/secret-id"):
        agent = s.run(text.replace(name, "boot/no-such-file"))
        assert agent.wait_exit(3) == EX_CONFIG, agent.stderr
        assert "boot/no-such-file" in agent.stderr
    assert s.tap.count() == 0


def test_destination_that_cannot_be_written(s):
    kv_base(s)
    s.write("out/directory/keep", "x")
    agent = s.run(toml(KV, interval="1s", app=s.app_toml()).replace("out/config.ini", "out/directory"))
    assert agent.wait_exit(5) == EX_IO, agent.stderr
    assert "out/directory" in agent.stderr and not s.runlog.starts()


@pytest.mark.parametrize("program, code", [("./no-such-program", 127), ("./not-executable", 126)])
def test_program_that_cannot_be_started(s, program, code):
    s2_base(s)
    s.write("not-executable", "text", 0o644)
    agent = s.run(s2_toml(s).replace(s.app_toml(), f'["{program}"]'))
    assert agent.wait_exit(6) == code, agent.stderr
    assert program in agent.stderr
    wait_for(lambda: not s.pg.roles(), 2, "the lease is revoked")


def test_check_looks_for_the_program_where_it_is_started(s):
    kv_base(s)
    s.write("out/app", "#!/bin/sh\n", 0o755)
    s.write("off.toml", '[[template]]\ndestination = "out/off"\ncontents = ""\nenabled = false')
    text = toml(KV, interval="1s", app='["./app"]', exec='working_directory = "out"')
    agent = s.start("check", "--online", "-c", s.config(text), "-c", "off.toml")
    assert agent.wait_exit(5) == 0, agent.stderr
    assert "off.toml:1:1: template out/off is not enabled" in agent.stderr
    agent = s.start("check", "--online", "-c", s.config(text.replace("./app", "./none")))
    assert agent.wait_exit(5) == 127 and "./none" in agent.stderr, agent.stderr


def test_two_versions_of_one_secret(s):
    first = kv_base(s)
    second = s.canary("kv-second")
    s.vault.put(KV_DATA, {"value": second})
    s.run(toml(LOGIN + '''
[[secret]]
path = "kv/app"
name = "latest"
[[secret]]
path = "kv/data/app"
name = "old"
version = 1
[env]
NEW = { secret = "latest", key = "value" }
OLD = { secret = "old", key = "value" }
[exec]
command = @app@
''', app=s.app_toml()))
    env = s.runlog.wait_starts(1, 6)[0]["env"]
    assert (env["NEW"], env["OLD"]) == (second, first)


def test_no_method_and_no_token(s):
    agent = s.start("run", "--address", s.tap.url, "--env", "X=kv/data/app#value", "--", s.app, "run.jsonl")
    assert agent.wait_exit(3) == EX_CONFIG
    assert "VAULT_TOKEN" in agent.stderr and "VAULT_ROLE_ID" in agent.stderr and s.tap.count() == 0


def test_wrong_usage_of_the_command_line(s):
    for args in ([], ["no-such-command"], ["run", "--no-such-flag"], ["run", "--"], ["run", "--env-from", "", "--", "x"],
                 ["run", "--env-from", "kv/data/app#value", "--", "x"]):
        agent = s.start(*args, env={"VAULT_ADDR": s.tap.url, "VAULT_TOKEN": s.canary("token")})
        assert agent.wait_exit(3) == 64, (args, agent.stderr)
    for word, said in (("lookup", 'no command "lookup"; there are run'), ("rendr", 'did you mean "render"?')):
        agent = s.start(word)
        assert agent.wait_exit(3) == 64 and said in agent.stderr, agent.stderr


def test_without_any_file(s):
    value = kv_base(s)
    token = s.vault.create_token(policies=["kv-reader"], ttl="10m")
    agent = s.start("run", "--env", "OTHER=kv/data/app#value", "--env-from", "kv/data/app", "--", *s.app_command("--life", "0"),
                    env={"VAULT_ADDR": s.tap.url, "VAULT_TOKEN": token})
    assert agent.wait_exit(5) == 0, agent.stderr
    env = s.runlog.starts()[0]["env"]
    assert env["OTHER"] == env["VALUE"] == value
    assert s.vault.lookup(token) is not None, "a token that somebody gave us is not ours to revoke"


def test_wrong_token(s):
    kv_base(s)
    agent = s.start("run", "--env", "VALUE=kv/data/app#value", "--", *s.app_command(),
                    env={"VAULT_ADDR": s.tap.url, "VAULT_TOKEN": s.canary("no-such-token")})
    assert agent.wait_exit(20) == EX_AUTH
    assert not s.runlog.starts() and "token" in agent.stderr


def test_login_files_are_used_once_by_default(s):
    """The secret_id file is removed after it was read, as Vault Agent does."""
    kv_base(s)
    text = toml(KV, interval="1m", app=s.app_toml()).replace("remove_secret_id_file_after_reading = false\n", "")
    s.run(text)
    s.runlog.wait_starts(1, 5)
    assert s.read("boot/secret-id") is None and s.read("boot/role-id") is not None


MINTED = '''
[env]
X = { secret = "database/creds/readonly", key = "user" }
[exec]
command = @app@
'''


def test_missing_key_of_a_dynamic_secret_issues_nothing_again(s):
    """The key is `username`. Another read would issue other credentials, so there is nothing to wait for."""
    s2_base(s)
    agent = s.run(toml(LOGIN + MINTED, app=s.app_toml()))
    assert agent.wait_exit(5) == EX_NOT_READY
    assert s.tap.count("database/creds/readonly") == 1 and not s.runlog.starts()
    assert agent.lines_about("no key", "database/creds/readonly", levels=("error",)), agent.stderr


def test_missing_key_is_looked_for_with_growing_pauses(s):
    kv_base(s)
    s.vault.put(KV_DATA, {"other": s.canary("other")})
    agent = kv_run(s, template='start_grace = "9s"')
    assert agent.wait_exit(14) == EX_NOT_READY
    # Every second the version is compared all the same (interval): what is missing can only come with another one.
    times = [e.time for path in (KV_DATA, "kv/metadata/app") for e in s.tap.entries(path)]
    assert 3 <= len(times) <= 12 and all(b - a > 0.9 for a, b in zip(times, times[1:])), s.tap


def test_a_key_that_vanishes_brings_back_the_whole_set(s):
    """Neither half of the new version is used; an alarm; the next good version is."""
    kv_base(s)
    s.vault.put(KV_DATA, {"value": s.canary("first"), "other": "one"})
    s.write("alert.sh", 'echo "$KEYBEARER_EVENT" >> alarms\n')
    kv_run(s, top='notify.command = ["/bin/sh", "alert.sh"]', more='''
[env]
OTHER = '{{ with secret "kv/data/app" }}{{ .Data.data.other }}{{ end }}'
''')
    app = s.runlog.wait_starts(1, 5)[0]
    before = s.read("out/config.ini")
    s.vault.put(KV_DATA, {"other": "two"})
    wait_for(lambda: "secret.lost" in (s.read("alarms") or ""), 4, "the alarm")
    observe(3, lambda: None, 1.0)
    assert s.runlog.starts() == [app] and s.read("out/config.ini") == before and s.read("alarms").count("\n") == 1
    s.vault.put(KV_DATA, {"value": s.canary("third"), "other": "three"})
    assert s.runlog.wait_starts(2, 5)[1]["env"]["OTHER"] == "three" and s.read("out/config.ini") != before


@pytest.mark.parametrize("away", ["login", "read"])
def test_defaults_when_the_server_is_away_at_the_start(s, away):
    kv_base(s)
    if away == "login":
        s.tap.refuse()
    else:
        s.tap.fail(KV_DATA, 503)
    text = toml(LOGIN + '''
[outage]
on_start = "default"
[template_config]
static_secret_render_interval = "1s"
[env]
OTHER = { secret = "kv/data/app", key = "value", default = "made-up" }
[exec]
command = @app@
debounce = "100ms"
''', app=s.app_toml())
    s.run(text)
    assert s.runlog.wait_starts(1, 4)[0]["env"]["OTHER"] == "made-up"
    s.tap.accept()
    s.tap.clear()
    assert s.runlog.wait_starts(2, 15)[1]["env"]["OTHER"] != "made-up"


def test_secret_id_file_outlives_a_login_that_nobody_answered(s):
    kv_base(s)
    s.tap.fail("auth/approle/login", 503)
    text = toml(KV, interval="1m", app=s.app_toml(), more='[outage]\nstart_timeout = "2s"')
    agent = s.run(text.replace("remove_secret_id_file_after_reading = false", ""), flags=("--once",))
    assert agent.wait_exit(6) == EX_UNAVAILABLE
    assert "outage.start_timeout" in agent.stderr and "503" in agent.stderr
    assert s.read("boot/secret-id"), "the next start needs it"


def test_two_secrets_that_make_one_variable(s):
    kv_base(s)
    s.vault.put("kv/data/b", {"VALUE": s.canary("b")})
    agent = s.start("run", "-c", s.config(toml(LOGIN, name="x")), "--env-from", "kv/data/app", "--env-from", "kv/data/b", "--",
                    *s.app_command())
    assert agent.wait_exit(5) == EX_TEMPLATE
    assert "VALUE is made of kv/data/app, too" in agent.stderr


def test_uses_of_a_limited_token_are_not_spent_on_looking(s):
    kv_base(s)
    token = s.vault.create_token(policies=["kv-reader"], ttl="10m", num_uses=4)
    text = toml(KV, interval="1s", app=s.app_toml(), exec="")
    text = text[:text.index("[auto_auth")] + text[text.index("[template_config]"):]
    agent = s.start("run", "-c", s.config(text), env={"VAULT_TOKEN": token})
    s.runlog.wait_starts(1, 5)
    observe(5, lambda: None, 1.0)
    assert agent.alive and len([e for e in s.tap.entries() if e.token]) <= 3, s.tap


def test_a_hook_that_fails_in_a_single_rendering(s):
    kv_base(s)
    agent = s.render(toml(LOGIN + '''
[[template]]
destination = "out/file"
contents = '{{ with secret "kv/data/app" }}{{ .Data.data.value }}{{ end }}'
command = ["/bin/sh", "-c", "exit 3"]
'''), "--once")
    assert agent.wait_exit(25) == EX_NOT_READY and s.read("out/file")  # tried again within start_grace
    assert agent.lines_about("ended with code 3", levels=("error",)), agent.stderr
