"""S0, the client application: time-outs, limits, contained errors, Ctrl+C, an empty root, a protected process."""
import os
import resource
import shutil
import signal
import subprocess
import time

from bases import (KV_DATA, KV_METADATA, S0_DYNAMIC, S0_KV_DATA, kv_base, kv_run, s0_base, s0_run, s0_toml, s0_values,
                   s0_write, section_works)
from harness import fields, observe, wait_for

OTHER = '''
[[template]]
destination = "out/other"
contents = '{{ with secret "kv/data/other" }}{{ .Data.data.value }}{{ end }}'
'''
NOBODY = 65534


def test_S0_18_timeout(s):
    value = kv_base(s)
    other = s.canary("other")
    s.vault.put("kv/data/other", {"value": other})
    s.tap.hang(KV_DATA, 1)
    s.tap.hang_body(KV_DATA, 1)
    begin = time.monotonic()
    agent = s.render(_render(s, vault='timeout = "2s"', interval="1s"))
    wait_for(lambda: s.read("out/other") == other, 1.5, "the other secret's file, in spite of the hanging one")
    wait_for(lambda: s.read("out/config.ini") == f"value = {value}", 9, "the file after two requests without an answer")
    reads = [e.time for e in s.tap.data_reads(KV_DATA)]
    assert len(reads) == 3, s.tap
    assert reads[0] - begin < 1
    for earlier, later in zip(reads, reads[1:]):
        assert 1.5 <= later - earlier <= 4, s.tap
    assert agent.lines_about("timeout") or agent.lines_about("timed out") or agent.lines_about("no answer"), agent.stderr
    s.tap.hang(KV_METADATA)
    observe(4, lambda: None, 1.0)
    assert s.read("out/config.ini") == f"value = {value}" and agent.alive


def _render(s, vault="", interval="5m"):
    return f'''
[vault]
address = "@addr@"
{vault}
[auto_auth.method]
type = "approle"
role_id_file_path = "boot/role-id"
secret_id_file_path = "boot/secret-id"
remove_secret_id_file_after_reading = false
[template_config]
static_secret_render_interval = "{interval}"
[[template]]
destination = "out/config.ini"
contents = '{{{{ with secret "kv/data/app" }}}}value = {{{{ .Data.data.value }}}}{{{{ end }}}}'
{OTHER}'''


def test_S0_19_max_response_size(s):
    big = s.canary("big") * 300
    kv_base(s, value=big)
    other = s.canary("other")
    s.vault.put("kv/data/other", {"value": other})
    agent = s.render(_render(s, vault="max_response_size = 4096"))
    wait_for(lambda: s.read("out/other") == other, 3, "the other secret's file")
    agent.wait_line("4096", "larger")
    assert agent.status("VmHWM") < 64 * 1024
    agent.stop()
    assert s.read("out/config.ini") is None

    s.tap.reply(KV_DATA, 200, b'{"data":{"data":{"value":"' + b"x" * 10000 + b'"}}}', chunked=True)
    agent = s.render(_render(s, vault="max_response_size = 4096"))
    agent.wait_line("4096", "larger")
    agent.stop()
    s.tap.clear()

    agent = s.render(_render(s, vault="max_response_size = 16384"), "--once")
    assert agent.wait_exit(5) == 0, agent.stderr
    assert s.read("out/config.ini") == f"value = {big}"


def test_S0_21_an_outage_touches_nothing(s):
    s0_base(s, static=False, token_ttl="10m")
    agent = s0_run(s, sections=S0_DYNAMIC, interval="1s", vault='[vault.retry]\nmax_backoff = "2s"')
    s.runlog.wait_starts(1, 5)
    before = s.read("out/config.ini")
    s.tap.refuse()
    s0_write(s, "second")
    seen = observe(8, lambda: s.read("out/config.ini"), 0.1)
    assert all(text == before for _, text in seen)
    assert len(s.runlog.starts()) == 1
    agent.wait_line("refused", timeout=1)
    s.tap.accept()
    wait_for(lambda: s0_values(s, "kv").get("database_url") == "postgres://host/second", 4, "fresh after the outage")
    s.runlog.wait_starts(2, 5)
    assert section_works(s, "database_dynamic")


def test_S0_21_a_denied_path_is_that_path_alone(s):
    s0_base(s, static=False, token_ttl="10m")
    agent = s0_run(s, sections=S0_DYNAMIC, interval="1s")
    s.runlog.wait_starts(1, 5)
    before = s0_values(s, "kv")
    s.vault.policy("my-vault-app", "my-vault-app-database/creds/*", **{"sys/leases/revoke": ["update"]})
    since = time.monotonic()
    agent.wait_line("denied", "database", timeout=6)
    observe(25, lambda: None, 1.0)
    assert s0_values(s, "kv") == before and len(s.runlog.starts()) == 1 and section_works(s, "database_dynamic")
    tried = [e.time for e in s.tap.entries("my-vault-app-kv/*/database", since=since) if e.status == 403]
    gaps = [later - earlier for earlier, later in zip(tried, tried[1:])]
    assert len(tried) < 15 and max(gaps[-2:]) > 2, f"the retry interval grows: {gaps}"
    complaints = agent.lines_about(S0_KV_DATA, levels=("warn", "error"))
    assert 1 <= len(complaints) <= 2, complaints
    assert s.tap.count("auth/token/lookup-self") <= 3, s.tap
    assert [e for e in s.tap.entries("sys/leases/renew", since=since) if e.status == 200], s.tap


def test_S0_23_interrupt(s):
    s0_base(s)
    agent = s0_run(s)
    s.runlog.wait_starts(1, 5)
    pressed = time.time()
    code = agent.stop(timeout=6, number=signal.SIGINT)
    ended = s.runlog.exits()[-1]
    assert code == 0
    assert [line["signal"] for line in s.runlog.signals()] == [signal.SIGTERM]
    assert ended["time"] - pressed < 1
    last = s.tap.last()
    assert last.path == "auth/token/revoke-self" and last.status == 204, s.tap
    wait_for(lambda: not s.pg.roles(), 2, "no dynamic user left")


def test_S0_29_no_runtime_needed(s):
    """Chroot into an empty root: no /proc, no /dev, no /etc, not root, one writable directory."""
    s0_base(s, token_ttl="10m")
    root = s.path("out/root")
    for directory in ("", "out", "boot"):
        os.makedirs(os.path.join(root, directory), mode=0o755, exist_ok=True)
        os.chmod(os.path.join(root, directory), 0o755)
    from harness.agent import PROGRAM
    shutil.copy(PROGRAM, os.path.join(root, "keybearer"))
    shutil.copy(s.app, os.path.join(root, "app"))
    shutil.copy(s.path("boot/secret-id"), os.path.join(root, "boot/secret-id"))
    os.chown(os.path.join(root, "boot/secret-id"), NOBODY, NOBODY)
    os.chown(os.path.join(root, "out"), NOBODY, NOBODY)
    os.chmod(os.path.join(root, "out"), 0o700)
    text = s0_toml(s).replace(s.app_toml("--file", "out/config.ini"),
                              '["/app", "out/run.jsonl", "--file", "out/config.ini"]')
    s.config(text, name="out/root/agent.toml")

    def enter():
        os.chroot(root)
        os.chdir("/")
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    agent = s.start("run", "-c", "agent.toml", preexec=enter, program="/keybearer", cwd="/",
                    env={"HOME": None, "TMPDIR": None, "XDG_RUNTIME_DIR": None, "PATH": None})
    log = s.run_log("out/root/out/run.jsonl")
    first = log.wait_starts(1, 5)[0]
    assert first["uid"] == NOBODY
    assert s.pg.works(*[fields(first["files"]["out/config.ini"], "database_dynamic")[k] for k in ("username", "password")])
    assert len(s.tap.logins()) == 1 and len(s.tap.data_reads(S0_KV_DATA)) == 1
    agent.stop()
    assert sorted(os.listdir(os.path.join(root, "out"))) == ["config.ini", "run.jsonl"]


def test_S0_30_protected_process(s):
    kv_base(s)
    for parent, directories, files in os.walk(s.work):
        for name in [parent, *(os.path.join(parent, f) for f in directories + files)]:
            os.chown(name, NOBODY, NOBODY)
    above = s.directory
    while above not in ("/", "/tmp"):  # the way to it is root's alone
        os.chmod(above, os.stat(above).st_mode | 0o111)
        above = os.path.dirname(above)

    def become_nobody():
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    shutil.copy(s.app, s.path("app"))
    os.chmod(s.path("app"), 0o755)
    from harness.agent import PROGRAM
    shutil.copy(PROGRAM, s.path("keybearer"))
    s.config(_kv_toml(s))
    agent = s.start("run", "-c", "agent.toml", preexec=become_nobody, program=s.path("keybearer"))
    s.runlog.wait_starts(1, 5)
    spy = f"open('/proc/{agent.pid}/mem', 'rb'); print('opened')"
    seen = subprocess.run(["/usr/bin/python3", "-c", spy], user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True,
                          check=False, text=True)
    assert "PermissionError" in seen.stderr and not seen.stdout
    agent.killed_by_test = True
    agent.send(signal.SIGABRT)
    agent.wait_exit(5)
    assert not [name for name in os.listdir(s.work) if name.startswith("core")]


def _kv_toml(s):
    from bases import KV, toml
    return toml(KV, interval="1s", app='["./app", "run.jsonl", "--file", "out/config.ini"]')


def test_S0_21_the_program_survives_a_server_that_hangs(s):
    value = kv_base(s)
    agent = kv_run(s, interval="1s", vault='timeout = "1s"')
    s.runlog.wait_starts(1, 5)
    s.vault.freeze()
    observe(5, lambda: None, 1.0)
    assert agent.alive and s.read("out/config.ini") == f"value = {value}"
    s.vault.thaw()
    new = s.canary("kv-second")
    s.vault.put(KV_DATA, {"value": new})
    assert s.runlog.wait_starts(2, 12)[1]["files"]["out/config.ini"] == f"value = {new}"
