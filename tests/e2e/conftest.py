"""Fixtures of the end-to-end scenarios; selection by id: -k S1-05 (or S1_05)."""
import os
import re
import subprocess

import pytest

from harness import Scenario, free_port
from harness.postgres import Postgres

HERE = os.path.dirname(os.path.abspath(__file__))
ID = re.compile(r"S\d_\d\d")


def pytest_configure(config):
    # pytest reads "S1-05" as an expression: S1 minus 05 is not one.
    config.option.keyword = re.sub(r"\bS(\d)-(\d\d)\b", r"S\1_\2", config.option.keyword or "")
    for name in ("KEYBEARER", "KEYBEARER_REALVAULT", "KEYBEARER_OPENBAO"):
        if not os.access(os.environ.get(name, ""), os.X_OK):
            pytest.exit(f"{name} must name a program; tests/run e2e sets it", 2)


@pytest.fixture(scope="session")
def postgres():
    """() -> the cluster of this worker, started when a scenario needs it first."""
    cluster = []

    def get():
        if not cluster:
            cluster.append(Postgres(free_port()))
        return cluster[0]
    yield get
    if cluster:
        cluster[0].close()


@pytest.fixture(scope="session")
def app(tmp_path_factory):
    """The application: a static program, so that it also runs in an empty root."""
    program = tmp_path_factory.mktemp("app") / "app"
    compiler = os.environ.get("CC", "clang-19")
    subprocess.run([compiler, "-static", "-O1", "-o", program, os.path.join(HERE, "apps", "app.c")], check=True)
    return str(program)


@pytest.hookimpl(hookwrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    outcome = yield
    scenario = pyfuncitem.funcargs.get("s")
    outcome.get_result()
    if scenario:
        scenario.verify()  # the checks of every scenario


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    scenario = getattr(item, "funcargs", {}).get("s")
    if scenario:
        scenario.failed = scenario.failed or report.failed
    if report.failed and scenario:
        for agent in scenario.agents:
            report.sections.append((f"stderr of {agent.name}", agent.stderr[-6000:]))
        for tap in scenario._taps:
            report.sections.append(("the tap", str(tap)[-6000:]))


@pytest.fixture
def s(tmp_path_factory, app, postgres):
    scenario = Scenario(tmp_path_factory.mktemp("s"), app, postgres)
    yield scenario
    scenario.close()
    if not scenario.failed:
        scenario.remove()
