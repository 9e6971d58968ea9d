"""The proxy before a real server: its token stays its own by the ways that are known, KV, lists, wrapping, errors and the cache."""
import json
import socket

import pytest

from bases import kv_base, login_files
from harness import wait_for
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


def test_8_a_dead_token_is_replaced(s, front):
    f = front()
    assert f.get("/v1/kv/data/app").status == 200
    s.vault.request("PUT", "sys/leases/revoke-prefix/auth/approle/login")
    assert f.get("/v1/kv/data/app").status == 200
    assert f.log.count('"event":"auth.login"') == 2


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
