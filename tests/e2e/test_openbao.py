"""OpenBao as it is released: the main scenarios of each seed once more, and namespaces, which Vault's core has not."""
import os

import pytest

from bases import LOGIN, S2_READONLY, kv_base, login_files, s2_base, s2_toml, toml
from harness import EX_CONFIG, OpenBao, Scenario, observe, wait_for
from harness.stub import Front
from proxy_clients import CLIENTS, Access, in_one_form
from test_proxy_clients import World

# --- the same scenarios: pytest takes them with the fixture `s` of this file

from test_s0_client import (test_S0_01_read_at_start_once, test_S0_08_static_credentials_follow_each_rotation,  # noqa: F401
                            test_S0_20_token_is_renewed_by_itself, test_S0_28_engines_it_knows_nothing_about)
from test_s0_settings import test_S0_14_expired_secret_id  # noqa: F401
from test_s1_secrets import test_S1_15_any_leased_path  # noqa: F401
from test_s1_token import test_S1_06_relogin_replaces_leases  # noqa: F401
from test_s2_dynamic import (test_S2_05_a_lease_revoked_by_somebody_else, test_S2_10_max_ttl_is_a_wall, test_S2_11_renew_at_two_thirds,  # noqa: F401
                             test_S2_16_revoke_at_the_end)
from test_s2_engines import test_S2_27_ssh, test_S2_28_pki  # noqa: F401
from test_s3_keys import test_S3_13_periodic_tokens, test_S3_17_orphans_outlive_us  # noqa: F401
from test_s4_engine import test_S4_10_a_child_token_dies_with_ours, test_S4_19_a_server_that_has_forgotten_all  # noqa: F401
from test_s4_files import test_S4_01_env_file_from_kv, test_S4_12_vault_token  # noqa: F401
from test_sinks import test_a_wrapped_token_is_unwrapped_once_and_works  # noqa: F401


@pytest.fixture
def s(tmp_path_factory, app, postgres):
    scenario = Scenario(tmp_path_factory.mktemp("s"), app, postgres, server=OpenBao)
    yield scenario
    scenario.close()
    if not scenario.failed:
        scenario.remove()


# --- namespaces

TEAM = "@top@" + LOGIN.replace("@vault@", 'namespace = "team-a"\n@vault@') + '''
[template_config]
static_secret_render_interval = "1s"
start_grace = "2s"
@template@
[exec]
command = @app@
debounce = "100ms"
@more@
'''


def text_of(path, key="value"):
    return f'{{{{ with secret "{path}" }}}}{{{{ .Data.data.{key} }}}}{{{{ end }}}}'


def file_of(name, contents):
    return f"[[template]]\ndestination = \"out/{name}\"\ncontents = '{contents}'\n"


def teams(s):
    """team-a and team-a/sub, each with a KV version 2 at kv/; a login of team-a that may read both. Returns both values."""
    values = []
    for space in (s.vault.namespace("team-a"), s.vault.namespace("team-a/sub")):
        values.append(s.canary(space.name.replace("/", "-")))
        space.kv2("kv")
        space.put("kv/data/app", {"value": values[-1]})
    team = s.vault.namespace("team-a")
    lists = {f"{at}kv/metadata/*": ["read", "list"] for at in ("", "sub/")}
    team.policy("reader", "kv/data/*", "sub/kv/data/*", "database/creds/*", **lists, **{"sys/leases/revoke": ["update"]})
    role_id, secret_id = team.approle("app", "reader", token_ttl="10m")
    s.write("boot/role-id", role_id)
    s.write("boot/secret-id", secret_id)
    return values


def test_by_header_by_path_and_lists(s):
    """The namespace of the server's table, of one secret, and in a path; with and without data/, which asks for the mount. (Where the
    header names one part and the path another, the server lets no token but root's ask for the mount: tests/contract.)"""
    outer, inner = teams(s)
    forms = {"a": "kv/data/app", "b": "kv/app", "c": "sub/kv/data/app", "e": "kv/other"}
    text = toml(TEAM, app=s.app_toml(), more="".join(file_of(name, text_of(path)) for name, path in forms.items())
                + file_of("keys", '{{ range secrets "kv/metadata/" }}{{ . }} {{ end }}{{ range secrets "sub/kv/metadata/" }}{{ . }} {{ end }}')
                + '[[secret]]\npath = "kv/other"\nnamespace = "team-a/sub"\n')
    s.vault.namespace("team-a/sub").put("kv/data/other", {"value": inner + "-other"})
    s.run(text)
    s.runlog.wait_starts(1, 8)
    assert [s.read(f"out/{name}") for name in "abce"] == [outer, outer, inner, inner + "-other"]
    assert s.read("out/keys") == "app x app other x ", "x is the fixture's own"
    assert len(s.tap.logins()) == 1
    new = s.canary("sub-next")
    s.vault.namespace("team-a/sub").put("kv/data/app", {"value": new})
    s.runlog.wait_starts(2, 8)
    assert s.read("out/c") == new


def test_a_login_in_a_namespace_and_secrets_of_the_root(s):
    """auto_auth.method.namespace: the role is a team's, the token's rights end there; what the root holds is denied."""
    outer, _ = teams(s)
    text = toml(TEAM, app=s.app_toml(), more=file_of("a", text_of("team-a/kv/data/app")))
    text = text.replace('namespace = "team-a"\n', "").replace('type = "approle"', 'type = "approle"\nnamespace = "team-a"')
    agent = s.run(text)
    s.runlog.wait_starts(1, 8)
    assert s.read("out/a") == outer and agent.stop() == 0
    assert [e.status for e in s.tap.entries("auth/token/revoke-self")] == [204]


def test_one_that_is_not_there(s):
    teams(s)
    text = toml(TEAM, app=s.app_toml(), more=file_of("a", text_of("kv/data/app")))
    agent = s.run(text.replace('namespace = "team-a"', 'namespace = "team-x"'))
    assert agent.wait_exit(10) == EX_CONFIG
    assert agent.lines_about("namespace not found", "team-x", "VAULT_NAMESPACE"), agent.stderr
    assert "AppRole mounted" not in agent.stderr
    agent = s.run(text + '[[secret]]\npath = "kv/data/app"\nnamespace = "team-a/none"\n')
    assert agent.wait_exit(10) not in (0, None)
    assert agent.lines_about("namespace not found", "team-a/none", "[[secret]]"), agent.stderr


def test_one_that_goes_while_it_runs(s):
    outer, inner = teams(s)
    agent = s.run(toml(TEAM, app=s.app_toml(), more=file_of("a", text_of("kv/data/app")) + file_of("c", text_of("sub/kv/data/app"))))
    app = s.runlog.wait_starts(1, 8)
    s.vault.namespace("team-a/sub").remove()
    agent.wait_line("sub/kv/data/app", timeout=8)
    observe(2, lambda: None, 0.5)
    assert agent.alive and s.runlog.starts() == app and (s.read("out/a"), s.read("out/c")) == (outer, inner)


DYNAMIC = '''
[env]
PGUSER = { secret = "database/creds/app", key = "username" }
PGPASSWORD = { secret = "database/creds/app", key = "password" }
'''


def dynamic(s, ttl="6s"):
    team = s.vault.namespace("team-a")
    team.database(s.pg)
    team.dynamic("app", ttl, "10m")


def test_leases_live_in_their_namespace(s):
    teams(s)
    dynamic(s)
    agent = s.run(toml(TEAM, app=s.app_toml(), more=DYNAMIC))
    env = s.runlog.wait_starts(1, 8)[0]["env"]
    wait_for(lambda: len([e for e in s.tap.entries("sys/leases/renew") if e.status == 200]) >= 2, 12, "two renewals")
    assert s.pg.works(env["PGUSER"], env["PGPASSWORD"]) and agent.stop() == 0
    wait_for(lambda: not s.pg.roles(), 5, "no credentials left")


def test_leases_of_a_path_that_names_the_namespace(s):
    """The token is the root's: it renews the lease by the rights that it has in the lease's own namespace."""
    teams(s)
    dynamic(s)
    s.vault.policy("app", "team-a/database/creds/app", **{f"team-a/sys/leases/{what}": ["update"] for what in ("renew", "revoke")})
    login_files(s, "app", "app", token_ttl="10m")
    text = toml(TEAM, app=s.app_toml(), more=DYNAMIC.replace("database/", "team-a/database/")).replace('namespace = "team-a"\n', "")
    agent = s.run(text)
    env = s.runlog.wait_starts(1, 8)[0]["env"]
    wait_for(lambda: len([e for e in s.tap.entries("sys/leases/renew") if e.status == 200]) >= 2, 12, "two renewals")
    assert s.pg.works(env["PGUSER"], env["PGPASSWORD"]) and agent.stop() == 0
    wait_for(lambda: not s.pg.roles(), 5, "no credentials left")


def test_state_with_namespaces(s):
    """A restart neither logs in again nor issues anything; a state of another namespace is not taken."""
    teams(s)
    dynamic(s, ttl="5m")
    s.write("boot/state.key", os.urandom(32))
    state = '[state]\npath = "state/s"\nkey_file = "boot/state.key"\n' + DYNAMIC + file_of("c", text_of("sub/kv/data/app"))
    text = toml(TEAM, app=s.app_toml(), more=state)
    users = []
    for number in (1, 2):
        agent = s.run(text)
        users.append(s.runlog.wait_starts(number, 8)[-1]["env"]["PGUSER"])
        agent.stop()
        assert not agent.lines_about("state.refused"), agent.stderr
    assert users[0] == users[1] and len(s.tap.logins()) == 1 and s.tap.count("database/creds/app") == 1, s.tap
    agent = s.run(text.replace('namespace = "team-a"', 'namespace = "team-a/sub"'))
    agent.wait_line("state.refused", timeout=8)


def test_the_proxy_in_a_namespace(s, tmp_path):
    outer, inner = teams(s)
    login = ('namespace = "team-a"\n[auto_auth.method]\ntype = "approle"\n'
             f'role_id_file_path = "{s.path("boot/role-id")}"\nsecret_id_file_path = "{s.path("boot/secret-id")}"\n'
             "remove_secret_id_file_after_reading = false\n")
    front = Front(tmp_path, None, address=f"http://127.0.0.1:{s.vault.port}", login=login, config='[cache]\nkv_ttl = "1m"\n')
    try:
        for _ in range(2):  # the second from the cache
            assert front.get("/v1/kv/data/app").json["data"]["data"]["value"] == outer
            assert front.get("/v1/sub/kv/data/app").json["data"]["data"]["value"] == inner
            assert front.get("/v1/kv/data/app", {"X-Vault-Namespace": "team-a/sub"}).json["data"]["data"]["value"] == inner
            assert front.get("/v1/kv/data/app", {"X-Vault-Namespace": "none"}).errors == ["namespace not found"]
        assert "app" in front.ask("LIST", "/v1/kv/metadata/").json["data"]["keys"]
        assert front.get("/v1/sys/health").json["sealed"] is False
    finally:
        front.close()


@pytest.mark.parametrize("client", ["hvac", "go", "bao"])
def test_60_a_client_in_a_namespace(s, tmp_path, client):
    world = World(s, tmp_path, "team-a")
    try:
        wanted = world.run(client, world.direct, own=True)
        assert wanted["kv2_read"] == {"value": "first"} and wanted["self"]["id"] == "own", wanted
        world.start()
        assert world.run(client, world.address, own=True) == wanted
        got = world.run(client, world.address, own=False)
        assert got["self"] == {"id": "", "accessor": False, "path": "auth/approle/login"}
        assert {name: got[name] for name in wanted if name not in ("self", "renew_self")} == {
            name: wanted[name] for name in wanted if name not in ("self", "renew_self")}
        # keybearer's own namespace counts for who names none.
        if client != "bao":
            assert in_one_form(CLIENTS[client](Access(world.address, "", world.role)), "") == got
        # Another's is another: keybearer's token is none there.
        for namespace in ("team-b", "team-a/none"):
            assert world.front.get("/v1/kv/data/app", {"X-Vault-Namespace": namespace}).status in (403, 404)
    finally:
        world.close()


def test_a_base_that_knows_no_namespace(s):
    """Nothing in the root namespace needs any of it."""
    value = kv_base(s)
    s.run(toml(TEAM, app=s.app_toml(), more=file_of("a", text_of("kv/data/app"))).replace('namespace = "team-a"\n', ""))
    s.runlog.wait_starts(1, 8)
    assert s.read("out/a") == value
