"""Namespaces, which keybearer-devvault and OpenBao have; Vault's core has none, and takes no notice of the header."""
import pytest

from conftest import Server

NOT_FOUND = ["namespace not found"]


@pytest.fixture(scope="module", params=["devvault", "openbao"])
def server(request):
    running = Server(request.param)
    yield running
    running.stop()


@pytest.fixture
def nested(server):
    """The names of a namespace and of one below it, each with a KV version 2 at kv/ that holds {"v": its name} at kv/app."""
    outer = server.name("team-")
    for space, name in (("", outer), (outer, "sub")):
        assert server.post(f"sys/namespaces/{name}", headers=within(space)).status == 200
        here = f"{space}/{name}".strip("/")
        assert server.post("sys/mounts/kv", {"type": "kv", "options": {"version": "2"}}, headers=within(here)).status == 204
        server.until(lambda here=here: server.post("kv/data/app", {"data": {"v": here}}, headers=within(here)).status == 200)
    return outer, f"{outer}/sub"


def within(space, **more):
    return {"X-Vault-Namespace": space, **more} if space else more


def value(answer):
    return answer.data["data"]["v"]


def member(server, space, policy, **settings):
    """A token that a login in this namespace gives."""
    headers = within(space)
    if "approle/" not in server.get("sys/auth", headers=headers).data:
        assert server.post("sys/auth/approle", {"type": "approle"}, headers=headers).status == 204
    name = server.name("member-")
    assert server.put(f"sys/policies/acl/{name}", {"policy": policy}, headers=headers).status == 204
    assert server.post(f"auth/approle/role/{name}", {"token_policies": name, **settings}, headers=headers).status == 204
    ids = server.get(f"auth/approle/role/{name}/role-id", headers=headers).data
    ids["secret_id"] = server.post(f"auth/approle/role/{name}/secret-id", headers=headers).data["secret_id"]
    answer = server.post("auth/approle/login", ids, token=None, headers=headers)
    assert answer.status == 200, answer
    return answer.auth["client_token"]


def test_made_listed_and_removed(server, nested):
    outer, inner = nested
    assert server.post(f"sys/namespaces/{outer}").data["path"] == f"{outer}/", "made again: what is there"
    assert f"{outer}/" in server.list("sys/namespaces").data["keys"]
    assert server.list("sys/namespaces", headers=within(outer)).data["keys"] == ["sub/"]
    assert server.list("sys/namespaces", headers=within(inner)).status == 404
    assert server.get("sys/namespaces/none").status == 404
    answer = server.delete(f"sys/namespaces/{outer}")
    assert (answer.status, answer.errors) == (400, ["unable to delete namespace containing child namespaces"])
    assert server.delete("sys/namespaces/sub", headers=within(outer)).status == 200
    server.until(lambda: server.get("kv/data/app", headers=within(inner)).errors == NOT_FOUND)


@pytest.mark.parametrize("name, why", [("a%20b", "contains space characters"), ("sys", "is a reserved path"), ("root", "is a reserved path"),
                                       ("a/b", "namespace name cannot contain /")])
def test_names_that_none_can_have(server, name, why):
    answer = server.post(f"sys/namespaces/{name}")
    assert answer.status == 400 and why in answer.errors[0], answer


def test_by_header_by_path_and_by_both(server, nested):
    outer, inner = nested
    for header, path, want in ((outer, "kv", outer), (f"/{outer}/", "kv", outer), (inner, "kv", inner), ("", f"{outer}/kv", outer),
                               ("", f"{inner}/kv", inner), (outer, "sub/kv", inner)):
        assert value(server.get(f"{path}/data/app", headers=within(header))) == want, (header, path)
        assert server.list(f"{path}/metadata/", headers=within(header)).data["keys"] == ["app"]
    assert server.get("kv/data/app").status == 404


def test_a_mount_is_named_as_it_was_asked_for(server, nested):
    """But whole, from the root on, where the header and the path name a part of the namespace each."""
    outer, inner = nested
    for header, path, said in ((inner, "kv/", "kv/"), ("", f"{inner}/kv/", f"{inner}/kv/"), (outer, "sub/kv/", f"{inner}/kv/")):
        data = server.get(f"sys/internal/ui/mounts/{path}data/app", headers=within(header)).data
        assert (data["path"], data["options"]) == (said, {"version": "2"})
    token = member(server, outer, 'path "kv/*" { capabilities = ["read"] }\npath "sub/kv/*" { capabilities = ["read"] }')
    for header, path, status in ((inner, "kv/", 200), ("", f"{inner}/kv/", 200), (outer, "sub/kv/", 403)):
        answer = server.get(f"sys/internal/ui/mounts/{path}data/app", token=token, headers=within(header))
        assert answer.status == (200 if server.kind == "devvault" else status), (header, path)


def test_one_that_is_not_there(server, nested):
    outer, _ = nested
    for token in ("root", None, "s.none"):
        for space in ("none", f"{outer}/none"):
            answer = server.get("kv/data/app", token=token, headers=within(space))
            assert (answer.status, answer.errors) == (404, NOT_FOUND)
    answer = server.post("auth/approle/login", {"role_id": "x"}, token=None, headers=within("none"))
    assert (answer.status, answer.errors) == (404, NOT_FOUND)
    answer = server.get("none/kv/data/app")
    assert answer.status == 404 and answer.errors[0].startswith('no handler for route "none/kv/data/app"')


def test_what_the_whole_server_answers(server, nested):
    for space in (nested[0], "none"):
        answer = server.get("sys/health", token=None, headers=within(space))
        assert (answer.status, answer.errors) == (400, ["operation unavailable in namespaces"])


def test_a_token_is_of_its_namespace(server, nested):
    outer, inner = nested
    token = member(server, outer, 'path "kv/*" { capabilities = ["read"] }\npath "sub/kv/*" { capabilities = ["read"] }', token_ttl="1h")
    for space in (outer, inner):
        assert value(server.get("kv/data/app", token=token, headers=within(space))) == space
    assert value(server.get(f"{inner}/kv/data/app", token=token)) == inner
    assert server.get("secret/data/x", token=token).status == 403
    for space in ("", outer, inner):  # what it does to itself needs no header
        assert server.get("auth/token/lookup-self", token=token, headers=within(space)).data["path"] == "auth/approle/login"
        assert server.post("auth/token/renew-self", {}, token=token, headers=within(space)).auth["client_token"] == token
    assert server.post("auth/token/revoke-self", token=token).status == 204
    assert server.get("kv/data/app", token=token, headers=within(outer)).status == 403


def test_a_token_of_the_root_namespace_below(server, nested):
    outer, inner = nested
    token = server.token(f'path "{outer}/kv/*" {{ capabilities = ["read"] }}')
    assert value(server.get("kv/data/app", token=token, headers=within(outer))) == outer
    assert value(server.get(f"{outer}/kv/data/app", token=token)) == outer
    assert server.get("kv/data/app", token=token, headers=within(inner)).status == 403
    assert server.get("sys/internal/ui/mounts/kv/data/app", token=token, headers=within(outer)).status == 200
    assert server.get("sys/internal/ui/mounts/kv/data/app", token=token, headers=within(inner)).status == 403
    assert server.post("auth/token/renew-self", {}, token=token, headers=within(outer)).status == 200


def test_a_wrapping_token_opens_anywhere(server, nested):
    info = server.get("kv/data/app", headers=within(nested[0], **{"X-Vault-Wrap-TTL": "60s"})).json["wrap_info"]
    assert info["creation_path"] == "kv/data/app"
    assert server.post("sys/wrapping/lookup", {"token": info["token"]}, token=None).data["creation_path"] == "kv/data/app"
    assert server.post("sys/wrapping/unwrap", token=info["token"]).data["data"] == {"v": nested[0]}


def test_a_lease_is_renewed_and_revoked_in_its_own(server, nested, connection):
    """Whoever asks in the root namespace needs the rights there, too: it is the lease's namespace that is meant."""
    outer, _ = nested
    headers = within(outer)
    assert server.post("sys/mounts/database", {"type": "database"}, headers=headers).status == 204
    assert server.post("database/config/pg", connection, headers=headers).status in (200, 204)
    assert server.post("database/roles/dyn", {
        "db_name": "pg", "default_ttl": "60s", "max_ttl": "10m",
        "creation_statements": ["CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';"]},
        headers=headers).status in (200, 204)
    lease = server.get(f"{outer}/database/creds/dyn").json["lease_id"]
    assert lease.startswith("database/creds/dyn/")
    for space in ("", outer):
        assert server.put("sys/leases/renew", {"lease_id": lease}, headers=within(space)).json["lease_duration"] == 60
    rights = 'path "%s/database/creds/dyn" { capabilities = ["read"] }\npath "%ssys/leases/*" { capabilities = ["update"] }'
    for at, status in (("", 403), (f"{outer}/", 200)):
        token = server.token(rights % (outer, at))
        own = server.get(f"{outer}/database/creds/dyn", token=token).json["lease_id"]
        assert server.put("sys/leases/renew", {"lease_id": own}, token=token).status == status
    assert server.put("sys/leases/revoke", {"lease_id": lease}).status == 204
    server.until(lambda: server.put("sys/leases/renew", {"lease_id": lease}, headers=headers).status == 400)
