"""The cache of [cache], point by point: what the recording server was asked, and what clients got."""
import json
import threading
import time

import pytest

from harness import observe, wait_for
from harness.stub import ACCESSOR, TOKEN, Front, Stub, reply

LISTENER = '[[listener]]\naddress = "127.0.0.1:PORT"\n'


@pytest.fixture
def stub():
    server = Stub()
    server.leases = 0
    server.ttl_of_leases = 60

    def creds(request, _):
        server.leases += 1
        name = request.target.rsplit("/", 1)[1].split("?")[0]
        return reply(body={"lease_id": f"database/creds/{name}/{server.leases}", "renewable": True, "lease_duration": server.ttl_of_leases,
                           "data": {"username": f"u{server.leases}", "lease_duration": 7}})
    for name in ("dyn", "other"):
        server.on(f"GET /v1/database/creds/{name}", creds)
    for route in ("sys/leases/revoke", "sys/revoke"):
        for method in ("PUT", "POST"):
            server.on(f"{method} /v1/{route}", reply(204))
    yield server
    server.close()


@pytest.fixture
def front(stub, tmp_path):
    made = []

    def start(cache="", **how):
        made.append(Front(tmp_path, stub, config=f"[cache]\n{cache}\n", listener=how.pop("listener", LISTENER), **how))
        return made[-1]
    yield start
    for each in made:
        log = each.log
        each.close()
        assert "AddressSanitizer" not in log and "agent.bug" not in log and TOKEN not in log, log[-3000:]


def kv(version, value="v"):
    return reply(body={"data": {"data": {"value": value}, "metadata": {"version": version}}, "lease_id": "", "lease_duration": 0})


def test_28_dynamic_credentials_come_once_per_key(front, stub):
    f = front()
    answers = [f.get("/v1/database/creds/dyn", headers) for headers in (
        {}, {"User-Agent": "a"}, {"User-Agent": "b", "X-More": "1"}, {"Accept": "application/json"}, {"Accept-Encoding": "gzip"})]
    assert {a.json["data"]["username"] for a in answers} == {"u1"} and stub.leases == 1
    assert [a.header("X-Cache") for a in answers] == ["MISS"] + ["HIT"] * 4
    assert answers[0].header("Age") is None and answers[4].header("Age") == "0"


def test_29_what_makes_the_key(front, stub):
    f = front()
    first = f.get("/v1/database/creds/dyn?a=1&b=2")
    assert f.get("/v1/database/creds/dyn?b=2&a=1").header("X-Cache") == "HIT"
    for target, headers in (("/v1/database/creds/dyn?a=2&b=2", {}), ("/v1/database/creds/dyn", {"X-Vault-Namespace": "ns"}),
                            ("/v1/database/creds/dyn", {"X-Vault-Token": "mine"}), ("/v1/database/creds/other", {})):
        answer = f.get(target, headers)
        assert answer.header("X-Cache") == "MISS" and answer.json["lease_id"] != first.json["lease_id"]


@pytest.mark.parametrize("kind", ["lease", "kv"])
def test_30_one_request_for_all_who_ask_at_once(front, stub, kind):
    go = threading.Event()
    path = "/v1/database/creds/dyn" if kind == "lease" else "/v1/kv/data/app"
    creds = stub.routes["GET /v1/database/creds/dyn"]
    stub.on(f"GET {path}", lambda r, c: go.wait(10) and (creds(r, c) if kind == "lease" else kv(1)))
    f = front('kv_ttl = "1m"')
    got = []
    threads = [threading.Thread(target=lambda: got.append(f.get(path))) for _ in range(20)]
    for thread in threads:
        thread.start()
    wait_for(lambda: f.log.count("listener.request") >= 0 and stub.seen(f"GET {path}"), 5)
    wait_for(lambda: len([t for t in threads if t.is_alive()]) == 20, 5)
    time.sleep(0.3)  # noqa: nothing tells when the twentieth has joined
    go.set()
    for thread in threads:
        thread.join(10)
    assert len(got) == 20 and {a.status for a in got} == {200} and len(stub.seen(f"GET {path}")) == 1
    assert len({a.body for a in got}) <= 2  # the rest of the lease may be told to the second


def test_30_a_failure_is_one_too(front, stub):
    go = threading.Event()
    stub.on("GET /v1/database/creds/dyn", lambda r, c: go.wait(10) and reply(500, {"errors": ["no"]}))
    f = front()
    got = []
    threads = [threading.Thread(target=lambda: got.append(f.get("/v1/database/creds/dyn"))) for _ in range(20)]
    for thread in threads:
        thread.start()
    wait_for(lambda: stub.seen("GET /v1/database/creds/dyn"), 5)
    time.sleep(0.3)  # noqa
    go.set()
    for thread in threads:
        thread.join(10)
    assert [(a.status, a.errors) for a in got] == [(500, ["no"])] * 20 and len(stub.seen("GET /v1/database/creds/dyn")) == 1


def test_31_32_the_time_that_is_left(front, stub):
    stub.ttl_of_leases = 13
    f = front()
    begin = time.monotonic()
    assert f.get("/v1/database/creds/dyn").json["lease_duration"] == 13
    answer = wait_for(lambda: (a := f.get("/v1/database/creds/dyn")).header("Age") == "1" and a, 5)
    assert answer.json["lease_duration"] in (11, 12) and answer.json["data"]["lease_duration"] == 7
    answer = wait_for(lambda: (a := f.get("/v1/database/creds/dyn")).header("X-Cache") == "MISS" and a, 8)
    assert 2.9 < time.monotonic() - begin < 5 and stub.leases == 2  # below min_remaining, 10 s
    assert answer.json["lease_duration"] == 13


def test_33_what_is_never_kept(front, stub):
    for route, answer in (("POST /v1/database/creds/dyn", stub.routes["GET /v1/database/creds/dyn"]),
                          ("POST /v1/sys/leases/renew", reply(body={"lease_id": "x/1", "lease_duration": 60, "renewable": True})),
                          ("GET /v1/kv/metadata/x", reply(body={"data": {"keys": ["a"]}})),
                          ("GET /v1/kv/none", reply(404, {"errors": []})), ("GET /v1/kv/data/x", kv(1)),
                          ("GET /v1/transit/keys/k", reply(body={"data": {"name": "k"}, "lease_id": "", "lease_duration": 0}))):
        stub.on(route, answer)
    f = front()
    for method, target, headers in (("POST", "/v1/database/creds/dyn", {}), ("POST", "/v1/sys/leases/renew", {}),
                                    ("GET", "/v1/kv/metadata/x?list=true", {}), ("GET", "/v1/kv/none", {}), ("GET", "/v1/kv/data/x", {}),
                                    ("GET", "/v1/transit/keys/k", {}), ("GET", "/v1/database/creds/dyn", {"X-Vault-Wrap-TTL": "60s"})):
        before = len(stub.seen())
        for _ in range(2):
            answer = f.ask(method, target, {} if method == "POST" else None, headers)
            assert answer.header("X-Cache") != "HIT", (method, target)
        assert len(stub.seen()) - before == 2, (method, target)


def test_34_logins_and_new_tokens_are_never_merged(front, stub):
    for path in ("auth/userpass/login/bob", "auth/token/create"):
        stub.on(f"POST /v1/{path}", lambda r, c: reply(body={"auth": {"client_token": f"t{len(stub.journal)}", "lease_duration": 60,
                                                                      "renewable": True}}))
    f = front()
    for path in ("auth/userpass/login/bob", "auth/token/create"):
        tokens = {f.ask("POST", f"/v1/{path}", {"a": 1}, {"X-Vault-Token": "mine"}).json["auth"]["client_token"] for _ in range(3)}
        assert len(tokens) == 3


EVICTING = [("PUT", "sys/leases/revoke", "lease_id=LEASE"), ("PUT", "sys/leases/revoke/other", {"lease_id": "LEASE"}),
            ("PUT", "sys/leases/revoke", {"lease_id": "LEASE"}), ("PUT", "sys/leases/revoke/LEASE", None),
            ("PUT", "sys/revoke", {"lease_id": "LEASE"}), ("PUT", "sys/leases/revoke-prefix/database/creds/dyn", None),
            ("PUT", "sys/leases/revoke-force/database", None), ("PUT", "sys/leases/revoke", {"lease_id": "LEASE", "sync": False}),
            ("PUT", "sys/revoke-prefix/database", None)]


@pytest.mark.parametrize("renewed_before", [False, True])
@pytest.mark.parametrize("method,path,body", EVICTING)
def test_35_each_revocation_evicts(front, stub, method, path, body, renewed_before):
    f = front()
    lease = f.get("/v1/database/creds/dyn").json["lease_id"]
    path = path.replace("LEASE", lease)
    body = json.loads(json.dumps(body).replace("LEASE", lease))
    stub.on(f"{method} /v1/{path}", reply(202 if isinstance(body, dict) and "sync" in body else 204))
    stub.on("PUT /v1/sys/leases/renew", reply(body={"lease_id": lease, "lease_duration": 60, "renewable": True}))
    if renewed_before:
        f.ask("PUT", "/v1/sys/leases/renew", {"lease_id": lease})
    assert f.get("/v1/database/creds/dyn").header("X-Cache") == "HIT"
    assert f.ask(method, f"/v1/{path}", body).status in (202, 204)
    answer = f.get("/v1/database/creds/dyn")
    assert answer.header("X-Cache") == "MISS" and answer.json["lease_id"] != lease


def test_35_a_refused_revocation_evicts_nothing(front, stub):
    stub.on("PUT /v1/sys/leases/revoke", reply(403, {"errors": ["permission denied"]}))
    f = front()
    lease = f.get("/v1/database/creds/dyn").json["lease_id"]
    f.ask("PUT", "/v1/sys/leases/revoke", {"lease_id": lease})
    assert f.get("/v1/database/creds/dyn").header("X-Cache") == "HIT"


def test_35_the_end_of_a_clients_token_evicts_what_it_took(front, stub):
    f = front()
    mine = {"X-Vault-Token": "mine"}
    f.get("/v1/auth/token/lookup-self", mine)  # how long it lives is known from now on
    f.get("/v1/database/creds/dyn", mine)
    assert f.get("/v1/database/creds/dyn", mine).header("X-Cache") == "HIT"
    f.ask("POST", "/v1/auth/token/revoke-self", {}, mine)
    assert f.get("/v1/database/creds/dyn", mine).header("X-Cache") == "MISS"


def test_35_what_it_did_not_see_is_looked_up(front, stub):
    stub.on("PUT /v1/sys/leases/lookup", reply(400, {"errors": ["invalid lease"]}))
    f = front('check_interval = "1s"')
    f.get("/v1/database/creds/dyn")
    answer = wait_for(lambda: (a := f.get("/v1/database/creds/dyn")).header("X-Cache") == "MISS" and a, 8)
    assert answer.json["data"]["username"] == "u2"


def test_36_a_clients_renewal_moves_the_end(front, stub):
    stub.ttl_of_leases = 12
    f = front()
    lease = f.get("/v1/database/creds/dyn").json["lease_id"]
    stub.on("PUT /v1/sys/leases/renew", reply(body={"lease_id": lease, "lease_duration": 500, "renewable": True}))
    f.ask("PUT", "/v1/sys/leases/renew", {"lease_id": lease})
    answer = f.get("/v1/database/creds/dyn")
    assert answer.header("X-Cache") == "HIT" and 490 < answer.json["lease_duration"] <= 500


def test_it_renews_by_the_schedule(front, stub):
    stub.ttl_of_leases = 14

    def renew(request, _):
        lease = json.loads(request.body)["lease_id"]
        return reply(body={"lease_id": lease, "lease_duration": 600, "renewable": True})
    stub.on("PUT /v1/sys/leases/renew", renew)
    f = front()
    f.get("/v1/database/creds/dyn")
    wait_for(lambda: stub.seen("PUT /v1/sys/leases/renew"), 12)
    answer = wait_for(lambda: (a := f.get("/v1/database/creds/dyn")).header("X-Cache") == "HIT" and a, 5)
    assert answer.json["lease_duration"] > 500 and stub.leases in (1, 2)


def test_37_a_new_login_replaces_without_a_flood(front, stub):
    f = front()
    for name in ("dyn", "other"):
        f.get(f"/v1/database/creds/{name}")
    stub.gone.add(stub.token)
    stub.on("GET /v1/kv/x", reply(body={}))
    assert f.get("/v1/kv/x").status == 200 and stub.logins == 2
    before = len(stub.seen())
    answers = [f.get(f"/v1/database/creds/{name}") for name in ("dyn", "other") for _ in range(3)]
    assert [a.header("X-Cache") for a in answers] == ["MISS", "HIT", "HIT"] * 2
    assert len(stub.seen()) - before == 2


CLEARING = [({"type": "all"}, True), ({"type": "lease", "value": "LEASE"}, True), ({"type": "token", "value": TOKEN}, True),
            ({"type": "token_accessor", "value": ACCESSOR}, True), ({"type": "request_path", "value": "/v1/database"}, True),
            ({"type": "request_path", "value": "/v1/kv"}, False), ({"type": "request_path", "value": "/v1/database", "namespace": "ns/"}, False),
            ({"type": "lease", "value": "other"}, False), ({"type": "token", "value": "other"}, False)]


@pytest.mark.parametrize("body,clears", CLEARING)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_38_cache_clear(front, stub, method, body, clears):
    f = front()
    lease = f.get("/v1/database/creds/dyn").json["lease_id"]
    body = json.loads(json.dumps(body).replace("LEASE", lease))
    answer = f.ask(method, "/agent/v1/cache-clear", body)
    assert (answer.status, answer.body) == (200, b"")
    assert [f.get("/v1/database/creds/dyn").header("X-Cache") for _ in range(2)] == ["MISS" if clears else "HIT", "HIT"]


@pytest.mark.parametrize("body,status,text", [
    ({}, 400, "failed to parse clear input: no type provided"), (b"", 400, "failed to parse JSON input: empty JSON provided"),
    (b"{bad", 400, "failed to parse JSON input: invalid character 'b' looking for beginning of object key string"),
    ({"type": "zzz"}, 400, "failed to clear cache: invalid type provided"),
    ({"type": "request_path"}, 500, "failed to clear cache: request path not provided"),
    ({"type": "token_accessor", "value": ""}, 500, "failed to clear cache: token accessor not provided")])
def test_38_cache_clear_says_what_is_wrong(front, body, status, text):
    answer = front().ask("POST", "/agent/v1/cache-clear", body)
    assert (answer.status, answer.errors) == (status, [text])


def test_38_cache_clear_is_guarded_and_reads_nothing_else(front, stub):
    f = front()
    f.get("/v1/database/creds/dyn")
    assert f.ask("POST", "/agent/v1/cache-clear", {"type": "all"}, guard=False).status == 412
    assert f.get("/agent/v1/cache-clear").status == 200
    assert f.get("/v1/database/creds/dyn").header("X-Cache") == "HIT"


def test_39_tokens_never_share(front, stub):
    f = front()
    users = {f.get("/v1/database/creds/dyn", headers).json["data"]["username"] for headers in (
        {}, {"X-Vault-Token": "a"}, {"X-Vault-Token": "b"}, {"Authorization": "Bearer c"})}
    assert len(users) == 4


def test_40_it_is_bounded(front, stub):
    f = front("max_entries = 5\n")
    connection = f.connection()
    for n in range(50):
        f.get(f"/v1/database/creds/dyn?n={n}", connection=connection)
    assert [f.get(f"/v1/database/creds/dyn?n={n}").header("X-Cache") for n in (49, 45, 44, 0)] == ["HIT", "HIT", "MISS", "MISS"]


def test_41_a_kv_change_is_seen_by_its_version(front, stub):
    stub.on("GET /v1/kv/data/app", kv(1, "one"))
    stub.on("GET /v1/kv/metadata/app", reply(body={"data": {"current_version": 1}}))
    f = front('kv_ttl = "500ms"')
    assert f.get("/v1/kv/data/app").header("X-Cache") == "MISS"
    wait_for(lambda: f.get("/v1/kv/data/app").header("X-Cache") == "HIT" and len(stub.seen("GET /v1/kv/metadata/app")) >= 2, 5)
    assert len(stub.seen("GET /v1/kv/data/app")) == 1
    stub.on("GET /v1/kv/data/app", kv(2, "two"))
    stub.on("GET /v1/kv/metadata/app", reply(body={"data": {"current_version": 2}}))
    begin = time.monotonic()
    wait_for(lambda: f.get("/v1/kv/data/app").json["data"]["data"]["value"] == "two", 3)
    assert time.monotonic() - begin < 1.5 and len(stub.seen("GET /v1/kv/data/app")) == 2


def test_41_a_write_through_the_proxy_is_seen_at_once(front, stub):
    stub.on("GET /v1/kv/data/app", kv(1, "one"))
    for method, path in (("POST", "kv/data/app"), ("DELETE", "kv/metadata/app"), ("POST", "kv/delete/app")):
        stub.on(f"{method} /v1/{path}", reply(204))
        f = front('kv_ttl = "1h"')
        f.get("/v1/kv/data/app")
        assert f.get("/v1/kv/data/app").header("X-Cache") == "HIT"
        f.ask(method, f"/v1/{path}", {})
        assert f.get("/v1/kv/data/app").header("X-Cache") == "MISS"
        f.close()


def test_42_last_good_while_the_server_is_away(front, stub):
    stub.on("GET /v1/kv/data/app", kv(1, "one"))
    f = front('kv_ttl = "300ms"\nmax_stale = "1m"')
    f.get("/v1/kv/data/app")
    f.get("/v1/database/creds/dyn")
    stub.close()
    answer = wait_for(lambda: (a := f.get("/v1/kv/data/app")).header("Warning") and a, 10)
    assert answer.status == 200 and answer.header("Warning").startswith("110 ") and answer.json["data"]["data"]["value"] == "one"
    assert f.get("/v1/kv/data/other").status == 502
    f.close()


def test_42_without_max_stale_the_error_is_told(front, stub):
    stub.on("GET /v1/kv/data/app", kv(1, "one"))
    f = front('kv_ttl = "300ms"')
    f.get("/v1/kv/data/app")
    stub.close()
    wait_for(lambda: f.get("/v1/kv/data/app").status == 502, 10)


def test_43_leases_are_revoked_at_the_end(front, stub):
    f = front()
    leases = {f.get(f"/v1/database/creds/{name}").json["lease_id"] for name in ("dyn", "other")}
    assert f.stop() == 0
    revoked = {json.loads(r.body)["lease_id"] for r in stub.seen("PUT /v1/sys/leases/revoke")}
    assert revoked == leases


# --- cache.tokens ------------------------------------------------------------------------------------------------------------------------

@pytest.fixture
def tokens(stub):
    """The stub makes tokens; tokens() is how many."""
    made = []

    def make(request, _):
        made.append(f"hvs.issued-{len(made)}")
        return reply(body={"auth": {"client_token": made[-1], "accessor": f"accessor-{len(made)}", "lease_duration": stub.ttl_of_tokens,
                                    "renewable": True, "num_uses": 3 if b"limited" in request.body else 0}, "lease_duration": 0})
    stub.ttl_of_tokens = 60
    for path in ("auth/userpass/login/bob", "auth/jwt/login", "auth/token/create", "auth/token/create/role"):
        for method in ("POST", "PUT"):
            stub.on(f"{method} /v1/{path}", make)
    for path in ("revoke-self", "revoke", "revoke-accessor"):
        stub.on(f"POST /v1/auth/token/{path}", reply(204))
    return lambda: len(made)


LOGIN_BOB = ("POST", "/v1/auth/userpass/login/bob", {"password": "p", "other": 1})
MINE = {"X-Vault-Token": "mine"}


def token_of(answer):
    return answer.json["auth"]["client_token"]


def test_34_equal_logins_and_new_tokens_are_one_where_it_is_asked_for(front, tokens):
    f = front("tokens = true")
    first = f.ask(*LOGIN_BOB)
    assert first.header("X-Cache") == "MISS" and first.json["auth"]["lease_duration"] == 60
    for method, body in (("PUT", LOGIN_BOB[2]), ("POST", '{"other":1, "password" : "p"}')):
        again = f.ask(method, LOGIN_BOB[1], body)
        assert again.header("X-Cache") == "HIT" and token_of(again) == token_of(first)
    for change in ({"body": {"password": "q"}}, {"headers": {"X-Vault-Namespace": "ns"}}, {"target": "/v1/auth/jwt/login"},
                   {"headers": {"Authorization": "Negotiate x"}}, {"headers": {"X-Vault-Wrap-TTL": "60s"}}):
        answer = f.ask("POST", change.get("target", LOGIN_BOB[1]), change.get("body", LOGIN_BOB[2]), change.get("headers"))
        assert token_of(answer) != token_of(first), change
    created = {token_of(f.ask("POST", "/v1/auth/token/create", {"meta": {"a": "b"}}, MINE)) for _ in range(3)}
    others = {token_of(f.ask("POST", "/v1/auth/token/create", body, headers)) for body, headers in (
        ({"meta": {"a": "c"}}, MINE), ({"meta": {"a": "b"}}, {"X-Vault-Token": "another"}))}
    assert len(created) == 1 and len(others) == 2 and not created & others
    # One that is good for so many uses is for who asked.
    assert len({token_of(f.ask("POST", "/v1/auth/jwt/login", {"role": "limited"})) for _ in range(3)}) == 3


def test_34_twenty_equal_logins_are_one_request(front, stub, tokens):
    go = threading.Event()
    make = stub.routes["POST /v1/auth/userpass/login/bob"]
    stub.on("POST /v1/auth/userpass/login/bob", lambda r, c: go.wait(10) and make(r, c))
    f = front("tokens = true")
    got = []
    threads = [threading.Thread(target=lambda: got.append(token_of(f.ask(*LOGIN_BOB)))) for _ in range(20)]
    for thread in threads:
        thread.start()
    wait_for(lambda: "joined" in (text := f.get("/metrics").body.decode()) and 'requests_total{result="joined"} 19' in text, 10)
    go.set()
    for thread in threads:
        thread.join(10)
    assert len(got) == 20 and len(set(got)) == 1 and tokens() == 1


@pytest.mark.parametrize("how", ["revoke-self", "revoke", "revoke-accessor", "lease", "prefix", "refused", "clear token", "clear accessor",
                                 "clear path", "clear all"])
def test_34_a_token_that_may_be_gone_is_not_given_again(front, stub, tokens, how):
    stub.on("GET /v1/kv/x", reply(403, {"errors": ["permission denied"]}))
    for path in ("sys/leases/revoke", "sys/leases/revoke-prefix/auth/userpass"):
        stub.on(f"PUT /v1/{path}", reply(204))
    f = front("tokens = true")
    first = f.ask(*LOGIN_BOB).json["auth"]
    assert f.ask(*LOGIN_BOB).header("X-Cache") == "HIT"
    token, accessor = first["client_token"], first["accessor"]
    do = {"revoke-self": lambda: f.ask("POST", "/v1/auth/token/revoke-self", {}, {"X-Vault-Token": token}),
          "revoke": lambda: f.ask("POST", "/v1/auth/token/revoke", {"token": token}, MINE),
          "revoke-accessor": lambda: f.ask("POST", "/v1/auth/token/revoke-accessor", {"accessor": accessor}, MINE),
          "lease": lambda: f.ask("PUT", "/v1/sys/leases/revoke", {"lease_id": "auth/userpass/login/bob/h1"}, MINE),
          "prefix": lambda: f.ask("PUT", "/v1/sys/leases/revoke-prefix/auth/userpass", None, MINE),
          "refused": lambda: f.get("/v1/kv/x", {"X-Vault-Token": token}),
          "clear token": lambda: f.ask("POST", "/agent/v1/cache-clear", {"type": "token", "value": token}),
          "clear accessor": lambda: f.ask("POST", "/agent/v1/cache-clear", {"type": "token_accessor", "value": accessor}),
          "clear path": lambda: f.ask("POST", "/agent/v1/cache-clear", {"type": "request_path", "value": "/v1/auth/userpass"}),
          "clear all": lambda: f.ask("POST", "/agent/v1/cache-clear", {"type": "all"})}
    assert do[how]().status in (200, 204, 403)
    again = f.ask(*LOGIN_BOB)
    assert again.header("X-Cache") == "MISS" and token_of(again) != token


def test_34_a_token_ends_and_is_renewed(front, stub, tokens):
    stub.ttl_of_tokens = 12
    f = front("tokens = true")
    token = token_of(f.ask(*LOGIN_BOB))
    answer = wait_for(lambda: (a := f.ask(*LOGIN_BOB)).header("Age") == "1" and a, 5)
    assert answer.json["auth"]["lease_duration"] in (10, 11) and answer.json["lease_duration"] == 0
    stub.on("POST /v1/auth/token/renew-self", reply(body={"auth": {"client_token": token, "lease_duration": 500, "renewable": True}}))
    assert f.ask("POST", "/v1/auth/token/renew-self", {}, {"X-Vault-Token": token}).status == 200
    answer = f.ask(*LOGIN_BOB)
    assert answer.header("X-Cache") == "HIT" and answer.json["auth"]["lease_duration"] > 490
    # One with less than min_remaining is not given to the next.
    assert token_of(f.ask("POST", "/v1/auth/jwt/login", {"a": 1})) == token_of(f.ask("POST", "/v1/auth/jwt/login", {"a": 1}))
    stub.ttl_of_tokens = 9
    assert token_of(f.ask("POST", "/v1/auth/jwt/login", {"a": 2})) != token_of(f.ask("POST", "/v1/auth/jwt/login", {"a": 2}))


def test_34_a_refused_login_is_told_each_time(front, stub, tokens):
    stub.on("POST /v1/auth/userpass/login/bob", reply(400, {"errors": ["invalid username or password"]}))
    f = front("tokens = true")
    for _ in range(2):
        answer = f.ask(*LOGIN_BOB)
        assert (answer.status, answer.errors, answer.header("X-Cache")) == (400, ["invalid username or password"], "MISS")
    assert len(stub.seen("POST /v1/auth/userpass/login/bob")) == 2


def test_34_what_was_made_of_keybearers_token_ends_with_it(front, stub, tokens):
    f = front("tokens = true\n[api_proxy]\nallow_token_creation = true")
    one = token_of(f.ask("POST", "/v1/auth/token/create", {}))
    assert token_of(f.ask("POST", "/v1/auth/token/create", {})) == one
    stub.gone.add(stub.token)
    stub.on("GET /v1/kv/x", reply(body={}))
    assert f.get("/v1/kv/x").status == 200 and stub.logins == 2
    assert token_of(f.ask("POST", "/v1/auth/token/create", {})) != one


RENEW = "POST /v1/auth/token/renew-self"
QUICK = 'tokens = true\n[lease]\nmin_remaining = "1s"\n'


def creds(f, token, name="dyn"):
    return f.get(f"/v1/database/creds/{name}", {"X-Vault-Token": token})


def test_34_tokens_are_renewed_while_they_are_kept(front, stub, tokens):
    """By themselves, at the schedule of a lease, with their own token: a login's and a made one's."""
    stub.ttl_of_tokens = 4
    stub.on(RENEW, lambda r, c: reply(body={"auth": {"client_token": r.header("X-Vault-Token"), "lease_duration": 600, "renewable": True}}))
    f = front(QUICK)
    login = token_of(f.ask(*LOGIN_BOB, {"X-Vault-Namespace": "ns"}))
    made = token_of(f.ask("POST", "/v1/auth/token/create", {"a": 1}, MINE))
    wait_for(lambda: len(stub.seen(RENEW)) == 2, 8)
    assert {(r.header("X-Vault-Token"), r.header("X-Vault-Namespace")) for r in stub.seen(RENEW)} == {(login, "ns"), (made, None)}
    again = wait_for(lambda: (a := f.ask(*LOGIN_BOB, {"X-Vault-Namespace": "ns"})).json["auth"]["lease_duration"] > 500 and a, 5)
    assert again.header("X-Cache") == "HIT" and token_of(again) == login and tokens() == 2


@pytest.mark.parametrize("answer,kept", [
    (reply(403, {"errors": ["permission denied"]}), False), (reply(400, {"errors": ["token not found"]}), False), (reply(204), False),
    (reply(503, {"errors": ["Vault is sealed"]}), True), (reply(429, {"errors": []}), True), (reply(500, {"errors": ["internal"]}), True)],
                         ids=["403", "400", "204", "503", "429", "500"])
def test_34_a_renewal_that_is_refused_and_one_that_fails(front, stub, tokens, answer, kept):
    """Refused: neither the token nor what was taken with it is given again. An outage: it is tried again."""
    stub.ttl_of_tokens = 12 if kept else 6  # two tries, and time to look before its end
    stub.on(RENEW, answer)
    f = front(QUICK)
    token = token_of(f.ask(*LOGIN_BOB))
    lease = creds(f, token).json["lease_id"]
    assert creds(f, token).header("X-Cache") == "HIT"
    wait_for(lambda: len(stub.seen(RENEW)) >= (2 if kept else 1), 12)
    if kept:
        assert token_of(f.ask(*LOGIN_BOB)) == token and creds(f, token).json["lease_id"] == lease
    else:
        wait_for(lambda: token_of(f.ask(*LOGIN_BOB)) != token, 2)
        assert creds(f, token).json["lease_id"] != lease and len(stub.seen(RENEW)) == 1


def test_34_who_has_logged_out_is_renewed_no_more(front, stub, tokens):
    stub.ttl_of_tokens = 3
    stub.on(RENEW, reply(403, {"errors": ["permission denied"]}))
    f = front(QUICK)
    token = token_of(f.ask(*LOGIN_BOB))
    assert f.ask("POST", "/v1/auth/token/revoke-self", {}, {"X-Vault-Token": token}).status == 204
    observe(3.5, lambda: stub.seen(RENEW) and pytest.fail("a token that was given back is renewed"), 0.2)


def test_34_a_token_that_reaches_its_maximum_is_not_given_to_the_next(front, stub, tokens):
    stub.ttl_of_tokens = 5
    stub.on(RENEW, lambda r, c: reply(body={"auth": {"client_token": r.header("X-Vault-Token"), "lease_duration": 2, "renewable": True}}))
    f = front(QUICK)
    token = token_of(f.ask(*LOGIN_BOB))
    wait_for(lambda: stub.seen(RENEW), 8)
    wait_for(lambda: token_of(f.ask(*LOGIN_BOB)) != token, 5)


def test_34_a_lease_is_no_longer_than_the_token_that_took_it(front, stub, tokens):
    """A lease of 60 s taken with a token of 13 s: what is told is what is left of the token; both are renewed."""
    stub.ttl_of_tokens = 13
    for route in (RENEW, "PUT /v1/sys/leases/renew"):
        stub.on(route, reply(500, {"errors": ["internal"]}))
    f = front("tokens = true")
    token = token_of(f.ask(*LOGIN_BOB))
    assert creds(f, token).json["lease_duration"] == 60  # as the server says it
    answer = creds(f, token)
    assert answer.header("X-Cache") == "HIT" and answer.json["lease_duration"] <= 13
    wait_for(lambda: creds(f, token).header("X-Cache") == "MISS", 5)  # below min_remaining, 10 s


def test_34_leases_of_clients_are_renewed_with_their_tokens(front, stub, tokens):
    stub.ttl_of_leases = 4
    stub.on("PUT /v1/sys/leases/renew", lambda r, c: reply(body={"lease_id": json.loads(r.body)["lease_id"], "lease_duration": 600, "renewable": True}))
    f = front(QUICK)
    token = token_of(f.ask(*LOGIN_BOB))
    lease = creds(f, token).json["lease_id"]
    wait_for(lambda: stub.seen("PUT /v1/sys/leases/renew"), 8)
    [renewal] = stub.seen("PUT /v1/sys/leases/renew")
    assert renewal.header("X-Vault-Token") == token and json.loads(renewal.body)["lease_id"] == lease
    answer = wait_for(lambda: (a := creds(f, token)).header("X-Cache") == "HIT" and a, 5)
    assert answer.json["lease_id"] == lease and 10 < answer.json["lease_duration"] <= 60  # the token's own end


def test_39_leases_of_a_token_nothing_is_known_of_are_not_kept(front, stub):
    """It may end at any time, and what it took with it. A login, a renewal or a look-up through here tells."""
    f = front()
    assert [creds(f, "mine").header("X-Cache") for _ in range(2)] == ["MISS", "MISS"]
    assert f.get("/v1/auth/token/lookup-self", MINE).status == 200
    assert [creds(f, "mine").header("X-Cache") for _ in range(2)] == ["MISS", "HIT"]


@pytest.mark.parametrize("gone", [False, True])
def test_35_a_refusal_is_looked_into(front, stub, gone):
    """A 403 may mean the path or the token: one look-up with the client's own token tells."""
    f = front()
    f.get("/v1/auth/token/lookup-self", MINE)
    lease = creds(f, "mine").json["lease_id"]
    stub.on("GET /v1/kv/denied", reply(403, {"errors": ["permission denied"]}))
    if gone:
        stub.gone.add("mine")
    before = len(stub.seen("GET /v1/auth/token/lookup-self"))
    for _ in range(20):
        assert f.get("/v1/kv/denied", MINE).errors == ["permission denied"]
    wait_for(lambda: len(stub.seen("GET /v1/auth/token/lookup-self")) > before, 5)
    if gone:
        wait_for(lambda: creds(f, "mine").status == 403, 3)
    else:
        assert creds(f, "mine").json["lease_id"] == lease
        observe(1.5, lambda: None, 0.5)
        assert len(stub.seen("GET /v1/auth/token/lookup-self")) - before <= 3 and creds(f, "mine").json["lease_id"] == lease


def test_35_a_token_is_looked_up_too(front, stub, tokens):
    f = front('tokens = true\ncheck_interval = "1s"')
    token = token_of(f.ask(*LOGIN_BOB))
    stub.gone.add(token)
    wait_for(lambda: token_of(f.ask(*LOGIN_BOB)) != token, 8)


def test_33_lists_where_they_are_asked_for(front, stub):
    stub.on("GET /v1/kv/metadata/x", reply(body={"data": {"keys": ["a"]}}))
    for lists, wanted in (("false", ["MISS", "MISS"]), ("true", ["MISS", "HIT"])):
        f = front(f'kv_ttl = "1h"\nlists = {lists}')
        assert [f.get("/v1/kv/metadata/x?list=true").header("X-Cache") for _ in range(2)] == wanted
        f.close()
