"""Hostile bytes and a hostile web page before the listener: a clear answer or the end of the connection, and nothing goes upstream."""
import http.server
import json
import os
import re
import select
import socket
import subprocess
import threading

import pytest

from harness import wait_for
from harness.stub import TOKEN, Front, Stub, reply
from test_page import BROWSER
from test_proxy import GUARD, request


@pytest.fixture(name="stub", scope="module")
def _stub():
    server = Stub()
    yield server
    server.close()


@pytest.fixture(name="front", scope="module")
def _front(stub, tmp_path_factory):
    """One for all of them: what one does may not hurt the next."""
    made = Front(tmp_path_factory.mktemp("hostile"), stub)
    wait_for(lambda: made.get("/readyz").status == 200, 10)
    yield made
    log = made.log
    assert made.stop() == 0 and "agent.bug" not in log and "Sanitizer" not in log and TOKEN not in log, log[-3000:]


def post(headers, body):
    return request("POST", headers=headers, body=body)


CHUNKED = "Transfer-Encoding: chunked\r\n"
WEBSOCKET = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
# What comes in, and the statuses of which one must be the first answer; 0: no answer, closed.
INPUTS = {
    "HTTP/2 with its first frame": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", [400]),
    "an upgrade to HTTP/2": (request(headers="Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"), [501]),
    "an upgrade to a WebSocket": (request(headers=WEBSOCKET), [501]),
    "a carriage return in the request line": (b"GET /v1/kv\r/x HTTP/1.1\r\nHost: localhost\r\n" + GUARD.encode() + b"\r\n", [400]),
    "a fold in the first header": (b"GET /v1/kv/x HTTP/1.1\r\n folded: x\r\nHost: localhost\r\n\r\n", [400]),
    "a tab that folds": (request(headers="X-A: 1\r\n\tmore\r\n"), [400]),
    "two hosts": (request(headers="Host: localhost\r\n"), [400]),
    "two different hosts": (request(headers="Host: evil.example\r\n"), [400, 403]),
    "a host with a user": (request(host="localhost@evil.example"), [400]),
    "a host before another": (request(host="evil.example, localhost"), [400, 403]),
    "a host with a path": (request(host="localhost/evil"), [400, 403]),
    "a host with two ports": (request(host="localhost:1:2"), [400, 403]),
    "a length with a sign": (post("Content-Length: +3\r\n", "abc"), [400]),
    "a length below zero": (post("Content-Length: -1\r\n", ""), [400]),
    "a length in hex": (post("Content-Length: 0x3\r\n", "abc"), [400]),
    "a length with a blank in it": (post("Content-Length: 3 3\r\n", "abc"), [400]),
    "a length without a number": (post("Content-Length: \r\n", "abc"), [400]),
    "a length beyond 64 bits": (post("Content-Length: 99999999999999999999999\r\n", "abc"), [400, 413]),
    "a length that is too large": (post("Content-Length: 9999999999\r\n", "abc"), [413]),
    "two lengths that differ": (post("Content-Length: 3\r\nContent-Length: 4\r\n", "abc"), [400]),
    "a chunk of more than 64 bits": (post(CHUNKED, "fffffffffffffffff\r\nabc\r\n0\r\n\r\n"), [400, 413]),
    "a chunk of 2^64 - 1": (post(CHUNKED, "ffffffffffffffff\r\nabc\r\n0\r\n\r\n"), [400, 413]),
    "a chunk below zero": (post(CHUNKED, "-3\r\nabc\r\n0\r\n\r\n"), [400]),
    "a chunk with a sign": (post(CHUNKED, "+3\r\nabc\r\n0\r\n\r\n"), [400]),
    "a chunk in 0x": (post(CHUNKED, "0x3\r\nabc\r\n0\r\n\r\n"), [400]),
    "a chunk size with a blank before it": (post(CHUNKED, " 3\r\nabc\r\n0\r\n\r\n"), [400]),
    "a chunk without a size": (post(CHUNKED, "\r\nabc\r\n0\r\n\r\n"), [400]),
    "a chunk size with a bare line feed": (post(CHUNKED, "3\nabc\r\n0\r\n\r\n"), [400]),
    "a chunk extension of 10 KB": (post(CHUNKED, "3;" + "x" * 10000 + "\r\nabc\r\n0\r\n\r\n"), [400, 431]),
    "a hundred thousand zeros before a chunk size": (post(CHUNKED, "0" * 100000 + "3\r\nabc\r\n0\r\n\r\n"), [400, 431]),
    "chunked twice": (post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), [400]),
    "gzip and chunked": (post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), [400, 501]),
    "two transfer encodings": (post(CHUNKED + "Transfer-Encoding: identity\r\n", "0\r\n\r\n"), [400]),
    "a transfer encoding in quotes": (post('Transfer-Encoding: "chunked"\r\n', "0\r\n\r\n"), [400]),
    "chunked in HTTP/1.0": (request("POST", headers=CHUNKED, body="0\r\n\r\n", version="1.0"), [400]),
    "a trailer that is a header": (post(CHUNKED, "0\r\nContent-Length: 5\r\nX Y: 1\r\n\r\n"), [400]),
    "a trailer of 100 KB": (post(CHUNKED, "0\r\nX: " + "x" * 100000 + "\r\n\r\n"), [400, 431]),
    "HTTP/0.9": (b"GET /v1/kv/x\r\n\r\n", [400]),
    "HTTP/1.2": (request(version="1.2"), [400, 505]),
    "HTTP/11.1": (request(version="11.1"), [400, 505]),
    "http in small letters": (b"GET /v1/kv/x http/1.1\r\nHost: localhost\r\n\r\n", [400]),
    "a method in small letters": (request("get"), [400, 405]),
    "a method that is not one": (request("GE(T"), [400]),
    "TRACE": (request("TRACE"), [405]),
    "CONNECT": (b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", [405]),
    "OPTIONS *": (b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", [405]),
    "GET *": (b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n", [400]),
    "another's absolute target": (request(target="http://evil.example/v1/kv/x"), [403]),
    "an absolute target with a user": (request(target="http://localhost@evil.example/v1/kv/x"), [400]),
    "an absolute target without a host": (request(target="http:///v1/kv/x"), [400]),
    "a file as target": (request(target="file:///etc/passwd"), [400, 403]),
    "a target in brackets that don't close": (request(target="http://[::1/v1/kv/x"), [400, 403]),
    "two slashes at the start": (request(target="//evil.example/v1/kv/x"), [400]),
    "dots at the start": (request(target="/../v1/kv/x"), [400]),
    "dots at the end": (request(target="/v1/kv/x/.."), [400]),
    "an encoded dot alone": (request(target="/v1/%2e/kv/x"), [400]),
    "dots half encoded": (request(target="/v1/kv/.%2e/sys/mounts"), [400]),
    "an overlong slash": (request(target="/v1/kv/%c0%af../x"), [400]),
    "a surrogate": (request(target="/v1/kv/%ed%a0%80"), [400]),
    "a fragment": (request(target="/v1/kv/x#y"), [400]),
    "a NUL in the target": (request(target="/v1/kv/\0x"), [400]),
    "a NUL in a header": (request(headers="X-A: a\0b\r\n"), [400]),
    "a NUL in a header's name": (request(headers="X\0A: b\r\n"), [400]),
    "a delete character in a header": (request(headers="X-A: a\x7fb\r\n"), [400]),
    "a header without a name": (request(headers=": x\r\n"), [400]),
    "a header with a blank before its colon": (request(headers="X-Vault-Token : x\r\n"), [400]),
    "a query of 100 KB": (request(target="/v1/kv/x?q=" + "x" * 100000), [400, 414, 431]),
    "ten thousand headers": (request(headers="X: 1\r\n" * 10000), [400, 431]),
    "an expectation that is none": (request("POST", headers="Expect: 200-ok\r\nContent-Length: 3\r\n", body="abc"), [417]),
    "a namespace that climbs": (request(headers="X-Vault-Namespace: ns/../..\r\n"), [400]),
    "a namespace with a slash in disguise": (request(headers="X-Vault-Namespace: ns%2f..\r\n"), [400]),
    "two tokens": (request(headers="X-Vault-Token: a\r\nX-Vault-Token: b\r\n"), [400]),
    "a mail server's greeting": (b"EHLO localhost\r\n\r\n", [400]),
    "a secure shell": (b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n", [400]),
    "a Redis command": (b"*1\r\n$4\r\nPING\r\n\r\n", [400]),
    "nothing but line ends": (b"\r\n" * 100, [400, 0]),
    "a zero byte": (b"\0" * 64, [400]),
    "a scheme that is none": (request(target="evil?x://localhost/v1/kv/x"), [400]),
    "another scheme": (request(target="ftp://localhost/v1/kv/x"), [400]),
    "an absolute target and another host": (request(target="http://localhost/v1/kv/x", host="evil.example"), [403]),
    "an absolute target with a port out of range": (request(target="http://localhost:99999/v1/kv/x"), [400]),
    "the authority form": (request(target="localhost:8200"), [400]),
    "CONNECT with a body": (b"CONNECT localhost:8200 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", [405]),
    "a port out of range": (request(host="localhost:65536"), [400]),
    "port 0": (request(host="localhost:0"), [400]),
    "a host with a tab": (request(host="local\thost"), [400]),
    "a host that is an address in disguise": (request(host="0x7f000001"), [403]),
    "a blank before a header's name": (request(headers="X-A: 1\r\n X-B: 2\r\n"), [400]),
    "a blank within a header's name": (request(headers="X A: 1\r\n"), [400]),
    "a header that is a line alone": (request(headers="X-A\r\n"), [400]),
    "a chunk with an extension and no end": (post(CHUNKED, "3;a=\"\r\nabc\r\n0;\nX: 1\r\n\r\n"), [400]),
    "a chunk that is longer than it says": (post(CHUNKED, "2\r\nabc\r\n0\r\n\r\n"), [400]),
    "a trailer that is folded": (post(CHUNKED, "0\r\nX: 1\r\n y\r\n\r\n"), [400]),
    "a trailer with a bare line feed": (post(CHUNKED, "0\r\nX: 1\n\r\n"), [400]),
    "a hundred thousand extensions": (post(CHUNKED, "1;x\r\na\r\n" * 100000 + "0\r\n\r\n"), [400]),
    "two expectations": (request("POST", headers="Expect: 100-continue\r\nExpect: x\r\nContent-Length: 3\r\n", body="abc"), [417]),
    "an answer": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", [400]),
    "an interim answer": (b"HTTP/1.1 100 Continue\r\n\r\n", [400]),
    "two upgrades": (request(headers=WEBSOCKET + "Upgrade: h2c\r\n"), [400]),
    "two guards": (request(headers="X-Vault-Request: true\r\n"), [412]),
    "two wrap times": (request(headers="X-Vault-Wrap-TTL: 1\r\nX-Vault-Wrap-TTL: 2\r\n"), [400]),
}
# A length and chunks, whichever comes first and however it is written: none is believed.
for _length in ("Content-Length: 5", "content-length: 5", "CONTENT-LENGTH:5"):
    for _coding in ("Transfer-Encoding: chunked", "transfer-encoding: CHUNKED", "Transfer-Encoding:\tchunked", "Transfer-Encoding: identity",
                    "Transfer-Encoding: chunked, identity", "Transfer-Encoding: x", "Transfer-Encoding:"):
        for _both in ((_length, _coding), (_coding, _length), (_length, _coding, _length)):
            INPUTS["; ".join(_both)] = (post("".join(f"{line}\r\n" for line in _both), "0\r\n\r\n"), [400])
for _odd in ("Transfer-Encoding: \x0bchunked", "Transfer-Encoding: chunked\x00", "Transfer-Encoding : chunked", "Transfer\tEncoding: chunked",
             "X: y\rTransfer-Encoding: chunked", "X: y\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked,", "Transfer-Encoding: ,chunked",
             "Transfer-Encoding: chunked;q=1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"):
    INPUTS[repr(_odd)] = (post(_odd + "\r\n", "0\r\n\r\n"), [400])


def first_answer(port, data):
    """All that comes, until an answer is whole or the connection ends."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as connection:
        try:
            connection.sendall(data)
            while (piece := connection.recv(65536)):
                got += piece
                head, end, body = got.partition(b"\r\n\r\n")
                length = re.search(rb"\r\nContent-Length: (\d+)", head)
                if end and length and len(body) >= int(length[1]):
                    break
        except (ConnectionResetError, BrokenPipeError):
            pass
    return got


@pytest.mark.parametrize("what", INPUTS)
def test_hostile_input(front, stub, what):
    data, wanted = INPUTS[what]
    before = len(stub.journal)
    got = first_answer(front.port, data)
    assert len(stub.journal) == before, "it went upstream"
    if not got:
        assert 0 in wanted
        return
    assert got.count(b"HTTP/1.1 ") == 1 and int(got.split()[1]) in wanted, got[:300]
    assert json.loads(got.split(b"\r\n\r\n", 1)[1])["errors"], got[:300]


def test_what_follows_an_error_is_not_read(front, stub):
    """Pipelined behind each kind of a bad request: one answer, the end, and nothing goes upstream."""
    stub.on("GET /v1/kv/next", reply(body={}))
    before = len(stub.journal)
    following = request(target="/v1/kv/next")
    for what in ("a header with a blank before its colon", "Content-Length: 5; Transfer-Encoding: chunked", "a chunk below zero", "a trailer that is folded",
                 "HTTP/1.2", "two hosts", "a target that is folded"):
        data = INPUTS[what][0] if what in INPUTS else request(target="/v1/kv/x\r\n y")
        got = front.raw(data + following)
        assert got.count(b"HTTP/1.1 ") == 1 and b"Connection: close" in got, (what, got)
    assert len(stub.journal) == before


def test_a_refusal_keeps_its_place_in_the_pipeline(front, stub):
    """What is refused by a rule and not by the parser: each has its answer, in order, its body is not taken for a request."""
    stub.on("GET /v1/kv/last", reply(body={"last": True}))
    smuggled = request(target="/v1/kv/smuggled").decode()
    evil = "Origin: http://evil\r\n"
    refused = [request(headers=evil), request("POST", headers=f"{evil}Content-Length: {len(smuggled)}\r\n", body=smuggled),
               request("POST", headers=evil + CHUNKED, body=f"{len(smuggled):x}\r\n{smuggled}\r\n0\r\n\r\n"), request("TRACE"),
               request("POST", target="/", headers=f"Content-Length: {len(smuggled)}\r\n", body=smuggled)]
    got = front.raw(b"".join(refused) + request(target="/v1/kv/last", headers="Connection: close\r\n"))
    assert [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", got)] == [403, 403, 403, 405, 405, 200], got
    assert b'{"last": true}' in got and not stub.seen("GET /v1/kv/smuggled")


def test_a_hundred_thousand_headers_in_small_pieces(front, stub):
    before, size = len(stub.journal), front.status("VmRSS")
    got, sent = b"", 0
    with socket.create_connection(("127.0.0.1", front.port), timeout=15) as connection:
        try:
            connection.sendall(b"GET /v1/kv/x HTTP/1.1\r\nHost: localhost\r\n")
            for number in range(100000):
                connection.sendall(b"X-%d: 1\r\n" % number)
                sent += 1
                if number % 500 == 0 and select.select([connection], [], [], 0)[0]:
                    break
            got = connection.recv(1000)
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert sent < 100000 and (not got or got.startswith(b"HTTP/1.1 431 ")), (sent, got)
    assert len(stub.journal) == before and front.status("VmRSS") - size < 8 * 1024
    assert front.get("/livez").status == 200


@pytest.mark.parametrize("pieces", [1, 3])
def test_a_head_that_comes_byte_by_byte_is_the_same(front, stub, pieces):
    stub.on("POST /v1/kv/x", lambda r, c: reply(body={"len": len(r.body), "a": r.header("X-A")}))
    data = request("POST", headers="X-A: b\r\nConnection: close\r\n" + CHUNKED, body="3;x=y\r\nabc\r\n0\r\nX: 1\r\n\r\n")
    with socket.create_connection(("127.0.0.1", front.port), timeout=15) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(data), pieces):
            connection.sendall(data[at:at + pieces])
        got = b""
        while (piece := connection.recv(65536)):
            got += piece
    assert b'{"len": 3, "a": "b"}' in got


def test_a_body_that_never_comes_is_waited_for_only_so_long(stub, tmp_path):
    """Expect: 100-continue, the go-ahead, and then nothing: 408; nothing of it goes upstream."""
    hurried = Front(tmp_path, stub, listener='[[listener]]\naddress = "127.0.0.1:PORT"\nprogress_timeout = "1s"\nmax_request_size = "1KiB"\n')
    try:
        before = len(stub.journal)
        for framing in ("Content-Length: 3\r\n", CHUNKED):
            got = hurried.raw(request("POST", headers="Expect: 100-continue\r\n" + framing))
            assert got.startswith(b"HTTP/1.1 100 Continue\r\n\r\n"), got
            assert got.count(b"HTTP/1.1 408 ") == 1 and b"Connection: close" in got, got
        assert not [r for r in stub.journal[before:] if r.method == "POST" and "kv/x" in r.target]
        # One that is too large is not asked for.
        got = hurried.raw(request("POST", headers="Expect: 100-continue\r\nContent-Length: 2000\r\n"))
        assert got.startswith(b"HTTP/1.1 413 ") and got.count(b"HTTP/1.1 ") == 1, got
    finally:
        assert hurried.stop() == 0


@pytest.mark.parametrize("interim", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", b"HTTP/1.1 102 X\r\n\r\n" * 3])
def test_the_servers_interim_answers_end_here(front, stub, interim):
    stub.on("GET /v1/kv/interim", lambda r, c: c.sendall(interim) or reply(body={"data": 1}))
    got = front.raw(request(target="/v1/kv/interim", headers="Connection: close\r\n"))
    assert got.startswith(b"HTTP/1.1 200 ") and got.count(b"HTTP/1.1 ") == 1 and b'{"data": 1}' in got


def test_http_1_0_kept_alive(front, stub):
    stub.on("GET /v1/kv/old", reply(body={"data": 1}))
    old = request(target="/v1/kv/old", version="1.0", headers="Connection: keep-alive\r\n")
    got = front.raw(2 * old + request(target="/v1/kv/old", version="1.0"))
    assert got.count(b"HTTP/1.1 200 ") == 3 and got.count(b"Connection: keep-alive") == 2 and got.count(b"Connection: close") == 1


def test_trailers_and_extensions_stay_here(front, stub):
    stub.on("POST /v1/kv/x", lambda r, c: reply(body={"len": len(r.body), "token": r.header("X-Smuggled")}))
    got = front.raw(request("POST", headers=CHUNKED + "Connection: close\r\n", body="3;a=b\r\nabc\r\n0\r\nX-Smuggled: 1\r\n\r\n"))
    assert b'{"len": 3, "token": null}' in got


def test_a_body_may_be_waited_for(front, stub):
    """Expect: 100-continue, and then another request in the place of the body."""
    stub.on("POST /v1/kv/x", lambda r, c: reply(body={"len": len(r.body)}))
    before = len(stub.seen("GET /v1/smuggled"))
    smuggled = request(target="/v1/smuggled")
    got = front.raw(request("POST", headers=f"Expect: 100-continue\r\nContent-Length: {len(smuggled)}\r\nConnection: close\r\n") + smuggled)
    assert f'{{"len": {len(smuggled)}}}'.encode() in got and len(stub.seen("GET /v1/smuggled")) == before


# --- a web page --------------------------------------------------------------------------------------------------------------------------

PAGE = '''<!doctype html><title>x</title><pre id=out></pre><form id=f method=post action="BASE/v1/kv/form" target=frame enctype="text/plain">
<input name='{"a":"' value='"}'></form><iframe name=frame></iframe><img src="BASE/v1/kv/img"><link rel=stylesheet href="BASE/v1/kv/css">
<script src="BASE/v1/kv/script"></script><script>
const seen = [];
const say = (what, got) => { seen.push(what + ": " + got); document.getElementById("out").textContent = seen.join("\\n"); };
const ask = (what, path, how) => fetch("BASE" + path, how).then((r) => r.text().then((t) => say(what, r.type + " " + r.status + " [" + t + "]")), (e) => say(what, "failed"));
ask("plain", "/v1/kv/plain");
ask("blind", "/v1/kv/blind", {mode: "no-cors"});
ask("with the header", "/v1/kv/header", {headers: {"X-Vault-Request": "true"}});
ask("with cookies", "/v1/kv/cookies", {credentials: "include", mode: "no-cors"});
ask("a write", "/v1/kv/write", {method: "POST", mode: "no-cors", body: "{}"});
ask("a write in JSON", "/v1/kv/json", {method: "PUT", headers: {"Content-Type": "application/json"}, body: "{}"});
ask("the page", "/");
ask("metrics", "/metrics");
ask("health", "/readyz?verbose");
ask("quit", "/agent/v1/quit", {method: "POST", mode: "no-cors"});
ask("clear", "/agent/v1/cache-clear", {method: "POST", mode: "no-cors", body: '{"type":"all"}'});
navigator.sendBeacon("BASE/v1/kv/beacon", "{}");
document.getElementById("f").submit();
const ws = new WebSocket("BASE".replace("http", "ws") + "/v1/sys/events/subscribe/x");
ws.onopen = () => say("socket", "open"); ws.onerror = () => say("socket", "failed");
const events = new EventSource("BASE/v1/sys/monitor");
events.onopen = () => say("events", "open"); events.onerror = () => { say("events", "failed"); events.close(); };
const x = new XMLHttpRequest(); x.open("GET", "BASE/v1/kv/xhr");
x.onload = () => say("xhr", x.responseText); x.onerror = () => say("xhr", "failed"); x.send();
</script>'''


def browse(directory, url, *args):
    done = subprocess.run([*BROWSER, f"--user-data-dir={directory}/browser", "--virtual-time-budget=6000", "--dump-dom", *args, url],
                          capture_output=True, text=True, timeout=120, check=False, env={"PATH": os.environ["PATH"], "HOME": str(directory)})
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(name="site")
def _site():
    """A web server of somebody else's: site(html) -> address."""
    servers = []

    def serve(html):
        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(html.encode())

            def log_message(self, *args):
                pass
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return servers[-1].server_port
    yield serve
    for each in servers:
        each.shutdown()
        each.server_close()


@pytest.mark.parametrize("name", ["evil.example", "localhost"])
def test_a_web_page_gets_nothing(front, stub, site, tmp_path, name):
    """From another site, and from another port of this machine: no answer is read, no request goes upstream."""
    for path in ("plain", "blind", "header", "cookies", "xhr", "script", "img"):
        stub.on(f"GET /v1/kv/{path}", reply(body={"data": "the-value"}))
    before = len(stub.journal)
    asked = front.log.count("listener.refused")
    port = site(PAGE.replace("BASE", f"http://127.0.0.1:{front.port}"))
    dom = browse(tmp_path, f"http://{name}:{port}/", f"--host-resolver-rules=MAP {name} 127.0.0.1")
    said = dict(line.split(": ", 1) for line in dom[dom.index("<pre"):dom.index("</pre>")].split(">", 1)[1].splitlines())
    assert len(said) >= 13, said
    for what, got in said.items():
        assert got == "failed" or got.startswith("opaque 0 []"), (what, got)
    assert "the-value" not in dom and len(stub.journal) == before, stub.journal[before:]
    wait_for(lambda: front.log.count("listener.refused") > asked, 5)


def test_a_name_that_is_bound_again_gets_nothing(front, stub, tmp_path):
    """DNS rebinding: the browser believes that the listener is evil.example, so that its page is of the same origin."""
    before = len(stub.journal)
    for target in ("/v1/kv/x", "/", "/metrics"):
        dom = browse(tmp_path, f"http://evil.example:{front.port}{target}", "--host-resolver-rules=MAP evil.example 127.0.0.1")
        assert "not a name of this listener" in dom and "keybearer_" not in dom and "<section" not in dom, dom
    assert len(stub.journal) == before
