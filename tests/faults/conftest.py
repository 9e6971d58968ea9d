"""The fixtures and checks of the end-to-end scenarios, and those of faults; selection by number: -k F26."""
import importlib.util
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
E2E = os.path.join(os.path.dirname(HERE), "e2e")
sys.path[:0] = [HERE, E2E]

_spec = importlib.util.spec_from_file_location("e2e_conftest", os.path.join(E2E, "conftest.py"))
_e2e = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_e2e)
globals().update({name: getattr(_e2e, name) for name in vars(_e2e) if name in ("app", "postgres", "s") or name.startswith("pytest_")})

pytest.register_assert_rewrite("servers", "system")

import system  # noqa: E402


@pytest.fixture
def fronts(s):
    """Everything with a close() that a test puts in here is closed at its end."""
    opened = []
    yield opened
    for each in opened:
        each.close()


@pytest.fixture
def mounts(s):
    """Mounts below work/, gone at the end of the test."""
    made = system.Mounts(s)
    yield made
    made.close()
