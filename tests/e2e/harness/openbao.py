"""An OpenBao server as it is released (tests/openbao/build), for scenarios that run on it as on Vault's core."""
import os

from .poll import wait_for
from .vault import Vault, free_port

PROGRAM = os.environ.get("KEYBEARER_OPENBAO", "")


class OpenBao(Vault):
    """In memory, with the tests' own root token. It has namespaces."""

    @staticmethod
    def pick_port():
        """It listens on the next one, too."""
        port = free_port()
        while (following := free_port()) != port + 1:
            port = following
        return port

    def command(self):
        return [PROGRAM, "server", "-dev", f"-dev-root-token-id={self.token}", f"-dev-listen-address=127.0.0.1:{self.port}",
                "-dev-no-store-token", "-log-level=error"]

    def _serves(self):
        # It answers before it has its first mount.
        return super()._serves() and "secret/" in (self.raw("GET", "sys/mounts")[1].get("data") or {})

    def namespace(self, name):
        """The same server, seen from a namespace, which is made: "team-a", "team-a/sub"."""
        outer, _, last = name.rpartition("/")
        self.post(f"sys/namespaces/{last}", headers={"X-Vault-Namespace": outer} if outer else {})
        return Within(self, name)


class Within:
    """The fixtures of a server within one of its namespaces."""

    def __init__(self, server, name):
        self.server, self.name, self.canaries = server, name, server.canaries

    def request(self, method, path, body=None, token=None, headers=None):
        return self.server.request(method, path, body, token, {"X-Vault-Namespace": self.name, **(headers or {})})

    def raw(self, method, path, body=None, token=None, headers=None):
        return self.server.raw(method, path, body, token, {"X-Vault-Namespace": self.name, **(headers or {})})

    post, get, kv2, kv1, put, policy = Vault.post, Vault.get, Vault.kv2, Vault.kv1, Vault.put, Vault.policy
    approle, secret_id, database, dynamic, static = Vault.approle, Vault.secret_id, Vault.database, Vault.dynamic, Vault.static

    def remove(self):
        outer, _, last = self.name.rpartition("/")
        self.server.request("DELETE", f"sys/namespaces/{last}", headers={"X-Vault-Namespace": outer} if outer else {})
        wait_for(lambda: self.raw("GET", "sys/mounts")[0] == 404, 10, "the end of the namespace")
