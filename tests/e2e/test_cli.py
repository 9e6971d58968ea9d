"""The command line: its commands, what each says, and what it never shows."""
import json
import os
import pty
import subprocess

import pytest

from bases import KV_DATA, LOGIN, kv_base, toml
from harness import EX_AUTH, EX_CONFIG, EX_NOT_READY, EX_TEMPLATE
from harness.agent import PROGRAM

EX_USAGE = 64


def keybearer(s, *args, env=None, stdin=""):
    """(exit code, standard output, standard error)"""
    for tap in s._taps:
        tap.next_client()
    done = subprocess.run([PROGRAM, *args], cwd=s.work, env=s.environment(env), input=stdin, capture_output=True, text=True,
                          timeout=20, check=False)
    return done.returncode, done.stdout, done.stderr


def base(s, text=""):
    value = kv_base(s)
    s.vault.put(KV_DATA, {"value": value, "other": "x"})
    return value, s.config(toml(LOGIN) + text)


def test_get_shows_keys_and_one_value(s):
    value, config = base(s)
    code, out, err = keybearer(s, "get", "kv/app", "-c", config)
    assert code == 0 and "value" in out and "other" in out and "********" in out and value not in out + err, (out, err)
    assert keybearer(s, "get", "kv/data/app#other", "-c", config) == (0, "x", "")
    code, out, err = keybearer(s, "get", "kv/data/app#valu", "-c", config)
    assert code == EX_NOT_READY and 'it has other, value; did you mean "value"?' in err and value not in out + err
    assert keybearer(s, "get", "kv/data/none", "-c", config)[0] == EX_NOT_READY
    assert keybearer(s, "get", "secret/other", "-c", config)[0] in (EX_AUTH, EX_NOT_READY)
    assert keybearer(s, "get", "kv/data/app", "--show-values", "-c", config)[0] == EX_USAGE
    assert keybearer(s, "get", "-c", config)[0] == EX_USAGE


def test_env_prints_the_variables(s):
    _, config = base(s, '[env]\nB = "vault:kv/app#other"\nA = { secret = "kv/data/app", key = "other" }\nC = "text"\n')
    assert keybearer(s, "env", "-c", config) == (0, "A=x\nB=x\nC=text\n", "")
    assert keybearer(s, "env", "--names", "-c", config) == (0, "A\nB\nC\n", "")
    code, _, err = keybearer(s, "env", "-c", config, "--env", "D=kv/app#valeu")
    assert code == EX_NOT_READY and 'did you mean "value"' in err


def test_a_variable_has_delimiters_of_its_own(s):
    _, config = base(s, """[env.A]
contents = '<< "x" >>{{ plain }}'
left_delimiter = "<<"
right_delimiter = ">>"
""")
    assert keybearer(s, "env", "-c", config) == (0, "A=x{{ plain }}\n", "")


def test_env_masks_on_a_terminal(s):
    value, config = base(s, '[env]\nA = "vault:kv/app#value"\n')
    ours, theirs = pty.openpty()
    process = subprocess.Popen([PROGRAM, "env", "-c", config], cwd=s.work, env=s.environment(), stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait(10) == 0 and b"A=********" in shown and value.encode() not in shown


def test_paths_mean_their_characters(s):
    kv_base(s)
    for name in ("a#2", "a?b", "a%20c", "a b"):
        s.vault.put("kv/data/" + name.replace("%", "%25").replace("#", "%23").replace("?", "%3F").replace(" ", "%20"), {"k": name})
    config = s.config(toml(LOGIN) + "".join(f'[env.V{i}]\nsecret = "kv/{name}"\nkey = "k"\n'
                                            for i, name in enumerate(("a#2", "a?b", "a%20c", "a b"))))
    code, out, err = keybearer(s, "env", "-c", config)
    assert code == 0 and out.splitlines() == ["V0=a#2", "V1=a?b", "V2=a%20c", "V3=a b"], (out, err)


def test_check_reads_agent_toml_here_or_says_that_there_is_none(s):
    code, _, err = keybearer(s, "check", env={"VAULT_TOKEN": "x"})
    assert code == EX_USAGE and "give -c agent.toml" in err
    s.write("agent.toml", "nonsense = 1\n")
    code, _, err = keybearer(s, "check", env={"VAULT_TOKEN": "x"})
    assert code == EX_CONFIG and "agent.toml:1:1: nonsense: unknown key" in err
    s.write("agent.toml", "[env]\nA = 'x'\n")
    code, out, _ = keybearer(s, "check", env={"VAULT_TOKEN": "x"})
    assert code == 0 and out == "configuration OK, 1 variable, 0 templates OK\n"


def test_check_points_into_the_text_of_the_file(s):
    s.write("agent.toml", """[env]
A = 'x{{ nosuch }}'
B = "tab\\t{{ nosuch }}"
[[template]]
destination = "out/x"
contents = '''
first
  {{ "a" | toUper }}
'''
""")
    code, _, err = keybearer(s, "check", env={"VAULT_TOKEN": "x"})
    assert code == EX_TEMPLATE
    lines = [line for line in err.splitlines() if line.startswith("keybearer: agent.toml")]
    assert [line.split(" ")[1] for line in lines] == ["agent.toml:2:10:", "agent.toml:3:14:", "agent.toml:8:12:"], err
    assert lines[2].startswith('keybearer: agent.toml:8:12: function "toUper" not defined') and "template:" not in err


def test_check_shows_what_is_changed(s):
    s.write("agent.toml", "[vault]\ntimeout = '7s'\n[[template]]\ncontents = ''\ndestination = 'out/x'\n")
    code, out, _ = keybearer(s, "check", "--show", env={"VAULT_TOKEN": "x"})
    for key in ("vault.budget.burst", "template[1].perms", "outage.start_timeout", "lease.increment"):
        assert f"\n{key} " in out, out
    changed = keybearer(s, "check", "--show", "--changed", env={"VAULT_TOKEN": "x"})[1]
    assert code == 0 and "vault.timeout" in changed and "# default" not in changed and len(changed) < len(out) / 3


def test_check_online_finds_missing_secrets_and_keys(s):
    value, config = base(s, '[env]\nA = "vault:kv/app#valeu"\nB = "vault:kv/zzz#k"\n')
    code, out, err = keybearer(s, "check", "--online", "-c", config)
    assert code == EX_NOT_READY and 'it has other, value; did you mean "value"?' in err and "kv/data/zzz" in err, (out, err)
    assert "kv/data/app: read allowed, there, keys other value" in out and value not in out + err
    _, config = base(s, '[env]\nA = "vault:kv/app#value"\n')
    code, out, err = keybearer(s, "check", "--online", "-c", config)
    assert code == 0, (out, err)


def test_check_names_the_variables_that_are_withheld(s):
    s.write("agent.toml", '[auto_auth.method]\ntype = "token"\ntoken = "${APP_TOKEN}"\n[vault.headers]\nX-A = "${TEAM}"\n')
    code, out, _ = keybearer(s, "check", env={"APP_TOKEN": "x", "TEAM": "y"})
    assert code == 0 and "APP_TOKEN, TEAM" in out


@pytest.mark.parametrize("args, code, said", [
    (["run", "true"], EX_USAGE, "put the program after --: keybearer run ... -- true"),
    (["run", "-c", "x", "sh", "-c", "y"], EX_USAGE, "-- sh"),
    (["rum"], EX_USAGE, 'did you mean "run"?'),
    (["run", "--onec"], EX_USAGE, "keybearer: run: unknown option --onec; did you mean --once? (keybearer run --help)"),
    (["-c"], EX_USAGE, "(keybearer --help)"),
    (["completion", "tcsh"], EX_USAGE, "expected bash, zsh or fish"),
    (["get", "kv/a", "--", "x"], EX_USAGE, "only `run`, `check` and `init`"),
])
def test_usage(s, args, code, said):
    got, _, err = keybearer(s, *args)
    assert got == code and said in err, err


def test_help_and_options_before_the_command(s):
    assert "Usage: keybearer" in keybearer(s)[1]
    assert keybearer(s, "help")[0] == 0 and "render" in keybearer(s, "help")[1]
    methods = keybearer(s, "--help")[1].split("auto_auth.method.type):\n")[1].split("\n")[0].split()
    assert {"approle", "azure", "cert", "gcp", "jwt", "kubernetes", "ldap", "token", "token_file", "userpass"} <= set(methods)
    assert "--diff" in keybearer(s, "help", "render")[1] and keybearer(s, "help", "nope")[0] == EX_USAGE
    s.write("agent.toml", "[env]\nA = 'x'\n")
    code, out, _ = keybearer(s, "-c", "agent.toml", "check", env={"VAULT_TOKEN": "x"})
    assert code == 0 and out.startswith("configuration OK")


def test_version_tells_the_libraries(s):
    told = json.loads(keybearer(s, "version", "--json")[1])
    assert told["name"] == "keybearer" and {"openssl", "glibc", "boost"} <= set(told["libraries"])
    assert keybearer(s, "version")[1].startswith("keybearer " + told["version"])


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(s, shell):
    code, script, _ = keybearer(s, "completion", shell)
    assert code == 0 and "check" in script and "online" in script
    if shell == "bash":
        ask = script + '\nCOMP_WORDS=(keybearer check --onl); COMP_CWORD=2; _keybearer; echo "${COMPREPLY[@]}"'
        done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["--online"], done


def test_render_once_logs_text_unless_asked(s):
    _, config = base(s, "[[template]]\ncontents = 'x'\ndestination = 'out/x'\n")
    code, _, err = keybearer(s, "render", "--once", "-c", config)
    assert code == 0 and err and not any(line.startswith("{") for line in err.splitlines())
    code, _, err = keybearer(s, "render", "--once", "-c", config, "--log-format", "json")
    assert code == 0 and all(json.loads(line) for line in err.splitlines())


@pytest.mark.parametrize("command", ["check", "get", "env"])
def test_the_process_is_hidden_before_it_reads_anything(s, command):
    """A configuration that never ends: while it is read, nobody of the same user may look into the process."""
    fifo = s.path("agent.toml")
    os.mkfifo(fifo)
    args = {"check": ["check"], "get": ["get", "kv/a"], "env": ["env"]}[command]
    process = subprocess.Popen([PROGRAM, *args, "-c", "agent.toml"], cwd=s.work, env=s.environment({"VAULT_TOKEN": "x"}),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    writer = os.open(fifo, os.O_WRONLY)  # waits for the reader
    try:
        with open(f"/proc/{process.pid}/limits", encoding="ascii") as file:
            core = next(line for line in file if line.startswith("Max core file size"))
        assert core.split()[4] == "0", core
    finally:
        os.close(writer)
        process.wait(10)


def test_env_from_takes_no_name_that_steers_the_program(s):
    kv_base(s)
    for key in ("git_ssh_command", "python_home", "home", "https_proxy", "vault_addr", "_java_options", "dotnet_startup_hooks"):
        s.vault.put("kv/data/evil", {key: "x"})
        code, out, err = keybearer(s, "env", "-c", s.config(toml(LOGIN) + '[[env_from]]\nsecret = "kv/evil"\n'))
        assert code == EX_TEMPLATE and key.upper() in err and out == "", (key, out, err)
        code, out, _ = keybearer(s, "env", "-c", s.config(toml(LOGIN) + f'[[env_from]]\nsecret = "kv/evil"\nkeys = ["{key}"]\n'))
        assert code == 0 and out == f"{key.upper()}=x\n"
    s.vault.put("kv/data/evil", {"mine": "x"})
    code, _, err = keybearer(s, "env", "-c", s.config(toml(LOGIN) + '[[env_from]]\nsecret = "kv/evil"\n'), env={"MINE": "y"})
    assert code == EX_TEMPLATE and "MINE would replace a variable" in err


def test_explain_reads_nothing(s):
    _, config = base(s)
    before = s.tap.count("kv/data/*")
    code, out, _ = keybearer(s, "explain", "kv/app", "-c", config)
    assert code == 0 and "kv version 2" in out and "looked at every 5m" in out and "read" in out, out
    assert s.tap.count("kv/data/*") == before
    assert keybearer(s, "explain", "kv/app", "--token-file", s.write("boot/t", s.vault.create_token(policies=["default"])),
                     "--address", s.tap.url)[0] == EX_AUTH


def test_copy_to_makes_a_program_that_runs(s):
    os.mkdir(s.path("shared"))
    assert keybearer(s, "copy-to", "shared")[0] == 0
    assert os.listdir(s.path("shared")) == ["keybearer"]
    done = subprocess.run([s.path("shared/keybearer"), "version"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith("keybearer ")
    assert keybearer(s, "copy-to", "nowhere")[0] == 73


def test_self_test(s):
    code, out, _ = keybearer(s, "self-test")
    assert code == 0 and out.count("ok") >= 3 and "MISSING" not in out


def test_init_writes_what_check_takes(s):
    kv_base(s)
    s.vault.put(KV_DATA, {"value": "x", "home": "y", "a-b": "z", "void": None})
    s.vault.put("kv/data/more", {"value": "w"})
    login = ["--address", s.tap.url, "--role-id-file", "boot/role-id", "--secret-id-file", "boot/secret-id"]
    code, out, err = keybearer(s, "init", "kv/app", "kv/more", *login, "--", s.app, "run.jsonl")
    assert code == 0 and out == "agent.toml\n", err
    assert keybearer(s, "check")[0] == 0 and "# void is null: no variable\n" in s.read("agent.toml")
    assert keybearer(s, "env", "-c", "agent.toml")[1] == "APP_HOME=y\nA_B=z\nMORE_VALUE=w\nVALUE=x\n"
    assert keybearer(s, "init", *login)[0] == 73 and keybearer(s, "init", "--force", *login)[0] == 0
    assert keybearer(s, "check")[0] == 0
    assert keybearer(s, "init", "-o", "-", *login)[:2] == (0, s.read("agent.toml")) and s.read("-") is None


def test_every_command_with_a_login_takes_it_from_the_environment(s):
    """One of them that forgot the environment would say that there is no way to log in."""
    kv_base(s)
    s.vault.put(KV_DATA, {"value": "x"})
    env = {"VAULT_ADDR": s.tap.url, "VAULT_TOKEN": s.vault.token}
    for words in (["get", "kv/app#value"], ["explain", "kv/app"], ["init", "kv/app"], ["env", "--env", "A=kv/app#value"], ["check", "--online", "--env", "A=kv/app#value"],
                  ["render", "--once", "--template", ""], ["run", "--once", "--env", "A=kv/app#value", "--", "true"]):
        if words[0] == "render":
            words[-1] = s.write("t.tmpl", '{{ with secret "kv/app" }}{{ .Data.data.value }}{{ end }}') + ":t.txt"
        code, _, err = keybearer(s, *words, env=env)
        assert code == 0, (words, err)


def test_a_file_that_was_not_read_is_pointed_at(s):
    kv_base(s)
    os.rename(s.write("other.toml", "[env]\nA = 'x'\n"), s.path("agent.toml"))
    for words in (["get", "kv/app"], ["env"], ["render", "--once"], ["run"], ["explain", "kv/app"]):
        code, _, err = keybearer(s, *words)
        assert code == 78 and "agent.toml here was not read: give -c agent.toml" in err, (words, err)
    assert "was not read" not in keybearer(s, "check")[2]


def test_options_as_vault_agent_has_them_are_led_to_ours(s):
    for words, meant in ((["run", "-config=agent.hcl"], "--config"), (["render", "-once"], "--once"), (["-log-level=debug", "run"], "--log-level")):
        code, _, err = keybearer(s, *words)
        assert code == 64 and f"an option has two dashes: {meant} " in err.replace("\n", " "), err


def test_the_printed_policy_is_enough_and_has_no_line_more(s):
    _, config = base(s, '[env]\nA = "vault:kv/app#value"\n')
    code, out, _ = keybearer(s, "check", "--print-policy", "-c", config)
    assert code == 0
    lines = out.splitlines()
    assert 'path "kv/data/app" { capabilities = ["read"] }' in lines and len(lines) == 2, out
    s.vault.post("sys/policies/acl/printed", {"policy": out})
    token = s.write("boot/token", s.vault.create_token(policies=["printed"], ttl="10m"))
    done = keybearer(s, "run", "--once", "--address", s.tap.url, "--token-file", token, "--env", "A=kv/app#value", "--", "true")
    assert done[0] == 0, done
