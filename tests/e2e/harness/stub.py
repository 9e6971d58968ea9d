"""A recording server in the place of Vault, and a keybearer whose listener stands in front of it: for tests of the proxy, byte by byte."""
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time

from .agent import PROGRAM
from .poll import wait_for
from .vault import free_port

TOKEN = "hvs.canary-of-keybearers-own-token-0123456789"
ACCESSOR = "canaryAccessor0123456789"


class Request:
    def __init__(self, method, target, headers, body):
        self.method, self.target, self.headers, self.body, self.at = method, target, headers, body, time.monotonic()

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name):
        return (self.all(name) or [None])[0]

    @property
    def route(self):
        return f"{self.method} {self.target.split('?')[0]}"

    def __repr__(self):
        return f"<{self.method} {self.target}>"


def reply(status=200, body=b"", headers=(), length=True):
    """The bytes of an answer."""
    body = json.dumps(body).encode() if isinstance(body, (dict, list)) else body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} X", *(f"{key}: {value}" for key, value in headers)]
    if not any(key.lower() == "content-type" for key, _ in headers) and body:
        lines.append("Content-Type: application/json")
    if length and status != 204:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Stub:
    """Answers by route: bytes, or a function (request, connection) -> bytes or None (it has answered itself)."""

    def __init__(self, port=0):
        self.journal, self.routes, self.logins, self.connections = [], {}, 0, []
        self.ttl, self.token = 3600, TOKEN
        self.login_error = None
        self.gone = set()  # tokens that are dead
        self.left = threading.Event()  # a connection was closed by the other side while its answer was due
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port = self.listener.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.on("PUT /v1/auth/approle/login", self.log_in)
        self.on("POST /v1/auth/approle/login", self.log_in)
        self.on("GET /v1/auth/token/lookup-self", self.lookup_self)
        self.on("GET /v1/sys/health", reply(body={"version": "1.14.2", "sealed": False, "initialized": True}))
        for method in ("PUT", "POST"):
            self.on(f"{method} /v1/auth/token/revoke-self", reply(204))
        threading.Thread(target=self.accept, daemon=True).start()

    def on(self, route, answer):
        self.routes[route] = answer

    def log_in(self, *_):
        if self.login_error:
            return self.login_error
        self.logins += 1
        if self.logins > 1:
            self.token = f"{TOKEN}-{self.logins}"
        return reply(body={"auth": {"client_token": self.token, "accessor": ACCESSOR, "lease_duration": self.ttl, "renewable": True,
                                    "policies": ["default"], "token_policies": ["default"], "token_type": "service"}})

    def lookup_self(self, request, *_):
        token = request.header("X-Vault-Token")
        if token in self.gone or not token:
            return reply(403, {"errors": ["permission denied"]})
        return reply(body={"data": {"id": token, "accessor": ACCESSOR, "ttl": self.ttl, "policies": ["default"], "renewable": True}})

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        file = connection.makefile("rb")
        try:
            while self.serve_one(connection, file):
                pass
        except (OSError, ValueError):
            pass
        finally:
            try:
                connection.close()
            except OSError:
                pass

    def serve_one(self, connection, file):
        line = file.readline().decode("latin-1")
        if not line:
            return False
        method, target, _ = line.strip().split(" ")
        headers = []
        while (line := file.readline().decode("latin-1").rstrip("\r\n")):
            key, _, value = line.partition(":")
            headers.append((key, value.strip()))
        request = Request(method, target, headers, b"")
        if request.header("Transfer-Encoding"):
            while (size := int(file.readline(), 16)):
                request.body += file.read(size)
                file.readline()
            file.readline()
        else:
            left = int(request.header("Content-Length") or 0)
            consume = getattr(self.routes.get(request.route), "consume", None)
            while left and consume:
                piece = file.read(min(left, 65536))
                left -= len(piece)
                consume(piece)
            request.body = file.read(left)
        self.journal.append(request)
        answer = self.routes.get(request.route, reply(404, {"errors": []}))
        if request.header("X-Vault-Token") in self.gone and "token/" not in target:
            answer = reply(403, {"errors": ["permission denied"]})
        if callable(answer):
            answer = answer(request, connection)
        if answer is None:
            return False
        connection.sendall(answer)
        return b"\r\nConnection: close" not in answer

    def seen(self, route=None, own=False):
        """What came, without what keybearer asks on its own account."""
        mine = ("/v1/auth/approle/login", "/v1/sys/health")
        return [r for r in self.journal if (own or r.target not in mine) and (route is None or r.route == route)]

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts: only then is the port closed
        except OSError:
            pass
        self.listener.close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
                connection.close()
            except OSError:
                pass


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def header(self, name):
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def errors(self):
        return self.json["errors"]

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:300]}>"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, **kwargs):
        super().__init__("localhost", **kwargs)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Front:
    """keybearer with listeners, before a stub or another server."""

    def __init__(self, directory, server, listener="", config="", env=None, wait=True, address=None, login=None):
        self.directory, self.server, self.port = str(directory), server, free_port()
        self.path = os.path.join(self.directory, "agent.toml")
        self.err = os.path.join(self.directory, "agent.err")
        open(self.err, "w", encoding="ascii").close()  # of this one only
        for name in ("role_id", "secret_id"):
            with open(os.path.join(self.directory, name), "w", encoding="ascii") as file:
                file.write(name)
        self.address = address or server.address
        self.login = login or ('[auto_auth.method]\ntype = "approle"\nrole_id_file_path = "role_id"\n'
                               'secret_id_file_path = "secret_id"\nremove_secret_id_file_after_reading = false\n')
        self.listener = listener or '[[listener]]\naddress = "127.0.0.1:PORT"\n'
        self.write(config)
        self.process = None
        self.env = env or {}
        self.start()
        if wait:
            self.wait_ready()

    def write(self, config="", listener=None):
        self.listener = listener or self.listener
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(f'log_level = "debug"\nlog_format = "json"\nhardening = false\n[vault]\naddress = "{self.address}"\n'
                       f'{self.login}{self.listener.replace("PORT", str(self.port)).replace("FOLDER", self.directory)}\n{config}\n')

    def start(self):
        env = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": self.directory, **self.env}
        with open(self.err, "ab") as err:
            self.process = subprocess.Popen([PROGRAM, "render", "-c", self.path], cwd=self.directory, env=env, stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=err, start_new_session=True)

    @property
    def log(self):
        with open(self.err, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_ready(self):
        wait_for(lambda: self.process.poll() is not None or '"event":"listener.started"' in self.log, 10, lambda: self.log)
        if self.server is not None and not getattr(self.server, "login_error", None):
            wait_for(lambda: self.process.poll() is not None or '"event":"login.succeeded"' in self.log or "logged in" in self.log,
                     10, lambda: self.log)
        assert self.process.poll() is None, self.log
        return self

    def connection(self, timeout=20):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, method, target, body=None, headers=None, guard=True, timeout=20, connection=None):
        connection = connection or self.connection(timeout)
        connection.putrequest(method, target, skip_accept_encoding=True)
        headers = dict(headers or {})
        if guard:
            headers.setdefault("X-Vault-Request", "true")
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        body = body.encode() if isinstance(body, str) else body
        if body is not None and "Transfer-Encoding" not in headers:
            headers.setdefault("Content-Length", str(len(body)))
        for key, value in headers.items():
            connection.putheader(key, value)
        connection.endheaders()
        if body:
            connection.send(body)
        response = connection.getresponse()
        return Answer(response.status, response.getheaders(), response.read())

    def get(self, target, headers=None, **more):
        return self.ask("GET", target, headers=headers, **more)

    def raw(self, data, timeout=15, until=None):
        """Bytes in, all bytes until the end out; with `until` as soon as that has come."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            connection.sendall(data)
            got = b""
            try:
                while (piece := connection.recv(65536)):
                    got += piece
                    if until and until in got:
                        break
            except ConnectionResetError:
                got += b"<reset>"
            return got

    def status(self, field):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(field + ":"))

    def stop(self, timeout=20):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def reload(self):
        before = self.log.count('"event":"config.reload')
        self.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self.log.count('"event":"config.reload') > before, 10, lambda: self.log)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
