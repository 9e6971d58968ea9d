"""Least right: `check --print-policy` on the real server. With what it prints everything runs; the server's audit log shows that each line is
used; and with any one line less something fails that names it."""
import fnmatch
import json
import os
import re

import pytest

from bases import LOGIN
from harness import wait_for
from test_readme import POLICY, world

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TEMPLATES = os.path.join(ROOT, "templates")
ALL = {"*": ["create", "read", "update", "delete", "list", "sudo"]}
LINE = re.compile(r'path "([^"]+)" \{ capabilities = \[(.*)\] \}')
OPERATIONS = {"read": "read", "update": "update", "list": "list", "create": "create"}

FAST = '''
[template_config]
static_secret_render_interval = "1s"
start_grace = "1s"
[lease]
drain = "0s"
min_remaining = "0s"
@lease@
'''
KV = '[env]\nVALUE = "vault:kv/data/app#api_key"\n'
DATABASE = '[env]\nDB_USER = "vault:database/creds/app#username"\n'


def file_of(source):
    return f"[[template]]\nsource = '{source}'\ndestination = 'out/@who@'\n"


# name -> (more of the configuration, keys of [lease], keys of [auto_auth], the token is renewed, lines that are printed)
CASES = {
    "kv": (KV, "", "", 'auth/token/renew-self auth/token/revoke-self kv/data/app kv/metadata/app'),
    "kv, token left": (KV, "", "revoke_on_exit = false",
                       'auth/token/renew-self kv/data/app kv/metadata/app'),
    "database": (DATABASE, 'check_interval = "1s"', "", 'auth/token/renew-self auth/token/revoke-self database/creds/app sys/leases/lookup '
                 'sys/leases/renew sys/leases/revoke'),
    "database, taken again": (DATABASE, 'strategy = "refetch"', "",
                             'auth/token/renew-self auth/token/revoke-self database/creds/app sys/leases/revoke'),
    "sinks": ('[[auto_auth.sink]]\npath = "out/@who@.plain"\n[[auto_auth.sink]]\npath = "out/@who@.wrapped"\nwrap_ttl = "1m"\n', "", "",
              'auth/token/renew-self auth/token/revoke-self sys/wrapping/wrap'),
    "token by role": ('[env]\nMINTED = \'{{ with secret "auth/token/create/minted" "ttl=4s" }}{{ .Auth.ClientToken }}{{ end }}\'\n', "", "",
                      'auth/token/create/minted auth/token/renew-self auth/token/revoke-self'),
    "app.env": (file_of(f"{TEMPLATES}/app.env"), "", "",
                'auth/token/renew-self auth/token/revoke-self kv/data/app kv/metadata/app'),
    "directory.json": (file_of(f"{TEMPLATES}/directory.json"), "", "",
                    'auth/token/renew-self auth/token/revoke-self kv/data/team/one kv/data/team/two kv/metadata/team kv/metadata/team/one '
                    'kv/metadata/team/two'),
    "bundle.pem": (file_of(f"{TEMPLATES}/bundle.pem"), "", "", 'auth/token/renew-self auth/token/revoke-self pki/issue/web'),
    "userlist.txt": (file_of(f"{TEMPLATES}/userlist.txt"), "", "",
                     'auth/token/renew-self auth/token/revoke-self database/static-creds/app'),
    "config.ini": (file_of(f"{TEMPLATES}/config.ini"), "", "",
                   'auth/token/renew-self auth/token/revoke-self database/creds/app kv/data/app kv/metadata/app sys/leases/renew sys/leases/revoke'),
}
SELF = "auth/token/renew-self auth/token/revoke-self "
APP, LEASED = "kv/data/app kv/metadata/app ", "database/creds/app sys/leases/renew sys/leases/revoke"
CASES |= {name: (file_of(f"{TEMPLATES}/{name}"), "", "", (SELF + paths).strip()) for name, paths in {
    "app.json": APP, "app.yaml": APP, "app.toml": APP, "nginx-upstream.conf": APP, "application.properties": LEASED,
    "database-url.env": LEASED}.items()}
CASES["optional.env"] = (file_of(f"{TEMPLATES}/optional.env"), "", "", SELF + "kv/data/feature kv/metadata/feature")


class PolicyCase:
    """A server with an audit log; a role and its policy for each life."""

    def __init__(self, s, name):
        self.s, self.name = s, name
        s.vault.kv2("kv")
        s.vault.put("kv/data/app", {"api_key": s.canary("key"), "number": "1"})
        for each in ("one", "two"):
            s.vault.put(f"kv/data/team/{each}", {"value": s.canary(each)})
        if "database/" in CASES[name][3]:
            s.vault.database(s.pg)
            if "static-creds" in CASES[name][3]:
                s.vault.static(s.pg, "app", "static_app", "1h")
            else:
                s.vault.dynamic("app", "8s", "11s")
        s.vault.put("kv/data/feature", {"limit": "5"})
        s.vault.post("sys/mounts/pki", {"type": "pki"})
        s.vault.post("pki/root/generate/internal", {"common_name": "ca", "ttl": "87600h"})
        s.vault.post("pki/roles/web", {"allow_any_name": True, "max_ttl": "48h"})
        s.vault.post("auth/token/roles/minted", {"allowed_policies": "minted", "orphan": True})
        self.audit = os.path.join(s.logs, "audit.jsonl")
        s.vault.request("PUT", "sys/audit/file", {"type": "file", "options": {"file_path": self.audit, "log_raw": "false"}})

    def role(self, who, policy):
        self.s.vault.post(f"sys/policies/acl/{who}", {"policy": policy})
        role_id, secret_id = self.s.vault.approle(who, [who], token_no_default_policy=True, token_ttl="4s", token_max_ttl="1h")
        self.s.write(f"boot/{who}.role", role_id)
        self.s.write(f"boot/{who}.secret", secret_id)

    def config(self, who):
        more, lease, auth, _ = CASES[self.name]
        login = LOGIN.replace("@vault@", "").replace("@auth@", auth).replace("boot/role-id", f"boot/{who}.role")
        text = login.replace("boot/secret-id", f"boot/{who}.secret") + more + FAST.replace("@lease@", lease)
        return self.s.config(text.replace("@who@", who), f"{who}.toml")

    def start(self, who):
        self.s.budget = False
        config = self.config(who)
        program = ["run", "-c", config, "--", *self.s.app_command(log=f"{who}.jsonl")]
        self.s.run_log(f"{who}.jsonl")
        return self.s.start(*program, name=who)

    def requests(self, who):
        """(path, operation, denied) of the server's audit log, of the tokens of one role."""
        found = []
        with open(self.audit, encoding="utf-8") as file:
            for line in file:
                entry = json.loads(line)
                if entry["type"] == "response" and who in (entry.get("auth") or {}).get("token_policies", entry.get("auth", {}).get("policies", [])):
                    found.append((entry["request"]["path"], entry["request"]["operation"], entry.get("error", "")))
        return found


def rest(agents):
    """Long enough for a renewal of the token and of leases, and for the end of leases."""
    wait_for(lambda: all(not agent.alive or agent.lived_now > 12 for agent in agents), 30, "twelve seconds of life")


@pytest.mark.parametrize("name", CASES)
def test_the_printed_policy_is_enough_and_each_line_is_needed(s, name):
    case = PolicyCase(s, name)
    case.role("admin", "\n".join(f'path "{path}" {{ capabilities = {json.dumps(caps)} }}' for path, caps in ALL.items()))
    printer = s.start("check", "--print-policy", "-c", case.config("admin"), name="printer")
    assert printer.wait_exit(20) == 0, printer.stderr
    lines = printer.stdout.splitlines()
    paths = [LINE.fullmatch(line)[1] for line in lines]
    assert paths == CASES[name][3].split(), printer.stdout

    case.role("whole", "\n".join(lines))
    lives = {}
    for index, path in enumerate(paths):
        case.role(f"less{index}", "\n".join(line for line in lines if f'"{path}"' not in line))
    lives = {who: case.start(who) for who in ["whole", *(f"less{index}" for index in range(len(paths)))]}
    rest(lives.values())
    for agent in lives.values():
        if agent.alive:
            agent.stop()

    whole = lives["whole"]
    assert whole.process.returncode == 0, whole.stderr
    assert not whole.events("error", "warn"), whole.events("error", "warn")
    asked = case.requests("whole")
    assert not [entry for entry in asked if entry[2]], "nothing was denied"
    for path, capabilities in (LINE.fullmatch(line).groups() for line in lines):
        for capability in json.loads(f"[{capabilities}]"):
            used = [entry for entry in asked if fnmatch.fnmatch(entry[0].rstrip("/"), path) and entry[1] == OPERATIONS[capability]]
            assert used, f"{path} {capability} is printed and never used: {asked}"
    for index, path in enumerate(paths):
        agent = lives[f"less{index}"]
        assert [line for line in agent.stderr.splitlines() if path in line and re.search("denied|may not|lacks", line)], \
            f"without {path} nothing names it:\n{agent.stderr}"


def test_a_token_with_the_policy_default_needs_none_of_its_lines(s):
    s.vault.kv2("kv")
    s.vault.put("kv/data/app", {"api_key": s.canary("key")})
    s.vault.policy("reader", "kv/data/*", "kv/metadata/*")
    role_id, secret_id = s.vault.approle("app", "reader", token_ttl="10m")
    s.write("boot/role-id", role_id)
    s.write("boot/secret-id", secret_id)
    config = s.config(LOGIN.replace("@vault@", "").replace("@auth@", "") + '[[auto_auth.sink]]\npath = "out/t"\nwrap_ttl = "1m"\n' + KV)
    printer = s.start("check", "--print-policy", "-c", config)
    assert printer.wait_exit(10) == 0
    assert printer.stdout == 'path "kv/data/app" { capabilities = ["read"] }\npath "kv/metadata/app" { capabilities = ["read"] }\n'


def test_what_never_looks_again_needs_no_metadata(s):
    s.vault.kv2("kv")
    s.vault.put("kv/data/app", {"api_key": s.canary("key")})
    token = s.vault.create_token(policies=["root"])
    for more in ('exit_after_auth = true\n', '', ):
        text = more + '[vault]\naddress = "@addr@"\n' + ('' if more else '[template_config]\nstatic_secret_render_interval = "never"\n') + \
            '[[template]]\ndestination = "out/x"\ncontents = \'{{ with secret "kv/data/app" }}{{ .Data.data.api_key }}{{ end }}\'\n'
        printer = s.start("check", "--print-policy", "-c", s.config(text), env={"VAULT_TOKEN": token})
        assert printer.wait_exit(10) == 0
        assert printer.stdout == 'path "kv/data/app" { capabilities = ["read"] }\n', printer.stdout


def test_every_ready_template_has_its_case():
    assert set(os.listdir(TEMPLATES)) - {"README.md"} <= set(CASES)


def test_the_policy_in_the_readme_is_what_is_printed_for_its_first_example(s):
    world(s)
    s.vault.policy("readme", "*")
    printer = s.start("check", "--print-policy", "-c", "agent.toml")
    assert printer.wait_exit(10) == 0, printer.stderr
    plain = [re.sub(r" +", " ", line.split("#")[0]).strip() for line in POLICY.splitlines() if line.strip()]
    assert printer.stdout.splitlines() == sorted(plain)
