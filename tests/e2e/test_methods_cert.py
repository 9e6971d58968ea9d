"""cert against the real server's own back end, over mutual TLS: login and renewal over the method's certificate, certificates that are replaced
while keybearer runs, refusals."""
import http.client
import json
import ssl

import pytest

from harness import EX_AUTH, wait_for
from identities import Authority, base, enable, start

CONFIG = '''
log_level = "debug"
[vault]
address = "https://127.0.0.1:@port@"
ca_cert = "boot/ca.pem"
[auto_auth.method]
type = "cert"
@keys@
[[template]]
destination = "out/value"
contents = '{{ with secret "kv/app" }}{{ .Data.value }}{{ end }}'
'''
KEYS = 'name = "app"\nclient_cert = "boot/used.pem"\nclient_key = "boot/used.key"'


class Pki:
    """A server with TLS, and what it knows."""

    def __init__(self, s):
        self.s = s
        self.ca = Authority(s)
        self.ca.sign("server", "/CN=server", "subjectAltName=IP:127.0.0.1")
        self.vault = s.use_vault(tls=(s.path("boot/server.pem"), s.path("boot/server.key")))
        self._context = ssl.create_default_context(cafile=self.ca.pem)
        wait_for(self.serves, 20, "the server")
        self.value = s.canary("kv-first")
        self.ask("POST", "sys/mounts/kv", {"type": "kv"})
        self.ask("PUT", "kv/app", {"value": self.value})
        self.ask("PUT", "sys/policies/acl/kv-reader", {"policy": 'path "kv/*" { capabilities = ["read"] }'})
        self.ask("POST", "sys/auth/cert", {"type": "cert"})
        self.audit = s.path("logs-audit")
        s.allow("logs-audit")
        self.ask("PUT", "sys/audit/file", {"type": "file", "options": {"file_path": self.audit}})

    def serves(self):
        try:
            return self.ask("GET", "sys/health")
        except OSError:
            return None

    def ask(self, method, path, body=None):
        connection = http.client.HTTPSConnection("127.0.0.1", self.vault.port, timeout=15, context=self._context)
        try:
            connection.request(method, "/v1/" + path, body=json.dumps(body) if body is not None else None,
                               headers={"X-Vault-Token": self.vault.token})
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status < 300, content
            return json.loads(content) if content else {}
        finally:
            connection.close()

    def role(self, *authorities, name="app", **options):
        self.ask("POST", f"auth/cert/certs/{name}", {"certificate": "".join(open(ca.pem).read() for ca in authorities),
                                                     "token_policies": "kv-reader", **options})

    def use(self, name, *kinds):
        """boot/used.pem and .key become those of NAME, each by a rename."""
        for kind in kinds or ("pem", "key"):
            self.s.write(f"boot/used.{kind}", self.s.read(f"boot/{name}.{kind}"))

    def start(self, keys=KEYS):
        return self.s.render(CONFIG, port=self.vault.port, keys=keys)

    def answers(self, path):
        """(error or "", whether a certificate was presented), of requests to a path, by the audit log."""
        with open(self.audit, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        return [(line.get("error", ""), "client_certificate_serial_number" in json.dumps(line["request"]))
                for line in lines if line["type"] == "response" and line["request"]["path"] == path]


@pytest.fixture
def pki(s):
    return Pki(s)


def test_cert(s, pki):
    """The renewal comes over the same certificate (the server refuses it otherwise)."""
    pki.ca.sign("client")
    pki.use("client")
    pki.role(pki.ca, allowed_common_names="client.test", token_ttl="4s")
    agent = pki.start()
    wait_for(lambda: s.read("out/value") == pki.value, 5, "the value")
    wait_for(lambda: len(agent.lines_about("token renewed")) >= 2, 12, "two renewals")
    assert agent.alive and not agent.lines_about("renewal", levels=("warn", "error")), agent.stderr
    assert all(error == "" for error, _ in pki.answers("auth/token/renew-self"))


def test_cert_replaced_by_one_of_the_same_authority(s, pki):
    """Short-lived certificates: the next connections use the new pair, the token goes on being renewed."""
    pki.ca.sign("one")
    pki.ca.sign("two")
    pki.use("one")
    pki.role(pki.ca, token_ttl="4s")
    agent = pki.start()
    wait_for(lambda: s.read("out/value") == pki.value, 5, "the value")
    pki.use("two")
    wait_for(lambda: len(agent.lines_about("token renewed")) >= 3, 16, "renewals")
    assert agent.alive and not agent.lines_about("renewal", levels=("warn", "error")), agent.stderr


def test_cert_replaced_by_one_of_another_authority(s, pki):
    """Renewal over another authority's certificate is refused: one login with the new one, before the end."""
    other = Authority(s, "other")
    pki.ca.sign("one")
    other.sign("two")
    pki.use("one")
    pki.role(pki.ca, other, token_ttl="8s")
    agent = pki.start()
    wait_for(lambda: s.read("out/value") == pki.value, 5, "the value")
    pki.use("two")
    wait_for(lambda: len(agent.lines_about("logged in")) == 2, 16, "a login with the new certificate")
    wait_for(lambda: agent.lines_about("token renewed"), 10, "a renewal of the new token")
    assert agent.alive


def test_cert_and_key_swapped_apart(s, pki):
    """For a moment the certificate is new and the key old: nothing breaks, and the pair that fits is used when it is there."""
    pki.ca.sign("one")
    pki.ca.sign("two")
    pki.use("one")
    pki.role(pki.ca, token_ttl="4s")
    agent = pki.start()
    wait_for(lambda: s.read("out/value") == pki.value, 5, "the value")
    pki.use("two", "pem")
    renewed = len(agent.lines_about("token renewed"))
    wait_for(lambda: len(agent.lines_about("token renewed")) > renewed or agent.lines_about("client_cert", levels=("warn", "error")), 10,
             "a renewal, or a warning")
    pki.use("two")
    renewed = len(agent.lines_about("token renewed"))
    wait_for(lambda: len(agent.lines_about("token renewed")) > renewed, 10, "a renewal with the pair that fits")
    assert agent.alive


REFUSALS = {
    "another authority": (lambda s, pki: Authority(s, "other").sign("client"), {}, ["not signed by an authority"]),
    "common name": (lambda s, pki: pki.ca.sign("client", "/CN=stranger"), {"allowed_common_names": "client.test"}, ["does not fit the names"]),
    "another role": (lambda s, pki: pki.ca.sign("client"), None, ["auto_auth.method.name"]),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_cert_refused(s, pki, case):
    make, role, says = REFUSALS[case]
    make(s, pki)
    pki.use("client")
    pki.role(pki.ca, name="app" if role is not None else "web", **(role or {}))
    agent = pki.start()
    assert agent.wait_exit(20) == EX_AUTH
    for text in ["login by cert", "auth/cert", "app", "boot/used.pem", *says]:
        assert text in agent.stderr, (text, agent.stderr)


def test_cert_without_a_certificate(s):
    base(s)
    enable(s, "cert")
    agent = start(s, 'type = "cert"\nname = "app"')
    assert agent.wait_exit(20) == EX_AUTH
    assert "client_cert" in agent.stderr and "let no proxy end TLS" in agent.stderr
