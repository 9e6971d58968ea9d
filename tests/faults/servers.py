"""What the tap can't do: TCP and TLS that misbehave, a name server that hangs."""
import os
import re
import select
import socket
import ssl
import struct
import subprocess
import threading
import time

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST


def worker_address():
    """An address of this machine that no other test process uses."""
    number = os.getpid()
    return f"127.{16 + number % 64}.{number // 64 % 256}.{1 + number // 16384 % 250}"


class Front:
    """A TCP server that passes bytes on to the tap, or plays a fault.

    `whole`: how it treats connections: "pass", "reset" (at once), "silent" (accepted, never a byte).
    fault(): what happens to the answer of one request: "reset" and "drip" after half of the expected bytes were let through."""

    def __init__(self, upstream_port, host="127.0.0.1", port=0, tls=None):
        self.upstream_port, self.tls, self.whole = upstream_port, tls, "pass"
        self.accepted = []  # time.monotonic() of each connection
        self._faults, self._open, self._lock = [], [], threading.Lock()
        self._listener = socket.create_server((host, port))
        self.host, self.port = self._listener.getsockname()[:2]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    def fault(self, path, kind, n=1):
        with self._lock:
            self._faults.append([path.encode(), kind, n])

    def clear(self):
        with self._lock:
            self._faults.clear()

    def drop(self):
        """Ends the connections there are."""
        with self._lock:
            opened, self._open = self._open, []
        for sock in opened:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self.drop()

    # --- each connection has a thread

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.accepted.append(time.monotonic())
            with self._lock:
                self._open.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            if self.whole == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                return
            if self.whole == "silent":
                select.select([], [], [sock], 60)
                return
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
                with self._lock:
                    self._open.append(sock)  # the plain one is detached
            with socket.create_connection(("127.0.0.1", self.upstream_port), 10) as up:
                self._pump(sock, up)
        except OSError:
            pass
        finally:
            sock.close()

    def _pump(self, sock, up):
        kind = ""
        while True:
            waiting = sock.pending() if self.tls else 0
            ready = [sock] if waiting else select.select([sock, up], [], [])[0]
            if sock in ready:
                data = sock.recv(65536)
                if not data:
                    return
                kind = self._fault_of(data) or kind
                up.sendall(data)
            if up in ready:
                data = up.recv(65536)
                if not data:
                    return
                if not kind:
                    sock.sendall(data)
                elif kind == "reset":
                    sock.sendall(data[: len(data) * 2 // 3])
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    return
                else:
                    for at in range(len(data)):
                        sock.sendall(data[at: at + 1])
                        time.sleep(0.05)  # a drip is slow by nature
                    kind = ""

    def _fault_of(self, data):
        with self._lock:
            for fault in self._faults:
                if fault[2] > 0 and re.match(rb"[A-Z]+ /v1/" + re.escape(fault[0]) + rb"[ ?]", data):
                    fault[2] -= 1
                    return fault[1]
        return ""


class Swallow:
    """An address whose connections are never taken up: the queue of its listener is full."""

    def __init__(self, host, port=0):
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((host, port))
        self._listener.listen(0)
        self.host, self.port = self._listener.getsockname()
        self._fill = []
        for _ in range(4):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex((self.host, self.port))
            self._fill.append(sock)

    def close(self):
        for sock in [*self._fill, self._listener]:
            sock.close()


class SilentNameServer:
    """A DNS server that never answers."""

    def __init__(self, host):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 53))
        self.host = host

    def asked(self):
        return bool(select.select([self._socket], [], [], 0)[0])

    def close(self):
        self._socket.close()


class Authority:
    """A certificate authority of the test's own, in boot/."""

    def __init__(self, s, name="ca"):
        self._s, self._name, self._count = s, name, 0
        self.path = s.path(f"boot/{name}.pem")
        self._openssl("req", "-x509", *KEY, "-days", "2", "-subj", f"/CN=test {name}", "-keyout", self._at("key"), "-out", self.path)

    def issue(self, *names, expired=False):
        """(certificate, key) for these names: "IP:127.0.0.1", "DNS:host"."""
        self._count += 1
        request, key, cert = (self._at(f"{self._count}.{kind}") for kind in ("csr", "key", "crt"))
        extensions = self._at(f"{self._count}.ext")
        with open(extensions, "w", encoding="ascii") as file:
            file.write("subjectAltName=" + ",".join(names) + "\nbasicConstraints=CA:FALSE\n")
        self._openssl("req", "-new", *KEY, "-subj", "/CN=test server", "-keyout", key, "-out", request)
        self._openssl("x509", "-req", "-in", request, "-CA", self.path, "-CAkey", self._at("key"), "-CAcreateserial",
                      "-days", "-1" if expired else "2", "-extfile", extensions, "-out", cert)
        return cert, key

    def _at(self, kind):
        return self._s.path(f"boot/{self._name}.{kind}")

    @staticmethod
    def _openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True)


KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def server_context(cert, key, clients=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.num_tickets = 0
    if clients:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
