"""Failover of a cluster: three real servers, the active one dies while secrets change and leases are renewed."""
import os
import re

import pytest

from bases import LOGIN, login_files, toml
from harness import Cluster, wait_for

CONFIG = LOGIN + '''
[vault.retry]
max_backoff = "1s"
[template_config]
static_secret_render_interval = "1s"
[env]
PGUSER = { secret = "database/creds/app", key = "username" }
PGPASSWORD = { secret = "database/creds/app", key = "password" }
VALUE = { secret = "kv/data/app", key = "value" }
[exec]
command = @app@
debounce = "100ms"
'''
# The lock of a dead server lasts 15 s, a standby looks every 5 s.
FAILOVER = 45
KILLS = 20 if os.environ.get("KEYBEARER_LONG") else 3


@pytest.fixture
def cluster(s):
    made = Cluster(s)
    yield made
    made.close()


def world(s, cluster):
    vault = s._vault = cluster.wait_active(30)  # fixtures go to the active one
    vault.kv2("kv")
    vault.put("kv/data/app", {"value": s.canary("cluster-0")})
    vault.database(s.pg)
    vault.dynamic("app", "12s", "1h")
    vault.policy("app", "kv/data/*", "kv/metadata/*", "database/creds/app")
    login_files(s, "app", "app", token_ttl="20s")
    s.budget = False  # two of three addresses answer for the third


def addresses(cluster):
    return "[" + ", ".join(f'"http://127.0.0.1:{node.port}"' for node in cluster.nodes) + "]"


def test_the_active_server_dies_during_rotations(s, cluster):
    world(s, cluster)
    text = toml(CONFIG, app=s.app_toml()).replace('"@addr@"', addresses(cluster))
    agent = s.run(text)
    first = s.runlog.wait_starts(1, 15)[0]["env"]
    for number in range(1, KILLS + 1):
        dead = cluster.kill_active()
        vault = cluster.wait_active(FAILOVER)
        value = s.canary(f"cluster-{number}")
        vault.put("kv/data/app", {"value": value})
        wait_for(lambda v=value: s.runlog.starts()[-1]["env"]["VALUE"] == v, 20, "the new value at the program")
        assert agent.alive, agent.stderr
        cluster.revive(dead)

    def newest_works():
        last = s.runlog.starts()[-1]["env"]
        return s.pg.works(last["PGUSER"], last["PGPASSWORD"])
    # A lease may end during an election; its successor is there soon after.
    wait_for(newest_works, 20, "credentials that work")
    # One restart for each new value, and for a lease that could not outlive the election; no more.
    users = {line["env"]["PGUSER"] for line in s.runlog.starts()}
    assert len(s.runlog.starts()) <= 1 + KILLS + len(users) - 1 + KILLS
    assert first["PGUSER"]
    assert agent.stop() == 0
    # One line when it begins, one when it is over, with the cause.
    failing = agent.lines_about("secret.failing")
    recovered = agent.lines_about("secret.recovered")
    assert failing and recovered, agent.stderr
    assert len(failing) <= 4 * KILLS and len(recovered) <= 4 * KILLS
    assert all(re.search(r"127\.0\.0\.1:\d+|50[0-9]|47[23]|429", line) for line in failing), failing


def test_a_standby_sends_to_the_active_one_and_the_token_goes_nowhere_else(s, cluster):
    """Only a standby is configured: it answers 307 to an address that is not ours, which is not followed."""
    world(s, cluster)
    standby = next(node for node in cluster.nodes if not node.is_active)
    text = toml(CONFIG, app=s.app_toml()).replace('"@addr@"', f'"http://127.0.0.1:{standby.port}"')
    agent = s.run(text)
    agent.wait_line("redirect", timeout=10)
    assert agent.alive and not s.runlog.starts()
    both = f'["http://127.0.0.1:{standby.port}", "http://127.0.0.1:{cluster.active.port}"]'
    agent.stop()
    s.run(toml(CONFIG, app=s.app_toml()).replace('"@addr@"', both))
    s.runlog.wait_starts(1, 15)
