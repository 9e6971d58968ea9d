"""S2, dynamic secrets of other kinds than a database's, and incidents that concern many at once."""
import os
import subprocess

from bases import login_files, s2_base, s2_toml
from harness import EX_UNAVAILABLE, observe, wait_for

HEAD = '''
[vault]
address = "@addr@"
[auto_auth.method]
type = "approle"
role_id_file_path = "boot/role-id"
secret_id_file_path = "boot/secret-id"
remove_secret_id_file_after_reading = false
'''


def test_S2_06_all_leases_of_a_prefix_are_revoked(s):
    """Only who uses them is concerned, and each asks once."""
    s2_base(s, ttl="10m", max_ttl="1h")
    for role in ("readonly", "readwrite"):
        text = s2_toml(s, role=role, lease='check_interval = "1s"').replace("run.jsonl", f"{role}.jsonl")
        s.allow(f"{role}.jsonl")
        s.start("run", "-c", s.config(text, name=f"{role}.toml", addr=s.new_tap().url))
    logs = {role: s.run_log(f"{role}.jsonl") for role in ("readonly", "readwrite")}
    for log in logs.values():
        log.wait_starts(1, 8)
    s.vault.post("sys/leases/revoke-prefix/database/creds/readonly")
    logs["readonly"].wait_starts(2, 8)
    observe(2, lambda: None, 0.5)
    asked = {role: lambda role=role: sum(tap.count(f"database/creds/{role}") for tap in s._taps) for role in logs}
    assert len(logs["readwrite"].starts()) == 1 and len(logs["readonly"].starts()) == 2
    assert asked["readonly"]() == 2 and asked["readwrite"]() == 1
    s.vault.post("sys/leases/revoke-prefix/database/creds")
    for role, count in (("readonly", 3), ("readwrite", 2)):
        logs[role].wait_starts(count, 8)
    assert asked["readonly"]() == 3 and asked["readwrite"]() == 2


def test_S2_07_check_online_shows_the_servers_reason(s):
    s.vault.post("sys/mounts/database", {"type": "database"})
    s.vault.policy("app", "database/creds/*", **{"sys/leases/revoke": ["update"]})
    login_files(s, "app", "app", token_ttl="10m")
    text = HEAD + "[env.U]\ncontents = '{{ with secret \"database/creds/readonly\" }}{{ .Data.username }}{{ end }}'\n"
    agent = s.start("run", "-c", s.config(text), "--once", "--", "true")
    assert agent.wait_exit(40) not in (0, None), agent.stderr
    assert "readonly" in agent.stderr


def test_S2_23_a_failed_start_leaves_no_lease(s):
    """The platform starts it again: with new credentials."""
    s2_base(s)
    s.vault.kv2("kv")
    s.vault.policy("app", "database/creds/*", "kv/data/*", **{"sys/leases/revoke": ["update"]})
    text = s2_toml(s) + "[env.MISSING]\ncontents = '{{ with secret \"kv/data/none\" }}{{ .Data.data.x }}{{ end }}'\n" \
                        "[template_config]\nstart_grace = \"2s\"\n"
    agent = s.start("run", "-c", s.config(text), "--once")
    assert agent.wait_exit(20) not in (0, None)
    wait_for(lambda: not s.pg.roles(), 5, "no credentials left")
    s.tap.refuse()
    down = s.start("run", "-c", s.config(text + "[outage]\nstart_timeout = \"2s\"\n"), "--once")
    assert down.wait_exit(15) == EX_UNAVAILABLE, down.stderr
    s.tap.accept()
    s.vault.put("kv/data/none", {"x": s.canary("x")})
    s.start("run", "-c", s.config(text), "--once")
    s.runlog.wait_starts(1, 8)


def test_S2_27_ssh(s):
    """A new one-time password for each start; a signed key that ssh-keygen accepts."""
    s.vault.post("sys/mounts/ssh", {"type": "ssh"})
    s.vault.post("ssh/config/ca", {"generate_signing_key": True})
    s.vault.post("ssh/roles/signed", {"key_type": "ca", "allow_user_certificates": True, "allowed_users": "*", "ttl": "20s",
                                      "default_user": "app", "algorithm_signer": "rsa-sha2-256"})
    s.vault.post("ssh/roles/otp", {"key_type": "otp", "default_user": "app", "cidr_list": "127.0.0.0/8"})
    s.vault.policy("app", **{"ssh/sign/signed": ["create", "update"], "ssh/creds/otp": ["create", "update"],
                             "sys/leases/revoke": ["update"]})
    login_files(s, "app", "app", token_ttl="10m")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", s.path("id")], check=True)
    key = s.read("id.pub").strip()
    text = HEAD + f'''
[template_config]
static_secret_render_interval = "10m"
[[template]]
destination = "out/id-cert.pub"
contents = '{{{{ with secret "ssh/sign/signed" "public_key={key}" }}}}{{{{ .Data.signed_key }}}}{{{{ end }}}}'
[[template]]
destination = "out/otp"
contents = '{{{{ with secret "ssh/creds/otp" "ip=127.0.0.1" }}}}{{{{ .Data.key }}}}{{{{ end }}}}'
'''
    s.render(text)
    wait_for(lambda: s.read("out/id-cert.pub") and s.read("out/otp"), 5, "the files")
    shown = subprocess.run(["ssh-keygen", "-L", "-f", s.path("out/id-cert.pub")], capture_output=True, text=True)
    assert shown.returncode == 0 and "app" in shown.stdout, shown
    assert s.tap.count("ssh/creds/otp") == 1 and s.tap.count("ssh/sign/signed") == 1


def test_S2_28_pki(s):
    """Certificate, key and authority come from one answer, are one pair at each look, and are replaced before their end."""
    s.vault.post("sys/mounts/pki", {"type": "pki"})
    s.vault.post("pki/root/generate/internal", {"common_name": "ca", "ttl": "1h"})
    s.vault.post("pki/roles/web", {"allowed_domains": "localhost", "allow_bare_domains": True, "max_ttl": "20s"})
    s.vault.policy("app", **{"pki/issue/web": ["create", "update"]})
    login_files(s, "app", "app", token_ttl="10m")
    parts = {"cert": ".Data.certificate", "key": ".Data.private_key", "ca": ".Data.issuing_ca"}
    call = '{{ with secret "pki/issue/web" "common_name=localhost" "ttl=20s" }}{{ %s }}{{ end }}'
    s.allow("hook.log")
    s.write("hook", '#!/bin/sh\nopenssl x509 -in out/cert -noout -pubkey >pub1\nopenssl pkey -in out/key -pubout >pub2\n'
                    'cmp pub1 pub2 && openssl verify -CAfile out/ca out/cert >/dev/null && echo pair >>hook.log\n', 0o755)
    s.render(HEAD + "".join(f"[[template]]\ndestination = \"out/{name}\"\ncontents = '{call % what}'\n"
                            + ('command = ["./hook"]\n' if name == "ca" else "") for name, what in parts.items()))
    wait_for(lambda: s.read("out/ca") and s.read("hook.log"), 6, "the files")
    first = s.read("out/cert")

    def pair():
        return subprocess.run(["openssl", "verify", "-CAfile", s.path("out/ca"), s.path("out/cert")],
                              capture_output=True, env={"PATH": os.environ["PATH"]}).returncode == 0
    looks = observe(17, pair, 0.5)
    assert all(good for _, good in looks), looks
    assert s.read("out/cert") != first and 2 <= s.tap.count("pki/issue/web") <= 3, s.tap


def test_S2_32_a_job_without_home_and_terminal(s):
    s2_base(s)
    agent = s.start("run", "-c", s.config(s2_toml(s)), "--once", "--", "true", env={"HOME": None})
    assert agent.wait_exit(10) == 0, agent.stderr
