"""S3, API keys from Vault tokens: what the engine does when minting is refused, late, capped or undone."""
import os
import subprocess

from harness import EX_AUTH, EX_CONFIG, EX_UNAVAILABLE, observe, wait_for
from test_s3_keys import KEY, MINT, S3, key_of, s3_base


def test_S3_07_capped_renewal_means_mint_not_loop(s):
    s3_base(s)
    agent = s.render(S3)
    wait_for(lambda: key_of(s), 5, "the key")
    seen = {key for _, key in observe(24, lambda: key_of(s), 0.1)}
    minted = s.tap.entries(MINT)
    own = minted[0].token
    renewals = [e for e in s.tap.entries("auth/token/renew*") if e.token != own]
    assert len(minted) == len(seen) >= 2, s.tap
    assert len(renewals) <= 2 * len(minted), s.tap
    for key in seen:
        assert key not in agent.stderr


def test_S3_09_hook_output_is_masked(s):
    s3_base(s)
    s.write("hook", '#!/bin/sh\necho "id $(cat out/template.txt) role api-admin"\n', 0o755)
    agent = s.render(S3 + 'command = ["./hook"]\n')
    wait_for(lambda: agent.lines_about("role api-admin"), 5, "the hook's output")
    line = agent.lines_about("role api-admin")[0]
    assert key_of(s) not in str(line) and "id " in str(line)


def test_S3_11_retries_of_the_mint(s):
    s3_base(s)
    s.tap.fail(MINT, 503, n=3)
    s.render(S3)
    wait_for(lambda: key_of(s), 10, "the key")
    assert [e.status for e in s.tap.entries(MINT)] == [503, 503, 503, 200], s.tap


def test_S3_11_no_attempt_of_the_mint_works_once(s):
    s3_base(s)
    s.tap.fail(MINT, 503)
    agent = s.render(S3, "--once")
    assert agent.wait_exit(20) == EX_UNAVAILABLE, agent.stderr
    assert s.tap.count(MINT) == 4, s.tap


def test_S3_12_pid_file(s):
    s3_base(s)
    gone = subprocess.Popen(["true"])
    gone.wait()
    s.write("pidfile", f"{gone.pid}\n")
    agent = s.render('pid_file = "pidfile"\n' + S3)
    wait_for(lambda: key_of(s), 5, "the key")
    assert s.read("pidfile").strip() == str(agent.process.pid)
    assert os.stat(s.path("pidfile")).st_mode & 0o777 in (0o600, 0o644)
    second = s.render('pid_file = "pidfile"\n' + S3.replace("out/template.txt", "out/second.txt"))
    assert second.wait_exit(5) == EX_CONFIG and str(agent.process.pid) in second.stderr, second.stderr
    assert s.read("pidfile").strip() == str(agent.process.pid) and s.read("out/second.txt") is None
    assert agent.stop() == 0
    assert not os.path.exists(s.path("pidfile"))


def test_S3_16_the_default_policy_is_enough_for_a_key(s):
    s3_base(s)
    s.render(S3 + '[lease]\nrevoke_on_exit = true\n')
    key = wait_for(lambda: key_of(s), 5, "the key")
    assert s.vault.raw("POST", "auth/token/renew-self", {}, token=key)[0] == 200
    assert s.vault.raw("POST", "auth/token/revoke-self", {}, token=key)[0] == 204


def test_S3_18_a_compromised_key_is_replaced(s):
    s3_base(s)
    s.vault.token_role("api-admin", orphan=True, token_explicit_max_ttl="0", token_period="10m", token_type="service",
                       allowed_policies="default", disallowed_policies="root")
    s.write("hook", "#!/bin/sh\necho run >>hook.log\n", 0o755)
    s.render(S3 + 'command = ["./hook"]\n[lease]\ncheck_interval = "2s"\n')
    key = wait_for(lambda: key_of(s), 5, "the key")
    wait_for(lambda: s.read("hook.log"), 5, "the hook")
    accessor = s.vault.lookup(key)["accessor"]
    s.vault.revoke_accessor(accessor)
    wait_for(lambda: key_of(s) != key, 4, "another key")
    wait_for(lambda: s.read("hook.log").count("run") == 2, 3, "the hook")
    assert s.vault.lookup(key_of(s)) is not None


def test_S3_19_bound_cidrs_of_our_own_token(s):
    s3_base(s)
    s.vault.token_role("elsewhere", token_bound_cidrs="10.0.0.0/8", allowed_policies="default,admin-role-token-create")
    token = s.vault.post("auth/token/create/elsewhere", {"policies": ["admin-role-token-create"]})["auth"]["client_token"]
    s.write("boot/vault-token", token)
    agent = s.render(S3, "--once")
    assert agent.wait_exit(20) == EX_AUTH, agent.stderr


def test_S3_20_rate_limits_are_obeyed(s):
    s3_base(s)
    s.vault.token_role("api-admin", orphan=True, token_explicit_max_ttl="0", token_period="10m", token_type="service",
                       allowed_policies="default", disallowed_policies="root")
    s.vault.post("sys/quotas/config", {"enable_rate_limit_response_headers": True})
    s.vault.post("sys/quotas/rate-limit/q", {"path": MINT, "rate": 1, "interval": "5s"})
    for n in (2, 3):
        s.write(f"key{n}.tpl", KEY.replace("foo=bar", f"foo={n}"))
    s.render(S3 + "".join(f'[[template]]\nsource = "key{n}.tpl"\ndestination = "out/{n}"\n' for n in (2, 3)))
    wait_for(lambda: key_of(s) and s.read("out/2") and s.read("out/3"), 20, "three keys")
    assert s.tap.count(MINT) <= 6, s.tap


def test_S3_21_answers_of_standbys_are_outages(s):
    s3_base(s)
    agent = s.render(S3)
    key = wait_for(lambda: key_of(s), 5, "the key")
    for status in (472, 473, 503, 412):
        s.tap.fail(MINT, status, n=1)
    wait_for(lambda: key_of(s) != key, 30, "another key")
    assert agent.alive and not agent.lines_about("denied"), agent.stderr


def test_S3_22_what_is_unused_is_revoked(s):
    s3_base(s)
    s.render(S3 + '[lease]\nrevoke_replaced = true\ndrain = "1s"\n')
    key = wait_for(lambda: key_of(s), 5, "the key")
    wait_for(lambda: key_of(s) != key, 14, "the second key")
    wait_for(lambda: s.vault.lookup(key) is None, 4, "the end of the first")
    assert s.vault.lookup(key_of(s)) is not None


def test_S3_35_the_reason_of_a_policy_engine_is_shown(s):
    s3_base(s)
    s.tap.fail(MINT, 403, errors=["denied by the egp: outside of business hours"])
    agent = s.render(S3)
    assert agent.wait_exit(25) == EX_AUTH, agent.stderr
    assert "outside of business hours" in agent.stderr


def test_S3_23_no_fixed_plain_keys(s):
    """Credentials as text, of the configuration and of templates, are warned of; with --strict they are errors."""
    secret_id, token = s.canary("secret-id"), "hvs." + s.canary("token").replace("cnry", "CAESIcnry")
    s.allow("agent.toml", "plain.tpl")
    s.write("plain.tpl", f"token = {token}\n")
    text = f'''
[auto_auth.method]
type = "approle"
role_id = "r"
secret_id = "{secret_id}"
[[template]]
source = "plain.tpl"
destination = "out/x"
'''
    name = s.config(text)
    for flags, code in (((), 0), (("--strict",), EX_CONFIG)):
        agent = s.start("check", "-c", name, *flags)
        assert agent.wait_exit(5) == code, agent.stderr
        assert "secret_id_file_path" in agent.stderr and "out/x" in agent.stderr
        assert secret_id not in agent.stderr and token not in agent.stderr
