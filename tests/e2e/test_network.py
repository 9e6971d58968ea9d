"""The way to the server through a forward proxy: a real one (tinyproxy), and what it is told."""
import base64
import os
import shutil
import socket
import subprocess

import pytest

from bases import KV, KV_DATA, LOGIN, kv_base, toml
from harness import EX_CONFIG, EX_UNAVAILABLE, free_port, wait_for

TINYPROXY = shutil.which("tinyproxy")
SOMETHING = '[env]\nX = { secret = "kv/app", key = "n" }\n[exec]\ncommand = ["true"]\n'
OWN = ("VAULT_PROXY_ADDR", "VAULT_HTTP_PROXY")


class Tinyproxy:
    def __init__(self, directory, credentials=None):
        if TINYPROXY is None:
            pytest.skip("tinyproxy is not installed (packaging/packages.txt)")
        self.port = free_port()
        self.log = os.path.join(directory, "tinyproxy.log")
        config = os.path.join(directory, "tinyproxy.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write(f"Port {self.port}\nListen 127.0.0.1\nTimeout 60\nLogFile \"{self.log}\"\nLogLevel Connect\n"
                       f"MaxClients 20\nAllow 127.0.0.1\n")
            if credentials:
                file.write("BasicAuth {} {}\n".format(*credentials))
        self.process = subprocess.Popen([TINYPROXY, "-d", "-c", config], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait_for(self.listens, 5, lambda: "tinyproxy to listen: " + self.text)

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def text(self):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def asked(self, what):
        return [line for line in self.text.splitlines() if "Request" in line and what in line]

    def close(self):
        self.process.terminate()
        self.process.wait(5)


def run(s, env, **values):
    return s.run(toml(KV, interval="1s", app=s.app_toml("--file", "out/config.ini"), exec='debounce = "100ms"', **values),
                 env=env)


@pytest.fixture
def proxies():
    made = []
    yield made
    for each in made:
        each.close()


@pytest.mark.parametrize("variable", OWN)
def test_our_own_proxy_serves_loopback_too(s, proxies, variable):
    kv_base(s)
    proxies.append(Tinyproxy(s.logs))
    run(s, env={variable: f"http://127.0.0.1:{proxies[0].port}", "NO_PROXY": "*"})
    s.runlog.wait_starts(1, 6)
    assert proxies[0].asked("auth/approle/login") and proxies[0].asked(KV_DATA)


def test_the_proxy_of_all_programs_leaves_loopback_alone(s):
    kv_base(s)
    dead = f"http://127.0.0.1:{free_port()}"
    run(s, env={"HTTP_PROXY": dead, "HTTPS_PROXY": dead, "http_proxy": dead})
    s.runlog.wait_starts(1, 6)


def test_user_and_password_reach_the_proxy_and_nothing_else(s, proxies):
    kv_base(s)
    password = s.canary("proxy")
    proxies.append(Tinyproxy(s.logs, ("user", password)))
    s.canaries.add(base64.b64encode(f"user:{password}".encode()).decode(), "the proxy's credentials")
    run(s, env={"VAULT_PROXY_ADDR": f"http://user:{password}@127.0.0.1:{proxies[0].port}"})
    s.runlog.wait_starts(1, 6)
    os.remove(os.path.join(s.logs, "tinyproxy.conf"))


def test_a_proxy_that_wants_a_password_is_named(s, proxies):
    kv_base(s)
    proxies.append(Tinyproxy(s.logs, ("user", "other")))
    address = f"http://127.0.0.1:{proxies[0].port}"
    agent = run(s, env={"VAULT_PROXY_ADDR": address}, more='[outage]\non_start = "fail"\n')
    assert agent.wait_exit(8) == EX_UNAVAILABLE
    assert f"the proxy {address} (VAULT_PROXY_ADDR) wants a user and a password (407)" in agent.stderr


def test_a_proxy_that_is_not_there_is_named(s):
    kv_base(s)
    address = f"http://127.0.0.1:{free_port()}"
    agent = run(s, env={"VAULT_PROXY_ADDR": address}, more='[outage]\non_start = "fail"\n')
    assert agent.wait_exit(8) == EX_UNAVAILABLE
    assert f"the proxy {address} (VAULT_PROXY_ADDR): connection refused" in agent.stderr


def test_a_proxy_address_that_can_not_be_used_is_a_configuration_error(s):
    kv_base(s)
    agent = run(s, env={"VAULT_PROXY_ADDR": "socks5://user:hidden@127.0.0.1:1"})
    assert agent.wait_exit(8) == EX_CONFIG
    assert "VAULT_PROXY_ADDR: only plain http proxies" in agent.stderr and "hidden" not in agent.stderr


@pytest.mark.parametrize("host, warned", [("127.0.0.1", False), ("localhost", False), ("[::1]", False),
                                          ("127.0.0.9", False), ("localhost.evil.example", True),
                                          ("127.evil.example", True), ("10.0.0.1", True)])
def test_plain_http_is_warned_of_beyond_loopback(s, host, warned):
    s.write("agent.toml", SOMETHING)
    agent = s.start("check", "-c", "agent.toml", env={"VAULT_ADDR": f"http://{host}:8200", "VAULT_TOKEN": "t"})
    agent.wait_exit(5)
    assert ("is plain http" in agent.stderr + agent.stdout) == warned, agent.stderr


@pytest.mark.parametrize("name", ["app#2", "app?x=1", "100%", "a%20b", "a b"])
def test_a_path_of_the_configuration_is_taken_as_it_is(s, name):
    kv_base(s)
    value, other = s.canary("named"), s.canary("other")
    s.vault.put("kv/data/app", {"n": other})
    quoted = name.replace("%", "%25").replace("#", "%23").replace("?", "%3F").replace(" ", "%20")
    s.vault.put(f"kv/data/{quoted}", {"n": value})
    agent = s.run(toml("@top@" + LOGIN + '''
[env]
X = { secret = "kv/@name@", key = "n" }
''', name=name), "sh", "-c", 'printf %s "$X" > out/x')
    wait_for(lambda: s.read("out/x"), 6, lambda: agent.stderr)
    assert s.read("out/x") == value


# --- what the host has must not change what TLS does

def openssl(*args):
    subprocess.run(["openssl", *args], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def certificate(s):
    """A self-signed certificate for 127.0.0.1 and its key."""
    cert, key = s.path("boot/server.pem"), s.path("boot/server.key")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj",
            "/CN=server", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert)
    return cert, key


def test_a_configuration_of_the_hosts_openssl_is_not_read(s):
    cert, _ = certificate(s)
    s.write("openssl.cnf", "openssl_conf = init\n[init]\nproviders = all\nssl_conf = ssl\n[all]\nnone = none\n"
                           "[none]\nactivate = 1\n[ssl]\nsystem_default = all_of_them\n")
    s.write("agent.toml", SOMETHING)
    agent = s.start("check", "-c", "agent.toml", env={"VAULT_ADDR": "https://127.0.0.1:8200", "VAULT_TOKEN": "t", "VAULT_CACERT": cert,
                                  "OPENSSL_CONF": s.path("openssl.cnf")})
    assert agent.wait_exit(5) == 0, agent.stderr


def test_a_key_with_a_pass_phrase_asks_nobody(s):
    cert, key = certificate(s)
    locked = s.path("boot/locked.key")
    openssl("pkey", "-in", key, "-aes256", "-passout", "pass:phrase", "-out", locked)
    s.write("agent.toml", SOMETHING)
    agent = s.start("check", "-c", "agent.toml", env={"VAULT_ADDR": "https://127.0.0.1:8200", "VAULT_TOKEN": "t", "VAULT_CACERT": cert,
                                  "VAULT_CLIENT_CERT": cert, "VAULT_CLIENT_KEY": locked})
    assert agent.wait_exit(5) == EX_CONFIG
    assert "pass phrase" in agent.stderr + agent.stdout


@pytest.mark.parametrize("name", [".example", "example.", "*.example", " ", "a:8200"])
def test_a_server_name_that_widens_the_check_is_refused(s, name):
    s.write("agent.toml", f'[vault]\ntls_server_name = "{name}"\n' + SOMETHING)
    agent = s.start("check", "-c", "agent.toml", env={"VAULT_ADDR": "https://127.0.0.1:8200", "VAULT_TOKEN": "t"})
    assert agent.wait_exit(5) == EX_CONFIG
    assert "vault.tls_server_name" in agent.stderr + agent.stdout
