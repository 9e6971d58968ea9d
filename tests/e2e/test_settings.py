"""Settings with an effect of their own: values that must fit, the rotation of the log, pins of the server's key."""
import glob
import json
import os
import signal
import stat
import subprocess
import time

import pytest

from bases import KV_DATA, LOGIN, kv_base, kv_run, toml
from harness import EX_CONFIG, EX_IO, EX_TEMPLATE, EX_UNAVAILABLE, wait_for
from identities import Authority

RULE = '''
[template_config]
static_secret_render_interval = "1s"
start_grace = "1s"
[env.VALUE]
secret = "kv/data/app"
key = "value"
@rule@
[exec]
command = @app@
debounce = "100ms"
'''


def start(s, value, rule):
    kv_base(s, value=value)
    return s.run(toml(LOGIN) + RULE, rule=rule, app=s.app_toml())


@pytest.mark.parametrize("rule, says", [
    ('type = "port"', "is not a port"), ('type = "int"', "is not a whole number"), ('type = "bool"', "neither true nor false"),
    ('type = "url"', "is not a URL"), ('type = "pem"', "is not PEM"), ('type = "json"', "is not JSON"),
    ('pattern = "^[0-9]+$"', "does not fit its pattern")])
def test_a_value_that_does_not_fit_is_refused_before_the_program_starts(s, rule, says):
    value = s.canary("wrong")
    agent = start(s, value, rule)
    assert agent.wait_exit(5) == EX_TEMPLATE
    assert "env.VALUE" in agent.stderr and says in agent.stderr and value not in agent.stderr
    assert not s.runlog.starts()


def test_later_the_last_good_value_stays(s):
    agent = start(s, "8080", 'type = "port"')
    s.runlog.wait_starts(1, 5)
    value = s.canary("wrong")
    s.vault.put(KV_DATA, {"value": value})
    agent.wait_line("env.VALUE", "is not a port")
    assert len(s.runlog.starts()) == 1
    s.vault.put(KV_DATA, {"value": "9090"})
    assert s.runlog.wait_starts(2, 5)[1]["env"]["VALUE"] == "9090"


def test_what_is_not_required_is_left_out_until_it_is_there(s):
    agent = start(s, "x", 'required = false\ntype = "int"'.replace('key = "value"', ""))
    assert agent.wait_exit(5) == EX_TEMPLATE, "there, and wrong"
    config = s.config(toml(LOGIN) + RULE.replace('key = "value"', 'key = "other"'), rule="required = false", app=s.app_toml())
    agent = s.start("run", "-c", config)
    assert "VALUE" not in s.runlog.wait_starts(1, 8)[0]["env"]
    agent.wait_line("not required", "env.VALUE")


def test_wrong_rules_are_errors_of_the_configuration(s):
    for rule, says in (('type = "number"', "env.VALUE.type"), ('pattern = "["', "missing closing ]"),
                       ('type = "int"\ndefault = "x"', "env.VALUE.default: is not a whole number")):
        check = s.start("check", "-c", s.config(toml(LOGIN).replace("@addr@", "http://127.0.0.1:1").replace("boot/", "agent.toml#")
                                                .replace("agent.toml#role-id", "agent.toml").replace("agent.toml#secret-id", "agent.toml")
                                                + RULE, rule=rule, app='["true"]'))
        assert check.wait_exit(5) == EX_CONFIG and says in check.stderr and "agent.toml:" in check.stderr, check.stderr


@pytest.mark.parametrize("most, count", [(0, None), (2, 3), (-1, 1)])
def test_the_log_is_rotated(s, most, count):
    kv_base(s)
    top = f'log_file = "app.log"\nlog_format = "json"\nlog_level = "trace"\nlog_rotate_bytes = 600\nlog_rotate_max_files = {most}\n'
    s.run(top + toml(LOGIN) + RULE, rule="", app=s.app_toml())
    s.runlog.wait_starts(1, 5)
    logs = lambda: glob.glob(s.path("app*.log"))  # noqa: E731
    for number in range(5):
        s.vault.put(KV_DATA, {"value": f"v{number}"})
        wait_for(lambda: len(s.runlog.starts()) >= number + 2, 5, "a restart")
    wait_for(lambda: len(logs()) == count if count else len(logs()) > 4, 10, lambda: f"rotated files: {logs()}")
    for path in logs():
        assert os.path.getsize(path) <= 600 and stat.S_IMODE(os.stat(path).st_mode) == 0o600
        with open(path, encoding="utf-8") as file:
            assert all(json.loads(line) for line in file), "whole lines"


def pin(certificate):
    shell = f"openssl x509 -in {certificate} -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64"
    return subprocess.run(["sh", "-c", shell], check=True, capture_output=True, text=True).stdout.strip()


def test_pins_of_the_server(s):
    """As the example makes them, by openssl; a wrong one sends nothing, and says what the right one is."""
    authority = Authority(s)
    authority.sign("server", "/CN=server", "subjectAltName=IP:127.0.0.1")
    vault = s.use_vault(tls=(s.path("boot/server.pem"), s.path("boot/server.key")))
    right, wrong = pin(s.path("boot/server.pem")), pin(authority.pem)

    def get(*pins):
        text = f'[vault]\naddress = "https://127.0.0.1:{vault.port}"\nca_cert = "{authority.pem}"\ntls_pin_sha256 = {json.dumps(pins)}\n'
        agent = s.start("get", "sys/mounts", "-c", s.config(text), env={"VAULT_TOKEN": vault.token})
        return agent.wait_exit(10), agent.stderr
    wait_for(lambda: get(right)[0] == 0, 10, "the server")
    assert get(wrong, f"sha256//{right}")[0] == 0
    code, said = get(wrong)
    assert code == EX_UNAVAILABLE and "vault.tls_pin_sha256" in said and right in said


PIPES = {"ca_cert": ('ca_cert = "pipe"', ""), "client_cert": ('client_cert = "pipe"\nclient_key = "pipe"', ""), "ca_path": ('ca_path = "dir"', ""),
         "secret_id_file_path": ("", ""), "tls_cert_file": ("", '[[listener]]\naddress = "127.0.0.1:0"\ntls_cert_file = "pipe"\ntls_key_file = "pipe"\n'),
         "key_file": ("", '[state]\npath = "state/x"\nkey_file = "pipe"\n'), "pid_file": ("", "")}


@pytest.mark.parametrize("command", ["check", "run"])
@pytest.mark.parametrize("key", PIPES)
def test_a_pipe_in_the_place_of_a_file_is_an_error_at_once(s, key, command):
    os.mkfifo(s.path("pipe"))
    s.write("dir/5ed36f99.0", "x")
    os.unlink(s.path("dir/5ed36f99.0"))
    os.mkfifo(s.path("dir/5ed36f99.0"))
    vault, more = PIPES[key]
    text = toml(LOGIN).replace("@addr@", "https://127.0.0.1:1").replace('role_id_file_path = "boot/role-id"', 'role_id = "r"')
    text = text.replace("boot/secret-id", "pipe" if key == "secret_id_file_path" else "agent.toml").replace("[vault]", f"[vault]\n{vault}")
    top = 'pid_file = "pipe"\n' if key == "pid_file" else ""
    agent = s.start(command, "-c", s.config(top + text + more + "[exec]\ncommand = [\"true\"]\n"))
    assert agent.wait_exit(5) == EX_CONFIG and f"{key}" in agent.stderr and "not a regular file" in agent.stderr, agent.stderr


@pytest.mark.parametrize("key", ["template", "log_file", "configuration"])
def test_a_pipe_without_a_writer_holds_up_no_reload(s, key):
    """What is a pipe by then is told of at once, and SIGTERM is obeyed as ever."""
    kv_base(s)
    s.write("text", "plain")
    names = {"template": "text", "log_file": "log", "configuration": "agent.toml"}
    agent = kv_run(s, interval="1m", more='[[template]]\nsource = "text"\ndestination = "out/text"\n',
                   top='log_file = "log"\n' if key == "log_file" else "")
    s.runlog.wait_starts(1, 5)
    path = s.path(names[key])
    os.unlink(path)
    os.mkfifo(path)
    told = time.monotonic()
    agent.send(signal.SIGHUP)
    if key != "log_file":
        agent.wait_line("a pipe or device that has nothing to read" if key == "configuration" else "can't be read", timeout=2)
    assert agent.stop() == 0 and time.monotonic() - told < 3


@pytest.mark.parametrize("key", ["stdout", "stderr"])
def test_a_programs_output_into_a_pipe_that_nobody_reads(s, key):
    kv_base(s)
    os.mkfifo(s.path("pipe"))
    agent = kv_run(s, exec=f'{key} = "pipe"')
    assert agent.wait_exit(5) == EX_IO and f"exec.{key}: pipe: this pipe has no reader" in agent.stderr
