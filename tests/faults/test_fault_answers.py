"""20: what a large answer costs in memory, whatever its shape: at most twelve times its text (rules: R8)."""
import http.server
import os
import threading

import pytest
from harness import wait_for

SIZE = 1_500_000
CONFIG = """
log_level = "error"
[vault]
address = "http://127.0.0.1:{port}"
[auto_auth.method]
type = "token_file"
token_file_path = "boot/token"
[[template]]
destination = "out/o"
contents = '{{{{ with secret "kv/big" }}}}{{{{ .Data.name }}}}{{{{ end }}}}'
"""
SHAPES = {
    "numbers of one digit": lambda i: "1",
    "numbers of five digits": lambda i: str(10_000 + i % 90_000),
    "empty texts": lambda i: '""',
    "texts of three letters": lambda i: f'"{i % 1000:03}"',
    "texts of eight letters": lambda i: f'"{i:08}"',
    "empty objects": lambda i: "{}",
    "empty lists": lambda i: "[]",
    "nested lists": lambda i: "[" * 50 + "]" * 50,
    "objects of one key": lambda i: '{"a":1}',
    "pairs of texts": lambda i: f'{{"{i % 10}":"{i % 977:03}"}}',
    "bytes that are no text": lambda i: '"\\udc00"',
    "huge numbers": lambda i: "1e999",
    "long texts": lambda i: '"' + f"{i:06}" * 100 + '"',
}


def body_of(part, size):
    parts, length, i = [], 0, 0
    while length < size:
        parts.append(part(i))
        length += len(parts[-1]) + 1
        i += 1
    return ('{"data":{"name":"n","big":[' + ",".join(parts) + "]}}").encode()


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, big, chunked):
        self.big, self.chunked = big, chunked
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path == "/v1/kv/big":
            answer = self.server.big
        elif self.path.startswith("/v1/sys/internal/ui/mounts"):
            answer = b'{"data":{"path":"kv/","type":"kv","options":{"version":"1"}}}'
        else:
            answer = b'{"data":{"id":"t","ttl":0,"renewable":false,"type":"service","policies":["default"]}}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        if self.server.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(answer), 60_000):
                piece = answer[at: at + 60_000]
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)


def peak(s, big, chunked):
    """KiB that a run which reads this answer takes at most."""
    server = Server(big, chunked)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        s.write("boot/token", "t")
        s.write("agent.toml", CONFIG.format(port=server.server_address[1]), 0o644)
        agent = s.start("render", "-c", "agent.toml")
        wait_for(lambda: s.read("out/o") == "n", 15, "the file")
        most = agent.status("VmHWM")
        agent.stop()
        os.unlink(s.path("out/o"))
        return most
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("shape", SHAPES)
def test_F20_an_answer_costs_at_most_twelve_times_its_text(s, shape):
    for chunked in (False, True):
        small = peak(s, body_of(SHAPES[shape], 1000), chunked)
        big = body_of(SHAPES[shape], SIZE)
        times = 1024 * (peak(s, big, chunked) - small) / len(big)
        print(f"{shape}{', in chunks' if chunked else ''}: {times:.1f} times")
        assert times <= 12
