"""Runs each script of this directory as a case of its own."""
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
SCRIPTS = sorted(p for p in HERE.glob("*.py") if p.name not in ("kit.py", "test_field.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=[p.stem for p in SCRIPTS])
def test_field(script):
    env = dict(os.environ, KB=os.environ["KEYBEARER"], DEVVAULT=os.environ["KEYBEARER_DEVVAULT"], REALVAULT=os.environ["KEYBEARER_REALVAULT"],
               PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run([sys.executable, str(script)], env=env, capture_output=True, text=True, timeout=180, cwd=HERE)
    said = (done.stdout + done.stderr).strip()
    assert done.returncode == 0, said  # 75 too: everything that the scripts need is installed by tests/run
