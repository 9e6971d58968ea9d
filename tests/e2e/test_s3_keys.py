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
    assert agent.lines_about("boot/vault-token", "0644", levels=("warn",)), agent.stderr

    old = s.tap.entries()[0].token
    agent_token(s)
    s.vault.post("auth/token/revoke", {"token": s.token})
    wait_for(lambda: [e for e in s.tap.entries(MINT) if e.token != old and e.status == 200], 14, "a key by the new token")
    wait_for(lambda: key_of(s) != first, 2, "the new key")
    assert s.vault.lookup(key_of(s)) is not None


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
