"""Clients through the listener in front of an OpenBao server, in a namespace: as directly, with a token of their own and without one."""
import pytest

from harness import OpenBao, Scenario
from proxy_clients import CLIENTS, Access, in_one_form
from test_proxy_clients import World


@pytest.fixture
def s(tmp_path_factory, app, postgres):
    scenario = Scenario(tmp_path_factory.mktemp("s"), app, postgres, server=OpenBao)
    yield scenario
    scenario.close()
    if not scenario.failed:
        scenario.remove()


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
