"""The control socket of a keybearer: one request, as a program without keybearer's own commands would make it."""
import http.client
import json
import os
import socket
import struct
import threading


class _Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("keybearer", timeout=45)
        self.path = path
        self.peer = None

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(45)
        self.sock.connect(self.path)
        self.peer = struct.unpack("3i", self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))


def ask(path, method="GET", target="/status", body=None):
    """(status, text, process id of who answered)"""
    connection = _Connection(path)
    try:
        connection.request(method, target, body=None if body is None else json.dumps(body))
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), connection.peer[0]
    finally:
        connection.close()


def sockets(directory):
    try:
        return sorted(os.path.join(directory, name) for name in os.listdir(directory) if name.endswith(".sock"))
    except FileNotFoundError:
        return []


def replies(directory):
    """What every instance of this runtime directory says of itself, for the search for canaries."""
    for path in sockets(directory):
        for target in ("/status", "/readyz?verbose"):
            try:
                yield path + target, ask(path, target=target)[1]
            except OSError:  # it ends, or was killed
                pass


class OverTcp:
    """The control socket as http://127.0.0.1:PORT, for a browser."""

    def __init__(self, path):
        self.path = path
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self.path)
            except OSError:
                client.close()
                continue
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    @staticmethod
    def _copy(source, target):
        try:
            while piece := source.recv(65536):
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.listener.close()
