"""A real Vault server of the scenario's own, and the fixtures by its HTTP API."""
import http.client
import json
import os
import secrets
import signal
import socket
import subprocess

from .poll import wait_for

PROGRAM = os.environ.get("KEYBEARER_REALVAULT", "")


class Refused(Exception):
    def __init__(self, method, path, status, errors):
        super().__init__(f"{method} {path}: {status} {errors}")
        self.status, self.errors = status, errors


_worker = int((os.environ.get("PYTEST_XDIST_WORKER") or "gw0")[2:])
_next_port = 20000 + (_worker * 700 + os.getpid() % 97 * 7) % 12000


def free_port():
    """A port that no other worker tries; outside the range that the system hands out to clients."""
    global _next_port
    while True:
        _next_port = 20000 + (_next_port + 1 - 20000) % 12000
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", _next_port))
                return _next_port
            except OSError:
                continue


class Vault:
    """In memory: a restart forgets everything. With a directory: keeps it, starts uninitialised, can be sealed."""

    def __init__(self, canaries, log_path, directory=None, tls=None, env=None):
        self.canaries, self.directory, self.tls, self._log_path = canaries, directory, tls, log_path
        self.env = env  # beside the test's own
        self.port = self.pick_port()
        self.token = "root-canary-" + secrets.token_hex(8)
        self.unseal_keys = []
        canaries.add(self.token, "root token")
        self._process = None
        self.start()
        if directory:
            init = self.request("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
            self.token, self.unseal_keys = init["root_token"], init["keys"]
            canaries.add(self.token, "root token")
            self.unseal()

    # --- the process

    @staticmethod
    def pick_port():
        return free_port()

    def command(self):
        command = [PROGRAM, "-listen", f"127.0.0.1:{self.port}", "-log-level", "error", *self.options()]
        if self.directory:
            command += ["-file", self.directory]
        if self.tls:
            command += ["-tls-cert", self.tls[0], "-tls-key", self.tls[1]]
        return command

    def start(self):
        with open(self._log_path, "ab") as log:
            self._process = subprocess.Popen(self.command(), stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                             env={**os.environ, **(self.env or {})})
        if not self.tls:
            wait_for(self._serves, 20, f"the Vault server on port {self.port}", interval=0.01)

    def options(self):
        return ["-root-token", "" if self.directory else self.token]

    @property
    def alive(self):
        return self._process is not None and self._process.poll() is None

    def _serves(self):
        assert self._process.poll() is None, open(self._log_path).read()
        try:
            self.raw("GET", "sys/health")
            return True
        except OSError:
            return False

    def kill(self):
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()

    def restart(self):
        """Same port. In memory: every mount, token and lease is gone."""
        self.kill()
        self.start()
        if self.unseal_keys:
            self.unseal()

    def freeze(self):
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._process.send_signal(signal.SIGCONT)

    def seal(self):
        self.request("PUT", "sys/seal")

    def unseal(self):
        for key in self.unseal_keys:
            self.request("PUT", "sys/unseal", {"key": key})
        wait_for(lambda: self.raw("GET", "sys/health")[0] == 200, 10, "the unsealed server")

    # --- requests

    def raw(self, method, path, body=None, token=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            connection.request(method, "/v1/" + path, body=json.dumps(body) if body is not None else None,
                               headers={"X-Vault-Token": token or self.token, **(headers or {})})
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, json.loads(content) if content else {}
        finally:
            connection.close()

    def request(self, method, path, body=None, token=None, headers=None):
        status, reply = self.raw(method, path, body, token, headers)
        self.canaries.add_reply(path, reply)
        if status >= 400:
            raise Refused(method, path, status, reply.get("errors"))
        return reply

    def post(self, path, body=None, **more):
        return self.request("POST", path, body if body is not None else {}, **more)

    def get(self, path, **more):
        return self.request("GET", path, **more)

    # --- fixtures

    def kv2(self, mount):
        if f"{mount}/" in self.get("sys/mounts")["data"]:
            self.request("DELETE", f"sys/mounts/{mount}")  # secret/ of a new server
        self.post(f"sys/mounts/{mount}", {"type": "kv", "options": {"version": "2"}})

        def upgraded():
            status, _ = self.raw("POST", f"{mount}/data/x", {"data": {"x": "x"}})
            return status == 200
        wait_for(upgraded, 10, f"the KV v2 mount {mount}")

    def kv1(self, mount):
        self.post(f"sys/mounts/{mount}", {"type": "kv", "options": {"version": "1"}})

    def put(self, path, values):
        """A KV secret by its API path (kv/data/x or kv1/x); its strings become canaries."""
        for key, value in values.items():
            self.canaries.add(value, f"{key} of {path}")
        self.post(path, {"data": values} if "/data/" in path else values)

    def policy(self, name, *paths, **rights):
        """policy("p", "kv/data/x", "db/creds/*", **{"sys/leases/revoke": ["update"]}): read on the plain ones."""
        wanted = {path: ["read"] for path in paths} | rights
        rules = [f'path "{path}" {{ capabilities = {json.dumps(caps)} }}' for path, caps in wanted.items()]
        self.request("PUT", f"sys/policies/acl/{name}", {"policy": "\n".join(rules)})

    def approle(self, name, policies, **role):
        """Returns (role_id, secret_id); the latter None for a role that has none."""
        if "approle/" not in self.get("sys/auth")["data"]:
            self.post("sys/auth/approle", {"type": "approle"})
        self.post(f"auth/approle/role/{name}", {"token_policies": policies, **role})
        return self.get(f"auth/approle/role/{name}/role-id")["data"]["role_id"], \
            self.secret_id(name) if role.get("bind_secret_id", True) else None

    def secret_id(self, name):
        return self.post(f"auth/approle/role/{name}/secret-id")["data"]["secret_id"]

    def database(self, pg, mount="database"):
        self.post(f"sys/mounts/{mount}", {"type": "database"})
        self.post(f"{mount}/config/postgresql", {
            "plugin_name": "postgresql-database-plugin", "allowed_roles": "*", "username": "vaultadmin",
            "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@127.0.0.1:{pg.port}/myappdb?sslmode=disable",
            "password": pg.admin_password})

    def dynamic(self, role, ttl, max_ttl, grant="SELECT", mount="database"):
        self.post(f"{mount}/roles/{role}", {
            "db_name": "postgresql", "default_ttl": ttl, "max_ttl": max_ttl, "creation_statements": [
                "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'; "
                f"GRANT {grant} ON ALL TABLES IN SCHEMA public TO \"{{{{name}}}}\";"]})

    def static(self, pg, role, user, period, mount="database"):
        pg.admin(f'CREATE ROLE "{user}" LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{user}"')
        self.post(f"{mount}/static-roles/{role}",
                  {"db_name": "postgresql", "username": user, "rotation_period": period})

    def token_role(self, name, **options):
        self.post(f"auth/token/roles/{name}", options)

    def create_token(self, **options):
        return self.post("auth/token/create", options)["auth"]["client_token"]

    def lookup(self, token):
        """The token's own data, or None when the server does not know it."""
        status, reply = self.raw("GET", "auth/token/lookup-self", token=token)
        return reply["data"] if status == 200 else None

    def accessor_of(self, login_entry):
        return login_entry.reply["auth"]["accessor"]

    def revoke_accessor(self, accessor):
        self.post("auth/token/revoke-accessor", {"accessor": accessor})
