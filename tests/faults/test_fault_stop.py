"""38: SIGTERM in the middle of each step is obeyed within 100 ms (rules: R8, section 5). Each step is held up by something that would
take many seconds; the time from the signal to the end, or to the program's own signal, is measured beside that of a program that does
nothing."""
import os
import re
import signal
import subprocess
import time

import pytest
import system
from bases import KV, KV_DATA, LOGIN, kv_base, s2_base, s2_toml, toml
from harness import free_port, wait_for
from harness.agent import EX_NOT_READY
from servers import Front, SilentNameServer, Swallow, worker_address

LIMIT, BUSY = 0.1, 0.25  # seconds: what is promised, and what a machine that is busy with other tests adds
TEMPLATE = """
[[template]]
destination = "out/o"
contents = '''{{ with secret "kv/data/app" }}value = {{ .Data.data.value }}{{ end }}%s'''
"""
HOST = "vault.stop.test"


def start(s, *, addr=None, contents="", more="", program=None, before=()):
    kv_base(s)
    name = s.config(LOGIN.replace("@vault@", "").replace("@auth@", "") + more + TEMPLATE % contents, **({"addr": addr} if addr else {}))
    return s.start(*before, "run", "-c", name, "--", "/bin/sleep", "100", program=program)


def busy(agent, seconds=0.15):
    """It has computed for that long."""
    def used():
        with open(f"/proc/{agent.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    begin = used()
    wait_for(lambda: used() - begin >= seconds, 8, "an evaluation that takes long")


def connecting(s, fronts):
    fronts.append(Swallow(worker_address()))
    agent = start(s, addr=f"http://{fronts[0].host}:{fronts[0].port}")

    def sent():
        with open("/proc/net/tcp", encoding="ascii") as file:
            return re.search(rf":{fronts[0].port:04X} 02 ", file.read())
    wait_for(sent, 5, "the connection")
    return agent


def looking_up_the_name(s, fronts):
    fronts.append(SilentNameServer(worker_address()))
    args = system.name_service(s, "127.0.0.1 localhost\n", f"nameserver {fronts[0].host}\noptions timeout:5 attempts:2\n")
    agent = start(s, addr=f"http://{HOST}:{free_port()}", program=system.UNSHARE, before=args)
    wait_for(fronts[0].asked, 5, "the look-up")
    return agent


def tls_handshake(s, fronts):
    fronts.append(Front(0))
    fronts[0].whole = "silent"
    agent = start(s, addr=f"https://127.0.0.1:{fronts[0].port}")
    wait_for(lambda: fronts[0].accepted, 5, "the handshake")
    return agent


def login(s, _):
    s.tap.hang("auth/approle/login")
    agent = start(s)
    wait_for(s.tap.logins, 5, "the login")
    return agent


def reading(s, _):
    s.tap.hang(KV_DATA)
    agent = start(s)
    wait_for(lambda: s.tap.count(KV_DATA), 5, "the read")
    return agent


def reading_the_body(s, _):
    s.tap.hang_body(KV_DATA)
    agent = start(s)
    wait_for(lambda: s.tap.count(KV_DATA), 5, "the read")
    return agent


def evaluation(s, _):
    agent = start(s, contents="{{ range loop 100000 }}{{ range loop 100000 }}{{ end }}{{ end }}")
    busy(agent)
    return agent


def one_call(s, _):
    """Of a function that can't be interrupted."""
    agent = start(s, contents='{{ range loop 200 }}{{ $x := sprig_derivePassword 1 "long" "password" "user" "example.com" }}{{ end }}')
    busy(agent)
    return agent


def plugin(s, _):
    s.write("boot/plugin", "#!/bin/sh\necho >calls\nexec sleep 30\n", 0o700)
    agent = start(s, contents='{{ plugin "%s" "x" }}\'\'\'\nallow_plugin = true\ncommand = \'\'\'true' % s.path("boot/plugin"))
    wait_for(lambda: s.read("calls"), 5, "the plugin")
    return agent


def verifying(s, _):
    agent = start(s, more='[exec.verify]\ncommand = ["/bin/sh", "-c", "echo >calls; exec sleep 30"]\ntimeout = "40s"\n')
    wait_for(lambda: s.read("calls"), 8, "the trial")
    return agent


STEPS = [connecting, looking_up_the_name, tls_handshake, login, reading, reading_the_body, evaluation, one_call, plugin, verifying]


def reaction_of_nothing():
    """Seconds from SIGTERM to the end of a program that only waits, as this machine is now."""
    with subprocess.Popen(["/bin/sleep", "100"]) as process:
        begin = time.monotonic()
        process.terminate()
        process.wait()
        return time.monotonic() - begin


@pytest.mark.parametrize("step", STEPS, ids=[step.__name__ for step in STEPS])
def test_F38_stopped_in_the_middle_of(s, fronts, step):
    s.allow("calls")
    agent = step(s, fronts)
    assert agent.alive, agent.stderr
    nothing = reaction_of_nothing()
    begin = time.monotonic()
    agent.send(signal.SIGTERM)
    code = agent.wait_exit(8)
    took = time.monotonic() - begin
    print(f"{step.__name__}: {1000 * took:.0f} ms; a program that only waits: {1000 * nothing:.0f} ms")
    assert code in (EX_NOT_READY, 0), agent.stderr
    assert took - nothing < LIMIT + BUSY, agent.stderr


def told(s, agent, what):
    """The program has its signal in time; keybearer itself may wait for the step's end."""
    begin = time.time()
    agent.send(signal.SIGTERM)
    new = wait_for(lambda: [line for line in s.runlog.signals() if line["time"] >= begin], 8, "the program's signal")
    took = new[0]["time"] - begin
    print(f"{what}: {1000 * took:.0f} ms")
    assert took < LIMIT + BUSY, agent.stderr
    agent.wait_exit(12)


def test_F38_the_program_is_told_in_the_middle_of_a_revocation(s):
    s.budget = False  # at the end all is revoked that the server kept waiting
    s2_base(s, ttl="6s", max_ttl="6s")
    s.tap.hang("sys/leases/revoke")
    agent = s.run(s2_toml(s, lease='drain = "1s"'))
    s.runlog.wait_starts(1, 6)
    wait_for(lambda: s.tap.count("sys/leases/revoke"), 30, "the revocation of the first lease")
    told(s, agent, "revocation")


def test_F38_the_program_is_told_in_the_middle_of_a_command(s):
    kv_base(s)
    s.allow("calls")
    text = toml(KV, interval="1s", app=s.app_toml()).replace("\n[exec]", '\ncommand = "echo >calls; exec sleep 30"\n[exec]')
    agent = s.run(text)
    s.runlog.wait_starts(1, 6)
    wait_for(lambda: s.read("calls"), 5, "the command")
    told(s, agent, "command")


def syncing(agent):
    """A thread of it stands at fsync (74), fdatasync (75) or syncfs (306)."""
    def at_a_sync(task):
        try:
            with open(f"/proc/{agent.pid}/task/{task}/syscall", encoding="ascii") as file:
                return file.read().split()[0] in ("74", "75", "306")
        except OSError:
            return False
    return any(at_a_sync(task) for task in os.listdir(f"/proc/{agent.pid}/task"))


def test_F38_the_program_is_told_in_the_middle_of_a_disk_sync(s):
    kv_base(s)
    text = toml(KV, interval="1s", app=s.app_toml("--file", "out/config.ini"), exec='debounce = "100ms"')
    agent = system.start_injected(s, [f"{call}:delay_enter=1500000" for call in ("fsync", "fdatasync", "syncfs")], "run", "-c",
                                  s.config(text), threads=True)
    s.runlog.wait_starts(1, 30)
    s.vault.put(KV_DATA, {"value": s.canary("kv-next")})
    wait_for(lambda: syncing(agent), 8, "the sync")
    told(s, agent, "disk sync")
