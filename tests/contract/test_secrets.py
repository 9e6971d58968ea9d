"""KV, databases and leases, wrapping, sealing."""
import re

import pytest

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z"


def test_kv1(server):
    at = server.kv1()
    assert server.post(f"{at}/plain", {"n": 1, "password": "one", "t": True}).status == 204
    answer = server.get(f"{at}/plain")
    assert answer.data == {"n": 1, "password": "one", "t": True}
    assert (answer.json["lease_duration"], answer.json["renewable"], answer.json["lease_id"]) == (2764800, False, "")
    server.post(f"{at}/app/deep", {"a": "b"})
    assert server.list(at).data == {"keys": ["app/", "plain"]} == server.get(f"{at}/?list=true").data
    assert server.delete(f"{at}/plain").status == 204
    assert (server.get(f"{at}/plain").status, server.get(f"{at}/plain").errors) == (404, [])
    assert (server.list(f"{at}/none").status, server.list(f"{at}/none").errors) == (404, [])


def test_kv1_ttl_is_a_hint(server):
    at = server.kv1()
    server.post(f"{at}/x", {"password": "one", "ttl": "5s"})
    answer = server.get(f"{at}/x")
    assert answer.json["lease_duration"] == 5 and answer.data == {"password": "one", "ttl": "5s"}


def test_kv2_versions(server):
    path = server.name("versions/")
    answer = server.post(f"secret/data/{path}", {"data": {"password": "p1"}})
    assert answer.status == 200 and answer.data["version"] == 1 and re.fullmatch(TIME, answer.data["created_time"])
    server.post(f"secret/data/{path}", {"data": {"password": "p2", "username": "u"}})
    answer = server.get(f"secret/data/{path}")
    assert answer.json["lease_duration"] == 0 and answer.data["data"] == {"password": "p2", "username": "u"}
    metadata = answer.data["metadata"]
    assert set(metadata) == {"created_time", "custom_metadata", "deletion_time", "destroyed", "version"}
    assert (metadata["version"], metadata["custom_metadata"], metadata["deletion_time"], metadata["destroyed"]) == (2, None, "", False)
    assert server.get(f"secret/data/{path}?version=1").data["data"] == {"password": "p1"}
    assert (server.get(f"secret/data/{path}?version=9").status, server.get(f"secret/data/{path}?version=9").errors) == (404, [])
    data = server.get(f"secret/metadata/{path}").data
    assert data["current_version"] == 2 and list(data["versions"]) == ["1", "2"]
    assert set(data) >= {"cas_required", "created_time", "current_version", "custom_metadata", "delete_version_after",
                         "max_versions", "oldest_version", "updated_time", "versions"}
    directory, _, name = path.partition("/")
    assert name in server.list(f"secret/metadata/{directory}").data["keys"]


def test_kv2_check_and_set(server):
    path = "secret/data/" + server.name("cas")
    assert server.post(path, {"data": {"a": "1"}, "options": {"cas": 0}}).status == 200
    answer = server.post(path, {"data": {"a": "2"}, "options": {"cas": 0}})
    assert (answer.status, answer.errors) == (400, ["check-and-set parameter did not match the current version"])
    assert server.post(path, {"data": {"a": "2"}, "options": {"cas": 1}}).data["version"] == 2
    answer = server.post(path, {"a": "2"})
    assert (answer.status, answer.errors) == (400, ["no data provided"])


def test_kv2_delete_undelete_destroy(server):
    name = server.name("gone")
    for value in ["1", "2"]:
        server.post(f"secret/data/{name}", {"data": {"v": value}})
    assert server.delete(f"secret/data/{name}").status == 204
    answer = server.get(f"secret/data/{name}")
    assert answer.status == 404 and answer.data["data"] is None
    assert re.fullmatch(TIME, answer.data["metadata"]["deletion_time"]) and not answer.data["metadata"]["destroyed"]
    assert server.post(f"secret/undelete/{name}", {"versions": [2]}).status == 204
    assert server.get(f"secret/data/{name}").data["data"] == {"v": "2"}
    assert server.put(f"secret/destroy/{name}", {"versions": [2]}).status == 204
    answer = server.get(f"secret/data/{name}")
    assert answer.status == 404 and answer.data["metadata"]["destroyed"] and answer.data["metadata"]["deletion_time"] == ""
    assert server.get(f"secret/data/{name}?version=1").status == 200
    assert server.delete(f"secret/metadata/{name}").status == 204
    assert (server.get(f"secret/data/{name}").status, server.get(f"secret/data/{name}").errors) == (404, [])


def test_kv2_patch(server):
    path = "secret/data/" + server.name("patch")
    server.post(path, {"data": {"a": "1", "b": "2", "c": "3"}})
    for content_type, status in [(None, 400), ("application/json", 415)]:
        headers = {"Content-Type": content_type} if content_type else {}
        assert server.call("PATCH", path, {"data": {"b": "x"}}, headers=headers).status == status
    merge = {"Content-Type": "application/merge-patch+json"}
    assert server.call("PATCH", path, {"data": {"b": "x", "c": None}}, headers=merge).data["version"] == 2
    assert server.get(path).data["data"] == {"a": "1", "b": "x"}


def test_kv2_custom_metadata_and_max_versions(server):
    name = server.name("meta")
    assert server.post(f"secret/metadata/{name}", {"max_versions": 2, "custom_metadata": {"owner": "me"}}).status == 204
    for value in "123":
        server.post(f"secret/data/{name}", {"data": {"v": value}})
    assert server.get(f"secret/data/{name}").data["metadata"]["custom_metadata"] == {"owner": "me"}
    assert list(server.get(f"secret/metadata/{name}").data["versions"]) == ["2", "3"]
    assert server.get(f"secret/data/{name}?version=1").status == 404


def test_kv2_without_data_in_the_path(server):
    answer = server.get("secret/app/db")
    assert answer.status == 404 and answer.data is None
    assert answer.warnings[0].startswith("Invalid path for a versioned K/V secrets engine.")


def test_a_path_that_nobody_serves(server):
    answer = server.get("nomount/x")
    assert answer.status == 404 and answer.errors[0].startswith('no handler for route "nomount/x"'), answer
    assert server.get("nomount/x", token=server.token()).status == 403


def test_which_mount_a_path_belongs_to(server):
    at = server.kv1()
    data = server.get("sys/internal/ui/mounts/secret/data/app/db").data
    assert (data["path"], data["type"], data["options"]) == ("secret/", "kv", {"version": "2"})
    assert server.get(f"sys/internal/ui/mounts/{at}/x").data["options"] == {"version": "1"}
    bare = server.name("bare")
    server.post(f"sys/mounts/{bare}", {"type": "kv"})
    assert not server.get(f"sys/internal/ui/mounts/{bare}/x").data["options"]
    reader = server.token('path "secret/data/app/*" { capabilities = ["read"] }')
    assert server.get("sys/internal/ui/mounts/secret/data/app/db", token=reader).status == 200
    assert server.get(f"sys/internal/ui/mounts/{at}/x", token=reader).status == 403
    answer = server.get("sys/internal/ui/mounts/nomount/x")
    assert answer.status == 403
    assert answer.errors == ["preflight capability check returned 403, please ensure client's policies grant access to "
                             'path "nomount/x/"']


def test_mounts(server):
    at = server.kv1()
    answer = server.get("sys/mounts")
    assert answer.data[f"{at}/"]["type"] == answer.json[f"{at}/"]["type"] == "kv"
    answer = server.post(f"sys/mounts/{at}", {"type": "kv"})
    assert (answer.status, answer.errors) == (400, [f"path is already in use at {at}/"])
    assert server.delete(f"sys/mounts/{at}").status == 204
    assert server.get(f"{at}/x").status == 404


def dynamic_role(server, database, **settings):
    answer = server.post(f"{database}/roles/dyn", {
        "db_name": "pg", "default_ttl": "6s", "max_ttl": "12s",
        "creation_statements": ["CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';"],
        "revocation_statements": ['DROP ROLE IF EXISTS "{{name}}";'], **settings})
    assert answer.status == 204, answer


def test_dynamic_credentials(server, database):
    dynamic_role(server, database)
    first, second = server.get(f"{database}/creds/dyn"), server.get(f"{database}/creds/dyn")
    assert first.json["lease_id"].startswith(f"{database}/creds/dyn/")
    assert (first.json["renewable"], first.json["lease_duration"]) == (True, 6)
    assert set(first.data) == {"username", "password"} and re.match("v-(root|token)-dyn-", first.data["username"])
    assert first.data != second.data and first.json["lease_id"] != second.json["lease_id"]
    answer = server.get(f"{database}/creds/none")
    assert (answer.status, answer.errors) == (400, ["unknown role: none"])


def test_renewing_a_lease(server, database):
    dynamic_role(server, database)
    lease = server.get(f"{database}/creds/dyn").json["lease_id"]
    answer = server.put("sys/leases/renew", {"lease_id": lease})
    assert (answer.json["lease_id"], answer.json["renewable"], answer.json["lease_duration"]) == (lease, True, 6)
    assert answer.data is None
    answer = server.put("sys/leases/renew", {"lease_id": lease, "increment": 3600})
    assert 9 <= answer.json["lease_duration"] <= 12
    assert re.fullmatch(r'TTL of "1h" exceeded the effective max_ttl of "\d+s"; TTL value is capped accordingly',
                        answer.warnings[0]), answer
    data = server.put("sys/leases/lookup", {"lease_id": lease}).data
    assert data["id"] == lease and data["renewable"] and re.fullmatch(TIME, data["last_renewal"]) and 8 <= data["ttl"] <= 12
    assert server.put("sys/leases/revoke", {"lease_id": lease}).status == 204
    assert server.put("sys/leases/renew", {"lease_id": lease}).errors == ["lease not found"]
    assert server.put("sys/leases/lookup", {"lease_id": lease}).errors == ["invalid lease"]
    assert server.put("sys/leases/renew", {"lease_id": "no/such"}).status == 400
    assert server.put("sys/leases/revoke", {"lease_id": "no/such"}).status == 204


def test_leases_end_with_their_token(server, database):
    dynamic_role(server, database)
    token = server.token(f'path "{database}/creds/*" {{ capabilities = ["read"] }}')
    lease = server.get(f"{database}/creds/dyn", token=token).json["lease_id"]
    assert server.post("auth/token/revoke-self", token=token).status == 204
    server.until(lambda: server.put("sys/leases/lookup", {"lease_id": lease}).status == 400)


def test_leases_are_revoked_by_prefix(server, database):
    dynamic_role(server, database)
    lease = server.get(f"{database}/creds/dyn").json["lease_id"]
    assert server.put(f"sys/leases/revoke-prefix/{database}/creds/dyn").status == 204
    assert server.put("sys/leases/renew", {"lease_id": lease}).status == 400
    role = server.approle()
    secret = server.post(f"auth/approle/role/{role}/secret-id").data["secret_id"]
    token = server.login(role, secret).auth["client_token"]
    assert server.put("sys/leases/revoke-prefix/auth/approle/login").status == 204
    assert server.get("auth/token/lookup-self", token=token).status == 403


def test_a_lease_ends(server, database):
    dynamic_role(server, database, default_ttl="1s", max_ttl="2s")
    lease = server.get(f"{database}/creds/dyn").json["lease_id"]
    server.until(lambda: server.put("sys/leases/lookup", {"lease_id": lease}).status == 400)


def test_static_credentials(server, database):
    if server.is_real:
        user = server.name("static_user_")  # the engine needs a user that is there: one of its own
        answer = server.post(f"{database}/roles/maker", {
            "db_name": "pg", "default_ttl": "1h",
            "creation_statements": [f"CREATE ROLE \"{{{{name}}}}\" LOGIN PASSWORD '{{{{password}}}}'; CREATE ROLE \"{user}\" LOGIN;"],
            "revocation_statements": [f'DROP ROLE IF EXISTS "{{{{name}}}}"; DROP ROLE IF EXISTS "{user}";']})
        assert answer.status == 204 and server.get(f"{database}/creds/maker").status == 200
    else:
        user = "static_user"
    settings = {"db_name": "pg", "username": user, "rotation_period": "5s",
                "rotation_statements": ["ALTER USER \"{{name}}\" WITH PASSWORD '{{password}}';"]}
    assert server.post(f"{database}/static-roles/stat", settings).status == 204
    answer = server.get(f"{database}/static-creds/stat")
    assert set(answer.data) == {"last_vault_rotation", "password", "rotation_period", "ttl", "username"}
    assert (answer.data["rotation_period"], answer.data["username"]) == (5, user) and 3 <= answer.data["ttl"] <= 5
    assert (answer.json["lease_id"], answer.json["renewable"], answer.json["lease_duration"]) == ("", False, 0)
    assert server.post(f"{database}/rotate-role/stat").status == 204
    changed = server.get(f"{database}/static-creds/stat").data["password"]
    assert changed != answer.data["password"]
    server.until(lambda: server.get(f"{database}/static-creds/stat").data["password"] != changed, seconds=10)
    del settings["rotation_period"]
    answer = server.post(f"{database}/static-roles/other", settings)
    assert (answer.status, answer.errors) == (400, ["rotation_period is required to create static accounts"])


def test_wrapping(server):
    path = "secret/data/" + server.name("wrapped")
    server.post(path, {"data": {"a": "1"}})
    answer = server.get(path, headers={"X-Vault-Wrap-TTL": "60s"})
    assert answer.status == 200 and answer.data is None
    info = answer.json["wrap_info"]
    assert set(info) == {"token", "accessor", "ttl", "creation_time", "creation_path"} and info["ttl"] == 60
    assert info["creation_path"] == path and re.fullmatch(TIME, info["creation_time"])
    found = server.post("sys/wrapping/lookup", {"token": info["token"]}, token=None)
    assert found.data["creation_path"] == path and found.data["creation_ttl"] == 60
    answer = server.post("sys/wrapping/unwrap", token=info["token"])
    assert answer.status == 200 and answer.data["data"] == {"a": "1"} and answer.json["wrap_info"] is None
    gone = ["wrapping token is not valid or does not exist"]
    for again in [server.post("sys/wrapping/unwrap", token=info["token"]),
                  server.post("sys/wrapping/lookup", {"token": info["token"]}, token=None)]:
        assert (again.status, again.errors) == (400, gone)


def test_a_wrapped_secret_id(server):
    role = server.approle()
    answer = server.post(f"auth/approle/role/{role}/secret-id", headers={"X-Vault-Wrap-TTL": "60s"})
    info = answer.json["wrap_info"]
    assert info["wrapped_accessor"] and info["creation_path"] == f"auth/approle/role/{role}/secret-id"
    answer = server.post("sys/wrapping/unwrap", {"token": info["token"]})
    assert server.login(role, answer.data["secret_id"]).status == 200


def test_a_wrapping_token_expires(server):
    token = server.get("auth/token/lookup-self", headers={"X-Vault-Wrap-TTL": "1s"}).json["wrap_info"]["token"]
    server.until(lambda: server.post("sys/wrapping/lookup", {"token": token}, token=None).status == 400)


def test_health(server):
    answer = server.get("sys/health", token=None)
    assert answer.status == 200
    assert (answer.json["initialized"], answer.json["sealed"], answer.json["standby"]) == (True, False, False)
    assert isinstance(answer.json["server_time_utc"], int) and answer.json["version"] and answer.json["cluster_id"]
    assert {"type", "initialized", "sealed", "t", "n", "progress", "storage_type"} <= set(server.get("sys/seal-status", token=None).json)


def test_sealed(sealable):
    assert sealable.put("sys/seal").status == 204
    answer = sealable.get("sys/health", token=None)
    assert answer.status == 503 and answer.json["sealed"] and answer.json["standby"]
    assert sealable.get("sys/health?sealedcode=299", token=None).status == 299
    for path in ["secret/data/x", "auth/token/lookup-self"]:
        assert (sealable.get(path).status, sealable.get(path).errors) == (503, ["Vault is sealed"])
    answer = sealable.post("auth/approle/login", {"role_id": "x"}, token=None)
    assert (answer.status, answer.errors) == (503, ["Vault is sealed"])
    assert sealable.get("sys/seal-status", token=None).json["sealed"] is True


def test_unseal(sealable):
    if sealable.is_real:
        pytest.skip("the unseal key of a real server is not known to the test")
    sealable.put("sys/seal")
    assert sealable.put("sys/unseal", {"key": "any"}, token=None).json["sealed"] is False
    assert sealable.get("auth/token/lookup-self").status == 200


def test_wrong_verbs(server):
    assert server.post("auth/approle/login", "[]", token=None).status == 400
    assert server.get("auth/token/create").status == 405
