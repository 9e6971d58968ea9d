"""S4, Vault on Kubernetes: what the engine does there; the cluster itself is not needed for it."""
import time

from bases import login_files
from harness import EX_CONFIG, observe, wait_for
from test_s4_files import S4, s4_base

DAEMON = S4.replace("exit_after_auth = true\n", "") + '\n[template_config]\nstatic_secret_render_interval = "1s"\n'
API = '''
[[template]]
destination = "out/api"
contents = '{{ with secret "secret/data/myapp/api" }}{{ .Data.data.api_key }}{{ end }}'
'''


def test_S4_03_sidecar_mode(s):
    s4_base(s)
    s.render(DAEMON)
    wait_for(lambda: s.read("out/database"), 5, "the file")
    second = s.canary("second")
    s.vault.put("secret/data/myapp/database", {"username": "admin", "password": second})
    wait_for(lambda: second in s.read("out/database"), 3, "the new password")


def test_S4_05_two_secrets_two_files(s):
    """One that is deleted, or destroyed, leaves the other alone and its own file as it was."""
    expected = s4_base(s)
    key = s.canary("api")
    s.vault.put("secret/data/myapp/api", {"api_key": key})
    agent = s.render(DAEMON + API)
    wait_for(lambda: s.read("out/database") and s.read("out/api"), 5, "the files")
    s.vault.request("DELETE", "secret/data/myapp/api")
    wait_for(lambda: agent.lines_about("myapp/api", levels=("warn", "error")), 5, "a warning")
    s.vault.post("secret/destroy/myapp/api", {"versions": [1]})
    later = s.canary("later")
    s.vault.put("secret/data/myapp/database", {"username": "admin", "password": later})
    wait_for(lambda: later in s.read("out/database"), 4, "the other file")
    assert s.read("out/api") == key and agent.alive and expected


def test_S4_06_variables_that_name_files(s):
    s4_base(s)
    s.run(DAEMON + f'''
[exec]
command = {s.app_toml("--file", "out/database")}
[env]
PLAIN = "x"
''', env={"DATABASE_URL": "file:///vault/secrets/database"})
    app = s.runlog.wait_starts(1, 5)[0]
    assert app["env"]["DATABASE_URL"] == "file:///vault/secrets/database" and app["files"]["out/database"]


def test_S4_10_a_child_token_dies_with_ours(s):
    """service-a has its own paths alone; a token it made is its child, and is made again after a new login."""
    s.vault.kv2("secret")
    for name in ("a", "b"):
        s.vault.put(f"secret/data/service-{name}/x", {"value": s.canary(name)})
    s.vault.policy("service-a-policy", "secret/data/service-a/*", **{"auth/token/create": ["create", "update"]})
    login_files(s, "service-a", "service-a-policy", token_ttl="6s", token_max_ttl="6s")
    agent = s.render(DAEMON[:DAEMON.index("[[template]]")] + '''
[[template]]
destination = "out/a"
contents = '{{ with secret "secret/data/service-a/x" }}{{ .Data.data.value }}{{ end }}'
[[template]]
destination = "out/child"
contents = '{{ with secret "auth/token/create" "policies=default" "ttl=1h" }}{{ .Auth.ClientToken }}{{ end }}'
[[template]]
destination = "out/b"
contents = '{{ with secret "secret/data/service-b/x" }}{{ .Data.data.value }}{{ end }}'
[[secret]]
path = "secret/data/service-b/x"
optional = true
defaults = { value = "none" }
''')
    wait_for(lambda: s.read("out/a") and s.read("out/child") and s.read("out/b"), 8, "the files")
    assert s.read("out/b") == "none"
    child = s.read("out/child")
    wait_for(lambda: s.read("out/child") != child, 12, "another child token")
    wait_for(lambda: s.vault.lookup(child) is None, 10, "the end of the first")
    wait_for(lambda: s.vault.lookup(s.read("out/child")) is not None, 3, "a living one")
    assert agent.alive


def test_S4_14_wrong_mounts_and_paths_have_their_own_hints(s):
    s4_base(s)
    s.vault.policy("myapp-policy", "secret/data/myapp/*", "nomount/*", "sys/internal/ui/mounts/*")
    outputs = set()
    for path in ("nomount/data/x", "secret/data/myapp/none"):
        s.write("boot/secret-id", s.vault.secret_id("myapp"))
        agent = s.render(S4.replace("secret/data/myapp/database", path), "--once")
        assert agent.wait_exit(40) not in (0, None)
        assert path.split("/")[-1] in agent.stderr
        outputs.add(agent.events("error")[-1]["message"] if agent.events("error") else agent.stderr.splitlines()[-1])
    assert len(outputs) == 2, outputs


def test_S4_19_a_server_that_has_forgotten_all(s):
    """In memory, started again: one login, values compared, the program left alone where they are equal."""
    s4_base(s)
    values = {"username": "admin", "password": s.canary("same")}
    s.vault.put("secret/data/myapp/database", values)
    s.run(DAEMON + f"[exec]\ncommand = {s.app_toml()}\n")
    s.runlog.wait_starts(1, 5)
    logins = len(s.tap.logins())
    s.vault.restart()
    s.vault.kv2("secret")
    s.vault.put("secret/data/myapp/database", values)
    s.vault.policy("myapp-policy", "secret/data/myapp/*")
    s.vault.post("sys/auth/approle", {"type": "approle"})
    role = s.read("boot/role-id").strip()
    s.vault.post("auth/approle/role/myapp", {"token_policies": "myapp-policy", "token_ttl": "20s"})
    s.vault.post("auth/approle/role/myapp/role-id", {"role_id": role})
    s.write("boot/secret-id", s.vault.secret_id("myapp"))
    begin = time.monotonic()
    wait_for(lambda: [e for e in s.tap.entries("secret/data/*", since=begin) if e.status == 200], 25, "a look with the new token")
    observe(2, lambda: None, 0.5)
    assert len([e for e in s.tap.logins() if e.status == 200]) == logins + 1, s.tap
    assert len(s.runlog.starts()) == 1, "equal values restart nothing"


def test_S4_27_logs_to_the_platform(s):
    s4_base(s)
    agent = s.run(DAEMON + f"[exec]\ncommand = [\"/bin/sh\", \"-c\", \"echo child-out; echo child-err >&2; sleep 30\"]\n",
                  flags=["--log-format", "json"])
    wait_for(lambda: "child-out" in agent.stdout and "child-err" in agent.stderr, 5, "the program's lines")
    assert agent.stdout == "child-out\n"
    assert "child-err" in agent.stderr.splitlines()
    for event in agent.events():
        assert event["time"].endswith("Z") and len(event["time"].split(".")[1]) == 4, event


def test_S4_36_values_are_kept_as_they_are(s):
    s4_base(s)
    s.vault.post("secret/data/myapp/database", {"data": {"username": "a_b-1", "password": "p", "port": 5432, "text": "5432"}})
    agent = s.render(S4[:S4.index("[[template]]")] + '''
[[template]]
destination = "out/all"
contents = '{{ with secret "secret/data/myapp/database" }}{{ .Data.data.username }} {{ .Data.data.port }} {{ .Data.data.text }}{{ end }}'
''')
    assert agent.wait_exit(5) == 0, agent.stderr
    assert s.read("out/all") == "a_b-1 5432 5432"


def test_S4_04_the_mount_of_the_login_may_end_with_a_slash(s):
    s4_base(s)
    s.vault.post("sys/auth/approle-b", {"type": "approle"})
    s.vault.post("auth/approle-b/role/myapp", {"token_policies": "myapp-policy", "token_ttl": "20s"})
    s.write("boot/role-id", s.vault.get("auth/approle-b/role/myapp/role-id")["data"]["role_id"])
    s.write("boot/secret-id", s.vault.post("auth/approle-b/role/myapp/secret-id")["data"]["secret_id"])
    for number, mount in enumerate(("auth/approle-b/", "approle-b")):
        text = S4.replace('type = "approle"', f'type = "approle"\nmount_path = "{mount}"\nremove_secret_id_file_after_reading = false')
        agent = s.render(text.replace("out/database", f"out/{number}"))
        assert agent.wait_exit(5) == 0, agent.stderr
        assert s.tap.logins()[-1].path == "auth/approle-b/login"


def test_S4_13_dynamic_credentials_are_name_and_password_alone(s):
    s4_base(s)
    s.vault.database(s.pg)
    s.vault.dynamic("app-role", "1h", "24h")
    s.vault.policy("myapp-policy", "secret/data/myapp/*", "database/creds/app-role")
    agent = s.render(S4[:S4.index("[[template]]")] + '''
[[template]]
destination = "out/keys"
contents = '{{ with secret "database/creds/app-role" }}{{ range $k, $v := .Data }}{{ $k }} {{ end }}{{ end }}'
''')
    assert agent.wait_exit(5) == 0, agent.stderr
    assert s.read("out/keys").split() == ["password", "username"]


def test_S4_11_a_login_for_people_is_refused_with_a_hint(s):
    s4_base(s)
    agent = s.render(S4.replace('type = "approle"', 'type = "oidc"'))
    assert agent.wait_exit(3) == EX_CONFIG and "jwt" in agent.stderr, agent.stderr
