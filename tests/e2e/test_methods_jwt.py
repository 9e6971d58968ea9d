"""jwt and kubernetes against the real server's own back ends: login, credentials that change while keybearer runs, refusals and what is said of
them, outages of those whom the server asks."""
import os
import time

import pytest

from harness import EX_AUTH, wait_for
from identities import Keys, Signer, TokenReview, base, enable, mount, service_account_token, start


@pytest.fixture
def signer(s):
    return Signer(s)


def jwt_base(s, signer, config=None, **role):
    value = base(s)
    enable(s, "jwt")
    s.vault.post("auth/jwt/config", config or {"jwt_validation_pubkeys": [signer.public], "bound_issuer": "test"})
    s.vault.post("auth/jwt/role/app", {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"],
                                       "token_policies": "kv-reader", "token_ttl": "10m", **role})
    return value


FILE = 'type = "jwt"\nrole = "app"\npath = "boot/jwt"'


def logins(s, method, token, status=200):
    return [e for e in s.tap.entries(f"auth/{method}/login") if e.body["jwt"] == token and e.status == status]


# --- jwt

@pytest.mark.parametrize("source", ["file", "VAULT_JWT", "jwt_env"])
def test_jwt(s, signer, source):
    value = jwt_base(s, signer)
    token = signer.token(iss="test", aud="vault", sub="app")
    s.write("boot/jwt", token + "\n", 0o644)
    keys = {"file": 'path = "boot/jwt"', "VAULT_JWT": "", "jwt_env": 'jwt_env = "CI_JOB_TOKEN_2"'}[source]
    env = {"file": None, "VAULT_JWT": {"VAULT_JWT": token}, "jwt_env": {"CI_JOB_TOKEN_2": token + "\n"}}[source]
    agent = start(s, 'type = "jwt"\nrole = "app"\n' + keys, env=env)
    wait_for(lambda: s.read("out/value") == value, 5, "the value")
    assert not agent.lines_about("others may read"), "what a platform mounts is readable"
    assert token not in agent.stderr


def test_jwt_of_a_named_variable_does_not_reach_the_program(s, signer):
    value = jwt_base(s, signer)
    token = signer.token(iss="test", aud="vault", sub="app")
    s.run('[vault]\naddress = "@addr@"\n[auto_auth.method]\ntype = "jwt"\nrole = "app"\njwt_env = "MY_ID_TOKEN"\n'
          '[env]\nVALUE = { secret = "kv/app", key = "value" }', *s.app_command(), env={"MY_ID_TOKEN": token, "OTHER": "stays"})
    line = wait_for(lambda: s.runlog.starts(), 5, "the program")[0]
    assert line["env"]["VALUE"] == value and line["env"]["OTHER"] == "stays"
    assert "MY_ID_TOKEN" not in line["env"]


@pytest.mark.parametrize("keys, env, says", [
    ('jwt_env = "NOWHERE"', {}, ["jwt_env", "NOWHERE is not set"]),
    ('jwt_env = "BLANK"', {"BLANK": " \n"}, ["jwt_env", "BLANK is not set"]),
    ('jwt_env = "A"\npath = "boot/jwt"', {"A": "x"}, ["jwt_env", "excludes path"]),
    ("", {}, ["jwt: required", "path, jwt_env, or VAULT_JWT"]),
])
def test_jwt_configured_wrongly(s, keys, env, says):
    s.write("boot/jwt", "x")
    agent = start(s, f'type = "jwt"\nrole = "app"\n{keys}', env=env)
    assert agent.wait_exit(5) == 78
    assert all(text in agent.stderr for text in says), agent.stderr


def test_jwt_is_read_again_at_each_login(s, signer):
    jwt_base(s, signer, token_type="batch", token_ttl="6s")
    s.write("boot/jwt", signer.token(iss="test", aud="vault", sub="first"))
    start(s, FILE)
    wait_for(lambda: s.tap.count("auth/jwt/login") == 1, 5, "a login")
    second = signer.token(iss="test", aud="vault", sub="second")
    s.write("boot/jwt", second)
    wait_for(lambda: logins(s, "jwt", second), 8, "the new JWT")


def test_jwt_file_missing_and_empty_for_a_while(s, signer):
    """While it runs: the last good content is used, what comes is taken, nothing restarts."""
    jwt_base(s, signer, token_type="batch", token_ttl="6s")
    first = signer.token(iss="test", aud="vault", sub="first")
    s.write("boot/jwt", first)
    agent = start(s, FILE)
    wait_for(lambda: logins(s, "jwt", first), 5, "a login")
    os.unlink(s.path("boot/jwt"))
    wait_for(lambda: len(logins(s, "jwt", first)) == 2, 10, "a login with what is known")
    s.write("boot/jwt", "")
    second = signer.token(iss="test", aud="vault", sub="second")
    wait_for(lambda: len(logins(s, "jwt", first)) == 3, 10, "another")
    s.write("boot/jwt", second)
    wait_for(lambda: logins(s, "jwt", second), 10, "the new JWT")
    assert agent.alive


def test_jwt_removed_after_reading(s, signer):
    jwt_base(s, signer)
    s.write("boot/jwt", signer.token(iss="test", aud="vault", sub="first"))
    agent = start(s, FILE + "\nremove_jwt_after_reading = true")
    wait_for(lambda: s.read("out/value"), 5, "the value")
    assert s.read("boot/jwt") is None
    agent.wait_line("remove_jwt_after_reading")


REFUSALS = {
    "audience": ({"aud": "other"}, {}, ["bound_audiences", "other"]),
    "issuer": ({"iss": "stranger"}, {}, ["issuer", "stranger", "auth/jwt/config"]),
    "expired": ({"exp": -300}, {}, ["expired", "is whatever writes it running", "our clock says"]),
    "not yet valid": ({"nbf": 300}, {}, ["compare the clocks", "valid only from"]),
    "claim": ({}, {"bound_claims": {"env": "prod"}}, ["does not have the claims"]),
    "subject": ({}, {"bound_subject": "someone"}, ["boot/jwt", "subject", "sub = "]),
    "no such role": ({}, None, ["`vault list auth/jwt/role`"]),
    "key": ("stranger", {}, ["signed by a key that the server does not know"]),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_jwt_refused(s, signer, case):
    claims, role, says = REFUSALS[case]
    jwt_base(s, signer, **(role or {}))
    if role is None:
        s.vault.request("DELETE", "auth/jwt/role/app")
    by = signer
    if claims == "stranger":
        by, claims = Signer(s, "stranger"), {}
    now = int(time.time())
    times = {name: now + shift for name, shift in claims.items() if name in ("exp", "nbf")}
    given = {"iss": "test", "aud": "vault", "sub": "app", **claims, **times}
    if "exp" in times:
        given["iat"] = given["nbf"] = now - 900
    s.write("boot/jwt", by.token(**given))
    agent = start(s, FILE)
    assert agent.wait_exit(20) == EX_AUTH
    assert s.tap.count("auth/jwt/login") == 3, s.tap
    for text in ["login by jwt", "auth/jwt", "app", *says]:
        assert text in agent.stderr, (text, agent.stderr)


@pytest.mark.parametrize("leeway, accepted", [(50, True), (65, False)])
def test_jwt_clock_skew_of_the_server(s, signer, leeway, accepted):
    jwt_base(s, signer)
    now = int(time.time())
    s.write("boot/jwt", signer.token(iss="test", aud="vault", sub="app", iat=now - 900, nbf=now - 900, exp=now - leeway))
    agent = s.render('[vault]\naddress = "@addr@"\n[auto_auth]\nexit_on_err = true\n[auto_auth.method]\n' + FILE +
                     '\n[[template]]\ndestination = "out/value"\ncontents = "x"')
    if accepted:
        wait_for(lambda: s.read("out/value") == "x", 5, "the file")
    else:
        assert agent.wait_exit(10) == EX_AUTH


def test_jwt_keys_of_the_issuer_away(s):
    """The server answers 400 to a key that it can't fetch: that passes, and it is no more than a few tries."""
    first, second = Signer(s, "one", "k1"), Signer(s, "two", "k2")
    keys = Keys(first)
    try:
        jwt_base(s, first, {"jwks_url": keys.url + "/jwks"}, token_type="batch", token_ttl="8s")
        s.write("boot/jwt", first.token(aud="vault", sub="app"))
        agent = start(s, FILE)
        wait_for(lambda: s.read("out/value"), 5, "the value")
        keys.refuse()
        keys.signers = [second]
        new = second.token(aud="vault", sub="app")
        s.write("boot/jwt", new)
        agent.wait_line("can't reach the keys", timeout=12)
        tries = s.tap.count("auth/jwt/login")
        keys.accept()
        wait_for(lambda: logins(s, "jwt", new), 20, "a login")
        assert agent.alive and tries <= 6, s.tap
    finally:
        keys.close()


def test_jwt_role_deleted_ends_renewals(s, signer):
    """500 "failed to renew entry": one login before the end, while the value in force stays; then the refusal is said."""
    value = jwt_base(s, signer, token_ttl="8s", token_max_ttl="1h")
    s.write("boot/jwt", signer.token(iss="test", aud="vault", sub="app"))
    agent = start(s, FILE)
    wait_for(lambda: s.read("out/value") == value, 5, "the value")
    s.vault.request("DELETE", "auth/jwt/role/app")
    wait_for(lambda: s.tap.count("auth/token/renew-self") == 1, 10, "a renewal")
    wait_for(lambda: s.tap.count("auth/jwt/login") >= 2, 5, "a login")
    s.vault.post("auth/jwt/role/app", {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"],
                                       "token_policies": "kv-reader", "token_ttl": "10m"})
    wait_for(lambda: s.tap.entries("auth/jwt/login")[-1].status == 200, 15, "a login that succeeds")
    assert s.tap.count("auth/token/renew-self") == 1 and agent.alive


def test_jwt_login_redirected_to_a_stranger(s, signer):
    """A 307 at login to a host that is not configured: the JWT does not go there."""
    jwt_base(s, signer)
    stranger = s.new_tap()
    s.write("boot/jwt", signer.token(iss="test", aud="vault", sub="app"))
    s.tap.reply("auth/jwt/login", 307, b"", headers={"Location": stranger.url + "/v1/auth/jwt/login"})
    agent = start(s, FILE, more="outage.on_start = \"fail\"\n")
    assert agent.wait_exit(20) == 69
    assert stranger.count() == 0 and s.tap.count("auth/jwt/login") == 1
    assert "redirect" in agent.stderr


# --- kubernetes

@pytest.fixture
def review():
    server = TokenReview()
    yield server
    server.close()


def kubernetes_base(s, signer, review, **role):
    value = base(s)
    enable(s, "kubernetes")
    s.vault.post("auth/kubernetes/config", {"kubernetes_host": review.url, "kubernetes_ca_cert": signer.certificate(s),
                                            "token_reviewer_jwt": service_account_token(signer), "disable_local_ca_jwt": True})
    s.vault.post("auth/kubernetes/role/app", {"bound_service_account_names": "app", "bound_service_account_namespaces": "ns1",
                                              "token_policies": "kv-reader", "token_ttl": "10m", **role})
    return value


IN_POD = 'type = "kubernetes"\nrole = "app"\ntoken_path = "boot/volume/token"'


def test_kubernetes(s, signer, review):
    value = kubernetes_base(s, signer, review)
    mount(s, 1, service_account_token(signer))
    agent = start(s, IN_POD)
    wait_for(lambda: s.read("out/value") == value, 5, "the value")
    assert not agent.lines_about("others may read")


def test_kubernetes_token_swapped_by_the_kubelet(s, signer, review):
    kubernetes_base(s, signer, review, token_type="batch", token_ttl="6s")
    mount(s, 1, service_account_token(signer))
    start(s, IN_POD)
    wait_for(lambda: s.tap.count("auth/kubernetes/login") == 1, 5, "a login")
    second = service_account_token(signer, jti="second")
    mount(s, 2, second)
    wait_for(lambda: logins(s, "kubernetes", second), 8, "a login with the new token")


def test_kubernetes_token_swapped_all_the_time(s, signer, review):
    """Old or new, never a mix: each token that is sent is one that was mounted."""
    kubernetes_base(s, signer, review, token_type="batch", token_ttl="2s")
    tokens = [service_account_token(signer, jti=str(n), pad="x" * 3000 * n) for n in range(3)]
    for number, token in enumerate(tokens):
        mount(s, number, token)
    start(s, IN_POD)
    links = [s.path("boot/volume/..next"), s.path("boot/volume/..data")]
    turn = 0

    def enough():
        nonlocal turn
        for _ in range(50):
            turn += 1
            os.symlink(f"..{turn % 3}", links[0])
            os.rename(*links)
        return s.tap.count("auth/kubernetes/login") >= 4
    wait_for(enough, 20, "some logins", interval=0.001)
    assert {e.body["jwt"] for e in s.tap.entries("auth/kubernetes/login")} <= set(tokens)


REVIEWS = {
    "not authenticated": ({"good": False}, {}, ["the server's debug log has the reason"]),
    "401": ({"code": 401}, {}, ["the server's debug log has the reason"]),
    "403": ({"code": 403}, {}, ["the server's debug log has the reason"]),
    "another uid": ({"status": {"user": {"username": "system:serviceaccount:ns1:app", "uid": "other"}}}, {}, ["TokenReview refused"]),
    "no audience": ({"status": {"audiences": []}}, {"audience": "vault"}, ["TokenReview refused"]),
    "API server away": ({"refuse": True}, {}, ["the API server away"]),
    "namespace": ({}, {"bound_service_account_namespaces": "ns2"}, ["bound_service_account_names", "system:serviceaccount:ns1:app"]),
    "name": ({}, {"bound_service_account_names": "web"}, ["bound_service_account_names"]),
    "audience": ({}, {"audience": "vault"}, ["another audience", "token_path"]),
    "expired": ({}, {}, ["has expired", "is the kubelet running"]),
    "no such role": ({}, None, ["`vault list auth/kubernetes/role`"]),
}


@pytest.mark.parametrize("case", REVIEWS)
def test_kubernetes_refused(s, signer, review, case):
    answer, role, says = REVIEWS[case]
    kubernetes_base(s, signer, review, **(role or {}))
    if role is None:
        s.vault.request("DELETE", "auth/kubernetes/role/app")
    if answer.pop("refuse", False):
        review.refuse()
    for name, value in answer.items():
        setattr(review, name, value)
    now = int(time.time())
    expired = {"iat": now - 900, "nbf": now - 900, "exp": now - 300} if case == "expired" else {}
    audience = {"aud": ["vault"]} if case == "no audience" else {}
    mount(s, 1, service_account_token(signer, **expired, **audience))
    agent = start(s, IN_POD)
    assert agent.wait_exit(20) == EX_AUTH
    assert s.tap.count("auth/kubernetes/login") == 3, s.tap
    for text in ["login by kubernetes", "auth/kubernetes", "app", *says]:
        assert text in agent.stderr, (text, agent.stderr)
    if case not in ("no such role",):
        assert "boot/volume/token" in agent.stderr


def test_kubernetes_api_server_away_for_a_while(s, signer, review):
    """Its 403 hides that, so it is no refusal for good; and the token that the kubelet has swapped meanwhile is used."""
    kubernetes_base(s, signer, review, token_type="batch", token_ttl="8s")
    mount(s, 1, service_account_token(signer))
    agent = start(s, IN_POD)
    wait_for(lambda: s.read("out/value"), 5, "the value")
    review.refuse()
    agent.wait_line("403", timeout=12)
    refused = s.tap.count("auth/kubernetes/login")
    second = service_account_token(signer, jti="second")
    mount(s, 2, second)
    review.accept()
    wait_for(lambda: logins(s, "kubernetes", second), 20, "a login")
    assert agent.alive and refused <= 6, s.tap


def test_kubernetes_without_a_file_names_it(s):
    agent = s.start("run", "--kubernetes-role", "app", "--", *s.app_command(), env={"VAULT_ADDR": s.tap.url})
    assert agent.wait_exit(5) == 78
    assert "token_path: /var/run/secrets/kubernetes.io/serviceaccount/token" in agent.stderr
