"""Who vouches for a machine: JWTs and certificates of the scenarios' own, and stand-ins on loopback for a cluster's API server, an
issuer's keys, a directory, and the services of clouds."""
import base64
import json
import os
import re
import socket
import socketserver
import ssl
import subprocess
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bases import KV_DATA

CONFIG = '''
[vault]
address = "@addr@"
[auto_auth.method]
@method@
[[template]]
destination = "out/value"
contents = '{{ with secret "kv/data/app" }}{{ .Data.data.value }}{{ end }}'
'''


def base(s):
    """A secret that the policy kv-reader allows to read; returns its value."""
    value = s.canary("kv-first")
    s.vault.kv2("kv")
    s.vault.put(KV_DATA, {"value": value})
    s.vault.policy("kv-reader", "kv/data/*", "kv/metadata/*")
    return value


def enable(s, method, path=None):
    s.vault.post(quoted(f"sys/auth/{path or method}"), {"type": method})


def quoted(path):
    """As a server's path is written in a URL."""
    return urllib.parse.quote(path)


def start(s, method, env=None, more=""):
    return s.render(more + CONFIG.replace("@method@", method), env=env)


def openssl(*args, stdin=None):
    return subprocess.run(["openssl", *args], input=stdin, check=True, capture_output=True).stdout


def encoded(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else json.dumps(data).encode()).rstrip(b"=").decode()


def decoded(part):
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


class Signer:
    """Makes JWTs with an RSA key of its own; each is a canary: none may be seen anywhere."""

    def __init__(self, s, name="issuer", kid=None):
        self._canaries = s.canaries
        self.kid = kid
        self.key = s.path(f"boot/{name}.pem")
        openssl("genrsa", "-out", self.key, "2048")
        self.pem = open(self.key).read()
        self.public = openssl("rsa", "-in", self.key, "-pubout").decode()

    def sign(self, claims):
        head = {"alg": "RS256", "typ": "JWT", **({"kid": self.kid} if self.kid else {})}
        signed = encoded(head) + "." + encoded(claims)
        token = signed + "." + encoded(openssl("dgst", "-sha256", "-sign", self.key, stdin=signed.encode()))
        self._canaries.add(token, "a JWT")
        return token

    def token(self, **claims):
        now = int(time.time())
        return self.sign({"iat": now, "nbf": now - 5, "exp": now + 600, **claims})

    def certificate(self, s):
        """A self-signed one for the key, as Google publishes them."""
        path = s.path(f"boot/{self.kid or 'own'}.crt")
        openssl("req", "-x509", "-new", "-key", self.key, "-days", "2", "-subj", "/CN=cluster", "-out", path)
        return open(path).read()

    def jwk(self):
        modulus = openssl("rsa", "-in", self.key, "-noout", "-modulus").decode().strip().split("=")[1]
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.kid, "n": encoded(bytes.fromhex(modulus)), "e": "AQAB"}


def service_account_token(signer, name="app", **more):
    key = "kubernetes.io/serviceaccount/"
    return signer.token(iss="kubernetes/serviceaccount", sub=f"system:serviceaccount:ns1:{name}",
                        **{key + "namespace": "ns1", key + "service-account.name": name, key + "service-account.uid": "uid-1"}, **more)


def mount(s, generation, token, name="token"):
    """As the kubelet does it: a directory for each generation, and a link that is swapped."""
    os.makedirs(s.path(f"boot/volume/..{generation}"), exist_ok=True)
    s.write(f"boot/volume/..{generation}/{name}", token, 0o644)
    os.symlink(f"..{generation}", s.path("boot/volume/..new"))
    os.rename(s.path("boot/volume/..new"), s.path("boot/volume/..data"))
    if not os.path.islink(s.path(f"boot/volume/{name}")):
        os.symlink(f"..data/{name}", s.path(f"boot/volume/{name}"))
    return f"boot/volume/{name}"


class Authority:
    """A certificate authority and what it signs; names are those of files in boot/."""

    def __init__(self, s, name="ca"):
        self._s, self.name = s, name
        openssl("req", "-x509", *self._new_key(), "-days", "2", "-subj", f"/CN={name}", "-keyout", s.path(f"boot/{name}.key"), "-out", self.pem)

    @staticmethod
    def _new_key():
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

    @property
    def pem(self):
        return self._s.path(f"boot/{self.name}.pem")

    def sign(self, name, subject="/CN=client.test", extension="extendedKeyUsage=clientAuth"):
        """boot/NAME.pem and boot/NAME.key; returns their paths."""
        at = self._s.path("boot/" + name)
        openssl("req", "-new", *self._new_key(), "-subj", subject, "-keyout", at + ".key", "-out", at + ".csr")
        self._s.write(f"boot/{name}.ext", extension + "\n")
        openssl("x509", "-req", "-in", at + ".csr", "-CA", self.pem, "-CAkey", self._s.path(f"boot/{self.name}.key"), "-CAcreateserial",
                "-days", "2", "-extfile", at + ".ext", "-out", at + ".pem")
        return at + ".pem", at + ".key"


# --- HTTP services

class Asked:
    def __init__(self, handler, body):
        url = urllib.parse.urlsplit(handler.path)
        self.time = time.monotonic()
        self.method, self.path = handler.command, urllib.parse.unquote(url.path)
        self.query = {k: v[0] for k, v in urllib.parse.parse_qs(url.query).items()}
        self.headers, self.body = dict(handler.headers), body
        self.form = {k: v[0] for k, v in urllib.parse.parse_qs(body.decode(errors="replace")).items()}


class Service:
    """An HTTP service: answer(asked) gives (status, body) or (status, body, headers); a body that is no text is sent as JSON."""

    def __init__(self, tls=None):
        self.asked = []
        self.port = 0
        self._tls = tls
        self._server = None
        self.accept()

    def answer(self, asked):
        return 404, {}

    @property
    def url(self):
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def accept(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def handle_one(self):
                asked = Asked(self, self.rfile.read(int(self.headers.get("Content-Length") or 0)))
                outer.asked.append(asked)
                status, body, *more = outer.answer(asked)
                data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
                headers = {"Content-Type": "application/json", **(more[0] if more else {})}
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = handle_one

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            allow_reuse_address = daemon_threads = True

            def handle_error(self, *args):
                pass

        if self._server:
            return
        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        if self._tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self._tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def refuse(self):
        """Away: connections are refused, until accept()."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    close = refuse


class TokenReview(Service):
    """A cluster's API server: every token is that of ns1/app, or what `status` and `code` say."""

    def __init__(self):
        self.good = True
        self.code = 201
        self.status = {}
        super().__init__()

    def answer(self, asked):
        user = {"username": "system:serviceaccount:ns1:app", "uid": "uid-1", "groups": ["system:serviceaccounts"]}
        status = {"authenticated": True, "user": user, **self.status} if self.good else {"authenticated": False}
        return self.code, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}


class Keys(Service):
    """An issuer's JWKS."""

    def __init__(self, *signers):
        self.signers = list(signers)
        super().__init__()

    def answer(self, asked):
        return 200, {"keys": [signer.jwk() for signer in self.signers]}


class Connect:
    """A forward proxy that leads every CONNECT to one local port, whatever host is asked for: no name is looked up."""

    def __init__(self, port):
        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                head = b""
                while b"\r\n\r\n" not in head:
                    part = self.request.recv(4096)
                    if not part:
                        return
                    head += part
                try:
                    up = socket.create_connection(("127.0.0.1", port))
                except OSError:
                    self.request.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                    return
                self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=self.pipe, args=(up, self.request), daemon=True)
                back.start()
                self.pipe(self.request, up)
                back.join()
                up.close()

            @staticmethod
            def pipe(source, target):
                try:
                    while part := source.recv(65536):
                        target.sendall(part)
                except OSError:
                    pass
                for sock in (source, target):
                    try:
                        sock.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


# --- a directory

class Directory:
    """An LDAP server that knows how to bind (RFC 4511 section 4.2): cn=NAME,ou=people with a password; searches find nothing."""

    def __init__(self, **users):
        self.users = users
        self.port = 0
        self.binds = []
        self._server = None
        self.accept()

    @property
    def url(self):
        return f"ldap://127.0.0.1:{self.port}"

    def accept(self):
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                while message := _ber(self.request):
                    _, number, rest = _split(message)
                    tag, request, _ = _split(rest)
                    if tag == 0x60:
                        _, _, rest = _split(request)  # the version
                        _, name, rest = _split(rest)
                        good = outer.bind(name.decode(), _split(rest)[1].decode())
                        self.reply(number, 0x61, 0 if good else 49)
                    elif tag == 0x63:
                        self.reply(number, 0x65, 0)
                    else:
                        return

            def reply(self, number, tag, code):
                inner = b"\x02" + bytes([len(number)]) + number + bytes([tag, 7, 0x0A, 1, code, 4, 0, 4, 0])
                self.request.sendall(b"\x30" + bytes([len(inner)]) + inner)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def bind(self, name, password):
        user = re.sub(r"\\(.)", r"\1", re.fullmatch(r"cn=(.*),ou=people", name)[1])
        self.binds.append(user)
        return password and self.users.get(user) == password

    def refuse(self):
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    close = refuse


def _split(data):
    """(tag, content, what comes after it) of a BER element."""
    size, at = data[1], 2
    if size & 0x80:
        at += size & 0x7F
        size = int.from_bytes(data[2:at], "big")
    return data[0], data[at:at + size], data[at + size:]


def _ber(sock):
    """The content of the next message, or nothing at the end."""
    def take(count):
        data = b""
        while len(data) < count:
            part = sock.recv(count - len(data))
            if not part:
                return b""
            data += part
        return data

    head = take(2)
    if not head:
        return b""
    size = head[1]
    if size & 0x80:
        size = int.from_bytes(take(size & 0x7F), "big")
    return take(size)


# --- clouds

class Cloud(Service):
    """What the server asks of Google and Microsoft, over TLS and behind a forward proxy: keys, discovery, and tokens for its own use."""

    def __init__(self, s, signer, tls):
        self._canaries = s.canaries
        self.signers = [signer]
        super().__init__(tls)
        self.proxy = Connect(self.port)

    def answer(self, asked):
        if asked.path.endswith("/.well-known/openid-configuration"):
            return 200, {"issuer": "https://sts.windows.net/t/", "jwks_uri": "https://login.microsoftonline.com/keys"}
        if asked.path == "/keys":
            return 200, {"keys": [signer.jwk() for signer in self.signers]}
        if asked.path == "/token":
            return 200, {"access_token": "of-the-server", "expires_in": 3600, "token_type": "Bearer"}
        return 404, {}

    def close(self):
        self.refuse()
        self.proxy.close()


def use_cloud(s, signer):
    """A real server whose way to login.microsoftonline.com and oauth2.googleapis.com leads to a stand-in; returns that."""
    authority = Authority(s, "cloud-ca")
    tls = authority.sign("cloud", "/CN=cloud", "subjectAltName=DNS:login.microsoftonline.com,DNS:oauth2.googleapis.com")
    cloud = Cloud(s, signer, tls)
    s.use_vault(env={"HTTPS_PROXY": cloud.proxy.url, "https_proxy": cloud.proxy.url, "NO_PROXY": "", "SSL_CERT_FILE": authority.pem})
    return cloud
