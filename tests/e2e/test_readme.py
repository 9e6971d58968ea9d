"""What README.md shows works as it stands: the first example twice, and each block of its common jobs."""
import os
import re
import subprocess

import pytest

from bases import login_files
from harness.agent import PROGRAM

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as readme:
    README = readme.read()
BLOCKS = re.findall(r"```toml\n(.*?)```", README, re.S)
POLICY = re.search(r"```hcl\n(.*?)```", README, re.S)[1]


def world(s):
    s.vault.kv2("kv")
    s.vault.put("kv/data/app", {"api_key": s.canary("api-key")})
    s.vault.database(s.pg, "database")
    s.vault.dynamic("app", "1m", "10m", mount="database")
    s.vault.post("sys/policies/acl/readme", {"policy": POLICY})
    login_files(s, "app", "readme", token_ttl="10m")
    s.write("nginx.tmpl", '{{ with secret "kv/data/app" }}{{ .Data.data.api_key }}{{ end }}')
    s.write("app", "#!/bin/sh\necho \"${API_KEY:+with}\" >> out/starts\nexit 0\n", 0o700)
    s.allow("config.ini", "settings.ini", "nginx-secret.conf")
    s.write("boot/state.key", os.urandom(32))
    s.write("agent.toml", here(BLOCKS[0]).replace("https://vault:8200", s.tap.url))


def here(block):
    return block.replace("/etc/app/", "boot/").replace("/var/lib/app/", "state/")


def keybearer(s, *args):
    for tap in s._taps:
        tap.next_client()
    return subprocess.run([PROGRAM, *args], cwd=s.work, env=s.environment(), capture_output=True, text=True, timeout=30, check=False)


def test_the_first_example_works_twice(s):
    world(s)
    for _ in range(2):
        for command in (["check"], ["check", "--online"], ["run", "-c", "agent.toml"]):
            done = keybearer(s, *command)
            assert done.returncode == 0, (command, done)
            assert "warning" not in done.stderr.replace("the token's TTL", "").lower() or command[0] == "run", done
    assert s.read("out/starts") == "with\nwith\n"
    assert re.fullmatch(r"\[database\]\nusername = \S+\npassword = \S+\n", s.read("config.ini"))


@pytest.mark.parametrize("number", range(1, len(BLOCKS)))
def test_a_block_can_be_pasted(s, number):
    world(s)
    s.write("more.toml", here(BLOCKS[number]))
    files = ["-c", "agent.toml", "-c", "more.toml"]
    done = keybearer(s, "check", *files)
    assert done.returncode == 0, (BLOCKS[number], done)
    done = keybearer(s, "run", *files)
    assert done.returncode == 0, (BLOCKS[number], done)
    assert s.read("out/starts") == "with\n"


def test_the_manual_page_is_made_of_the_example():
    script = os.path.join(ROOT, "packaging", "man", "agent_toml.py")
    made = subprocess.run([script], capture_output=True, text=True, check=True).stdout
    with open(os.path.join(ROOT, "packaging", "man", "agent.toml.5"), encoding="utf-8") as page:
        assert page.read() == made, "run packaging/man/agent_toml.py > packaging/man/agent.toml.5"


def test_what_stands_in_packaging():
    with open(os.path.join(ROOT, "packaging", "systemd", "keybearer.service"), encoding="utf-8") as unit:
        text = unit.read()
    for line in ("Type=notify\n", "WatchdogSec=30", "KillMode=mixed", "RestartPreventExitStatus=64 65 77 78", "LoadCredential=secret-id:"):
        assert line in text
    with open(os.path.join(ROOT, "packaging", "container", "Dockerfile"), encoding="utf-8") as file:
        assert "\nFROM scratch\n" in file.read()


def test_the_quickstart_puts_nothing_secret_on_a_command_line():
    """All users of a machine can read command lines: a request's body goes through standard input, tokens and passwords through files."""
    with open(os.path.join(ROOT, "packaging", "quickstart"), encoding="utf-8") as file:
        script = file.read()
    commands = [line for line in script.splitlines() if not re.match(r"\s*(#|printf|echo|say|die|api |cat )", line)]
    for line in commands:
        assert not re.search(r"--data(-raw|-binary|-urlencode)? *=?[\"']?\$|--root-token|-H *[\"']?X-Vault-Token|PGPASSWORD=|--password", line), line
    assert "--data-binary @-" in script and "--pwfile=" in script
