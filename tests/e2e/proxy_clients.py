"""Other people's clients, each with the same steps: what came of them, in one form. ../peers/README.md tells of the steps."""
import functools
import json
import os
import socket
import subprocess
import tempfile

import hvac
import requests
import urllib3

PEERS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "peers")


@functools.cache
def peer(part):
    """The directory of a part of tests/peers, built once."""
    return subprocess.run([os.path.join(PEERS, "build"), part], stdout=subprocess.PIPE, check=True, text=True).stdout.strip()


def bao():
    """The program `bao`: a command line and a proxy that others have."""
    return os.environ["KEYBEARER_OPENBAO"]


class Access:
    """Where a client asks, and as whom: token "" is none of its own."""

    def __init__(self, address, token="", role=("", ""), namespace=""):
        self.address, self.token, self.role, self.namespace = address, token, role, namespace

    def environment(self):
        env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "VAULT_ADDR": self.address, "ROLE_ID": self.role[0],
               "SECRET_ID": self.role[1], "VAULT_TOKEN": self.token, "VAULT_NAMESPACE": self.namespace}
        return {key: value for key, value in env.items() if value}


# --- hvac --------------------------------------------------------------------------------------------------------------------------------

class _UnixPool(urllib3.HTTPConnectionPool):
    def __init__(self, path):
        super().__init__("localhost")
        self.path = path

    def _new_conn(self):
        connection = urllib3.connection.HTTPConnection("localhost")
        path = self.path

        def connect():
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.connect(path)
        connection.connect = connect
        return connection


class UnixAdapter(requests.adapters.HTTPAdapter):
    """What hvac's users put into a session for a unix socket."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def get_connection(self, url, proxies=None):
        return _UnixPool(self.path)

    def get_connection_with_tls_context(self, request, verify, proxies=None, cert=None):
        return _UnixPool(self.path)

    def request_url(self, request, proxies):
        return request.path_url


def hvac_client(access, token=None):
    session = requests.Session()
    address = access.address
    if address.startswith("unix://"):
        session.mount("http://", UnixAdapter(address[7:]))
        address = "http://localhost"
    return hvac.Client(url=address, token=token if token is not None else access.token or None, namespace=access.namespace or None,
                       session=session)


def run_hvac(access):
    steps = {}

    def step(name, do):
        try:
            steps[name] = do()
        except hvac.exceptions.VaultError as error:
            text = getattr(error, "text", "") or ""
            steps[name] = {"kind": type(error).__name__, "errors": json.loads(text)["errors"] if text.startswith("{") else error.errors}
    client = hvac_client(access)
    kv2, kv1 = client.secrets.kv.v2, client.secrets.kv.v1
    step("kv2_write", lambda: kv2.create_or_update_secret("client/a", {"value": "first"}, mount_point="kv")["data"]["version"] > 0)
    step("kv2_read", lambda: kv2.read_secret_version("client/a", mount_point="kv")["data"]["data"])
    step("kv2_patch", lambda: kv2.patch("client/a", {"more": "second"}, mount_point="kv") and
         kv2.read_secret_version("client/a", mount_point="kv")["data"]["data"])
    step("kv2_list", lambda: kv2.list_secrets("client", mount_point="kv")["data"]["keys"])
    step("kv2_missing", lambda: kv2.read_secret_version("client/none", mount_point="kv"))
    step("kv2_delete", lambda: kv2.delete_metadata_and_all_versions("client/a", mount_point="kv").status_code)
    step("kv1_write", lambda: kv1.create_or_update_secret("client/b", {"value": "one"}, mount_point="kv1").status_code)
    step("kv1_read", lambda: kv1.read_secret("client/b", mount_point="kv1")["data"])
    step("kv1_list", lambda: kv1.list_secrets("client", mount_point="kv1")["data"]["keys"])
    step("kv1_delete", lambda: kv1.delete_secret("client/b", mount_point="kv1").status_code)
    step("denied", client.sys.list_auth_methods)
    step("no_mount", lambda: client.read("nothing/here"))
    step("wrong_token", lambda: hvac_client(access, "wrong").secrets.kv.v2.read_secret_version("app", mount_point="kv"))

    def transit():
        sealed = client.secrets.transit.encrypt_data("k", "dGV4dA==")["data"]["ciphertext"]
        return client.secrets.transit.decrypt_data("k", sealed)["data"]["plaintext"] == "dGV4dA=="
    step("transit", transit)
    lease = [""]

    def dynamic():
        answer = client.secrets.database.generate_credentials("readonly")
        lease[0] = answer["lease_id"]
        return {**answer["data"], "renewable": answer["renewable"]}
    step("dynamic", dynamic)
    step("lease_renew", lambda: client.sys.renew_lease(lease[0], 60)["lease_id"] == lease[0])
    step("lease_revoke", lambda: client.sys.revoke_lease(lease[0]).status_code)

    def self(of):
        data = of.auth.token.lookup_self()["data"]
        return {"id": data.get("id", ""), "accessor": "accessor" in data, "path": data["path"]}
    step("self", lambda: self(client))
    step("renew_self", lambda: {"id": (auth := client.auth.token.renew_self()["auth"])["client_token"], "lasts": auth["lease_duration"] > 0})

    def wrap():
        wrapped = client.adapter.get("/v1/kv/data/app", wrap_ttl="60s")["wrap_info"]["token"]
        return client.sys.unwrap(wrapped)["data"]["data"]
    step("wrap", wrap)

    def login():
        own = client.auth.approle.login(*access.role, use_token=False)["auth"]["client_token"]
        mine = hvac_client(access, own)
        seen = self(mine)
        mine.auth.token.revoke_self()
        try:
            mine.secrets.kv.v2.read_secret_version("app", mount_point="kv")
            gone = False
        except hvac.exceptions.Forbidden:
            gone = True
        return {"own_id": seen["id"] == own and seen["accessor"], "gone": gone}
    step("login", login)
    return steps


# --- programs that print their steps -----------------------------------------------------------------------------------------------------

def run_program(access, *command, **env):
    done = subprocess.run(command, env={**access.environment(), **env}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def run_go(access):
    return run_program(access, os.path.join(peer("go"), "vaultclient"))


def run_java(access):
    java = peer("java")
    return run_program(access, "java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-cp", f"{java}/driver.jar:{java}",
                       "VaultClient")


def run_node(access, **env):
    return run_program(access, "node", os.path.join(PEERS, "node", "client.mjs"), NODE_MODULES=peer("node"), **env)


# --- command lines -----------------------------------------------------------------------------------------------------------------------

def run_curl(access):
    steps = {}

    def ask(method, path, body=None, token=None, headers=()):
        command = ["curl", "-sS", "--max-time", "20", "-X", method, "-w", "\n%{http_code}", "-H", "X-Vault-Request: true"]
        address = access.address
        if address.startswith("unix://"):
            command += ["--unix-socket", address[7:]]
            address = "http://localhost"
        if token or access.token:
            command += ["-H", f"X-Vault-Token: {token or access.token}"]
        if access.namespace:
            command += ["-H", f"X-Vault-Namespace: {access.namespace}"]
        for header in headers:
            command += ["-H", header]
        if body is not None:
            command += ["--data", json.dumps(body)]
        done = subprocess.run([*command, f"{address}/v1/{path}"], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        content, _, status = done.stdout.rpartition("\n")
        return int(status), json.loads(content) if content else None

    def step(name, pick, *args, **more):
        status, answer = ask(*args, **more)
        steps[name] = pick(answer) if status < 400 else {"status": status, "errors": answer["errors"]}
        return answer
    step("kv2_write", lambda a: a["data"]["version"] > 0, "POST", "kv/data/client/a", {"data": {"value": "first"}})
    step("kv2_read", lambda a: a["data"]["data"], "GET", "kv/data/client/a")
    step("kv2_list", lambda a: a["data"]["keys"], "LIST", "kv/metadata/client")
    step("kv2_missing", lambda a: a, "GET", "kv/data/client/none")
    step("kv2_delete", lambda a: a, "DELETE", "kv/metadata/client/a")
    step("kv1_write", lambda a: a, "PUT", "kv1/client/b", {"value": "one"})
    step("kv1_read", lambda a: a["data"], "GET", "kv1/client/b")
    step("kv1_list", lambda a: a["data"]["keys"], "GET", "kv1/client?list=true")
    step("kv1_delete", lambda a: a, "DELETE", "kv1/client/b")
    step("denied", lambda a: a, "GET", "sys/auth")
    step("no_mount", lambda a: a, "GET", "nothing/here")
    step("wrong_token", lambda a: a, "GET", "kv/data/app", token="wrong")
    sealed = step("transit", lambda a: True, "POST", "transit/encrypt/k", {"plaintext": "dGV4dA=="})["data"]["ciphertext"]
    step("transit", lambda a: a["data"]["plaintext"] == "dGV4dA==", "POST", "transit/decrypt/k", {"ciphertext": sealed})
    lease = step("dynamic", lambda a: {**a["data"], "renewable": a["renewable"]}, "GET", "database/creds/readonly")["lease_id"]
    step("lease_renew", lambda a: a["lease_id"] == lease, "PUT", "sys/leases/renew", {"lease_id": lease, "increment": 60})
    step("lease_revoke", lambda a: a, "PUT", "sys/leases/revoke", {"lease_id": lease})
    step("self", lambda a: {"id": a["data"].get("id", ""), "accessor": "accessor" in a["data"], "path": a["data"]["path"]}, "GET",
         "auth/token/lookup-self")
    step("renew_self", lambda a: {"id": a["auth"]["client_token"], "lasts": a["auth"]["lease_duration"] > 0}, "POST", "auth/token/renew-self", {})
    wrapped = step("wrap", lambda a: a, "GET", "kv/data/app", headers=["X-Vault-Wrap-TTL: 60s"])["wrap_info"]["token"]
    step("wrap", lambda a: a["data"]["data"], "POST", "sys/wrapping/unwrap", {"token": wrapped})
    own = step("login", lambda a: a, "POST", "auth/approle/login", dict(zip(("role_id", "secret_id"), access.role)))["auth"]["client_token"]
    seen = ask("GET", "auth/token/lookup-self", token=own)[1]["data"]
    ask("POST", "auth/token/revoke-self", {}, token=own)
    steps["login"] = {"own_id": seen["id"] == own and "accessor" in seen, "gone": ask("GET", "kv/data/app", token=own)[0] == 403}
    return steps


def run_bao(access):
    """The command line that administrators have: `vault` and `bao` are the same program here."""
    steps = {}

    def ask(*args, token=None, namespace=True):
        env = access.environment()
        if not namespace:
            env.pop("VAULT_NAMESPACE", None)
        if token:
            env["VAULT_TOKEN"] = token
        env["HOME"] = home
        done = subprocess.run([bao(), *args], env=env, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
            return {"code": done.returncode, "errors": [line for line in lines if line.startswith(("*", "Code:")) or "No value" in line]}
        return json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else True

    def step(name, *args, pick=lambda a: a, **more):
        answer = ask(*args, "-format=json", *more.pop("rest", ()), **more)
        failed = isinstance(answer, dict) and "code" in answer
        steps[name] = answer if failed else pick(answer)
        return answer
    with tempfile.TemporaryDirectory() as home:
        step("kv2_write", "kv", "put", rest=("-mount=kv", "client/a", "value=first"), pick=lambda a: a["data"]["version"] > 0)
        step("kv2_read", "kv", "get", rest=("-mount=kv", "client/a"), pick=lambda a: a["data"]["data"])
        step("kv2_patch", "kv", "patch", rest=("-mount=kv", "client/a", "more=second"), pick=lambda a: a["data"]["version"] > 1)
        step("kv2_list", "kv", "list", rest=("-mount=kv", "client"))
        step("kv2_missing", "kv", "get", rest=("-mount=kv", "client/none"))
        step("kv1_write", "write", rest=("kv1/client/b", "value=one"))
        step("kv1_read", "read", rest=("kv1/client/b",), pick=lambda a: a["data"])
        step("denied", "auth", "list")
        step("wrong_token", "kv", "get", rest=("-mount=kv", "app"), token="wrong")
        creds = step("dynamic", "read", rest=("database/creds/readonly",), pick=lambda a: {**a["data"], "renewable": a["renewable"]})
        step("lease_renew", "lease", "renew", rest=("-increment=60", creds["lease_id"]), pick=lambda a: a["lease_id"] == creds["lease_id"])
        step("self", "token", "lookup", pick=lambda a: {"id": a["data"].get("id", ""), "accessor": "accessor" in a["data"], "path": a["data"]["path"]})
        step("renew_self", "token", "renew", pick=lambda a: {"id": a["auth"]["client_token"], "lasts": a["auth"]["lease_duration"] > 0})
        wrapped = step("wrap", "kv", "get", rest=("-wrap-ttl=60s", "-mount=kv", "app"))
        step("wrap", "unwrap", rest=(wrapped["wrap_info"]["token"],), pick=lambda a: a["data"]["data"])
    return steps


CLIENTS = {"hvac": run_hvac, "go": run_go, "java": run_java, "node": run_node, "curl": run_curl, "bao": run_bao}


def in_one_form(steps, token):
    """Without what differs from one run to the next."""
    out = json.loads(json.dumps(steps))
    for name in ("self", "renew_self"):
        part = out.get(name, {})
        if "id" in part:
            part["id"] = "own" if part["id"] == token and token else part["id"]
    if "username" in out.get("dynamic", {}):
        assert out["dynamic"]["username"].startswith("v-"), out["dynamic"]
        out["dynamic"].update(username="v-", password="")
    return out
