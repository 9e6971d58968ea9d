"""Other people's programs on a sink: consul-template, Vault's own Go client and hvac read with the token of the file through
many changes of it, without an error. consul-template looks at its token file every 15 seconds only, so the old token must live on as long:
keybearer logs in again 20 seconds before its end here.

KEYBEARER_SINK_SECONDS: how long (default 60; the long form is 600)."""
import os
import signal
import subprocess
import threading
import time

import hvac

from bases import KV_DATA, LOGIN, kv_base, toml
from harness import wait_for

SECONDS = float(os.environ.get("KEYBEARER_SINK_SECONDS", "60"))
PEERS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "peers", "build")
SINK = '''
[[auto_auth.sink]]
path = "out/@token@"
'''


class Hvac(threading.Thread):
    def __init__(self, address, token_file):
        super().__init__(daemon=True)
        self.address, self.token_file = address, token_file
        self.reads, self.errors, self.tokens = 0, [], set()
        self.stopped = threading.Event()

    def run(self):
        client = hvac.Client(url=self.address)
        while not self.stopped.wait(0.05):
            self.reads += 1
            try:
                with open(self.token_file, encoding="ascii") as file:
                    client.token = file.read()
                self.tokens.add(client.token)
                assert client.secrets.kv.v2.read_secret_version(path="app", mount_point="kv")["data"]["data"]["value"]
            except Exception as error:  # each counts, whatever it is
                self.errors.append(f"{time.time():.3f} {error!r}")


def test_consul_template_hvac_and_the_go_client_run_on_a_sink_through_token_changes(s):
    peers = subprocess.run([PEERS], stdout=subprocess.PIPE, check=True, text=True).stdout.strip()
    s.budget = False  # the budget is keybearer's, and these go round it
    first = kv_base(s, token_ttl="4s", token_max_ttl="8s")
    address = f"http://127.0.0.1:{s.vault.port}"
    fast = s.render(toml(LOGIN) + SINK, token="token")
    role_id, secret_id = s.vault.approle("slow", "kv-reader", token_ttl="40s", token_type="batch")
    s.write("boot/slow-role-id", role_id)
    s.write("boot/slow-secret-id", secret_id)
    text = toml(LOGIN, auth='min_remaining = "20s"').replace("boot/", "boot/slow-") + SINK
    slow = s.start("render", "-c", s.config(text, "slow.toml", token="slow-token"))
    wait_for(lambda: s.read("out/token") and s.read("out/slow-token"), 5, "the sinks")
    s.write("boot/ct.hcl", f'''
vault {{
  address = "{address}"
  vault_agent_token_file = "{s.path("out/slow-token")}"
  renew_token = false
  default_lease_duration = "1s"
  retry {{ attempts = 1 }}
}}
template {{
  contents = "{{{{ with secret \\"kv/data/app\\" }}}}{{{{ .Data.data.value }}}}{{{{ end }}}}"
  destination = "{s.path("out/ct")}"
}}
''')
    go_client = subprocess.Popen([f"{peers}/sinkclient", address, s.path("out/token"), KV_DATA, "50ms"], text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    template_log = open(os.path.join(s.logs, "ct.log"), "w+")
    template = subprocess.Popen([f"{peers}/consul-template", "-config", s.path("boot/ct.hcl"), "-log-level", "info"],
                                stdout=template_log, stderr=template_log, env={"PATH": os.environ["PATH"], "HOME": s.home})
    python = Hvac(address, s.path("out/token"))
    python.start()
    try:
        wait_for(lambda: s.read("out/ct") == first, 15, "consul-template's file")
        end, changes = time.monotonic() + SECONDS, 0
        while time.monotonic() < end:
            value = s.canary(f"kv-{changes}")
            s.vault.put(KV_DATA, {"value": value})
            changes += 1
            wait_for(lambda: s.read("out/ct") == value, 10, lambda: "the new value through consul-template\n" + said(template_log))
            next_change = time.monotonic() + 1
            wait_for(lambda: time.monotonic() > next_change, 2, "a second")
    finally:
        python.stopped.set()
        python.join(5)
        for process in (go_client, template):
            process.send_signal(signal.SIGINT)
        out, err = go_client.communicate(timeout=10)
        template.wait(10)
    log = said(template_log)
    template_log.close()
    reads, errors, tokens = (int(part) for part in out.split())
    slow_tokens = len(slow.lines_about("sink.written"))
    print(f"{SECONDS:.0f} s: {tokens} tokens; go client {reads} reads, hvac {python.reads}; consul-template {slow_tokens} tokens, {changes} values")
    assert not python.errors and python.reads > SECONDS * 5, python.errors[:5]
    assert errors == 0 and reads > SECONDS * 5, err[-2000:]
    assert "[ERR]" not in log and "[WARN]" not in log, log[-3000:]
    assert tokens >= SECONDS / 8 and len(python.tokens) >= SECONDS / 8 and slow_tokens >= SECONDS / 21
    assert fast.stop() == 0 and slow.stop() == 0 and not s.read("out/token") and not s.read("out/slow-token")


def said(log):
    with open(log.name, encoding="utf-8") as file:
        return file.read()
