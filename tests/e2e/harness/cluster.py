"""Three real servers that are one: they share a PostgreSQL database, one is active, the others are standbys."""
import os

from .poll import wait_for
from .vault import Vault

TABLES = '''
DROP TABLE IF EXISTS vault_kv_store, vault_ha_locks;
CREATE TABLE vault_kv_store (parent_path TEXT COLLATE "C" NOT NULL, path TEXT COLLATE "C", key TEXT COLLATE "C", value BYTEA,
  CONSTRAINT pkey PRIMARY KEY (path, key));
CREATE INDEX parent_path_idx ON vault_kv_store (parent_path);
CREATE TABLE vault_ha_locks (ha_key TEXT COLLATE "C" NOT NULL, ha_identity TEXT COLLATE "C" NOT NULL, ha_value TEXT COLLATE "C",
  valid_until TIMESTAMP WITH TIME ZONE NOT NULL, CONSTRAINT ha_key PRIMARY KEY (ha_key));
'''


class Node(Vault):
    """One of them. Its fixtures work on the active one."""

    def __init__(self, canaries, log_path, database):
        self.storage = database
        super().__init__(canaries, log_path)

    def options(self):
        return ["-root-token", "", "-postgres", self.storage]

    @property
    def is_active(self):
        try:
            return self.alive and self.raw("GET", "sys/health")[0] == 200
        except OSError:
            return False


class Cluster:
    def __init__(self, s, count=3):
        s.pg.admin(TABLES)
        self._logs, self._pg, self._canaries = s.logs, s.pg, s.canaries
        self.nodes = [Node(s.canaries, os.path.join(s.logs, f"node{n}.log"), s.pg.url) for n in range(count)]
        init = self.nodes[0].request("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
        self._key, self._token = init["keys"][0], init["root_token"]
        s.canaries.add(self._token, "root token")
        for node in self.nodes:
            self.unseal(node)
        self.wait_active(30)

    def unseal(self, node):
        node.token = self._token
        wait_for(lambda: node.raw("GET", "sys/seal-status")[1].get("initialized"), 10, "a node that knows the cluster")
        node.request("PUT", "sys/unseal", {"key": self._key})

    @property
    def active(self):
        return next((node for node in self.nodes if node.is_active), None)

    def wait_active(self, timeout):
        return wait_for(lambda: self.active, timeout, "an active server", interval=0.1)

    def kill_active(self):
        """As a machine that dies; returns it."""
        node = self.wait_active(30)
        node.kill()
        return node

    def revive(self, node):
        node.start()
        self.unseal(node)

    def close(self):
        for node in self.nodes:
            node.kill()
