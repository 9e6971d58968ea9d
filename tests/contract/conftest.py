"""One set of cases, run against keybearer-devvault, a real Vault server and a real OpenBao server: what differs between the first
two is a bug in devvault; what differs between the last two stands in differences.py, by name.

KEYBEARER_DEVVAULT, KEYBEARER_REALVAULT and KEYBEARER_OPENBAO name the programs. KEYBEARER_PG_URL names a PostgreSQL for the real
servers' database engine (postgresql://USER:PASSWORD@HOST:PORT/DB?...); without it those cases run on devvault only.
"""
import http.client
import itertools
import json
import os
import socket
import subprocess
import time
import urllib.parse

import pytest

from differences import OPENBAO, VAULT

ROOT = "root"
PROGRAMS = {"devvault": "KEYBEARER_DEVVAULT", "vault": "KEYBEARER_REALVAULT", "openbao": "KEYBEARER_OPENBAO"}
_numbers = itertools.count(1)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.text = status, headers, body
        self.json = json.loads(body) if body else None

    def __repr__(self):
        return f"{self.status} {self.text}"

    data = property(lambda self: self.json["data"])
    auth = property(lambda self: self.json["auth"])
    errors = property(lambda self: self.json["errors"])
    warnings = property(lambda self: self.json["warnings"])


class Server:
    def __init__(self, kind):
        self.kind = kind
        self.is_real = kind != "devvault"
        self.says = OPENBAO if kind == "openbao" else VAULT
        program = os.environ.get(PROGRAMS[kind])
        assert program, f"{PROGRAMS[kind]} is not set: the program to test"
        if kind == "openbao":
            self._start_openbao(program)
        else:
            dash = "-" if kind == "vault" else "--"
            self._start([program, f"{dash}listen", "127.0.0.1:0", f"{dash}root-token", ROOT])

    def _start(self, command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        words = self.process.stdout.readline().split()
        assert words and words[0] == "ready", f"{command[0]} did not start: {words}"
        self.address = urllib.parse.urlsplit(words[1])

    def _start_openbao(self, program):
        at = f"127.0.0.1:{port_of_two()}"
        self.process = subprocess.Popen([program, "server", "-dev", f"-dev-root-token-id={ROOT}", f"-dev-listen-address={at}",
                                         "-dev-no-store-token", "-log-level=error"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.address = urllib.parse.urlsplit(f"http://{at}")
        self.until(self._serves, seconds=30)

    def _serves(self):
        assert self.process.poll() is None, "the OpenBao server did not start"
        try:
            answer = self.get("sys/mounts")
        except OSError:
            return False
        return answer.status == 200 and "secret/" in answer.data

    def stop(self):
        self.process.terminate()
        assert self.process.wait(20) in (0, -15)

    def call(self, method, path, body=None, token=ROOT, headers=None):
        sent = dict(headers or {})
        if token:
            sent["X-Vault-Token"] = token
        if body is not None and not isinstance(body, str):
            body = json.dumps(body)
        connection = http.client.HTTPConnection(self.address.hostname, self.address.port, timeout=10)
        connection.request(method, "/v1/" + path, body, sent)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return Answer(answer.status, answer.headers, text)

    def get(self, path, **more):
        return self.call("GET", path, **more)

    def post(self, path, body=None, **more):
        return self.call("POST", path, body, **more)

    def put(self, path, body=None, **more):
        return self.call("PUT", path, body, **more)

    def list(self, path, **more):
        return self.call("LIST", path, **more)

    def delete(self, path, **more):
        return self.call("DELETE", path, **more)

    # What cases need: each its own names, so that they do not meet.
    def name(self, prefix):
        return f"{prefix}{next(_numbers)}"

    def policy(self, text):
        name = self.name("policy-")
        assert self.put(f"sys/policies/acl/{name}", {"policy": text}).status == 204
        return name

    def token(self, policy_text="", **settings):
        policies = [self.policy(policy_text)] if policy_text else ["default"]
        answer = self.post("auth/token/create", {"policies": policies, **settings})
        assert answer.status == 200, answer
        return answer.auth["client_token"]

    def approle(self, **settings):
        if "approle/" not in self.get("sys/auth").data:
            assert self.post("sys/auth/approle", {"type": "approle"}).status == 204
        role = self.name("role-")
        assert self.post(f"auth/approle/role/{role}", {"token_ttl": "20s", "token_max_ttl": "60s", **settings}).status == 204
        assert self.post(f"auth/approle/role/{role}/role-id", {"role_id": role + "-id"}).status == 204
        return role

    def login(self, role, secret_id):
        return self.post("auth/approle/login", {"role_id": role + "-id", "secret_id": secret_id}, token=None)

    def kv1(self):
        at = self.name("kv1-")
        assert self.post(f"sys/mounts/{at}", {"type": "kv", "options": {"version": "1"}}).status == 204
        return at

    def until(self, question, seconds=8):
        """The first true answer; asks again and again."""
        end = time.monotonic() + seconds
        while True:
            answer = question()
            if answer:
                return answer
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.02)


def port_of_two():
    """A free port whose next one is free, too: OpenBao listens on both."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


@pytest.fixture(scope="session", params=list(PROGRAMS))
def server(request):
    running = Server(request.param)
    yield running
    running.stop()


@pytest.fixture
def sealable(request, server):
    """A server of the same kind that a case may seal."""
    running = Server(server.kind)
    yield running
    running.stop()


@pytest.fixture
def connection(server):
    """What a database mount is told of the database."""
    url = os.environ.get("KEYBEARER_PG_URL")
    if server.is_real and not url:
        pytest.skip("KEYBEARER_PG_URL is not set: a real server's database engine needs a PostgreSQL")
    parts = urllib.parse.urlsplit(url or "postgresql://admin:secret@127.0.0.1:1/db")
    host = parts.netloc.rpartition("@")[2]
    return {"plugin_name": "postgresql-database-plugin", "allowed_roles": "*",
            "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@{host}{parts.path}?{parts.query}",
            "username": parts.username, "password": urllib.parse.unquote(parts.password)}


@pytest.fixture
def database(server, connection):
    """The path of a database mount with the connection "pg"."""
    at = server.name("database-")
    assert server.post(f"sys/mounts/{at}", {"type": "database"}).status == 204
    answer = server.post(f"{at}/config/pg", connection)
    assert answer.status == 204, answer
    yield at
    server.put(f"sys/leases/revoke-prefix/{at}")
