"""What the seeds ask of the proxy, its cache, health and metrics: S1-21 to S1-24, S3-14, 15, 24 to 28 and 34, S4-21 and 28 to 30."""
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import time

import hvac
import pytest

from bases import LOGIN, kv_base, kv_run, login_files, s0_base, s1_base, toml
from harness import EX_CONFIG, control, free_port, observe, wait_for
from harness.stub import Front, UnixConnection
from proxy_clients import Access, hvac_client
from test_proxy import Authority
from test_status import keybearer

CURL = ["curl", "-sS", "--max-time", "20", "-w", "\n%{http_code}"]
APPROLE = '''
[auto_auth.method]
type = "approle"
role_id_file_path = "{work}/boot/role-id"
secret_id_file_path = "{work}/boot/secret-id"
remove_secret_id_file_after_reading = false
'''


def curl(*args, env=None):
    """(status, JSON or text) of a script's request."""
    done = subprocess.run([*CURL, *args], capture_output=True, text=True, timeout=30, check=False,
                          env={"PATH": os.environ["PATH"], **(env or {})})
    text, _, status = done.stdout.rpartition("\n")
    try:
        return int(status), json.loads(text)
    except ValueError:
        return int(status), text


@pytest.fixture
def front(s, tmp_path):
    """front(listener, config) starts keybearer behind the scenario's tap; its own token is a canary from then on."""
    made = []
    s.budget = False  # the callers' requests are their own

    def start(listener, config="", login=None, address=None):
        login = login or APPROLE.format(work=s.work)
        made.append(Front(tmp_path, None, listener=listener, config=config, address=address or s.tap.url, login=login))
        if not address:
            wait_for(lambda: s.tap.logins() and s.tap.logins()[0].reply, 10, lambda: made[-1].log)
        return made[-1]
    yield start
    for each in made:
        log = each.log
        each.close()
        assert "agent.bug" not in log and not s.canaries.hits(log.encode()), s.canaries.hits(log.encode())


UNIX = '[[listener]]\ntype = "unix"\naddress = "FOLDER/proxy.sock"\nrequire_request_header = true\n'
TCP = '[[listener]]\naddress = "127.0.0.1:PORT"\n'
SCRIPT = ["--unix-socket", "{0}/proxy.sock", "-H", "X-Vault-Request: true"]


def script(directory, path, *more):
    return curl(*[part.format(directory) for part in SCRIPT], *more, f"http://localhost/v1/{path}")


# --- S0: the application of the seed, as it is, with keybearer's address in the place of the server's -------------------------------------

def test_s0_the_hvac_application_through_the_proxy(s, front):
    """Its own AppRole login, a renewal, and the three kinds of secrets; then the same without any credential of its own."""
    s0_base(s, token_ttl="5m")
    role = s.role_id, s.read("boot/secret-id").strip()
    f = front(TCP, "[cache]\nkv_ttl = \"5m\"\n")
    own = hvac_client(Access(f"http://127.0.0.1:{f.port}"))
    own.token = own.auth.approle.login(*role)["auth"]["client_token"]
    assert own.is_authenticated() and own.auth.token.renew_self()["auth"]["client_token"] == own.token
    lent = hvac_client(Access(f"http://127.0.0.1:{f.port}"))
    for client in (own, lent):
        kv = client.secrets.kv.v2.read_secret_version("database", mount_point="my-vault-app-kv")["data"]
        assert set(kv["data"]) == {"api_key", "database_url"} and kv["metadata"]["version"] == 1
        dynamic = client.secrets.database.generate_credentials("db-demo-dynamic", mount_point="my-vault-app-database")
        assert s.pg.works(dynamic["data"]["username"], dynamic["data"]["password"]) and 0 < dynamic["lease_duration"] <= 12
        static = client.secrets.database.get_static_credentials("db-demo-static", mount_point="my-vault-app-database")["data"]
        assert static["username"] == "my-vault-app-static" and s.pg.works(static["username"], static["password"]) and static["ttl"] <= 10
    # Two tokens share nothing: each has a user of its own; one that asks again has the same.
    assert s.tap.count("my-vault-app-database/creds/db-demo-dynamic") == 2
    again = lent.secrets.database.generate_credentials("db-demo-dynamic", mount_point="my-vault-app-database")
    assert again["data"] == dynamic["data"] or again["lease_duration"] == 12
    with pytest.raises(hvac.exceptions.Forbidden):
        own.secrets.kv.v2.read_secret_version("other", mount_point="my-vault-app-kv")


# --- S1: scripts -------------------------------------------------------------------------------------------------------------------------

def test_S1_21_a_script_without_a_token(s, front, tmp_path):
    s1_base(s, ttl="10m")
    front(UNIX)
    status, answer = script(tmp_path, "kv-demo/data/sample")
    assert status == 200 and set(answer["data"]["data"]) == {"DB_PASSWORD", "API_KEY"}
    entry = s.tap.entries("kv-demo/data/sample")[-1]
    ours = s.tap.logins()[0].reply["auth"]
    assert {name.lower(): value for name, value in entry.headers.items()}["x-vault-token"] == ours["client_token"]
    status, answer = script(tmp_path, "auth/token/lookup-self")
    assert status == 200 and "id" not in answer["data"] and "accessor" not in answer["data"] and answer["data"]["policies"] == ["default", "myapp"]
    assert ours["client_token"] not in json.dumps(answer) and ours["accessor"] not in json.dumps(answer)
    assert curl("--unix-socket", f"{tmp_path}/proxy.sock", "http://localhost/v1/kv-demo/data/sample")[0] == 412


def test_S1_22_login_factors_stay_with_keybearer(s, front, tmp_path):
    s1_base(s, ttl="3s")
    front(UNIX)
    failures = []

    def call():
        status, answer = script(tmp_path, "kv-demo/data/sample")
        if status != 200:
            failures.append((status, answer))
        return s.tap.count("auth/token/renew-self") >= 3
    wait_for(call, 20, "three renewals", interval=0.2)
    assert not failures and len(s.tap.logins()) == 1


def test_S1_23_the_proxy_caches(s, front, tmp_path):
    s1_base(s, database=True, ttl="10m")
    s.vault.dynamic("myapp-role", "60s", "10m")
    front(UNIX, '[cache]\nkv_ttl = "30s"\n')
    seen = {"kv-demo/data/sample": [], "database/creds/myapp-role": []}
    begin = time.monotonic()
    for agent in ("first/1", "second/2"):
        for _ in range(5):
            for path, answers in seen.items():
                done = subprocess.run(["curl", "-sSi", "-A", agent, *[part.format(tmp_path) for part in SCRIPT], f"http://localhost/v1/{path}"],
                                      capture_output=True, text=True, timeout=20, check=True)
                head, _, body = done.stdout.partition("\n\n")
                answers.append((dict(line.split(": ", 1) for line in head.splitlines()[1:] if ": " in line), json.loads(body)))
    for path, answers in seen.items():
        assert s.tap.count(path, "GET") == 1, path
        assert [head["X-Cache"] for head, _ in answers] == ["MISS"] + ["HIT"] * 9
        assert len({json.dumps(body["data"]) for _, body in answers}) == 1
    kept = time.monotonic()
    wait_for(lambda: time.monotonic() - kept > 1.1, 3)
    answer = script(tmp_path, "database/creds/myapp-role", "-i")[1]
    age, passed = int(re.search(r"^Age: (\d+)", answer, re.M)[1]), time.monotonic() - begin
    assert 1 <= age <= passed and 58 - passed <= json.loads(answer[answer.index("{"):])["lease_duration"] <= 60 - age


def test_S1_24_short_lived_callers(s, front, tmp_path):
    s1_base(s, database=True, ttl="10m")
    s.vault.dynamic("myapp-role", "6s", "60s")
    agent = front(UNIX, '[cache]\n[lease]\nmin_remaining = "1s"\n')
    users = {script(tmp_path, "database/creds/myapp-role")[1]["data"]["username"] for _ in range(3)}

    def roles():
        return [name for name, in s.pg.admin("SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%'")]
    assert len(users) == 1 and roles() == list(users)
    # It outlives those who asked, and is renewed for those who will.
    wait_for(lambda: s.tap.count("sys/leases/renew") >= 1, 8, "a renewal")
    assert script(tmp_path, "database/creds/myapp-role")[1]["data"]["username"] in users
    assert agent.stop() == 0
    wait_for(lambda: not roles(), 5, "the end of the user")


# --- S3: tokens as API keys --------------------------------------------------------------------------------------------------------------

MINT = "auth/token/create/api-admin"


def keys_base(s, ttl="60s"):
    s.vault.token_role("api-admin", orphan=True, token_explicit_max_ttl=ttl, token_period=ttl, token_type="service",
                       allowed_policies="default", disallowed_policies="root")
    s.vault.policy("minter", **{MINT: ["create", "update"], "auth/token/lookup": ["update"]})
    login_files(s, "app", "minter", token_ttl="10m")


FORCE = '[api_proxy]\nuse_auto_auth_token = "force"\n'


def test_S3_14_and_15_an_expired_key_and_what_a_key_carries(s, front):
    keys_base(s, ttl="2s")
    f = front(TCP + 'allow = ["POST /v1/auth/token/create/api-admin", "POST /v1/auth/token/lookup"]\n', FORCE)
    key = f.ask("POST", f"/v1/{MINT}", {"meta": {"foo": "bar"}}).json["auth"]["client_token"]
    data = f.ask("POST", "/v1/auth/token/lookup", {"token": key}).json["data"]
    assert (data["role"], data["meta"], data["policies"]) == ("api-admin", {"foo": "bar"}, ["default"]) and 0 < data["ttl"] <= 2
    answer = wait_for(lambda: (a := f.ask("POST", "/v1/auth/token/lookup", {"token": key})).status == 403 and a, 8)
    direct, body = s.vault.raw("POST", "auth/token/lookup", {"token": key})
    assert (direct, body["errors"]) == (403, answer.errors) and answer.errors == ["bad token"] and answer.header("X-Keybearer-Error") is None
    # It is not taken for the end of keybearer's own.
    assert f.ask("POST", f"/v1/{MINT}", {}).status == 200 and len(s.tap.logins()) == 1
    for shown in (f.get("/"), f.get("/?format=json"), f.get("/metrics")):
        assert key.encode() not in shown.body


def test_S3_24_an_application_logs_in_through_the_proxy(s, front):
    keys_base(s)
    role = s.vault.approle("ci", "minter", token_ttl="5m")
    f = front(TCP + 'allow = ["POST /v1/auth/approle/login", "POST /v1/auth/token/create/*"]\n',
              "[api_proxy]\nuse_auto_auth_token = false\n[cache]\n")
    keys = set()
    for _ in range(2):
        client = hvac_client(Access(f"http://127.0.0.1:{f.port}"))
        login = client.auth.approle.login(*role)
        assert login["auth"]["metadata"] == {"role_name": "ci"} and login["auth"]["accessor"]
        client.token = login["auth"]["client_token"]
        minted = client.adapter.post(f"/v1/{MINT}", json={})
        keys.add(minted["auth"]["client_token"] if isinstance(minted, dict) else minted.json()["auth"]["client_token"])
        assert s.tap.entries(MINT)[-1].headers["X-Vault-Token"] == client.token
        assert "X-Vault-Token" not in s.tap.logins()[-1].headers
    assert len(keys) == 2 and len(s.tap.logins()) == 3  # two of theirs, one of ours: nothing is kept for others
    assert f.ask("POST", f"/v1/{MINT}", {}).status in (400, 403)  # without a token of its own
    assert all(secret not in f.log for secret in (*role, *keys))


def test_S3_25_a_proxy_with_limited_functions(s, front):
    keys_base(s)
    f = front(TCP + 'allow = ["POST /v1/auth/token/create/api-admin"]\n', FORCE)
    assert f.ask("POST", f"/v1/{MINT}", {}).json["auth"]["policies"] == ["default"]
    before = len(s.tap.entries())
    for method, path in (("GET", "sys/mounts"), ("POST", "auth/token/create/other"), ("POST", "auth/token/create"), ("GET", MINT),
                         ("POST", "auth/token/create/api-admin/x"), ("POST", "auth/token/create/api-admin;x"),
                         ("POST", "auth/token/create/api-admin;/../other"), ("POST", "ns/auth/token/create/api-admin"),
                         ("POST", "auth/token/create/%2e%2e/create/other"), ("POST", "auth/token/create/api-admin/../other"),
                         ("POST", "auth/token//create/api-admin"), ("POST", "auth/token/create%2fother"), ("POST", "AUTH/token/create/api-admin"),
                         ("POST", "auth/token/create/api-admin%00"), ("POST", "auth/token/create/api-admin%20")):
        answer = f.ask(method, f"/v1/{path}", {} if method == "POST" else None)
        assert answer.status in (400, 403) and answer.errors[0].startswith("keybearer: "), (path, answer)
    assert len(s.tap.entries()) == before
    assert f.ask("POST", f"/v1/{MINT}", {}, {"X-Vault-Namespace": "other"}).status == 403


def test_S3_26_devices_are_known_by_their_certificates(s, front, tmp_path):
    keys_base(s)
    ca = Authority(tmp_path)
    server = ca.issue("server", "serverAuth", "DNS:localhost,IP:127.0.0.1")
    good, other = ca.issue("pos-1", "clientAuth", "DNS:pos-1"), ca.issue("atm-1", "clientAuth", "DNS:atm-1")
    ended, wrong = ca.issue("pos-9", "clientAuth", "DNS:pos-9", days="-1"), ca.issue("web", "serverAuth", "DNS:web")
    listener = (f'[[listener]]\naddress = "127.0.0.1:PORT"\ntls_cert_file = "{server[0]}"\ntls_key_file = "{server[1]}"\n'
                f'tls_client_ca_file = "{ca.cert}"\ntls_require_and_verify_client_cert = true\nrate_limit = "10/s"\n'
                f'allow = [{{ who = "CN=pos-*", rules = ["POST /v1/{MINT}", "POST /v1/auth/token/lookup"] }}]\n')
    f = front(listener, FORCE)

    def device(cert, *more):
        pair = ["--cert", cert[0], "--key", cert[1]] if cert else []
        return curl("--cacert", ca.cert, *pair, "-X", "POST", "-H", "X-Vault-Request: true", "-d", "{}", *more, f"https://127.0.0.1:{f.port}/v1/{MINT}")
    status, answer = device(good)
    assert status == 200 and answer["auth"]["client_token"].startswith("hvs.")
    before = len(s.tap.entries())
    for cert in (None, ended, wrong):
        assert device(cert)[0] == 0, cert
    assert device(other)[0] == 403
    assert device(good, "--tls-max", "1.1", "--ciphers", "DEFAULT:@SECLEVEL=0")[0] == 0
    assert len(s.tap.entries()) == before
    assert "CN=atm-1" in f.log or "atm-1" in f.log
    answers = [device(good)[0] for _ in range(4)]
    assert answers == [200] * 4
    context = ssl.create_default_context(cafile=ca.cert)
    context.load_cert_chain(*good)
    with socket.create_connection(("127.0.0.1", f.port)) as raw, context.wrap_socket(raw, server_hostname="localhost") as c:
        request = f"POST /v1/{MINT} HTTP/1.1\r\nHost: localhost\r\nX-Vault-Request: true\r\nContent-Length: 2\r\n\r\n{{}}".encode()
        c.sendall(request * 40)
        got = b""
        while got.count(b"HTTP/1.1 ") < 40:
            got += c.recv(65536)
    assert 10 <= got.count(b"HTTP/1.1 503 ") <= 35 and b"listener.rate_limit" in got


def pki_base(s):
    s.vault.post("sys/mounts/pki", {"type": "pki"})
    s.vault.post("pki/root/generate/internal", {"common_name": "root", "ttl": "1h", "key_type": "ec", "key_bits": 256})
    s.vault.post("pki/roles/web", {"allowed_domains": "localhost,device", "allow_bare_domains": True, "allow_localhost": True, "max_ttl": "30m",
                                   "key_type": "ec", "key_bits": 256, "allow_ip_sans": True})


PAIR = '''{{ with secret "pki/issue/web" "common_name=@cn@" "ttl=10m" @more@ }}{{ .Data.certificate }}
{{ .Data.issuing_ca }}
{{ .Data.private_key }}{{ end }}'''


def test_S3_27_certificates_renewed_for_device_and_proxy(s, front, tmp_path):
    """Both ends' certificates are rotated by an agent, three times, while the device calls: no call fails."""
    pki_base(s)
    kv_base(s)
    s.vault.policy("pki", "kv/data/*", **{"pki/issue/web": ["create", "update"]})
    login_files(s, "app", "pki", token_ttl="10m")
    text = toml(LOGIN)
    for name, cn, more in (("device", "device", ""), ("proxy", "localhost", '"ip_sans=127.0.0.1"')):
        contents = PAIR.replace("@cn@", cn).replace("@more@", more)
        text += f"[[template]]\ndestination = \"out/{name}.pem\"\ncontents = '''\n{contents}\n'''\n"
    text += "[[template]]\ndestination = \"out/ca.pem\"\ncontents = '''{{ with secret \"pki/cert/ca\" }}{{ .Data.certificate }}{{ end }}'''\n"
    s.vault.policy("pki", "kv/data/*", "pki/cert/ca", **{"pki/issue/web": ["create", "update"]})
    s.render(text)
    files = {name: s.path(f"out/{name}.pem") for name in ("device", "proxy", "ca")}
    wait_for(lambda: all(os.path.exists(path) for path in files.values()), 10, "the certificates")
    f = front(f'[[listener]]\naddress = "127.0.0.1:PORT"\ntls_cert_file = "{files["proxy"]}"\ntls_key_file = "{files["proxy"]}"\n'
              f'tls_client_ca_file = "{files["ca"]}"\ntls_require_and_verify_client_cert = true\nallow = [{{ who = "CN=device", rules = ["GET kv/data/app"] }}]\n')
    failed, serials = [], set()

    def call():
        context = ssl.create_default_context(cafile=files["ca"])
        pair = tmp_path / "pair.pem"  # Python opens its file twice: certificate, then key
        pair.write_text(s.read("out/device.pem"))
        context.load_cert_chain(pair)
        with socket.create_connection(("127.0.0.1", f.port), timeout=10) as raw, context.wrap_socket(raw, server_hostname="localhost") as c:
            serials.add(c.getpeercert()["serialNumber"])
            c.sendall(b"GET /v1/kv/data/app HTTP/1.1\r\nHost: localhost\r\nX-Vault-Request: true\r\nConnection: close\r\n\r\n")
            if (got := c.recv(100)).split()[1] != b"200":
                failed.append(got)
    for round_ in range(3):
        before = [s.read("out/device.pem"), s.read("out/proxy.pem")]
        call()
        assert keybearer(s, "rotate")[0] == 0

        def rotated():
            call()
            return s.read("out/device.pem") != before[0] and s.read("out/proxy.pem") != before[1] and len(serials) == round_ + 2
        wait_for(rotated, 10, lambda: f.log[-2000:], interval=0.1)
    assert not failed and len(serials) == 4 and f.process.poll() is None


def test_S3_28_an_agent_behind_a_proxy(s, front, tmp_path):
    """server <- proxy <- agent: the agent logs in through the proxy, mints through it, and its new key is there before the old one ends."""
    s.vault.token_role("api-admin", orphan=True, token_explicit_max_ttl="6s", token_type="service", allowed_policies="default")
    s.vault.policy("minter", **{MINT: ["create", "update"]})
    login_files(s, "app", "minter", token_ttl="10m")
    f = front(TCP, "[api_proxy]\nuse_auto_auth_token = false\n")
    text = toml(LOGIN).replace("@addr@", f"http://127.0.0.1:{f.port}") + f'''
[[template]]
destination = "out/key"
contents = '{{{{ with secret "{MINT}" "meta=foo=bar" }}}}{{{{ .Auth.ClientToken }}}}{{{{ end }}}}'
[[listener]]
type = "unix"
address = "agent.sock"
'''
    agent = s.render(text)
    keys = []

    def living():
        key = s.read("out/key")
        if key and key not in keys:
            keys.append(key)
        if keys:
            assert s.vault.lookup(keys[-1]) is not None, "a key that has ended stands in the file"
        return len(keys) >= 3
    wait_for(living, 20, "three keys", interval=0.1)
    assert all("X-Vault-Request" in entry.headers for entry in s.tap.entries())
    # The application asks at the agent, too.
    connection = UnixConnection(s.path("agent.sock"), timeout=10)
    connection.request("GET", "/v1/auth/token/lookup-self")
    answer = json.loads(connection.getresponse().read())
    assert answer["data"]["path"] == "auth/approle/login" and "id" not in answer["data"]
    assert agent.alive


def test_S3_34_the_listener_against_the_ten_risks(s, front, tmp_path):
    value = kv_base(s)
    f = front(TCP + 'max_request_size = "1KiB"\nallow = ["GET kv/data/app"]\nrate_limit = 200\n')
    status = f.get("/v1/kv/data/app")
    assert status.json["data"]["data"]["value"] == value
    before = len(s.tap.entries())
    refused = {
        "object level": f.get("/v1/kv/data/other"), "function level": f.ask("DELETE", "/v1/kv/data/app"),
        "authentication: a header that no page can send": f.get("/v1/kv/data/app", guard=False),
        "resources: size": f.ask("GET", "/v1/kv/data/app", "x" * 2000), 
        "request forgery: an absolute target": f.ask("GET", "http://evil.example/v1/kv/data/app"),
        "misuse by pages": f.get("/v1/kv/data/app", {"Origin": "http://evil"})}
    assert {what: answer.status for what, answer in refused.items() if answer.status not in (403, 412, 413)} == {}
    assert f.raw(b"GET /v1/kv/data/app HTTP/1.1\r\nHost: evil\r\nX-Vault-Request: true\r\n\r\n", until=b"}").startswith(b"HTTP/1.1 403 ")
    assert len(s.tap.entries()) == before
    # Misconfiguration: beyond loopback only with TLS.
    s.write("open.toml", toml(LOGIN).replace("@addr@", s.tap.url) + '[[listener]]\naddress = "0.0.0.0:8200"\n')
    agent = s.start("check", "-c", "open.toml")
    assert agent.wait_exit(10) == EX_CONFIG and "can be reached from elsewhere" in agent.stderr
    # Inventory: what listens is known, and the log says who was refused and why.
    assert f"127.0.0.1:{f.port}" in f.get("/?format=json").body.decode()
    for check in ("allow", "guard", "host", "origin"):
        assert f'"check":"{check}"' in f.log
    # Consumption: an answer without an end does not fill memory.
    s.tap.reply("kv/data/app", 200, b'{"data":"' + b"x" * (24 << 20) + b'"}')
    rss = f.status("VmRSS")
    assert len(f.get("/v1/kv/data/app").body) > 24 << 20
    assert f.status("VmRSS") - rss < 8 * 1024


# --- S4: metrics, page, health, transit --------------------------------------------------------------------------------------------------

def test_S4_21_metrics_of_a_busy_proxy(s, front):
    value = kv_base(s)
    s.vault.database(s.pg)
    s.vault.dynamic("readonly", "60s", "10m")
    s.vault.policy("kv-reader", "kv/data/*", "database/creds/readonly")
    f = front(TCP + 'allow_mode = "log"\nallow = ["GET *"]\n[[listener]]\nrole = "metrics_only"\naddress = "127.0.0.1:0"\n', '[cache]\nkv_ttl = "1m"\n')
    lease = [f.get("/v1/database/creds/readonly").json["lease_id"] for _ in range(2)][0]
    for _ in range(3):
        assert f.get("/v1/kv/data/app").json["data"]["data"]["value"] == value
    f.get("/v1/kv/data/none?secret=in-the-query")
    f.get("/v1/kv/data/app", guard=False)
    f.ask("PUT", "/v1/sys/leases/revoke", {"lease_id": lease})
    f.ask("GET", "/v1/auth/token/lookup-self", headers={"X-Vault-Wrap-TTL": "1m"})
    port = re.search(r'"address":"http://127.0.0.1:(\d+)"', "".join(line for line in f.log.splitlines() if "listener.started" in line
                                                                    and str(f.port) not in line))[1]
    status, text = curl(f"http://127.0.0.1:{port}/metrics")
    assert status == 200
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and not done.stdout + done.stderr, done.stdout + done.stderr
    for line in ("keybearer_listener_refused_total{check=\"guard\"} 1", "keybearer_listener_would_refuse_total 1",
                 "keybearer_cache_requests_total{result=\"hit\"} 3", "keybearer_proxy_token_kept_total{what=\"request\"} 1",
                 "keybearer_auth_attempts_total{method=\"approle\",result=\"success\"} 1"):
        assert line in text, text
    assert re.search(r"^keybearer_listener_responses_total\{code=\"2xx\"\} \d+$", text, re.M)
    assert re.search(r"^keybearer_cache_entries \d+$", text, re.M)
    # Point 54: no value, no path with an id, no parameter, no host.
    for shown in (text, f.get("/").body.decode(), f.get("/?format=json").body.decode(), f.get("/agent/v1/metrics").body.decode()):
        assert not s.canaries.hits(shown.encode())
        assert lease not in shown and lease.rsplit("/", 1)[1] not in shown and "in-the-query" not in shown and socket.gethostname() not in shown


def test_S4_28_a_page_instead_of_the_servers(s, front):
    kv_base(s)
    f = front(TCP)
    page = f.get("/", guard=False)
    assert page.status == 200 and b"<form" not in page.body and b"approle" in page.body
    assert [f.ask(method, "/", {}, guard=False).status for method in ("POST", "PUT", "DELETE")] == [405] * 3
    for header in ("Content-Security-Policy", "X-Content-Type-Options", "Cache-Control"):
        assert page.header(header)
    assert not s.canaries.hits(page.body)


def test_S4_29_health(s):
    """livez, readyz and startupz over a unix socket and by the command, through a start, an outage and the program's end."""
    kv_base(s)
    s.tap.fail("kv/data/app", 503, errors=("Vault is sealed",))
    kv_run(s, more='[[listener]]\ntype = "unix"\naddress = "health.sock"\nrole = "metrics_only"\n')

    def health():
        out = []
        for path in ("/livez", "/readyz", "/startupz"):
            connection = UnixConnection(s.path("health.sock"), timeout=10)
            connection.request("GET", path)
            out.append(connection.getresponse().status)
        return out
    wait_for(lambda: os.path.exists(s.path("health.sock")), 5, "the socket")
    assert health() == [200, 503, 503]
    s.tap.clear()
    wait_for(lambda: health() == [200, 200, 200], 10, "readiness")
    assert keybearer(s, "status", "--ready")[0] == 0
    os.kill(s.runlog.wait_starts(1, 5)[0]["pid"], signal.SIGSTOP)
    assert health() == [200, 200, 200]
    os.kill(s.runlog.starts()[0]["pid"], signal.SIGCONT)


def test_S4_30_encryption_as_a_service(s, front):
    kv_base(s)
    s.vault.post("sys/mounts/transit", {"type": "transit"})
    s.vault.post("transit/keys/k")
    s.vault.policy("kv-reader", "kv/data/*", **{"transit/encrypt/k": ["update"], "transit/decrypt/k": ["update"]})
    f = front(TCP, '[cache]\nkv_ttl = "1h"\n')
    plain = s.canary("card-number")
    import base64
    sealed = {f.ask("POST", "/v1/transit/encrypt/k", {"plaintext": base64.b64encode(plain.encode()).decode()}).json["data"]["ciphertext"]
              for _ in range(2)}
    assert len(sealed) == 2  # never kept
    s.vault.post("transit/keys/k/rotate")
    for each in sealed:
        for _ in range(2):
            answer = f.ask("POST", "/v1/transit/decrypt/k", {"ciphertext": each})
            assert base64.b64decode(answer.json["data"]["plaintext"]).decode() == plain and answer.header("X-Cache") != "HIT"
    assert s.tap.count("transit/decrypt/k") == 4
    s.vault.put("kv/data/card", {"ct": sealed.pop()})
    agent = s.render(toml(LOGIN) + '''
[[template]]
destination = "out/card"
contents = \'\'\'{{ with secret "kv/data/card" }}{{ with secret "transit/decrypt/k" (printf "ciphertext=%s" .Data.data.ct) }}{{ base64Decode .Data.plaintext }}{{ end }}{{ end }}\'\'\'
''')
    wait_for(lambda: s.read("out/card") == plain, 10, lambda: agent.stderr)
