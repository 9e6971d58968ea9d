"""S4, Vault on Kubernetes: what needs no cluster."""
import os

from bases import login_files
from harness import EX_CONFIG, wait_for

S4 = '''
exit_after_auth = true
pid_file = "pidfile"
[vault]
address = "@addr@"
[auto_auth.method]
type = "approle"
role_id_file_path = "boot/role-id"
secret_id_file_path = "boot/secret-id"
[[template]]
destination = "out/database"
contents = \'\'\'
{{ with secret "secret/data/myapp/database" }}
DATABASE_USERNAME={{ .Data.data.username }}
DATABASE_PASSWORD={{ .Data.data.password }}
{{ end }}\'\'\'
'''


def s4_base(s):
    s.vault.kv2("secret")
    values = {"username": "admin", "password": s.canary("password")}
    s.vault.put("secret/data/myapp/database", values)
    s.vault.policy("myapp-policy", "secret/data/myapp/*")
    login_files(s, "myapp", "myapp-policy", token_ttl="20s")
    return f"\nDATABASE_USERNAME=admin\nDATABASE_PASSWORD={values['password']}\n"


def test_S4_01_env_file_from_kv(s):
    """TOML drops the first line feed after the quotes; the blank lines of the template stay."""
    expected = s4_base(s)
    agent = s.render(S4)
    assert agent.wait_exit(5) == 0, agent.stderr
    assert s.read("out/database") == expected


def test_S4_02_exit_after_auth(s):
    s4_base(s)
    agent = s.render(S4)
    assert agent.wait_exit(5) == 0, agent.stderr
    assert len(s.tap.logins()) == 1 and s.tap.count("secret/data/myapp/database") == 1
    assert not s.tap.count("*revoke*") and not os.path.exists(s.path("pidfile"))


def test_S4_02_exit_after_auth_with_a_program_is_refused(s):
    s4_base(s)
    agent = s.run(S4 + f"[exec]\ncommand = {s.app_toml()}\n")
    assert agent.wait_exit(3) == EX_CONFIG
    assert "exit_after_auth" in agent.stderr and s.tap.count() == 0


def test_S4_08_least_privilege(s):
    """No right to see mounts or versions; a path without data/ works, too."""
    expected = s4_base(s)
    agent = s.render(S4.replace("secret/data/myapp/database", "secret/myapp/database"))
    assert agent.wait_exit(5) == 0, agent.stderr
    assert s.read("out/database") == expected


def test_S4_12_vault_token(s):
    expected = s4_base(s)
    text = S4[:S4.index("[auto_auth.method]")] + S4[S4.index("[[template]]"):]
    token = s.vault.create_token(policies=["myapp-policy"], ttl="6s")
    s.render(text.replace("exit_after_auth = true", ""), env={"VAULT_TOKEN": token})
    wait_for(lambda: s.read("out/database") == expected, 5, "the file")
    wait_for(lambda: [e for e in s.tap.entries("auth/token/renew-self") if e.status == 200], 6, "a renewal")
