"""Other people's clients through the listener, in front of the real server: each does the same steps directly, through keybearer (TCP and
unix socket) and through another proxy, with a token of its own and without one. What comes out must be the same; what is keybearer's own
token must be in none of it (point 60 of the check-list, and 1, 2, 13, 21)."""
import contextlib
import json
import os
import signal
import subprocess
import time

import pytest
import requests

import proxy_clients
from harness import free_port, wait_for
from harness.stub import Front
from proxy_clients import CLIENTS, Access, bao, hvac_client, in_one_form, peer

# Vault's own proxy, and OpenBao's.
OTHERS = {"vault": lambda: [os.path.join(peer("proxy"), "vaultproxy")], "bao": lambda: [bao(), "proxy"]}
EVERY = ["create", "read", "update", "patch", "delete", "list"]
BOTH = '[[listener]]\naddress = "127.0.0.1:PORT"\n[[listener]]\ntype = "unix"\naddress = "FOLDER/s"\n'


class World:
    """A server with something of everything, keybearer before it, and another proxy when it is asked for."""

    def __init__(self, s, directory, namespace=""):
        self.s, self.directory, self.namespace = s, directory, namespace
        s.budget = False  # the requests are the clients'
        vault = s.vault.namespace(namespace) if namespace else s.vault
        vault.kv2("kv")
        vault.kv1("kv1")
        vault.put("kv/data/app", {"value": s.canary("kv")})
        vault.post("sys/mounts/transit", {"type": "transit"})
        vault.post("transit/keys/k")
        vault.database(s.pg)
        vault.dynamic("readonly", "60s", "10m")
        vault.policy("client", **{path: EVERY for path in ("kv/*", "kv1/*", "transit/*", "nothing/*")},
                     **{"database/creds/*": ["read"], **{f"sys/{verb}{rest}": ["update"] for verb in ("leases/renew", "leases/revoke", "renew", "revoke")
                                                         for rest in ("", "/*")}})
        for name, content in zip(("role-id", "secret-id"), vault.approle("app", "client", token_ttl="20m")):
            s.write(f"boot/{name}", content)
        self.role = vault.approle("person", "client", token_ttl="5m")
        self.own_token = vault.post("auth/token/create", {"policies": ["client"], "ttl": "20m"})["auth"]["client_token"]
        self.direct = f"http://127.0.0.1:{s.vault.port}"
        self.front = None
        self.close_with = contextlib.ExitStack()

    def start(self, config="", listener=BOTH):
        login = (f'namespace = "{self.namespace}"\n[auto_auth.method]\ntype = "approle"\nrole_id_file_path = "{self.s.path("boot/role-id")}"\n'
                 f'secret_id_file_path = "{self.s.path("boot/secret-id")}"\nremove_secret_id_file_after_reading = false\n')
        self.front = Front(self.directory, None, listener=listener, config=config, address=self.s.tap.url, login=login)
        self.close_with.callback(self.front.close)
        [entry] = wait_for(lambda: [e for e in self.s.tap.logins() if e.reply], 10, lambda: self.front.log)
        if "127.0.0.1:PORT" in listener:
            wait_for(lambda: self.front.get("/readyz").status == 200, 10)
        self.secret = {entry.reply["auth"]["client_token"], entry.reply["auth"]["accessor"]}
        return self.front

    @property
    def address(self):
        return f"http://127.0.0.1:{self.front.port}"

    @property
    def socket(self):
        return f"unix://{self.directory}/s"

    def other_proxy(self, mode="true", kind="vault", more=""):
        """Another's proxy in front of the same server."""
        port = free_port()
        path = os.path.join(self.directory, f"{kind}.hcl")
        with open(path, "w", encoding="ascii") as file:
            file.write(f'vault {{ address = "{self.direct}" }}\nauto_auth {{ method "approle" {{ config = {{\n'
                       f'role_id_file_path = "{self.s.path("boot/role-id")}"\nsecret_id_file_path = "{self.s.path("boot/secret-id")}"\n'
                       f'remove_secret_id_file_after_reading = false }} }} }}\napi_proxy {{ use_auto_auth_token = {mode} }}\n'
                       f'listener "tcp" {{\naddress = "127.0.0.1:{port}"\ntls_disable = true }}\n{more}\n')
        with open(os.path.join(self.directory, f"{kind}.log"), "wb") as log:
            process = subprocess.Popen([*OTHERS[kind](), "-config", path], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                       env={"PATH": os.environ["PATH"], "HOME": str(self.directory)})
        self.close_with.callback(process.wait)
        self.close_with.callback(process.kill)
        address = f"http://127.0.0.1:{port}"

        def logged_in():
            with contextlib.suppress(Exception):
                return hvac_client(Access(address)).auth.token.lookup_self()
        wait_for(logged_in, 30, "the other proxy")
        return address

    def access(self, address, own):
        return Access(address, self.own_token if own else "", self.role, self.namespace)

    def run(self, client, address, own):
        steps = CLIENTS[client](self.access(address, own))
        for secret in getattr(self, "secret", ()):
            assert secret not in json.dumps(steps), "keybearer's own token came out"
        return in_one_form(steps, self.own_token if own else "")

    def close(self):
        with self.close_with:
            if self.front:
                log = self.front.log
                assert self.front.stop() == 0 and "agent.bug" not in log
                assert not self.s.canaries.hits(log.encode())


@pytest.fixture
def world(s, tmp_path):
    made = World(s, tmp_path)
    yield made
    made.close()


# --- the same client, directly and through keybearer -------------------------------------------------------------------------------------

SURE = {"kv2_write": True, "kv2_read": {"value": "first"}, "kv1_read": {"value": "one"}}


@pytest.mark.parametrize("client", CLIENTS)
def test_60_a_client_sees_no_difference(world, client):
    """With a token of its own: exactly what it sees directly. Without one: the same but for who it is, as from another proxy."""
    wanted = world.run(client, world.direct, own=True)
    assert {key: wanted[key] for key in SURE} == SURE and wanted["self"] == {"id": "own", "accessor": True, "path": "auth/token/create"}, wanted
    world.start()
    assert world.run(client, world.address, own=True) == wanted
    # Every request of the client's own went up with its own token; logins with none of keybearer's.
    own_token = world.s.tap.entries("kv/data/client/a")[0].token
    assert {e.token for e in world.s.tap.entries("kv1/*")} == {own_token}
    assert {e.token for e in world.s.tap.entries("auth/token/renew-self")} == {own_token}
    got = world.run(client, world.address, own=False)
    assert got["self"] == {"id": "", "accessor": False, "path": "auth/approle/login"}, got["self"]
    assert got["renew_self"] == {"id": "", "lasts": True}
    for name in wanted:
        if name not in ("self", "renew_self"):
            assert got[name] == wanted[name], name
    if client in ("hvac", "go", "curl"):
        assert world.run(client, world.socket, own=True) == wanted
        assert world.run(client, world.socket, own=False) == got
        for kind in OTHERS:
            assert world.run(client, world.other_proxy(kind=kind), own=False) == got, kind


# --- what is not a library ---------------------------------------------------------------------------------------------------------------

TEMPLATE = '''
vault {{
  address = "{address}"
  renew_token = false
  default_lease_duration = "1s"
  retry {{ attempts = 3 }}
}}
template {{
  contents = "{{{{ with secret \\"kv/data/app\\" }}}}{{{{ .Data.data.value }}}}{{{{ end }}}} {{{{ with secret \\"kv1/b\\" }}}}{{{{ .Data.value }}}}{{{{ end }}}}"
  destination = "{directory}/rendered"
}}
template {{
  contents = "{{{{ with secret \\"database/creds/readonly\\" }}}}{{{{ .Data.username }}}} {{{{ .Data.password }}}}{{{{ end }}}}"
  destination = "{directory}/creds"
}}
template {{
  contents = "{{{{ range secrets \\"kv/metadata/\\" }}}}{{{{ . }}}} {{{{ end }}}}"
  destination = "{directory}/list"
}}
'''


@contextlib.contextmanager
def consul_template(world, address, name):
    directory = os.path.join(world.directory, name)
    os.mkdir(directory)
    with open(f"{directory}/ct.hcl", "w", encoding="ascii") as file:
        file.write(TEMPLATE.format(address=address, directory=directory))
    with open(f"{directory}/log", "w+", encoding="utf-8") as log:
        process = subprocess.Popen([os.path.join(peer("go"), "consul-template"), "-config", f"{directory}/ct.hcl", "-log-level", "info"],
                                   stdout=log, stderr=log, env={"PATH": os.environ["PATH"], "HOME": directory})

        def read(part):
            with contextlib.suppress(FileNotFoundError), open(f"{directory}/{part}", encoding="utf-8") as file:
                return file.read()
        try:
            yield read
        finally:
            process.send_signal(signal.SIGINT)  # what ends it
            process.wait(20)


def test_60_consul_template_without_a_token(world):
    s = world.s
    s.vault.post("kv1/b", {"value": "one"})
    world.start(config="[cache]\n")
    first = s.vault.get("kv/data/app")["data"]["data"]["value"]
    with consul_template(world, world.address, "tcp") as read:
        wait_for(lambda: read("rendered") == f"{first} one" and read("creds") and read("list"), 20, lambda: read("log"))
        user, password = read("creds").split()
        assert s.pg.works(user, password) and "app" in read("list").split()
        second = s.canary("kv-second")
        s.vault.put("kv/data/app", {"value": second})
        wait_for(lambda: read("rendered") == f"{second} one", 20, lambda: read("log"))
        assert "[ERR]" not in read("log") and not any(secret in read("log") for secret in world.secret)
    own = s.tap.entries("database/creds/readonly")
    assert {e.token for e in own} == {s.tap.entries("kv/data/app")[0].token}
    # Side by side: the same from the other proxy.
    for kind in OTHERS:
        with consul_template(world, world.other_proxy(kind=kind), kind) as read:
            wait_for(lambda: read("rendered") == f"{second} one" and read("list"), 20, lambda: read("log"))
            wanted = read("list")
    with consul_template(world, world.socket, "unix") as read:
        wait_for(lambda: read("rendered") == f"{second} one" and read("list") == wanted, 20, lambda: read("log"))


NGINX = '''
daemon off;
error_log {directory}/nginx.log;
pid {directory}/nginx.pid;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {directory}/a; proxy_temp_path {directory}/b; fastcgi_temp_path {directory}/c; uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://unix:{directory}/s:; }} }}
  server {{ listen 127.0.0.1:{other}; location / {{ proxy_pass http://unix:{directory}/s:; proxy_set_header X-Forwarded-For $remote_addr; }} }}
}}
'''


def test_60_nginx_before_the_unix_socket(world, tmp_path):
    """Where nginx opens the socket to others: HTTP/1.0 with Connection: close, and what it does not say it does not add."""
    for parent in (tmp_path, *tmp_path.parents):
        if str(parent).startswith("/tmp/"):
            os.chmod(parent, 0o755)  # nginx' workers are another user
    wanted = world.run("hvac", world.direct, own=True)
    world.start(listener='[[listener]]\ntype = "unix"\naddress = "FOLDER/s"\nsocket_mode = "0666"\n')
    port, other = free_port(), free_port()
    (tmp_path / "nginx.conf").write_text(NGINX.format(directory=tmp_path, port=port, other=other))
    process = subprocess.Popen(["nginx", "-e", tmp_path / "nginx.log", "-c", tmp_path / "nginx.conf"])
    try:
        def answers():
            with contextlib.suppress(Exception):
                return hvac_client(Access(f"http://127.0.0.1:{port}")).sys.read_health_status(method="GET")
        wait_for(answers, 10, lambda: (tmp_path / "nginx.log").read_text())
        assert world.run("hvac", f"http://127.0.0.1:{port}", own=True) == wanted
        assert world.run("hvac", f"http://127.0.0.1:{port}", own=False)["self"]["id"] == ""
        # Who says that there is somebody behind it is refused: whose token would that be?
        client = hvac_client(Access(f"http://127.0.0.1:{other}"))
        with pytest.raises(Exception, match="came through another proxy"):
            client.secrets.kv.v2.read_secret_version("app", mount_point="kv")
    finally:
        process.terminate()
        process.wait(20)


def test_60_a_client_that_does_not_send_the_header_is_told(world):
    """node-vault has no X-Vault-Request of its own: 412 with the reason, and require_request_header = false or a unix socket lets it in."""
    world.start()
    steps = proxy_clients.run_node(world.access(world.address, own=False), MARKER="no")
    assert steps["kv2_read"] == {"status": 412, "errors": ["keybearer: missing the header X-Vault-Request: true"]}
    world.front.write(listener='[[listener]]\naddress = "127.0.0.1:PORT"\nrequire_request_header = false\n')
    world.front.reload()
    steps = proxy_clients.run_node(world.access(world.address, own=False), MARKER="no")
    assert steps["kv2_read"] == {"value": "first"} and steps["self"]["id"] == "" and world.secret.isdisjoint(json.dumps(steps).split('"'))


def test_13_a_namespace_is_passed_on_and_means_the_same(world):
    for client in ("go", "hvac"):
        access = Access(world.direct, world.own_token, world.role, "team/a")
        wanted = in_one_form(CLIENTS[client](access), world.own_token)
        if not world.front:
            world.start()
        access.address = world.address
        assert in_one_form(CLIENTS[client](access), world.own_token) == wanted
    assert {e.headers.get("X-Vault-Namespace", "").rstrip("/") for e in world.s.tap.entries("kv1/*")} == {"team/a"}


# --- side by side: what others give away -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", OTHERS)
def test_01_what_another_proxy_gives_away(world, kind):
    """The ways by which a client gets the token of the other proxy (in front of the same server); none works here."""
    world.s.vault.policy("client", **{"auth/token/*": ["create", "read", "update", "list", "sudo"], "kv/*": ["read"]})
    theirs = world.other_proxy(kind=kind)
    world.start()

    def ways(address):
        client = hvac_client(Access(address))
        found = {}

        def wrapped():
            token = client.adapter.get("/v1/auth/token/lookup-self", wrap_ttl="60s")["wrap_info"]["token"]
            return hvac_client(Access(address), token).sys.unwrap()

        for name, do in (("wrapped", wrapped), ("by a slash", lambda: client.adapter.get("/v1/auth/token/lookup-self/")),
                         ("by an empty look-up", lambda: client.adapter.post("/v1/auth/token/lookup", json={}))):
            try:
                answer = do()
                answer = answer if isinstance(answer, dict) else answer.json()
                found[name] = (answer.get("data") or {}).get("id") or ""
            except Exception as error:
                found[name] = f"refused: {error}"
        return found
    leaks = {name: got for name, got in ways(theirs).items() if got.startswith("hvs.")}
    print("the other proxy gives its token away:", sorted(leaks))
    for name, got in ways(world.address).items():
        assert "hvs." not in got, name
    # And it is theirs that works for anybody.
    for token in leaks.values():
        assert hvac_client(Access(world.direct), token).secrets.kv.v2.read_secret_version("app", mount_point="kv")


REVOKE = [("sys/leases/revoke/{}", None), ("sys/revoke", {"lease_id": "{}"}), ("sys/leases/revoke", {"lease_id": "{}", "sync": False})]


@pytest.mark.parametrize("kind", OTHERS)
def test_35_what_another_proxy_serves_after_a_revocation(world, kind):
    """The same requests through each cache: whether a credential that was revoked there is served afterwards."""
    theirs = world.other_proxy(kind=kind, more="cache { }")
    world.start(config="[cache]\n")

    def ask(address, method, path, body=None):
        answer = requests.request(method, f"{address}/v1/{path}", json=body, headers={"X-Vault-Request": "true"}, timeout=20)
        assert answer.status_code < 300, answer.text
        return answer

    def dead_served(address, path, body):
        first = ask(address, "GET", "database/creds/readonly").json()["lease_id"]
        again = ask(address, "GET", "database/creds/readonly")
        assert (again.json()["lease_id"], again.headers["X-Cache"]) == (first, "HIT")
        ask(address, "PUT", path.format(first), body and {**body, "lease_id": first})
        answer = ask(address, "GET", "database/creds/readonly")
        served = answer.json()["lease_id"] == first
        assert answer.headers["X-Cache"] == ("HIT" if served else "MISS")
        if served:  # so that the next row begins without it
            ask(address, "PUT", "sys/leases/revoke", {"lease_id": first})
        return served
    print(f"{kind} serves a dead credential after:", [path for path, body in REVOKE if dead_served(theirs, path, body)])
    for path, body in REVOKE:
        assert not dead_served(world.address, path, body), path


@pytest.mark.parametrize("kind", OTHERS)
def test_22_another_proxy_lets_its_clients_wait(world, kind):
    """A server that is away: the cause at once, where others let the client wait."""
    world.start()
    theirs = world.other_proxy(kind=kind)
    world.s.tap.refuse()
    begin = time.monotonic()
    ours = world.front.get("/v1/kv/data/app")
    took = time.monotonic() - begin
    assert ours.status == 502 and "connection refused" in ours.errors[0] and ours.header("X-Keybearer-Error") == "upstream"
    world.s.vault.kill()
    print(f"keybearer: {took:.2f} s, {ours.errors[0]}")
    assert took < 1.5
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.get(f"{theirs}/v1/kv/data/app", headers={"X-Vault-Request": "true"}, timeout=3)
