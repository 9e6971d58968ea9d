"""Other people's clients through the listener, in front of the real server: each does the same steps directly, through keybearer (TCP and
unix socket) and through another proxy, with a token of its own and without one. What comes out must be the same; what is keybearer's own
token must be in none of it (point 60 of the check-list, and 1, 2, 13, 21)."""
import contextlib
import json
import os
import subprocess
import tempfile
import time

import pytest

import proxy_clients
from bases import login_files
from harness import free_port, wait_for
from harness.stub import Front
from proxy_clients import CLIENTS, Access, bao, hvac_client, in_one_form, peer

EVERY = ["create", "read", "update", "patch", "delete", "list"]
BOTH = '[[listener]]\naddress = "127.0.0.1:PORT"\n[[listener]]\ntype = "unix"\naddress = "FOLDER/s"\n'


class World:
    """A server with something of everything, keybearer before it, and another proxy when it is asked for."""

    def __init__(self, s, directory):
        self.s, self.directory = s, directory
        s.budget = False  # the requests are the clients'
        vault = s.vault
        vault.kv2("kv")
        vault.kv1("kv1")
        vault.put("kv/data/app", {"value": s.canary("kv")})
        vault.post("sys/mounts/transit", {"type": "transit"})
        vault.post("transit/keys/k")
        vault.database(s.pg)
        vault.dynamic("readonly", "60s", "10m")
        vault.policy("client", **{path: EVERY for path in ("kv/*", "kv1/*", "transit/*", "nothing/*")},
                     **{"database/creds/*": ["read"], "sys/leases/renew": ["update"], "sys/leases/revoke": ["update"]})
        login_files(s, "app", "client", token_ttl="20m")
        self.role = vault.approle("person", "client", token_ttl="5m")
        self.own_token = vault.create_token(policies=["client"], ttl="20m")
        self.direct = f"http://127.0.0.1:{vault.port}"
        self.front = None
        self.close_with = contextlib.ExitStack()

    def start(self, config="", listener=BOTH):
        login = (f'[auto_auth.method]\ntype = "approle"\nrole_id_file_path = "{self.s.path("boot/role-id")}"\n'
                 f'secret_id_file_path = "{self.s.path("boot/secret-id")}"\nremove_secret_id_file_after_reading = false\n')
        self.front = Front(self.directory, None, listener=listener, config=config, address=self.s.tap.url, login=login)
        self.close_with.callback(self.front.close)
        [entry] = wait_for(lambda: [e for e in self.s.tap.logins() if e.reply], 10, lambda: self.front.log)
        self.s.canaries.add(entry.reply["auth"]["accessor"], "accessor of keybearer's token")
        self.secret = {entry.reply["auth"]["client_token"], entry.reply["auth"]["accessor"]}
        return self.front

    @property
    def address(self):
        return f"http://127.0.0.1:{self.front.port}"

    @property
    def socket(self):
        return f"unix://{self.directory}/s"

    def other_proxy(self, mode="true"):
        """bao proxy in front of the same server."""
        port = free_port()
        path = os.path.join(self.directory, "other.hcl")
        with open(path, "w", encoding="ascii") as file:
            file.write(f'vault {{ address = "{self.direct}" }}\nauto_auth {{ method "approle" {{ config = {{\n'
                       f'role_id_file_path = "{self.s.path("boot/role-id")}"\nsecret_id_file_path = "{self.s.path("boot/secret-id")}"\n'
                       f'remove_secret_id_file_after_reading = false }} }} }}\napi_proxy {{ use_auto_auth_token = {mode} }}\n'
                       f'listener "tcp" {{\naddress = "127.0.0.1:{port}"\ntls_disable = true }}\n')
        with open(os.path.join(self.directory, "other.log"), "wb") as log:
            process = subprocess.Popen([bao(), "proxy", "-config", path], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
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
        return Access(address, self.own_token if own else "", self.role)

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
def test_60_a_client_with_a_token_of_its_own_sees_no_difference(world, client):
    wanted = world.run(client, world.direct, own=True)
    assert {key: wanted[key] for key in SURE} == SURE and wanted["self"] == {"id": "own", "accessor": True, "path": "auth/token/create"}, wanted
    world.start()
    assert world.run(client, world.address, own=True) == wanted
    if client in ("hvac", "go", "curl"):
        assert world.run(client, world.socket, own=True) == wanted
    # Every request of the client's own went up with its own token; logins with none of keybearer's.
    own_token = world.s.tap.entries("kv/data/client/a")[0].token
    assert {e.token for e in world.s.tap.entries("kv1/*")} == {own_token}
    ours = [e.token for e in world.s.tap.entries("auth/token/renew-self")]
    assert ours and set(ours) == {own_token}


@pytest.mark.parametrize("client", CLIENTS)
def test_60_a_client_without_a_token_gets_what_another_proxy_gives_it(world, client):
    wanted = world.run(client, world.direct, own=True)
    world.start()
    got = world.run(client, world.address, own=False)
    assert got["self"] == {"id": "", "accessor": False, "path": "auth/approle/login"}, got["self"]
    assert got["renew_self"] == {"id": "", "lasts": True}
    for name in wanted:
        if name not in ("self", "renew_self"):
            assert got[name] == wanted[name], name
    if client in ("hvac", "go", "curl"):
        assert world.run(client, world.socket, own=False) == got
        assert world.run(client, world.other_proxy(), own=False) == got
