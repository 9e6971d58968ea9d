"""S3, API keys from Vault tokens: minted by role, with metadata, by an agent that lives on a token file."""
import os

from harness import EX_CONFIG, observe, wait_for, wait_until

KEY = '''{{- with secret "auth/token/create/api-admin" "meta=foo=bar" -}}
{{ .Auth.ClientToken }}
{{- end }}'''
S3 = '''
[vault]
address = "@addr@"
retry.num_retries = 3
[auto_auth.method]
type = "token_file"
token_file_path = "boot/vault-token"
[[template]]
source = "token.tpl"
destination = "out/template.txt"
'''
MINT = "auth/token/create/api-admin"


def s3_base(s, **token):
    s.vault.token_role("api-admin", orphan=True, token_explicit_max_ttl="12s", token_period="12s", token_type="service",
                       allowed_policies="default", disallowed_policies="root")
    s.vault.policy("admin-role-token-create", "auth/token/lookup-self", **{MINT: ["create", "update"]})
    s.token = agent_token(s, **token)
    s.write("token.tpl", KEY)


def agent_token(s, ttl="10m", **more):
    token = s.vault.create_token(policies=["admin-role-token-create"], no_default_policy=True, ttl=ttl, **more)
    s.write("boot/vault-token", token)
    return token


def key_of(s):
    return s.read("out/template.txt")


def test_S3_01_mint_by_role(s):
    s3_base(s)
    s.render(S3)
    key = wait_for(lambda: key_of(s), 5, "the key")
    assert key == key.strip() and key.startswith("hvs.")
    assert [e.method for e in s.tap.entries(MINT)] in (["POST"], ["PUT"]), s.tap
    data = s.vault.lookup(key)
    assert data["role"] == "api-admin" and data["policies"] == ["default"] and data["orphan"] and 0 < data["ttl"] <= 12


def test_S3_02_metadata(s):
    s3_base(s)
    s.render(S3)
    key = wait_for(lambda: key_of(s), 5, "the key")
    assert s.vault.lookup(key)["meta"] == {"foo": "bar"}


def test_S3_03_a_token_that_may_not_renew_itself(s):
    s3_base(s, ttl="40s")
    agent = s.render(S3)
    wait_for(lambda: key_of(s), 5, "the key")
    begin = s.tap.entries()[0].time
    wait_until(begin + 35)
    ours = [e for e in s.tap.entries("auth/token/renew-self") if e.token == s.tap.entries()[0].token]
    assert len(ours) <= 3, s.tap
    assert len(agent.lines_about("token", "renew", levels=("warn", "error"))) <= 1, agent.stderr
    assert s.vault.lookup(key_of(s)) is not None, "minting goes on"
    agent_token(s)
    wait_until(begin + 48)
    assert s.vault.lookup(key_of(s)) is not None and agent.alive, agent.stderr


def test_S3_04_token_file(s):
    s3_base(s)
    s.write("boot/vault-token", f"  {s.token}\n\n", 0o644)
    agent = s.render(S3)
    first = wait_for(lambda: key_of(s), 5, "the key")
    assert s.tap.entries()[0].path == "auth/token/lookup-self" and s.tap.count("auth/token/lookup-self") == 1, s.tap
    assert agent.lines_about("boot/vault-token", "others", levels=("warn",)), agent.stderr

    old = s.tap.entries()[0].token
    agent_token(s)
    s.vault.post("auth/token/revoke", {"token": s.token})
    wait_for(lambda: [e for e in s.tap.entries(MINT) if e.token != old and e.status == 200], 14, "a key by the new token")
    wait_for(lambda: key_of(s) != first, 2, "the new key")
    assert s.vault.lookup(key_of(s)) is not None


def test_S3_04_token_file_replaced(s):
    s3_base(s)
    s.render(S3)
    wait_for(lambda: key_of(s), 5, "the key")
    old = s.tap.entries()[0].token
    agent_token(s)
    wait_for(lambda: [e for e in s.tap.entries("auth/token/lookup-self") if e.token != old and e.status == 200], 12, "the new token")
    since = s.tap.last().time
    wait_for(lambda: [e for e in s.tap.entries(MINT, since=since) if e.token != old and e.status == 200], 12, "a key by the new token")


def test_S3_04_token_file_absent(s):
    s3_base(s)
    os.unlink(s.path("boot/vault-token"))
    agent = s.render(S3)
    assert agent.wait_exit(3) == EX_CONFIG
    assert "boot/vault-token" in agent.stderr
    assert s.tap.count() == 0


def test_S3_06_new_key_before_the_old_ends(s):
    s3_base(s)
    s.render(S3)
    wait_for(lambda: key_of(s), 5, "the key")
    seen = observe(26, lambda: (key_of(s), s.vault.lookup(key_of(s)) is not None), 0.1)
    assert all(valid for _, (_, valid) in seen), [when for when, (_, valid) in seen if not valid]
    assert len({key for _, (key, _) in seen}) >= 3


def test_S3_05_direct_creation_without_a_role(s):
    s3_base(s)
    s.vault.policy("admin-role-token-create", **{"auth/token/create": ["create", "update", "sudo"],
                                                 "auth/token/lookup-self": ["read"]})
    s.write("token.tpl", '{{ with secret "auth/token/create" "policies=default" "ttl=30" "no_parent=true" }}'
                         '{{ .Auth.ClientToken }}{{ end }}')
    s.render(S3)
    key = wait_for(lambda: key_of(s), 5, "the key")
    asked = s.tap.entries("auth/token/create")
    assert len(asked) == 1 and asked[0].body == {"policies": "default", "ttl": "30", "no_parent": "true"}
    data = s.vault.lookup(key)
    assert data["orphan"] and data["policies"] == ["default"] and data["ttl"] <= 30


HOOK = '''#!/bin/sh
{ cat out/template.txt; echo; env; } >>hook.log
'''


def test_S3_08_command_after_render(s):
    s3_base(s)
    s.allow("hook.log")
    s.write("hook", HOOK, 0o755)
    s.render(S3 + 'command = "./hook"\n', env={"VAULT_ADDR": s.tap.url, "VAULT_SECRET_ID": s.canary("bootstrap")})
    wait_for(lambda: s.read("hook.log"), 5, "the hook")
    wait_for(lambda: s.tap.count(MINT) >= 2, 14, "the second key")
    observe(1, lambda: None, 0.5)
    lines = (s.read("hook.log") or "").splitlines()
    keys = [line for line in lines if line.startswith("hvs.")]
    assert len(keys) == s.tap.count(MINT) and keys[-1] == key_of(s)
    assert f"VAULT_ADDR={s.tap.url}" in lines and not [line for line in lines if line.startswith("VAULT_SECRET_ID")]


def test_S3_10_a_hook_that_fails(s):
    s3_base(s)
    s.write("hook", '#!/bin/sh\necho run >>hook.log\ntest "$(wc -l <hook.log)" -ge 3\n', 0o755)
    agent = s.render(S3 + 'command = ["./hook"]\n')
    wait_for(lambda: (s.read("hook.log") or "").count("run") >= 3, 10, "two repetitions")
    assert agent.alive and key_of(s)
    assert agent.lines_about("hook", levels=("warn", "error")), agent.stderr


def test_S3_13_periodic_tokens(s):
    s3_base(s)
    s.vault.token_role("api-admin", orphan=True, token_explicit_max_ttl="0", token_period="6s", token_type="service",
                       allowed_policies="default", disallowed_policies="root")
    s.render(S3)
    key = wait_for(lambda: key_of(s), 5, "the key")
    seen = observe(20, lambda: (key_of(s), s.vault.lookup(key) is not None), 0.5)
    assert all(sample == (key, True) for _, sample in seen)
    minted = s.tap.count(MINT)
    renewals = [e for e in s.tap.entries("auth/token/renew*") if e.status == 200]
    assert minted == 1 and len(renewals) >= 4, s.tap


def test_S3_17_orphans_outlive_us(s):
    """A minted key is a lease like any other: revoked at the end of `run`, kept by `render --once`."""
    s3_base(s)
    agent = s.run(S3 + f"[exec]\ncommand = {s.app_toml()}\n[lease]\nrevoke_on_exit = true\n")
    s.runlog.wait_starts(1, 5)
    key = key_of(s)
    assert s.vault.lookup(key) is not None
    assert agent.stop() == 0
    assert s.vault.lookup(key) is None
    assert s.vault.lookup(s.token) is not None, "the token of a token_file is not ours"


def test_S3_36_swap_without_interruption(s):
    s3_base(s)
    s.run(S3 + f'on_change = "signal:HUP"\n[exec]\ncommand = {s.app_toml("--file", "out/template.txt")}\ndebounce = "100ms"\n')
    app = s.runlog.wait_starts(1, 5)[0]
    told = wait_for(s.runlog.signals, 14, "the signal")
    assert told[0]["signal"] == 1 and told[0]["pid"] == app["pid"] and len(s.runlog.starts()) == 1
    assert told[0]["files"]["out/template.txt"] != app["files"]["out/template.txt"]


def test_S3_37_static_consumers(s):
    s3_base(s)
    same = "".join(f'[[template]]\nsource = "token.tpl"\ndestination = "out/{n}"\n' for n in (2, 3))
    s.write("other.tpl", KEY.replace("foo=bar", "foo=other"))
    s.render(S3 + same + '[[template]]\nsource = "other.tpl"\ndestination = "out/other"\n')
    wait_for(lambda: key_of(s) and s.read("out/2") and s.read("out/3") and s.read("out/other"), 5, "the files")
    assert key_of(s) == s.read("out/2") == s.read("out/3") != s.read("out/other")
    assert s.tap.count(MINT) == 2, s.tap
