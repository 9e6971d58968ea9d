"""azure against the real server's own back end; Microsoft's login, the metadata service and the application service are stand-ins on loopback."""
import time

import pytest

from harness import EX_AUTH, EX_CONFIG, wait_for
from identities import Service, Signer, base, enable, mount, service_account_token, start, use_cloud

RESOURCE = "https://management.azure.com/"
KEYS = f'type = "azure"\nrole = "app"\nresource = "{RESOURCE}"\n'
IDENTITY = "11111111-2222-3333-4444-555555555555"
OTHER = "99999999-2222-3333-4444-555555555555"


class Metadata(Service):
    """Instance metadata service, application service and the exchange of federated tokens."""

    def __init__(self, signer):
        self.signer = signer
        self.claims = {}
        self.instance = (404, {"error": "not found"})
        self.fault = None
        self.given = []
        super().__init__()

    def token(self, **claims):
        now = int(time.time())
        token = self.signer.token(**{"iss": "https://sts.windows.net/t/", "aud": RESOURCE, "oid": IDENTITY, "sub": IDENTITY,
                                     "exp": now + 3600, **claims, **self.claims})
        self.given.append(token)
        return token

    def answer(self, asked):
        if self.fault:
            return self.fault
        if asked.path == "/metadata/identity/oauth2/token" and asked.headers.get("Metadata") == "true":
            if asked.query.get("api-version") != "2018-02-01":
                return 400, {"error": "bad version"}
            identity = asked.query.get("client_id") or asked.query.get("object_id") or IDENTITY
            return 200, {"access_token": self.token(aud=asked.query["resource"], oid=identity), "expires_in": "3599", "token_type": "Bearer"}
        if asked.path == "/metadata/instance" and asked.headers.get("Metadata") == "true":
            return self.instance
        if asked.path == "/msi/token" and asked.headers.get("X-IDENTITY-HEADER"):
            return 200, {"access_token": self.token(aud=asked.query["resource"]), "expires_on": "1", "token_type": "Bearer"}
        if asked.path == "/tenant-1/oauth2/v2.0/token":
            scope = asked.form["scope"]
            return 200, {"access_token": self.token(aud=scope.removesuffix("/.default")), "expires_in": 3599, "token_type": "Bearer"}
        return 404, {"error": "not found"}


@pytest.fixture
def azure(s):
    """The stand-in that keybearer asks; the server knows its signer."""
    signer = Signer(s, "entra", "k1")
    cloud = use_cloud(s, signer)
    metadata = Metadata(signer)
    metadata.cloud = cloud
    yield metadata
    metadata.close()
    cloud.close()


def azure_base(s, **role):
    value = base(s)
    enable(s, "azure")
    s.vault.post("auth/azure/config", {"tenant_id": "t", "resource": RESOURCE})
    s.vault.post("auth/azure/role/app", {"bound_service_principal_ids": [IDENTITY], "token_policies": "kv-reader", "token_ttl": "10m", **role})
    return value


def by_metadata(azure):
    return {"AZURE_POD_IDENTITY_AUTHORITY_HOST": azure.url}


def test_azure_managed_identity(s, azure):
    value = azure_base(s)
    agent = start(s, KEYS, env=by_metadata(azure))
    wait_for(lambda: s.read("out/value") == value, 5, "the value")
    assert sorted(s.tap.entries("auth/azure/login")[0].body) == ["jwt", "role"], "no instance, no fields of one"
    assert not any(token in agent.stderr for token in azure.given)


@pytest.mark.parametrize("key", ["client_id", "object_id"])
def test_azure_identity_is_chosen(s, azure, key):
    value = azure_base(s, bound_service_principal_ids=[OTHER])
    start(s, KEYS + f'{key} = "{OTHER}"\nmetadata_endpoint = "{azure.url}/"')
    wait_for(lambda: s.read("out/value") == value, 5, "the value")
    asked = [a for a in azure.asked if a.path.endswith("/oauth2/token")][0]
    assert asked.query[key] == OTHER and asked.query["resource"] == RESOURCE
    assert len({"client_id", "object_id"} & set(asked.query)) == 1


def test_azure_fields_of_the_instance(s, azure):
    azure_base(s)
    azure.instance = (200, {"compute": {"name": "vm-1", "resourceGroupName": "rg", "subscriptionId": "sub", "vmScaleSetName": ""}})
    start(s, KEYS, env=by_metadata(azure))
    wait_for(lambda: s.read("out/value"), 5, "the value")
    body = s.tap.entries("auth/azure/login")[0].body
    assert (body["vm_name"], body["resource_group_name"], body["subscription_id"]) == ("vm-1", "rg", "sub") and "vmss_name" not in body


def test_azure_application_service(s, azure):
    value = azure_base(s)
    header = s.canary("identity-header")
    start(s, KEYS, env={"IDENTITY_ENDPOINT": azure.url + "/msi/token", "IDENTITY_HEADER": header})
    wait_for(lambda: s.read("out/value") == value, 5, "the value")
    assert azure.asked[0].headers["X-IDENTITY-HEADER"] == header
    assert azure.asked[0].query == {"api-version": "2019-08-01", "resource": RESOURCE}


def workload(s, azure, path):
    return {"AZURE_TENANT_ID": "tenant-1", "AZURE_CLIENT_ID": "client-1", "AZURE_FEDERATED_TOKEN_FILE": s.path(path),
            "AZURE_AUTHORITY_HOST": azure.url + "/"}


def test_azure_workload_identity(s, azure):
    """The federated token is read at each login; the metadata service is not asked."""
    value = azure_base(s, token_type="batch", token_ttl="6s")
    assertions = [service_account_token(azure.signer, jti=str(n)) for n in (1, 2)]
    path = mount(s, 1, assertions[0], "azure-identity-token")
    agent = start(s, KEYS, env=workload(s, azure, path))
    wait_for(lambda: s.read("out/value") == value, 5, "the value")
    form = azure.asked[0].form
    assert form["client_assertion"] == assertions[0] and form["client_id"] == "client-1" and form["grant_type"] == "client_credentials"
    assert form["scope"] == "https://management.azure.com//.default"
    mount(s, 2, assertions[1], "azure-identity-token")
    wait_for(lambda: azure.asked[-1].form.get("client_assertion") == assertions[1], 8, "an exchange of the new token")
    assert {asked.path for asked in azure.asked} == {"/tenant-1/oauth2/v2.0/token"}
    assert not agent.lines_about("others may read")


def test_azure_workload_identity_by_keys(s, azure):
    value = azure_base(s)
    path = mount(s, 1, service_account_token(azure.signer), "token")
    start(s, KEYS + f'tenant_id = "tenant-1"\nclient_id = "client-1"\nfederated_token_file = "{path}"\nauthority_host = "{azure.url}"\n'
          f'authenticate_from_environment = true')
    wait_for(lambda: s.read("out/value") == value, 5, "the value")


def test_azure_configured_wrongly(s):
    cases = [
        ('client_id = "a"\nobject_id = "b"', {}, ["object_id", "excludes client_id"]),
        ("authenticate_from_environment = true", {}, ["authenticate_from_environment", "AZURE_FEDERATED_TOKEN_FILE is not set"]),
        ("", {"AZURE_FEDERATED_TOKEN_FILE": s.path("boot/none"), "AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c"}, ["boot/none"]),
        ("", {"AZURE_FEDERATED_TOKEN_FILE": s.write("boot/some", "x"), "AZURE_CLIENT_ID": "c"}, ["tenant_id", "AZURE_TENANT_ID"]),
    ]
    for keys, env, says in cases:
        agent = start(s, KEYS + keys, env=env)
        assert agent.wait_exit(5) == EX_CONFIG
        assert all(text in agent.stderr for text in says), agent.stderr


REFUSALS = {
    "expired": ({"exp": -60}, {}, ["token is expired", "compare this host's clock"]),
    "not yet valid": ({"nbf": 600}, {}, ["compare this host's clock", "valid only from"]),
    "audience": ({"aud": "https://management.azure.com"}, {}, ["character for character", "its aud = "]),
    "issuer": ({"iss": "https://sts.windows.net/other/"}, {}, ["issued by a different provider", "another tenant"]),
    "principal": ({"oid": OTHER}, {}, ["service principal not authorized", OTHER, "bound_service_principal_ids"]),
    "group": ({}, {"bound_group_ids": ["g"]}, ["groups not authorized", "bound_group_ids"]),
    "instance": ({}, {"bound_resource_groups": ["rg"]}, ["bound to resource groups"]),
    "no such role": ({}, None, ["`vault list auth/azure/role`"]),
    "key": ("stranger", {}, ["failed to verify signature"]),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_azure_refused(s, azure, case):
    """The server's 500 to a token that it does not accept is a refusal, whatever outage.on_start says: 77, after three tries."""
    claims, role, says = REFUSALS[case]
    azure_base(s, **(role or {}))
    if role is None:
        s.vault.request("DELETE", "auth/azure/role/app")
    if claims == "stranger":
        azure.signer, claims = Signer(s, "stranger", "k1"), {}
    now = int(time.time())
    azure.claims = {name: now + value if name in ("exp", "nbf") else value for name, value in claims.items()}
    if "exp" in azure.claims:
        azure.claims |= {"iat": now - 900, "nbf": now - 900}
    agent = start(s, KEYS, env=by_metadata(azure), more='outage.on_start = "wait"\n')
    assert agent.wait_exit(20) == EX_AUTH
    assert s.tap.count("auth/azure/login") == 3, s.tap
    for text in ["login by azure", "auth/azure", "app", *says]:
        assert text in agent.stderr, (text, agent.stderr)
    assert not any(token in agent.stderr for token in azure.given)


def test_azure_several_identities(s, azure):
    """The metadata service says no: client_id is to be set."""
    azure_base(s)
    azure.fault = (400, {"error": "invalid_request", "error_description": "Multiple user assigned identities exist, please specify the clientId"})
    agent = start(s, KEYS, env=by_metadata(azure))
    assert agent.wait_exit(20) == EX_AUTH
    assert "Multiple user assigned identities" in agent.stderr and "auto_auth.method.client_id" in agent.stderr
    assert s.tap.count("auth/azure/login") == 0 and len(azure.asked) == 3


def test_azure_federated_token_refused(s, azure):
    azure_base(s)
    path = mount(s, 1, service_account_token(azure.signer), "token")
    azure.fault = (400, {"error": "invalid_client", "error_description": "AADSTS70021: No matching federated identity record found\r\nTrace ID: 1"})
    agent = start(s, KEYS, env=workload(s, azure, path))
    assert agent.wait_exit(20) == EX_AUTH
    assert "AADSTS70021: No matching federated identity record found" in agent.stderr and "system:serviceaccount:ns1:app" in agent.stderr


@pytest.mark.parametrize("fault", [(500, {}), (404, {}), (429, {}), (200, "not JSON"), (200, {"access_token": "no JWT"}), (302, "", {"Location": "/x"})])
def test_azure_metadata_service_broken_for_a_while(s, azure, fault):
    """An outage: waited for, and in when it is over."""
    value = azure_base(s)
    azure.fault = fault
    agent = start(s, KEYS, env=by_metadata(azure))
    wait_for(lambda: len(azure.asked) >= 2, 10, "two tries")
    azure.fault = None
    wait_for(lambda: s.read("out/value") == value, 10, "the value")
    assert agent.lines_about("login by azure", levels=("warn",)) and s.tap.count("auth/azure/login") == 1


def test_azure_everybody_away_for_a_while(s, azure):
    """The metadata service, then Microsoft's keys: the token in force lasts, and the next login succeeds."""
    value = azure_base(s, token_type="batch", token_ttl="10s")
    agent = start(s, KEYS, env=by_metadata(azure))
    wait_for(lambda: s.read("out/value") == value, 5, "the value")
    azure.refuse()
    agent.wait_line("login by azure", "oauth2/token", timeout=14)
    azure.accept()
    azure.signer = Signer(s, "next", "k2")
    azure.cloud.signers = [azure.signer]
    azure.cloud.refuse()
    agent.wait_line("fetching keys", timeout=14)
    azure.cloud.accept()
    wait_for(lambda: s.tap.entries("auth/azure/login")[-1].status == 200 and s.tap.count("auth/azure/login") > 1, 20, "a login")
    assert agent.alive and s.tap.count("auth/azure/login") <= 8, s.tap
