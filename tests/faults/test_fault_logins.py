"""Faults of a login and of those whom it depends on: 41 to 46; and 47, what the log says of an outage."""
import datetime
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from aws_services import ACCOUNT, Aws
from bases import KV_DATA, kv_base, kv_run
from harness import observe, wait_for
from identities import Directory, Keys, Signer, TokenReview, base, enable, mount, service_account_token
from servers import Authority, Front, server_context

SHORT = '[vault.retry]\nmax_backoff = "1s"\n'


def run(s, method, env):
    return s.render(f'''
[vault]
address = "@addr@"
timeout = "2s"
[auto_auth]
max_backoff = "2s"
[auto_auth.method]
{method}
[[template]]
destination = "out/value"
contents = '{{{{ with secret "kv/data/app" }}}}{{{{ .Data.data.value }}}}{{{{ end }}}}'
''', env=env)


# --- 41: whom the login depends on is slow: connections are taken, and nothing comes

def sts(s, services, port):
    value = base(s)
    enable(s, "aws")
    s.vault.post("auth/aws/config/client", {"sts_endpoint": f"http://127.0.0.1:{port(services.sts)}", "sts_region": "us-east-1", "max_retries": 0})
    s.vault.post("auth/aws/role/app", {"auth_type": "iam", "bound_iam_principal_arn": [f"arn:aws:iam::{ACCOUNT}:role/app-role"],
                                       "resolve_aws_unique_ids": False, "token_policies": "kv-reader"})
    return value, 'type = "aws"\nrole = "app"', services.environment(services.keys())


def metadata(s, services, port):
    value, method, _ = sts(s, services, lambda service: int(service.url.rpartition(":")[2]))
    return value, method, {"AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{port(services.instance)}", "AWS_EC2_METADATA_V1_DISABLED": "true"}


def jwks(s, keys, port):
    value, signer = base(s), keys.signers[0]
    enable(s, "jwt")
    s.vault.post("auth/jwt/config", {"jwks_url": f"http://127.0.0.1:{port(keys)}/jwks"})
    s.vault.post("auth/jwt/role/app", {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "token_policies": "kv-reader"})
    s.write("boot/jwt", signer.token(aud="vault", sub="app"))
    return value, 'type = "jwt"\nrole = "app"\npath = "boot/jwt"', None


def ldap(s, directory, port):
    value = base(s)
    enable(s, "ldap")
    s.vault.post("auth/ldap/config", {"url": f"ldap://127.0.0.1:{port(directory)}", "userdn": "ou=people", "userattr": "cn", "token_policies": "kv-reader"})
    directory.users["bob"] = s.canary("password")
    s.write("boot/password", directory.users["bob"])
    return value, 'type = "ldap"\nusername = "bob"\npassword_file_path = "boot/password"', None


def review(s, cluster, port):
    value, signer = base(s), Signer(s)
    enable(s, "kubernetes")
    s.vault.post("auth/kubernetes/config", {"kubernetes_host": f"http://127.0.0.1:{port(cluster)}", "kubernetes_ca_cert": signer.certificate(s),
                                            "token_reviewer_jwt": service_account_token(signer), "disable_local_ca_jwt": True})
    s.vault.post("auth/kubernetes/role/app", {"bound_service_account_names": "app", "bound_service_account_namespaces": "ns1",
                                              "token_policies": "kv-reader"})
    mount(s, 1, service_account_token(signer))
    return value, 'type = "kubernetes"\nrole = "app"\ntoken_path = "boot/volume/token"', None


THIRD = {"STS": (Aws, sts), "metadata": (Aws, metadata), "JWKS": (lambda s: Keys(Signer(s, "one", "k1")), jwks),
         "LDAP": (lambda s: Directory(), ldap), "TokenReview": (lambda s: TokenReview(), review)}


@pytest.mark.parametrize("who", THIRD)
def test_F41_a_third_party_that_is_silent(s, fronts, who):
    """The login has its time limit, is tried again slowly, and works as soon as the third party does."""
    make, prepare = THIRD[who]
    service = make(s)
    fronts.append(service)

    def behind(there):
        port = there.port if hasattr(there, "port") else int(there.url.rpartition(":")[2])
        fronts.append(Front(port))
        fronts[-1].whole = "pass" if who == "JWKS" else "silent"  # the server looks at the keys when it is told of them
        return fronts[-1].port
    value, method, env = prepare(s, service, behind)
    way = fronts[-1]
    way.whole = "silent"
    way.drop()
    agent = run(s, method, env)
    agent.wait_line("no answer within 2 s" if who != "metadata" else "AWS instance metadata", timeout=8)
    observe(5, lambda: None, 1.0)
    tries = s.tap.entries("auth/*/login*")
    assert agent.alive and (not tries if who == "metadata" else 1 <= len(tries) <= 5), s.tap
    way.whole = "pass"
    way.drop()
    wait_for(lambda: s.read("out/value") == value, 15, "the value")


# --- 42: clocks

@pytest.mark.parametrize("minutes", [-10, 10])
def test_F42_a_clock_that_is_ten_minutes_off(s, fronts, minutes):
    """AWS takes it (15 min are its limit). An issuer whose clock is ten minutes off is refused by the server, and both clocks are told."""
    services = Aws(s)
    fronts.append(services)
    services.clock = datetime.timedelta(minutes=minutes)
    value, method, env = sts(s, services, lambda service: int(service.url.rpartition(":")[2]))
    run(s, method, env)
    wait_for(lambda: s.read("out/value") == value, 10, "the value")


@pytest.mark.parametrize("minutes, word", [(-20, "expired"), (10, "clock")])
def test_F42_a_jwt_of_an_issuer_with_another_clock(s, minutes, word):
    signer = Signer(s)
    base(s)
    enable(s, "jwt")
    s.vault.post("auth/jwt/config", {"jwt_validation_pubkeys": [signer.public]})
    s.vault.post("auth/jwt/role/app", {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "token_policies": "kv-reader"})
    then = int(time.time()) + 60 * minutes
    s.write("boot/jwt", signer.sign({"aud": "vault", "sub": "app", "iat": then, "nbf": then, "exp": then + 600}))
    agent = run(s, 'type = "jwt"\nrole = "app"\npath = "boot/jwt"', None)
    assert agent.wait_exit(20) == 77
    assert word in agent.stderr and "clock" in agent.stderr and len(s.tap.logins()) <= 3, agent.stderr


# --- 44: odd answers of a login

class Stranger:
    """A server that gets what is none of its business."""

    def __init__(self):
        self.stolen = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                outer.stolen.append(self.path)
                self.send_response(200)
                self.end_headers()
            do_PUT = do_GET = do_POST

            def log_message(self, *args):
                pass
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.mark.parametrize("answer", [500, 204, 307])
@pytest.mark.parametrize("method", ["approle", "kubernetes", "ldap"])
def test_F44_odd_answers_of_a_login(s, fronts, method, answer):
    """No login goes elsewhere, nothing counts as logged in, and the next good answer is taken: at the start and later."""
    if method == "approle":
        value, keys, env = kv_base(s, token_type="batch", token_ttl="8s"), 'type = "approle"\nrole_id_file_path = "boot/role-id"\n' \
            'secret_id_file_path = "boot/secret-id"\nremove_secret_id_file_after_reading = false', None
    else:
        make, prepare = THIRD["TokenReview" if method == "kubernetes" else "LDAP"]
        fronts.append(make(s))
        value, keys, env = prepare(s, fronts[-1], lambda there: there.port)
    fronts.append(Stranger())
    stranger = fronts[-1]
    path = "auth/*/login*"

    def odd():
        s.tap.reply(path, answer, b"{}" if answer == 500 else b"", 2, headers={"Location": stranger.url + "/v1/auth/x/login"} if answer == 307 else {})
    odd()
    agent = run(s, keys, env)
    wait_for(lambda: s.read("out/value") == value, 12, "the value")
    assert agent.alive and not stranger.stolen and s.tap.count(path) == 3, s.tap
    if method == "approle":
        odd()
        wait_for(lambda: s.tap.count(path) >= 6, 20, "logins of later tokens")
        assert agent.alive and not stranger.stolen and s.read("out/value") == value


# --- 45: an outage with the method cert

def test_F45_an_outage_with_client_certificates(s, fronts):
    """The way to a server that asks for certificates is cut, then refuses connections, then is back with a new certificate of its own."""
    clients = Authority(s, "clients")
    for source, name in zip(clients.issue("DNS:client"), ("client.pem", "client.key")):
        with open(source, encoding="ascii") as file:
            s.write(f"boot/{name}", file.read())
    kv_base(s)
    authority = Authority(s)
    way = Front(s.tap.port, tls=server_context(*authority.issue("IP:127.0.0.1"), clients=clients.path))
    fronts.append(way)
    agent = kv_run(s, addr=way.url, vault='ca_cert = "boot/ca.pem"\nclient_cert = "boot/client.pem"\nclient_key = "boot/client.key"\n' + SHORT)
    app = s.runlog.wait_starts(1, 8)
    way.whole = "reset"
    way.drop()
    agent.wait_line("secret.failing", timeout=4)
    observe(2, lambda: None, 0.5)
    assert agent.alive and s.runlog.starts() == app
    way.tls = server_context(*authority.issue("IP:127.0.0.1"), clients=clients.path)
    way.whole = "pass"
    way.drop()
    new = s.canary("kv-next")
    s.vault.put(KV_DATA, {"value": new})
    s.runlog.wait_starts(2, 8)
    assert len(s.tap.logins()) == 1


# --- 46: a credential that can't be removed

def removed_secret_id(s):
    value = kv_base(s, token_type="batch", token_ttl="6s")
    return value, s.read("boot/secret-id"), 'type = "approle"\nrole_id_file_path = "boot/role-id"\nsecret_id_file_path = "boot/ro/credential"', \
        "remove_secret_id_file_after_reading"


def removed_jwt(s):
    value, signer = base(s), Signer(s)
    enable(s, "jwt")
    s.vault.post("auth/jwt/config", {"jwt_validation_pubkeys": signer.public})
    s.vault.post("auth/jwt/role/app", {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "token_policies": "kv-reader",
                                       "token_type": "batch", "token_ttl": "6s"})
    key = "remove_jwt_after_reading"
    return value, signer.token(aud="vault", sub="app"), f'type = "jwt"\nrole = "app"\npath = "boot/ro/credential"\n{key} = true', key


def removed_password(s):
    value, password = base(s), s.canary("password")
    enable(s, "userpass")
    s.vault.post("auth/userpass/users/bob", {"password": password, "token_policies": "kv-reader", "token_type": "batch", "token_ttl": "6s"})
    key = "remove_password_after_reading"
    return value, password, f'type = "userpass"\nusername = "bob"\npassword_file_path = "boot/ro/credential"\n{key} = true', key


@pytest.mark.parametrize("prepare", [removed_secret_id, removed_jwt, removed_password], ids=["approle", "jwt", "userpass"])
def test_F46_removal_of_a_credential_on_a_read_only_mount(s, mounts, prepare):
    """One warning with the key, the login counts, and neither a later login nor a restart fails because of it."""
    value, credential, keys, key = prepare(s)
    mounts.tmpfs("boot/ro")
    s.write("boot/ro/credential", credential)
    mounts.readonly(s.path("boot/ro"))
    for number in (1, 2):
        agent = run(s, keys, None)
        wait_for(lambda: s.read("out/value") == value, 8, "the value")
        logins = len(s.tap.entries("auth/*/login*"))
        wait_for(lambda logins=logins: len(s.tap.entries("auth/*/login*")) >= logins + 2, 14, "two later logins")
        warned = agent.lines_about(key, levels=("warn",))
        assert len(warned) == 1 and "boot/ro/credential" in warned[0], agent.stderr
        assert agent.stop() == 0, number
        os.unlink(s.path("out/value"))


# --- 47: an outage is told once when it begins and once when it is over, with its cause and what to do

MANY = "".join(f"[[template]]\ndestination = \"out/n{n}\"\ncontents = '{{{{ with secret \"kv/data/n{n}\" }}}}{{{{ .Data.data.value }}}}{{{{ end }}}}'\n"
               for n in range(8))


def eight_more(s):
    for number in range(8):
        s.vault.put(f"kv/data/n{number}", {"value": s.canary(f"n{number}")})


def told(agent, event):
    return [line for line in agent.events("info", "warn", "error") if line["event"] == event]


OUTAGES = {
    "sealed": (503, {"errors": ["Vault is sealed"]}, "sealed", "unseal the server"),
    "standby": (473, {"errors": []}, "473", "standby"),
    "throttled": (429, {"errors": ["rate limit quota exceeded"]}, "rate limit", "sys/quotas/rate-limit"),
}


@pytest.mark.parametrize("kind", OUTAGES)
def test_F47_one_line_for_an_outage_however_many_secrets(s, kind):
    status, body, cause, remedy = OUTAGES[kind]
    kv_base(s)
    eight_more(s)
    agent = kv_run(s, more=MANY, interval="2s", vault=SHORT.replace("1s", "2s"))
    s.runlog.wait_starts(1, 8)
    s.tap.reply("*", status, json.dumps(body).encode(), headers={"Content-Type": "application/json"})
    wait_for(lambda: told(agent, "secret.failing"), 8, "the beginning")
    observe(3, lambda: None, 0.5)
    began = told(agent, "secret.failing")
    assert len(began) == 1 and cause in began[0]["reason"] and remedy in began[0].get("advice", ""), agent.stderr
    assert not told(agent, "secret.recovered")
    s.tap.clear()
    wait_for(lambda: told(agent, "secret.recovered"), 10, "the end")
    observe(3, lambda: None, 0.5)
    assert len(told(agent, "secret.recovered")) == 1 and len(told(agent, "secret.failing")) == 1, agent.stderr


@pytest.mark.parametrize("fault, cause", [("expired", "expired"), ("name", "vault.elsewhere"), ("authority", "authority"), ("plain http", "http")])
def test_F47_the_reason_of_a_tls_failure(s, fronts, fault, cause):
    kv_base(s)
    eight_more(s)
    authority = Authority(s)
    way = Front(s.tap.port, tls=server_context(*authority.issue("IP:127.0.0.1")))
    fronts.append(way)
    agent = kv_run(s, addr=way.url, interval="2s", vault='ca_cert = "boot/ca.pem"\n' + SHORT.replace("1s", "2s"), more=MANY)
    s.runlog.wait_starts(1, 8)
    agent.wait_line('"event": "server')
    good = way.tls
    way.tls = {"expired": lambda: server_context(*authority.issue("IP:127.0.0.1", expired=True)),
               "name": lambda: server_context(*authority.issue("DNS:vault.elsewhere")),
               "authority": lambda: server_context(*Authority(s, "stranger").issue("IP:127.0.0.1")),
               "plain http": lambda: None}[fault]()
    way.drop()
    wait_for(lambda: told(agent, "secret.failing"), 8, "the beginning")
    observe(2, lambda: None, 0.5)
    began = told(agent, "secret.failing")
    assert len(began) == 1 and cause in began[0]["reason"] + began[0].get("advice", ""), agent.stderr
    assert any(key in began[0]["reason"] + began[0].get("advice", "") for key in ("vault.", "VAULT_", "certificate")), began
    way.tls = good
    way.drop()
    wait_for(lambda: told(agent, "secret.recovered"), 10, "the end")
    observe(3, lambda: None, 0.5)
    assert len(told(agent, "secret.recovered")) == 1 and len(told(agent, "secret.failing")) == 1, agent.stderr


# A name that nothing knows, of whom the login asks before it can ask the server.
NAMELESS = {
    "instance": ('type = "aws"\nrole = "app"', {"AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://metadata.none.invalid", "AWS_EC2_METADATA_V1_DISABLED": "true"}),
    "container": ('type = "aws"\nrole = "app"', {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "https://credentials.none.invalid/"}),
    "STS": ('type = "aws"\nrole = "app"\nregion = "us-east-1"', {"AWS_WEB_IDENTITY_TOKEN_FILE": "boot/jwt", "AWS_ROLE_ARN": "arn:aws:iam::1:role/app",
                                           "AWS_ENDPOINT_URL_STS": "https://sts.none.invalid", "AWS_EC2_METADATA_DISABLED": "true"}),
    "gcp": ('type = "gcp"\nrole = "app"', {"GCE_METADATA_HOST": "metadata.none.invalid"}),
    "azure": ('type = "azure"\nrole = "app"\nresource = "r"', {"AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://metadata.none.invalid"}),
    "exchange": ('type = "azure"\nrole = "app"\nresource = "r"\ntenant_id = "t"\nclient_id = "c"\nfederated_token_file = "boot/jwt"',
                 {"AZURE_AUTHORITY_HOST": "https://login.none.invalid"}),
}


@pytest.mark.parametrize("who", NAMELESS)
def test_F47_the_name_of_a_login_s_third_party_is_not_found(s, who):
    """Told within a second and once, with the name and that it is the look-up; the server is not asked; a stop is obeyed."""
    base(s)
    s.write("boot/jwt", Signer(s).token(aud="x", sub="y"))
    method, env = NAMELESS[who]
    agent = run(s, method, env)
    started = time.monotonic()
    agent.wait_line("none.invalid", timeout=5)
    assert time.monotonic() - started < 2
    observe(5, lambda: None, 1.0)
    lines = agent.lines_about("none.invalid", levels=("warn", "error"))
    assert len(lines) == 1 and "name" in lines[0] and "not found" in lines[0], agent.stderr
    assert "vault." not in lines[0], "it is not the server's name"
    assert agent.alive and not s.tap.entries("auth/*/login*")
    assert agent.stop(3) == 75
