"""The harness of the end-to-end scenarios."""
import pytest

for _part in ("agent", "canary", "cluster", "openbao", "poll", "postgres", "scenario", "tap", "vault"):
    pytest.register_assert_rewrite(f"harness.{_part}")

from .agent import (EX_AUTH, EX_CONFIG, EX_IO, EX_NOT_READY, EX_TEMPLATE, EX_UNAVAILABLE, EX_USAGE,  # noqa: E402
                    RunLog)
from .cluster import Cluster  # noqa: E402
from .openbao import OpenBao  # noqa: E402
from .poll import observe, wait_for, wait_until  # noqa: E402
from .scenario import APPS, Scenario, fields  # noqa: E402
from .vault import Refused, Vault, free_port  # noqa: E402

__all__ = ["APPS", "Cluster", "EX_AUTH", "EX_CONFIG", "EX_IO", "EX_NOT_READY", "EX_TEMPLATE", "EX_UNAVAILABLE", "EX_USAGE",
           "OpenBao", "Refused", "RunLog", "Scenario", "Vault", "fields", "free_port", "observe", "wait_for", "wait_until"]
