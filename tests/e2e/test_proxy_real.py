"""The proxy before a real server: its token stays its own by the ways that are known, KV, lists, wrapping, errors and the cache."""
import http.client
import json
import socket

import pytest
import requests

from bases import kv_base, login_files
from harness import observe, wait_for
from harness.stub import Front

CACHE = '[cache]\nkv_ttl = "1m"\n'


@pytest.fixture
def front(s, tmp_path):
    made = []

    def start(config="", policies=("kv-reader", "lister"), listener="", **role):
        value = kv_base(s)
        every = ["create", "read", "update", "delete", "list", "sudo"]
        s.vault.policy("tokens", **{"auth/token/*": every, "sys/wrapping/*": every, "sys/leases/*": every, "kv/metadata/*": every})
        s.vault.policy("lister", **{"kv/metadata/*": ["list", "read"]})
        login_files(s, "app", ",".join(policies), **{"token_ttl": "10m", **role})
        login = (f'[auto_auth.method]\ntype = "approle"\nrole_id_file_path = "{s.path("boot/role-id")}"\n'
                 f'secret_id_file_path = "{s.path("boot/secret-id")}"\nremove_secret_id_file_after_reading = false\n')
        made.append(Front(tmp_path, None, listener=listener, config=config, address=f"http://127.0.0.1:{s.vault.port}", login=login))
        start.value = value
        return made[-1]
    yield start
    for each in made:
        each.close()


def accessors_and_tokens(s):
    found = set()
    for accessor in s.vault.raw("LIST", "auth/token/accessors")[1]["data"]["keys"]:
        found.add(accessor)
    return found


def test_reads_lists_errors_and_namespaces_as_the_server_says_them(s, front):
    f = front()
    answer = f.get("/v1/kv/data/app")
    assert answer.status == 200 and answer.json["data"]["data"]["value"] == front.value
    assert "app" in f.ask("LIST", "/v1/kv/metadata/").json["data"]["keys"]
    assert "app" in f.get("/v1/kv/metadata/?list=true").json["data"]["keys"]
    for target in ("/v1/kv/data/none", "/v1/nothing/here", "/v1/sys/mounts"):
        answer = f.get(target)
        status, body = s.vault.raw("GET", target[4:], token=None if answer.status == 404 and "none" in target else "x")
        assert answer.status in (403, 404) and list(answer.json)[0] in ("errors", "request_id") or body
    assert f.get("/v1/kv/data/app", {"X-Vault-Token": "wrong"}).status == 403
    assert f.get("/v1/sys/health").json["sealed"] is False


def test_1_the_three_leaks_of_the_peers(s, front):
    f = front(policies=("kv-reader", "tokens"))
    before = accessors_and_tokens(s)
    answers = [f.ask("GET", "/v1/auth/token/lookup-self", headers={"X-Vault-Wrap-TTL": "60s"}), f.get("/v1/auth/token/lookup-self"),
               f.get("/v1/auth/token/lookup-self/"), f.ask("POST", "/v1/auth/token/lookup", {}), f.ask("POST", "/v1/auth/token/lookup"),
               f.ask("POST", "/v1/auth/token/renew-self", {}), f.ask("POST", "/v1/auth/token/renew", {"token": ""}),
               f.ask("POST", "/v1/auth/token/create", {}), f.ask("LIST", "/v1/auth/token/accessors")]
    assert answers[0].status == 403 and answers[1].status == 200 and answers[5].status == 200
    for answer in answers:
        assert not [a for a in before if a.encode() in answer.body], answer
        assert b'"hvs.' not in answer.body, answer


def test_5_its_token_lives_on(s, front):
    f = front(policies=("kv-reader", "tokens"))
    for method, path, body in (("POST", "auth/token/revoke-self", {}), ("PUT", "sys/leases/revoke-prefix/auth/approle/login", {}),
                               ("PUT", "sys/leases/revoke-prefix/auth/", {})):
        assert f.ask(method, f"/v1/{path}", body).status == 403
    assert f.get("/v1/kv/data/app").status == 200


def test_5_35_and_51_what_the_server_makes_of_odd_requests(s, front):
    """Why the proxy reads them as it does: asked directly, the server lists, revokes by a form, takes the body's lease before the path's, and the first
    JSON value of a body. Through the proxy, none of them gets by."""
    s.vault.database(s.pg)
    s.vault.dynamic("readonly", "60s", "10m")
    s.vault.policy("creds", **{"database/creds/readonly": ["read"]})
    direct = f"http://127.0.0.1:{s.vault.port}/v1"
    root = {"X-Vault-Token": s.vault.token, "X-Vault-Request": "true"}
    f = front(config="[cache]\n", policies=("kv-reader", "tokens", "lister", "creds"),
              listener='[[listener]]\naddress = "127.0.0.1:PORT"\nallow = ["GET kv/metadata/app", "GET database/creds/readonly", "PUT,POST auth/token/revoke", "PUT sys/leases/*"]\n')
    s.vault.put("kv/data/app/below", {"value": "x"})
    for query in ("list=%zz&list=true", "list=a;b&list=true"):
        connection = http.client.HTTPConnection("127.0.0.1", s.vault.port, timeout=10)
        connection.request("GET", f"/v1/kv/metadata/app?{query}", headers=root)  # byte for byte
        assert json.loads(connection.getresponse().read())["data"]["keys"] == ["below"], query
        assert f.get(f"/v1/kv/metadata/app?{query}").status == 403

    def token():
        return s.vault.post("auth/token/create", {"policies": ["default"]})["auth"]["client_token"]
    for tail in (" x", "{}", "\0"):
        one = token()
        assert requests.post(f"{direct}/auth/token/revoke", data=json.dumps({"token": one}) + tail, headers=root, timeout=10).status_code == 204
        assert s.vault.lookup(one) is None
        other = token()
        assert f.ask("POST", "/v1/auth/token/revoke", json.dumps({"token": other}) + tail).status == 400 and s.vault.lookup(other)
    form = {**root, "Content-Type": "application/x-www-form-urlencoded"}
    for headers, path, body in ((form, "", "lease_id={}"), (root, "/other/lease", '{{"lease_id": "{}"}}')):
        lease = f.get("/v1/database/creds/readonly").json["lease_id"]
        assert f.get("/v1/database/creds/readonly").json["lease_id"] == lease
        answer = f.ask("PUT", f"/v1/sys/leases/revoke{path}", body.format(lease), {k: v for k, v in headers.items() if k != "X-Vault-Token"})
        assert answer.status == 204 and s.vault.raw("PUT", "sys/leases/lookup", {"lease_id": lease})[0] == 400, answer
        assert f.get("/v1/database/creds/readonly").json["lease_id"] != lease


def test_8_a_dead_token_is_replaced(s, front):
    f = front()
    assert f.get("/v1/kv/data/app").status == 200
    s.vault.request("PUT", "sys/leases/revoke-prefix/auth/approle/login")
    assert f.get("/v1/kv/data/app").status == 200
    assert f.log.count('"event":"auth.login"') == 2


def test_34_a_clients_token_and_its_leases_live_and_end_together(s, front):
    """A login through the proxy: one token for equal logins, renewed beyond its first life, with the lease that it took; all is gone when it is revoked."""
    s.vault.database(s.pg)
    s.vault.dynamic("readonly", "5s", "10m")
    s.vault.policy("client", **{"database/creds/readonly": ["read"], "sys/leases/renew": ["update"], "sys/leases/revoke": ["update"]})
    role_id, secret_id = s.vault.approle("person", "client", token_ttl="5s", token_max_ttl="10m")
    f = front(config='[cache]\ntokens = true\n[lease]\nmin_remaining = "1s"\n')

    def log_in():
        answer = f.ask("POST", "/v1/auth/approle/login", {"role_id": role_id, "secret_id": secret_id})
        return answer.json["auth"]["client_token"], answer.header("X-Cache")

    def user():
        return f.get("/v1/database/creds/readonly", {"X-Vault-Token": token}).json["data"]["username"]
    token, how = log_in()
    first = user()
    assert how == "MISS" and log_in() == (token, "HIT") and user() == first
    observe(7, lambda: None, 1)  # more than both were granted for
    assert log_in() == (token, "HIT") and user() == first and s.vault.lookup(token)["ttl"] > 0
    assert s.pg.roles() == [first]
    # Somebody else revokes the token: its next refusal tells, and neither it nor its lease is served.
    s.vault.post("auth/token/revoke", {"token": token})
    wait_for(lambda: f.get("/v1/kv/data/app", {"X-Vault-Token": token}).status == 403, 5)
    wait_for(lambda: f.get("/v1/database/creds/readonly", {"X-Vault-Token": token}).status == 403, 5)
    again, how = log_in()
    assert again != token and how == "MISS"
    # Logged out by itself: the same.
    assert f.ask("POST", "/v1/auth/token/revoke-self", {}, {"X-Vault-Token": again}).status == 204
    assert log_in()[0] != again


def test_41_kv_by_its_version(s, front):
    f = front(config='[cache]\nkv_ttl = "500ms"\n')
    assert [f.get("/v1/kv/data/app").header("X-Cache") for _ in range(2)] == ["MISS", "HIT"]
    second = s.canary("kv-second")
    s.vault.put("kv/data/app", {"value": second})
    wait_for(lambda: f.get("/v1/kv/data/app").json["data"]["data"]["value"] == second, 3)


def test_a_unix_socket_and_the_api_of_a_client(s, front, tmp_path):
    f = front(listener='[[listener]]\ntype = "unix"\naddress = "FOLDER/s"\n')
    with socket.socket(socket.AF_UNIX) as c:
        c.connect(str(tmp_path / "s"))
        c.sendall(b"GET /v1/kv/data/app HTTP/1.1\r\nHost: \r\nX-Vault-Request: true\r\nX-Vault-Token: \r\nConnection: close\r\n\r\n")
        got = b""
        while (piece := c.recv(65536)):
            got += piece
    assert json.loads(got.split(b"\r\n\r\n", 1)[1])["data"]["data"]["value"] == front.value and f.process.poll() is None
