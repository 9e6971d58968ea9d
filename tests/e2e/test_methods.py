"""Each auth method against the real server's own back end, with its credential as a file and from the environment; and what a refusal says."""
import base64
import http.client
import json
import os
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bases import KV_DATA
from harness import EX_AUTH, wait_for

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
    value = s.canary("kv-first")
    s.vault.kv2("kv")
    s.vault.put(KV_DATA, {"value": value})
    s.vault.policy("kv-reader", "kv/data/*", "kv/metadata/*")
    return value


def enable(s, method):
    s.vault.post(f"sys/auth/{method}", {"type": method})


def start(s, method, env=None):
    return s.render(CONFIG.replace("@method@", method), env=env)


def openssl(*args, stdin=None):
    return subprocess.run(["openssl", *args], input=stdin, check=True, capture_output=True).stdout


def encoded(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else json.dumps(data).encode()).rstrip(b"=").decode()


class Signer:
    """Makes JWTs with a key of its own."""

    def __init__(self, s):
        self.key = s.path("boot/issuer.pem")
        openssl("genrsa", "-out", self.key, "2048")
        self.public = openssl("rsa", "-in", self.key, "-pubout").decode()

    def token(self, **claims):
        now = int(time.time())
        head = encoded({"alg": "RS256", "typ": "JWT"}) + "." + encoded({"iat": now, "nbf": now - 5, "exp": now + 600, **claims})
        return head + "." + encoded(openssl("dgst", "-sha256", "-sign", self.key, stdin=head.encode()))


@pytest.fixture
def signer(s):
    return Signer(s)


# --- userpass

@pytest.mark.parametrize("source", ["file", "environment", "removed"])
def test_userpass(s, source):
    value = base(s)
    enable(s, "userpass")
    password = s.canary("password")
    s.vault.post("auth/userpass/users/bob", {"password": password, "token_policies": "kv-reader", "token_ttl": "10m"})
    keys = 'type = "userpass"\nusername = "bob"\n'
    if source == "environment":
        start(s, keys, env={"VAULT_PASSWORD": password})
    else:
        s.write("boot/password", password + "\n")
        start(s, keys + 'password_file_path = "boot/password"\n' + ("remove_password_after_reading = true" if source == "removed" else ""))
    wait_for(lambda: s.read("out/value") == value, 5, "the value")
    assert (s.read("boot/password") is None) == (source != "file")


def test_userpass_wrong_password(s):
    base(s)
    enable(s, "userpass")
    s.vault.post("auth/userpass/users/bob", {"password": s.canary("password"), "token_policies": "kv-reader"})
    s.write("boot/password", s.canary("wrong"))
    agent = start(s, 'type = "userpass"\nusername = "bob"\npassword_file_path = "boot/password"')
    assert agent.wait_exit(20) == EX_AUTH
    assert len(s.tap.entries("auth/userpass/login/bob")) == 3, s.tap
    assert "invalid username or password" in agent.stderr and "boot/password" in agent.stderr


# --- jwt

def jwt_base(s, signer, **role):
    value = base(s)
    enable(s, "jwt")
    s.vault.post("auth/jwt/config", {"jwt_validation_pubkeys": [signer.public], "bound_issuer": "test"})
    s.vault.post("auth/jwt/role/app", {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"],
                                       "token_policies": "kv-reader", "token_ttl": "10m", **role})
    return value


@pytest.mark.parametrize("source", ["file", "environment"])
def test_jwt(s, signer, source):
    value = jwt_base(s, signer)
    token = signer.token(iss="test", aud="vault", sub="app")
    s.write("boot/jwt", token + "\n", 0o644)
    agent = start(s, 'type = "jwt"\nrole = "app"\n' + ('path = "boot/jwt"' if source == "file" else ""),
                  env={"VAULT_JWT": token} if source == "environment" else None)
    wait_for(lambda: s.read("out/value") == value, 5, "the value")
    assert not agent.lines_about("others may read"), "what a platform mounts is readable"
    assert token not in agent.stderr


def test_jwt_is_read_again_at_each_login(s, signer):
    jwt_base(s, signer, token_type="batch", token_ttl="6s")
    s.write("boot/jwt", signer.token(iss="test", aud="vault", sub="first"))
    start(s, 'type = "jwt"\nrole = "app"\npath = "boot/jwt"')
    wait_for(lambda: s.tap.count("auth/jwt/login") == 1, 5, "a login")
    second = signer.token(iss="test", aud="vault", sub="second")
    s.write("boot/jwt", second)
    wait_for(lambda: [e for e in s.tap.entries("auth/jwt/login") if e.body["jwt"] == second and e.status == 200], 8, "the new JWT")


def test_jwt_wrong_audience(s, signer):
    jwt_base(s, signer)
    s.write("boot/jwt", signer.token(iss="test", aud="other", sub="app"))
    agent = start(s, 'type = "jwt"\nrole = "app"\npath = "boot/jwt"')
    assert agent.wait_exit(20) == EX_AUTH
    assert "audience" in agent.stderr and "boot/jwt" in agent.stderr and "app" in agent.stderr


# --- kubernetes

class TokenReview:
    """Stands in for a cluster's API server: every token is that of ns1/app, while `good`."""

    def __init__(self):
        self.good = True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                user = {"username": "system:serviceaccount:ns1:app", "uid": "uid-1", "groups": ["system:serviceaccounts"]}
                status = {"authenticated": True, "user": user} if outer.good else {"authenticated": False}
                body = json.dumps({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}).encode()
                self.send_response(201)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def review():
    server = TokenReview()
    yield server
    server.close()


def service_account_token(signer, **more):
    name = "kubernetes.io/serviceaccount/"
    return signer.token(iss="kubernetes/serviceaccount", sub="system:serviceaccount:ns1:app",
                        **{name + "namespace": "ns1", name + "service-account.name": "app", name + "service-account.uid": "uid-1"}, **more)


def kubernetes_base(s, signer, review, **role):
    value = base(s)
    enable(s, "kubernetes")
    certificate = s.path("boot/ca.pem")
    openssl("req", "-x509", "-new", "-key", signer.key, "-days", "2", "-subj", "/CN=cluster", "-out", certificate)
    s.vault.post("auth/kubernetes/config", {"kubernetes_host": review.url, "kubernetes_ca_cert": open(certificate).read(),
                                            "token_reviewer_jwt": service_account_token(signer), "disable_local_ca_jwt": True})
    s.vault.post("auth/kubernetes/role/app", {"bound_service_account_names": "app", "bound_service_account_namespaces": "ns1",
                                              "token_policies": "kv-reader", "token_ttl": "10m", **role})
    return value


def mount(s, generation, token):
    """As the kubelet does it: a directory for each generation, and a link that is swapped."""
    directory = s.path(f"boot/..{generation}")
    os.makedirs(directory)
    s.write(f"boot/..{generation}/token", token, 0o644)
    os.symlink(f"..{generation}", s.path("boot/..new"))
    os.rename(s.path("boot/..new"), s.path("boot/..data"))
    if not os.path.islink(s.path("boot/token")):
        os.symlink("..data/token", s.path("boot/token"))


def test_kubernetes(s, signer, review):
    value = kubernetes_base(s, signer, review)
    mount(s, 1, service_account_token(signer))
    agent = start(s, 'type = "kubernetes"\nrole = "app"\ntoken_path = "boot/token"')
    wait_for(lambda: s.read("out/value") == value, 5, "the value")
    assert not agent.lines_about("others may read")


def test_kubernetes_api_server_away_for_a_while(s, signer, review):
    """Its 403 hides that, so it is no refusal for good; and the token that the kubelet has swapped meanwhile is used."""
    kubernetes_base(s, signer, review, token_type="batch", token_ttl="8s")
    mount(s, 1, service_account_token(signer))
    agent = start(s, 'type = "kubernetes"\nrole = "app"\ntoken_path = "boot/token"')
    wait_for(lambda: s.read("out/value"), 5, "the value")
    review.good = False
    agent.wait_line("403", timeout=12)
    refused = s.tap.count("auth/kubernetes/login")
    second = service_account_token(signer, jti="second")
    mount(s, 2, second)
    review.good = True
    wait_for(lambda: [e for e in s.tap.entries("auth/kubernetes/login") if e.body["jwt"] == second and e.status == 200], 20, "a login")
    assert agent.alive and refused <= 6, s.tap


def test_kubernetes_without_a_file_names_it(s):
    agent = s.start("run", "--kubernetes-role", "app", "--", *s.app_command(), env={"VAULT_ADDR": s.tap.url})
    assert agent.wait_exit(5) == 78
    assert "token_path: /var/run/secrets/kubernetes.io/serviceaccount/token" in agent.stderr


# --- cert

def certificates(s):
    """An authority, and certificates of a server and of a client."""
    at = lambda name: s.path(f"boot/{name}")  # noqa: E731
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *key, "-days", "2", "-subj", "/CN=authority", "-keyout", at("ca.key"), "-out", at("ca.pem"))
    for name, subject, extension in (("server", "/CN=server", "subjectAltName=IP:127.0.0.1"),
                                     ("client", "/CN=client.test", "extendedKeyUsage=clientAuth")):
        openssl("req", "-new", *key, "-subj", subject, "-keyout", at(name + ".key"), "-out", at(name + ".csr"))
        s.write(f"boot/{name}.ext", extension + "\n")
        openssl("x509", "-req", "-in", at(name + ".csr"), "-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-CAcreateserial",
                "-days", "2", "-extfile", at(name + ".ext"), "-out", at(name + ".pem"))
    return at


def test_cert(s):
    """Over mutual TLS; the renewal comes over the same certificate (the server refuses it otherwise)."""
    at = certificates(s)
    vault = s.use_vault(tls=(at("server.pem"), at("server.key")))
    context = ssl.create_default_context(cafile=at("ca.pem"))

    def ask(method, path, body=None):
        connection = http.client.HTTPSConnection("127.0.0.1", vault.port, timeout=15, context=context)
        try:
            connection.request(method, "/v1/" + path, body=json.dumps(body) if body is not None else None,
                               headers={"X-Vault-Token": vault.token})
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status < 300, content
            return json.loads(content) if content else {}
        finally:
            connection.close()

    def serves():
        try:
            return ask("GET", "sys/health")
        except OSError:
            return None

    wait_for(serves, 20, "the server")
    value = s.canary("kv-first")
    ask("POST", "sys/mounts/kv", {"type": "kv"})
    ask("PUT", "kv/app", {"value": value})
    ask("PUT", "sys/policies/acl/kv-reader", {"policy": 'path "kv/*" { capabilities = ["read"] }'})
    ask("POST", "sys/auth/cert", {"type": "cert"})
    ask("POST", "auth/cert/certs/app", {"certificate": open(at("ca.pem")).read(), "allowed_common_names": "client.test",
                                        "token_policies": "kv-reader", "token_ttl": "4s"})
    agent = s.render(f'''
log_level = "debug"
[vault]
address = "https://127.0.0.1:{vault.port}"
ca_cert = "boot/ca.pem"
[auto_auth.method]
type = "cert"
name = "app"
client_cert = "boot/client.pem"
client_key = "boot/client.key"
[[template]]
destination = "out/value"
contents = '{{{{ with secret "kv/app" }}}}{{{{ .Data.value }}}}{{{{ end }}}}'
''')
    wait_for(lambda: s.read("out/value") == value, 5, "the value")
    wait_for(lambda: len(agent.lines_about("token renewed")) >= 2, 12, "two renewals")
    assert agent.alive and not agent.lines_about("renewal", levels=("warn", "error")), agent.stderr


def test_cert_without_a_certificate(s):
    base(s)
    enable(s, "cert")
    agent = start(s, 'type = "cert"\nname = "app"')
    assert agent.wait_exit(20) == EX_AUTH
    assert "client_cert" in agent.stderr
