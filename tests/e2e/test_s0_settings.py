"""S0, the client application: settings, precedence, bootstrap credentials, messages."""
import time

import pytest

from bases import (S0_CREDS, S0_DYNAMIC, S0_KV_DATA, S0_STATIC, S0_STATIC_CREDS, kv_base, kv_run, login_files, s0_base,
                   s0_run, s0_toml, section_works)
from harness import EX_AUTH, EX_CONFIG, EX_UNAVAILABLE, free_port, observe, wait_for, wait_until


def test_S0_10_summary_at_start(s):
    s0_base(s)
    agent = s0_run(s, top='name = "my-vault-app"')
    s.runlog.wait_starts(1, 5)
    log = agent.stderr
    for part in ("my-vault-app", s.tap.url, "approle", "out/config.ini", S0_KV_DATA, S0_CREDS, S0_STATIC_CREDS):
        assert part in log, part


def test_S0_11_permissions_of_the_entity(s):
    s0_base(s, static=False, policies="", token_ttl="10m")
    vault = s.vault
    vault.policy("kv", S0_KV_DATA)
    vault.policy("db", S0_CREDS)
    entity = vault.post("identity/entity", {"name": "my-vault-app", "policies": ["kv", "db"]})["data"]["id"]
    mount = vault.get("sys/auth")["data"]["approle/"]["accessor"]
    vault.post("identity/entity-alias", {"name": s.role_id, "canonical_id": entity, "mount_accessor": mount})
    agent = s0_run(s, sections=S0_DYNAMIC, interval="1s")
    app = s.runlog.wait_starts(1, 5)[0]
    assert section_works(s, "database_dynamic")

    vault.post(f"identity/entity/id/{entity}", {"policies": ["db"]})
    agent.wait_line("denied", S0_KV_DATA, timeout=8)
    since = time.monotonic()
    wait_for(lambda: [e for e in s.tap.entries("sys/leases/renew", since=since) if e.status == 200], 14, "lease renewed")
    assert section_works(s, "database_dynamic") and s.runlog.starts() == [app]


@pytest.mark.parametrize("command", ["run", "check"])
def test_S0_12_approle_is_required(s, command):
    s.write("boot/role-id", "some-role")
    config = s.config(f'''
[vault]
address = "@addr@"
[auto_auth.method]
type = "approle"
role_id_file_path = "boot/role-id"
[exec]
command = {s.app_toml()}
''')
    agent = s.start(command, "-c", config)
    assert agent.wait_exit(5) == EX_CONFIG
    assert agent.lived < 1
    said = agent.stderr + agent.stdout
    assert "secret_id" in said and "VAULT_SECRET_ID" in said
    assert s.tap.count() == 0 and not s.runlog.starts()


def test_S0_12_role_without_secret_id(s):
    kv_base(s)
    s.vault.approle("bare", "kv-reader", bind_secret_id=False, token_bound_cidrs="127.0.0.1/32")
    role_id = s.vault.get("auth/approle/role/bare/role-id")["data"]["role_id"]
    s.run(f'''
[vault]
address = "@addr@"
[auto_auth.method]
type = "approle"
role_id = "{role_id}"
secret_id = ""
[env]
VALUE = '{{{{ with secret "kv/data/app" }}}}{{{{ .Data.data.value }}}}{{{{ end }}}}'
[exec]
command = {s.app_toml()}
''')
    s.runlog.wait_starts(1, 5)


S0_13 = '''
[vault]
address = "@address@"
[auto_auth]
exit_on_err = true
[auto_auth.method]
type = "approle"
role_id = "wrong-role-id-of-the-file"
secret_id_file_path = "boot/wrong-secret-id"
remove_secret_id_file_after_reading = false
[[template]]
destination = "out/value"
contents = '{{ with secret "kv/data/app" }}{{ .Data.data.value }}{{ end }}'
'''


def _environment_wins(s, address, **env):
    return s.render(S0_13, "--once", address=address, env=env)


def test_S0_13_environment_wins_over_the_file(s):
    kv_base(s)
    s.write("boot/wrong-secret-id", "wrong-secret-id-of-the-file")
    role_id, secret_id = s.vault.approle("app", "kv-reader", token_ttl="10m")
    unused = f"http://127.0.0.1:{free_port()}"

    agent = _environment_wins(s, unused, VAULT_URL=s.tap.url, VAULT_ROLE_ID=role_id, VAULT_SECRET_ID=secret_id)
    assert agent.wait_exit(5) == 0, agent.stderr

    # Each alone: only that value changes. (The file's address is the tap's for the last two.)
    for env, address, role, secret in [
            ({"VAULT_URL": s.tap.url}, unused, "wrong-role-id-of-the-file", "wrong-secret-id-of-the-file"),
            ({"VAULT_ROLE_ID": role_id}, s.tap.url, role_id, "wrong-secret-id-of-the-file"),
            ({"VAULT_SECRET_ID": secret_id}, s.tap.url, "wrong-role-id-of-the-file", secret_id)]:
        agent = _environment_wins(s, address, **env)
        assert agent.wait_exit(5) == EX_AUTH, agent.stderr
        assert s.tap.logins()[-1].body == {"role_id": role, "secret_id": secret}


def test_S0_13_addr_beats_url_and_empty_is_unset(s):
    kv_base(s)
    s.write("boot/wrong-secret-id", "wrong-secret-id-of-the-file")
    role_id, secret_id = s.vault.approle("app", "kv-reader", token_ttl="10m")
    unused = f"http://127.0.0.1:{free_port()}"
    credentials = {"VAULT_ROLE_ID": role_id, "VAULT_SECRET_ID": secret_id}
    agent = _environment_wins(s, unused, VAULT_ADDR=s.tap.url, VAULT_URL=unused, **credentials)
    assert agent.wait_exit(5) == 0, agent.stderr
    agent = _environment_wins(s, s.tap.url, VAULT_ADDR="", VAULT_URL="", BAO_ADDR="", **credentials)
    assert agent.wait_exit(5) == 0, agent.stderr


def test_S0_13_check_shows_where_values_come_from(s):
    kv_base(s)
    s.write("boot/wrong-secret-id", s.canary("secret-id-file"))
    s.config(S0_13, address="http://127.0.0.1:1")
    agent = s.start("check", "--show", "-c", "agent.toml",
                    env={"VAULT_URL": s.tap.url, "VAULT_SECRET_ID": s.canary("secret-id-env")})
    assert agent.wait_exit(5) == 0, agent.stderr
    shown = {word: [line for line in agent.stdout.splitlines() if word in line] for word in
             ("address", "role_id", "secret_id")}
    assert any("VAULT_URL" in line and s.tap.url in line for line in shown["address"]), agent.stdout
    assert any("agent.toml" in line for line in shown["role_id"]), agent.stdout
    assert any("VAULT_SECRET_ID" in line for line in shown["secret_id"]), agent.stdout
    assert s.tap.count() == 0


def _s0_14(s):
    s.vault.kv2("kv")
    s.vault.put("kv/data/app", {"value": s.canary("kv-first")})
    s.vault.policy("kv-reader", "kv/data/*")
    login_files(s, "app", "kv-reader", token_ttl="10m", secret_id_ttl="2s")
    wait_until(time.monotonic() + 3)
    # A server forgets expired ones when it tidies up; until then it takes them.
    s.vault.post("auth/approle/tidy/secret-id")
    secret_id = (s.read("boot/secret-id") or "").strip()
    wait_for(lambda: s.vault.raw("POST", "auth/approle/role/app/secret-id/lookup", {"secret_id": secret_id})[0] == 204, 10,
             "the server forgets the secret_id")


S0_14 = '''
[vault]
address = "@addr@"
[auto_auth.method]
type = "approle"
role_id_file_path = "boot/role-id"
secret_id_file_path = "boot/secret-id"
remove_secret_id_file_after_reading = false
[[template]]
destination = "out/value"
contents = '{{ with secret "kv/data/app" }}{{ .Data.data.value }}{{ end }}'
'''


def test_S0_14_expired_secret_id(s):
    _s0_14(s)
    agent = s.render(S0_14, "--once")
    assert agent.wait_exit(5) == EX_AUTH
    assert "secret_id may have expired" in agent.stderr
    assert [e.status for e in s.tap.logins()] == [400]
    agent = s.render(S0_14, "--once", env={"VAULT_SECRET_ID": s.vault.secret_id("app")})
    assert agent.wait_exit(5) == 0, agent.stderr


def test_S0_14_expired_secret_id_of_a_daemon(s):
    _s0_14(s)
    agent = s.render(S0_14)
    assert agent.wait_exit(25) == EX_AUTH
    logins = s.tap.logins()
    assert 1 <= len(logins) <= 3, s.tap  # servers lock a role after five
    assert "secret_id may have expired" in agent.stderr


def test_S0_15_bootstrap_credentials_stop_here(s):
    kv_base(s)
    role_id, secret_id = s.vault.approle("app", "kv-reader", token_ttl="10m")
    hidden = {"VAULT_ROLE_ID": role_id, "VAULT_SECRET_ID": secret_id, "VAULT_TOKEN": s.canary("vault-token"),
              "BAO_TOKEN": s.canary("bao-token"), "VAULT_JWT": s.canary("jwt"), "VAULT_PASSWORD": s.canary("password"),
              "BAO_ROLE_ID": s.canary("bao-role"), "BAO_SECRET_ID": s.canary("bao-secret")}
    s.run(f'''
[vault]
address = "@addr@"
[auto_auth.method]
type = "approle"
[env]
VALUE = '{{{{ with secret "kv/data/app" }}}}{{{{ .Data.data.value }}}}{{{{ end }}}}'
[exec]
command = {s.app_toml()}
''', env={**hidden, "MY_OWN": "kept", "VAULT_ADDR": s.tap.url})
    env = s.runlog.wait_starts(1, 5)[0]["env"]
    assert not set(hidden) & set(env)
    assert env["MY_OWN"] == "kept" and env["VAULT_ADDR"] == s.tap.url and env["HOME"] == s.home


@pytest.mark.parametrize("namespace, header", [("", None), ("team-a", "team-a")])
def test_S0_16_namespace(s, namespace, header):
    """Vault of this edition ignores the header; that it is sent with every request is what a client can do."""
    kv_base(s)
    agent = kv_run(s, vault=f'namespace = "{namespace}"', interval="1s")
    s.runlog.wait_starts(1, 5)
    wait_for(lambda: s.tap.count("kv/metadata/app") >= 1, 4, "a refresh")
    assert agent.stop() == 0
    assert s.tap.count() >= 4
    for entry in s.tap.entries():
        if entry.path == "sys/health":  # of the root namespace alone
            continue
        given = {key.lower(): value for key, value in entry.headers.items()}.get("x-vault-namespace")
        assert (given or "").rstrip("/") == (header or "") and (given is None) == (header is None), entry


def test_S0_17_switch_a_kind_off(s):
    s0_base(s)
    s0_run(s, sections=S0_STATIC, more=f'''
[[template]]
destination = "out/dynamic.ini"
enabled = false
contents = \'\'\'{S0_DYNAMIC}\'\'\'
''')
    s.runlog.wait_starts(1, 5)
    observe(1, lambda: None, 0.5)
    assert s.tap.count(S0_CREDS) == 0
    assert s.read("out/dynamic.ini") is None
    assert "[kv]" in s.read("out/config.ini") and section_works(s, "database_static")


def test_S0_22_messages_of_check(s):
    """Five causes, five different lines, each with what to look at."""
    kv_base(s)
    good = s0_22_config(s)

    def check(text, **env):
        agent = s.start("check", "--online", "-c", s.config(text), env=env)
        return agent.wait_exit(20), agent.stdout + agent.stderr

    code, said = check(good)
    assert code == 0, said
    closed = f"127.0.0.1:{free_port()}"
    code, said = check(good.replace("@addr@", f"http://{closed}"))
    assert code == EX_UNAVAILABLE and closed in said and "refused" in said, said
    code, said = check(good, VAULT_SECRET_ID="no-such-secret-id")
    assert code == EX_AUTH and "secret_id" in said, said
    s.vault.policy("kv-reader", "kv/data/other")
    code, said = check(good)
    assert code == EX_AUTH and "kv/data/app" in said and "policy" in said, said
    s.vault.policy("kv-reader", "kv/data/*", "nomount/*")
    code, said = check(good.replace('secret "kv/data/app"', 'secret "nomount/data/app"'))
    assert code == EX_CONFIG and "nomount" in said, said
    code, said = check(good.replace(s.app, "./no-such-program"))
    assert code == 127 and "no-such-program" in said, said


def s0_22_config(s):
    return f'''
[vault]
address = "@addr@"
[auto_auth.method]
type = "approle"
role_id_file_path = "boot/role-id"
secret_id_file_path = "boot/secret-id"
remove_secret_id_file_after_reading = false
[env]
VALUE = '{{{{ with secret "kv/data/app" }}}}{{{{ .Data.data.value }}}}{{{{ end }}}}'
[exec]
command = {s.app_toml()}
'''


def test_S0_26_a_line_for_each_secret_and_no_value(s):
    s0_base(s)
    agent = s.run(s0_toml(s), flags=("--log-level", "debug"))
    s.runlog.wait_starts(1, 5)
    for path in (S0_KV_DATA, S0_CREDS, S0_STATIC_CREDS):
        lines = agent.lines_about(path)
        assert any(word in line for line in lines for word in ("version", "ttl", "lease", "TTL")), agent.stderr
