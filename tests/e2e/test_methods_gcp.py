"""gcp against the real server's own back end; Google's services and the metadata service are stand-ins on loopback."""
import json
import time

import pytest

from harness import EX_AUTH, EX_CONFIG, wait_for
from identities import Service, Signer, base, decoded, enable, start, use_cloud

ACCOUNT = "app@project-1.iam.gserviceaccount.com"
CREATED = "2026-01-02T03:04:05.000-00:00"
GCE = 'type = "gcp"\nrole = "app"\n'
IAM = GCE + 'login_type = "iam"\n'


class Google(Service):
    """The metadata service, the IAM Credentials API, and what the server asks of Google's APIs."""

    def __init__(self, signer):
        self.signer = signer
        self.certificates = {}
        self.account = {"projectId": "project-1", "uniqueId": "1234", "email": ACCOUNT}
        self.claims = {}
        self.flavor = "Google"
        self.fault = None  # of what keybearer asks
        self.given = []
        super().__init__()

    def identity(self, audience):
        compute = {"instance_id": "42", "instance_name": "vm-1", "project_id": "project-1", "project_number": 7, "zone": "z-a",
                   "instance_creation_timestamp": 1767323045}
        token = self.signer.token(**{"iss": "https://accounts.google.com", "aud": audience, "sub": "1234", "email": ACCOUNT,
                                     "google": {"compute_engine": compute}, **self.claims})
        self.given.append(token)
        return token

    def answer(self, asked):
        if asked.path.startswith("/computeMetadata/v1/instance/service-accounts/") or asked.path.endswith(":signJwt"):
            status, body, *_ = self.fault or self.of_keybearer(asked)
            return status, body, {"Metadata-Flavor": self.flavor}
        if asked.path == "/oauth2/v1/certs":
            return 200, self.certificates
        if asked.path.startswith("/v1/projects/-/serviceAccounts/"):
            return 200, self.account
        if asked.path == "/projects/project-1/zones/z-a/instances/vm-1":
            return 200, {"id": "42", "name": "vm-1", "creationTimestamp": CREATED, "zone": "z-a", "status": "RUNNING"}
        return 404, {"error": {"code": 404, "message": "not found"}}

    def of_keybearer(self, asked):
        what = asked.path.rsplit("/", 1)[-1]
        if not what.endswith(":signJwt") and asked.headers.get("Metadata-Flavor") != "Google":
            return 403, "no flavor"
        if what == "identity":
            return (200, self.identity(asked.query["audience"])) if asked.query.get("format") == "full" else (400, "format")
        if what == "token":
            return 200, {"access_token": "bearer-of-the-instance", "expires_in": 3599, "token_type": "Bearer"}
        if what == "email":
            return 200, ACCOUNT + "\n"
        token = self.signer.sign(json.loads(json.loads(asked.body)["payload"]))
        self.given.append(token)
        return 200, {"keyId": self.signer.kid, "signedJwt": token}

    def key_file(self, s, signer, name="key", **more):
        return s.write(f"boot/{name}.json", json.dumps({"type": "service_account", "client_email": ACCOUNT, "private_key": signer.pem,
                                                        "private_key_id": signer.kid, "token_uri": "https://oauth2.googleapis.com/token", **more}))


@pytest.fixture
def google(s):
    signer = Signer(s, "google", "k1")
    cloud = use_cloud(s, signer)
    service = Google(signer)
    service.certificates = {"k1": signer.certificate(s)}
    service.cloud = cloud
    yield service
    service.close()
    cloud.close()


def gcp_base(s, google, kind, **role):
    value = base(s)
    enable(s, "gcp")
    own = Signer(s, "server", "server-key")
    credentials = {"type": "service_account", "client_email": "server@project-1.iam.gserviceaccount.com", "client_id": "1", "private_key": own.pem,
                   "private_key_id": own.kid, "project_id": "project-1"}
    s.vault.post("auth/gcp/config", {"credentials": json.dumps(credentials),
                                     "custom_endpoint": {name: google.url for name in ("api", "iam", "crm", "compute")}})
    bound = {"bound_service_accounts": [ACCOUNT]} if kind == "iam" else {"bound_projects": ["project-1"]}
    s.vault.post("auth/gcp/role/app", {"type": kind, **bound, "token_policies": "kv-reader", "token_ttl": "10m", **role})
    return value


def at(google):
    return {"GCE_METADATA_HOST": google.url.removeprefix("http://")}


def payload(token):
    return decoded(token.split(".")[1])


def test_gcp_instance(s, google):
    value = gcp_base(s, google, "gce", token_type="batch", token_ttl="6s")
    agent = start(s, GCE, env=at(google))
    wait_for(lambda: s.read("out/value") == value, 5, "the value")
    asked = google.asked[0]
    assert asked.path.endswith("/default/identity") and asked.query["audience"] == s.tap.url + "/vault/app"
    wait_for(lambda: s.tap.count("auth/gcp/login") >= 2, 10, "the next login")
    tokens = [e.body["jwt"] for e in s.tap.entries("auth/gcp/login")]
    assert len(set(tokens)) == len(tokens), "another token for each login"
    assert not any(token in agent.stderr for token in google.given)


def test_gcp_service_account_and_audience(s, google):
    value = gcp_base(s, google, "gce")
    start(s, GCE + f'service_account = "{ACCOUNT}"\naudience = "https://elsewhere/vault/app"\nmetadata_endpoint = "{google.url}/"')
    wait_for(lambda: s.read("out/value") == value, 5, "the value")
    assert google.asked[0].path.endswith(f"/{ACCOUNT}/identity") and google.asked[0].query["audience"] == "https://elsewhere/vault/app"


def test_gcp_key_file(s, google):
    """Signed by the key itself: Google is not asked by keybearer."""
    value = gcp_base(s, google, "iam")
    google.key_file(s, google.signer)
    start(s, IAM + 'credentials = "boot/key.json"')
    wait_for(lambda: s.read("out/value") == value, 5, "the value")
    claims = payload(s.tap.entries("auth/gcp/login")[0].body["jwt"])
    assert claims["sub"] == ACCOUNT and claims["aud"] == "http://vault/app" and 600 < claims["exp"] - time.time() <= 900
    assert not [a for a in google.asked if "computeMetadata" in a.path or a.path.endswith(":signJwt")]


def test_gcp_key_file_of_the_environment_replaced_while_running(s, google):
    gcp_base(s, google, "iam", token_type="batch", token_ttl="6s")
    path = google.key_file(s, google.signer)
    start(s, IAM, env={"GOOGLE_APPLICATION_CREDENTIALS": path})
    wait_for(lambda: s.read("out/value"), 5, "the value")
    second = Signer(s, "second", "k2")
    google.certificates["k2"] = second.certificate(s)
    google.key_file(s, second)
    head = lambda entry: decoded(entry.body["jwt"].split(".")[0])["kid"]  # noqa: E731
    wait_for(lambda: [e for e in s.tap.entries("auth/gcp/login") if head(e) == "k2" and e.status == 200], 10, "a login by the new key")


@pytest.mark.parametrize("source", ["instance", "key file of another account"])
def test_gcp_signed_by_google(s, google, source):
    value = gcp_base(s, google, "iam")
    keys = IAM + f'iam_endpoint = "{google.url}"\njwt_exp = "10m"\n'
    if source != "instance":
        google.key_file(s, Signer(s, "other", "k9"), client_email="other@project-1.iam.gserviceaccount.com")
        keys += f'credentials = "boot/key.json"\nservice_account = "{ACCOUNT}"\n'
    start(s, keys, env=at(google))
    wait_for(lambda: s.read("out/value") == value, 5, "the value")
    asked = [a for a in google.asked if a.path.endswith(":signJwt")]
    assert len(asked) == 1 and asked[0].path == f"/v1/projects/-/serviceAccounts/{ACCOUNT}:signJwt"
    bearer = asked[0].headers["Authorization"].removeprefix("Bearer ")
    if source == "instance":
        assert bearer == "bearer-of-the-instance"
    else:
        assert payload(bearer)["iss"].startswith("other@") and "cloud-platform" in payload(bearer)["scope"]
    assert payload(s.tap.entries("auth/gcp/login")[0].body["jwt"])["exp"] - time.time() <= 600


REFUSALS = {
    "expired": (GCE, {"exp": -120, "iat": -900, "nbf": -900}, {}, ["expired", "compare this host's clock"]),
    "audience": (GCE + 'audience = "wrong"', {}, {}, ["audience", "vault/app"]),
    "no such role": (GCE, {}, None, ["`vault list auth/gcp/role`"]),
    "project": (GCE, {}, {"bound_projects": ["other"]}, ["not in bound projects", "add the project"]),
    "wrong type": (IAM, {}, {}, ['login_type = \\"gce\\"']),
    "key": (GCE, "stranger", {}, ["found no key", "the token of http"]),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_gcp_refused(s, google, case):
    keys, claims, role, says = REFUSALS[case]
    gcp_base(s, google, "gce", **(role or {}))
    if role is None:
        s.vault.request("DELETE", "auth/gcp/role/app")
    if claims == "stranger":
        google.signer, claims = Signer(s, "stranger", "k3"), {}
    now = int(time.time())
    google.claims = {name: now + value for name, value in claims.items()}
    if keys == IAM:
        keys += f'iam_endpoint = "{google.url}"'
    agent = start(s, keys, env=at(google))
    assert agent.wait_exit(20) == EX_AUTH
    assert s.tap.count("auth/gcp/login") == 3, s.tap
    for text in ["login by gcp", "auth/gcp", "app", *says]:
        assert text in agent.stderr, (text, agent.stderr)
    assert not any(token in agent.stderr for token in google.given)


OTHERS_KEY = f'login_type = "iam"\ncredentials = "boot/key.json"\nservice_account = "{ACCOUNT}"\niam_endpoint = "@google@"\n'


@pytest.mark.parametrize("keys, fault, says", [
    ("", (404, "not found"), ["no service account", "auto_auth.method.service_account"]),
    (OTHERS_KEY, (403, {"error": {"code": 403, "message": "Permission 'iam.serviceAccounts.signJwt' denied\nmore"}}),
     ["Permission 'iam.serviceAccounts.signJwt' denied", "serviceAccountTokenCreator"]),
])
def test_gcp_google_says_no(s, google, keys, fault, says):
    gcp_base(s, google, "gce")
    google.key_file(s, google.signer, client_email="other@project-1.iam.gserviceaccount.com")
    google.fault = fault
    agent = start(s, GCE + keys.replace("@google@", google.url), env=at(google))
    assert agent.wait_exit(20) == EX_AUTH
    assert all(text in agent.stderr for text in says), agent.stderr
    assert s.tap.count("auth/gcp/login") == 0


@pytest.mark.parametrize("content, says", [
    ("not JSON", "not a JSON document"),
    ('{"type": "authorized_user"}', "authorized_user"),
    ('{"type": "service_account", "client_email": "a"}', "private_key"),
    ('{"type": "service_account", "client_email": "a", "private_key": "x"}', "not a private key"),
])
def test_gcp_key_file_that_is_none(s, content, says):
    s.write("boot/key.json", content)
    agent = start(s, IAM + 'credentials = "boot/key.json"')
    assert agent.wait_exit(5) == EX_CONFIG
    assert says in agent.stderr and "boot/key.json" in agent.stderr and "auto_auth.method.credentials" in agent.stderr


@pytest.mark.parametrize("fault", ["500", "html", "flavor", "away"])
def test_gcp_metadata_service_broken_for_a_while(s, google, fault):
    value = gcp_base(s, google, "gce")
    if fault == "flavor":
        google.flavor = "Other"
    elif fault == "away":
        google.refuse()
    else:
        google.fault = (500, "") if fault == "500" else (200, "<html>sign in</html>")
    agent = start(s, GCE, env=at(google))
    agent.wait_line("login by gcp", "http://127.0.0.1", timeout=5)
    google.flavor, google.fault = "Google", None
    google.accept()
    wait_for(lambda: s.read("out/value") == value, 10, "the value")
    assert s.tap.count("auth/gcp/login") == 1


def test_gcp_server_can_not_reach_google_for_a_while(s, google):
    """The server answers 400 or 500: tried on, slowly."""
    value = gcp_base(s, google, "gce", token_type="batch", token_ttl="8s")
    agent = start(s, GCE, env=at(google))
    wait_for(lambda: s.read("out/value") == value, 5, "the value")
    certificates, google.certificates = google.certificates, {}
    agent.wait_line("login by gcp", timeout=12)
    tries = s.tap.count("auth/gcp/login")
    google.certificates = certificates
    wait_for(lambda: s.tap.entries("auth/gcp/login")[-1].status == 200 and s.tap.count("auth/gcp/login") > tries - 1, 20, "a login")
    assert agent.alive and tries <= 6, s.tap
