"""The tap: a reverse proxy between keybearer and the server that records every request and plays faults."""
import collections
import fnmatch
import http.client
import json
import socket
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Entry:
    time: float  # time.monotonic() when the request was there
    method: str
    path: str  # without /v1/ and query
    query: str
    headers: dict
    body: dict  # parsed JSON, or None
    token: int  # number of the token in order of appearance, 0: none
    connection: int
    status: int = 0  # 0: not answered (yet), or answered with a fault that has no status
    reply: dict = None
    fault: str = ""
    answered: float = 0  # time.monotonic(); 0: not answered
    client: int = 0

    def __str__(self):
        fault = f" ({self.fault})" if self.fault else ""
        return f"{self.time:.3f} #{self.connection} token {self.token} {self.method} {self.path} -> {self.status}{fault}"


@dataclass
class Fault:
    path: str  # glob
    kind: str
    left: float
    method: str = ""
    status: int = 0
    body: bytes = b""
    headers: dict = field(default_factory=dict)
    seconds: float = 0

    def matches(self, entry):
        return self.left > 0 and fnmatch.fnmatch(entry.path, self.path) and self.method in ("", entry.method)


class Tap:
    def __init__(self, canaries):
        self.upstream = None  # (host, port)
        self.client = 0  # number of the keybearer that connects now: the budget is each one's own
        self._clients = {}  # port of a connection -> its keybearer's number
        self._markers = {}  # port of a marker's connection -> told when it was accepted
        self._canaries = canaries
        self._lock = threading.Lock()
        self._entries = []
        self._faults = []
        self._tokens = {}
        self._sockets = {}
        self._connections = 0
        self._released = threading.Event()
        self._server = None
        self.port = 0
        self.accept()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    # --- what was seen

    def entries(self, path="*", method="", since=0.0):
        """Requests in order of arrival; path is a glob."""
        with self._lock:
            return [e for e in self._entries
                    if fnmatch.fnmatch(e.path, path) and method in ("", e.method) and e.time >= since]

    def count(self, path="*", method="", since=0.0):
        return len(self.entries(path, method, since))

    def logins(self):
        return self.entries("auth/*/login")

    def last(self):
        """The last request that asks for something: the server's version is asked for in passing."""
        return [e for e in self.entries() if e.path != "sys/health"][-1]

    def data_reads(self, path):
        return self.entries(path, "GET")

    @property
    def connections(self):
        with self._lock:
            return self._connections

    def __str__(self):
        return "\n".join(str(e) for e in self.entries())

    # --- faults; n: for how many requests

    def fail(self, path, status, n=float("inf"), errors=("injected",), headers=None, method=""):
        body = json.dumps({"errors": list(errors)}).encode()
        self._add(Fault(path, "fail", n, method, status, body, headers or {}))

    def hang(self, path, n=float("inf"), method=""):
        """The request is read and never answered (until clear)."""
        self._add(Fault(path, "hang", n, method))

    def hang_body(self, path, n=float("inf")):
        """Headers and half of the body, then nothing."""
        self._add(Fault(path, "hang_body", n))

    def cut_body(self, path, n=float("inf")):
        """Headers, half of the body, connection closed."""
        self._add(Fault(path, "cut_body", n))

    def delay(self, path, seconds, n=float("inf")):
        self._add(Fault(path, "delay", n, seconds=seconds))

    def raw(self, path, answer, n=float("inf")):
        """These bytes instead of an HTTP answer, then the connection is closed."""
        self._add(Fault(path, "raw", n, body=answer))

    def reply(self, path, status, body, n=float("inf"), headers=None, chunked=False):
        """A whole answer of the test's own."""
        self._add(Fault(path, "chunked" if chunked else "fail", n, "", status, body, headers or {}))

    def _add(self, fault):
        with self._lock:
            self._faults.append(fault)

    def clear(self):
        with self._lock:
            self._faults.clear()
            self._released.set()
            self._released = threading.Event()

    def refuse(self):
        """Connections are refused, those that exist are reset."""
        server, self._server = self._server, None
        if server:
            server.shutdown()
            server.server_close()
        self._close_connections()

    def _close_connections(self):
        with self._lock:
            open_sockets = list(self._sockets.values())
        for sock in open_sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def accept(self):
        if self._server:
            return
        handler = type("Handler", (_Handler,), {"tap": self})
        self._server = _Server(("127.0.0.1", self.port), handler)
        self._server.tap = self
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self):
        self.clear()
        self.refuse()

    def next_client(self):
        """Another keybearer is asking from now on. Connections that wait to be accepted are still those of the one before."""
        if self._server:
            accepted = threading.Event()
            with socket.socket() as marker:
                marker.bind(("127.0.0.1", 0))
                with self._lock:
                    self._markers[marker.getsockname()[1]] = accepted
                marker.connect(("127.0.0.1", self.port))
                assert accepted.wait(10), "the tap accepts no connections"
        self.client += 1

    # --- for the handler

    def _accepted(self, port):
        """In the order in which connections were made. False: it was a marker."""
        with self._lock:
            marker = self._markers.pop(port, None)
            if marker:
                marker.set()
            else:
                self._clients[port] = self.client
            return marker is None

    def client_of(self, port):
        with self._lock:
            return self._clients.get(port, 0)

    def _open(self, sock):
        with self._lock:
            self._connections += 1
            self._sockets[self._connections] = sock
            return self._connections

    def _closed(self, number):
        with self._lock:
            self._sockets.pop(number, None)

    def _arrived(self, entry, token):
        with self._lock:
            if token:
                entry.token = self._tokens.setdefault(token, len(self._tokens) + 1)
            self._entries.append(entry)
            for fault in self._faults:
                if fault.matches(entry):
                    fault.left -= 1
                    entry.fault = fault.kind
                    return fault, self._released
            return None, self._released

    def _answered(self, entry, status, content):
        try:
            entry.reply = json.loads(content) if content else None
        except ValueError:
            entry.reply = None
        self._canaries.add_reply(entry.path, entry.reply)
        entry.answered = time.monotonic()
        entry.status = status

    # --- the budget every scenario must keep

    def budget_violations(self):
        """More than one request a second sustained on a path; equal requests less than 100 ms apart.

        A write with other arguments is another one. A static role is looked at every 100 ms while its rotation is late, for 6 s at
        the most: 60 in the 8 s, and those before and after."""
        found, by_request, by_path = [], {}, collections.defaultdict(list)
        for e in self.entries():
            key = (e.method, e.path, e.query, json.dumps(e.body, sort_keys=True), e.token, e.client)
            previous = by_request.get(key)
            # A kept connection that turns out to be closed: once more on a new one, at once.
            least = 0.0 if "/static-creds/" in e.path else 0.1  # those leave 100 ms apart, and arrive as the machine lets them
            if previous and previous.fault != "upstream gone" and e.time - previous.time < least:
                found.append(f"equal requests {1000 * (e.time - previous.time):.0f} ms apart: {e}")
            by_request[key] = e
            written = "" if e.path.startswith("auth/") else json.dumps(e.body, sort_keys=True)
            by_path[(e.method, e.path, written, e.client)].append(e.time)
        for (method, path, *_), times in by_path.items():
            most = 66 if "/static-creds/" in path else 10
            for first, last in zip(times, times[most - 1:]):
                if last - first < 8.0:
                    found.append(f"{most} requests in {last - first:.1f} s: {method} {path}")
                    break
        return found


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256
    tap = None

    def verify_request(self, request, client_address):
        return self.tap._accepted(client_address[1])

    def handle_error(self, request, client_address):
        pass  # a client that went away is an ordinary event here


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    tap = None

    def setup(self):
        super().setup()
        self._number = self.tap._open(self.connection)
        self._client = self.tap.client_of(self.client_address[1])
        self._up = None

    def finish(self):
        self.tap._closed(self._number)
        if self._up:
            self._up.close()
        try:
            super().finish()
        except OSError:
            pass

    def log_message(self, *args):
        pass

    def _serve(self):
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length) if length else b""
        url = urllib.parse.urlsplit(self.path)
        path = urllib.parse.unquote(url.path)
        path = path[4:] if path.startswith("/v1/") else path
        try:
            body = json.loads(content) if content else None
        except ValueError:
            body = None
        entry = Entry(time.monotonic(), self.command, path, url.query, dict(self.headers), body, 0, self._number, client=self._client)
        fault, released = self.tap._arrived(entry, self.headers.get("X-Vault-Token"))
        if fault and fault.kind == "delay":
            released.wait(fault.seconds)
        if fault and fault.kind == "hang":
            released.wait()
            self.close_connection = True
        elif fault and fault.kind == "raw":
            self.wfile.write(fault.body)
            self.close_connection = True
        elif fault and fault.kind in ("fail", "chunked"):
            self.tap._answered(entry, fault.status, fault.body)
            self._send(fault.status, fault.headers, fault.body, chunked=fault.kind == "chunked")
        else:
            self._forward(entry, content, fault.kind if fault else "", released)

    do_GET = do_POST = do_PUT = do_LIST = do_DELETE = do_HEAD = do_PATCH = _serve

    def _forward(self, entry, content, fault, released):
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("connection", "host")}
        try:
            status, reply_headers, reply = self._ask(headers, content)
        except (OSError, http.client.HTTPException):
            entry.fault = entry.fault or "upstream gone"
            self.close_connection = True
            return
        self.tap._answered(entry, status, reply)
        if fault in ("hang_body", "cut_body"):
            self._head(status, reply_headers, len(reply))
            self.wfile.write(reply[: len(reply) // 2])
            if fault == "hang_body":
                released.wait()
            self.close_connection = True
            return
        self._send(status, reply_headers, reply)

    def _ask(self, headers, content):
        for attempt in (1, 2):  # a kept connection may have gone with a restarted server
            fresh = self._up is None
            if fresh:
                self._up = http.client.HTTPConnection(*self.tap.upstream)
            try:
                self._up.request(self.command, self.path, body=content or None, headers=headers)
                answer = self._up.getresponse()
                return answer.status, dict(answer.getheaders()), answer.read()
            except (OSError, http.client.HTTPException):
                self._up.close()
                self._up = None
                if fresh or attempt == 2:
                    raise
        raise AssertionError("not reached")

    def _head(self, status, headers, length):
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        if length is not None and status != 204:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _send(self, status, headers, body, chunked=False):
        if chunked:
            self._chunked(status, headers, body)
            return
        self._head(status, headers, len(body))
        if status != 204 and self.command != "HEAD":
            self.wfile.write(body)

    def _chunked(self, status, headers, body):
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for begin in range(0, len(body), 4096):
            part = body[begin: begin + 4096]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")
