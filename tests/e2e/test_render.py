"""`keybearer render` for who writes templates: --dry-run, --diff, TEMPLATE to standard output, --values without a server."""
import json
import os
import pty
import select
import subprocess

import pytest

from bases import LOGIN, login_files, toml
from harness import EX_CONFIG, EX_IO, EX_NOT_READY, EX_TEMPLATE, EX_USAGE
from harness.agent import PROGRAM

FILES = toml(LOGIN) + '''
[[template]]
destination = "out/app.ini"
contents = """
[app]
{{ with secret "kv/data/app" }}user = {{ .Data.data.user }}
pass = {{ .Data.data.pass }}{{ end }}
port = 80
"""
command = ["touch", "hook-ran"]
[[template]]
destination = "out/app.env"
format = "env"
values.PASS = { secret = "kv/data/app", key = "pass" }
'''


def base(s):
    values = {"user": s.canary("user"), "pass": s.canary("pass")}
    s.vault.kv2("kv")
    s.vault.put("kv/data/app", values)
    s.vault.policy("app", "kv/data/*")
    login_files(s, "app", "app")
    return values


def offline(s, template, values, *flags, env=None, name="v.json"):
    """keybearer render - --values FILE: exit code, stdout, stderr. No server is there."""
    s.write(name, values if isinstance(values, str) else json.dumps(values))
    done = subprocess.run([PROGRAM, "render", "-", "--values", name, *flags], input=template, text=True, cwd=s.work,
                          env=s.environment(env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20)
    return done.returncode, done.stdout, done.stderr


def on_terminal(s, *args, env=None):
    """The same on a terminal: what it shows."""
    main, side = pty.openpty()
    process = subprocess.Popen([PROGRAM, *args], cwd=s.work, env=s.environment({"TERM": "xterm", **(env or {})}),
                               stdin=subprocess.DEVNULL, stdout=side, stderr=side)
    os.close(side)
    shown = b""
    while select.select([main], [], [], 20)[0]:
        try:
            shown += os.read(main, 65536)
        except OSError:  # the other side is closed
            break
    os.close(main)
    return process.wait(20), shown.decode()


# --- with a server


def test_dry_run_writes_nothing_and_masks(s):
    base(s)
    agent = s.render(FILES, "--dry-run")
    assert agent.wait_exit(10) == 0, agent.stderr
    assert agent.stdout == ("> out/app.ini\n[app]\nuser = [masked]\npass = [masked]\nport = 80\n"
                            '> out/app.env\nPASS="[masked]"\n')
    assert os.listdir(s.path("out")) == [] and s.read("hook-ran") is None
    assert s.tap.count("kv/data/app") == 1 and s.tap.count("auth/token/revoke-self") == 1


def test_diff_masks_both_sides(s):
    values = base(s)
    s.write("out/app.ini", f"[app]\nuser = {values['user']}\npass = before\nextra = {values['pass']}\nport = 80\n")
    s.write("out/app.env", f"PASS=\"{values['pass']}\"\n")
    agent = s.render(FILES, "--diff")
    assert agent.wait_exit(10) == 0, agent.stderr
    assert agent.stdout == ("--- out/app.ini\n+++ out/app.ini\n@@ -1,5 +1,4 @@\n [app]\n user = [masked]\n"
                            "-pass = [masked]\n-[masked]\n+pass = [masked]\n port = 80\n")
    assert "out/app.env: would stay as it is" in agent.stderr
    assert "before" in s.read("out/app.ini")


def test_a_dry_run_leaves_nothing_behind(s):
    """The secret_id's file stays; the lease and the token go."""
    base(s)
    text = FILES.replace("remove_secret_id_file_after_reading = false", "remove_secret_id_file_after_reading = true")
    agent = s.render(text, "--dry-run")
    assert agent.wait_exit(10) == 0 and s.read("boot/secret-id")


def test_show_values_on_a_terminal_only(s):
    values = base(s)
    agent = s.render(FILES, "--dry-run", "--show-values")
    assert agent.wait_exit(5) == EX_USAGE and "terminal" in agent.stderr and s.tap.count() == 0
    code, shown = on_terminal(s, "render", "-c", "agent.toml", "--dry-run", "--show-values")
    assert code == 0 and values["pass"] in shown


def test_a_template_goes_to_standard_output(s):
    values = base(s)
    s.write("t.tmpl", '{{ with secret "kv/data/app" }}{{ .Data.data.user }}{{ end }}')
    s.config(FILES)
    done = subprocess.run([PROGRAM, "render", "-c", "agent.toml", "t.tmpl"], cwd=s.work, env=s.environment(),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20)
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, values["user"], b"")


@pytest.mark.parametrize("flag, alive", [("", True), ("--dry-run", False)])
def test_what_is_printed_stays_good_and_what_is_only_shown_is_revoked(s, flag, alive):
    base(s)
    s.vault.policy("app", "kv/data/*", **{"auth/token/create": ["update"]})
    s.write("t.tmpl", '{{ with secret "auth/token/create" "ttl=10m" }}{{ .Auth.ClientToken }}{{ end }}')
    s.config(FILES)
    done = subprocess.run([PROGRAM, "render", "-c", "agent.toml", "t.tmpl", *([flag] if flag else [])], cwd=s.work,
                          env=s.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20)
    assert done.returncode == 0, done.stderr
    token = s.tap.entries("auth/token/create")[0].reply["auth"]["client_token"]
    assert done.stdout.decode() == (token if alive else "> t.tmpl\n[masked]")
    assert bool(s.vault.lookup(token)) == alive


def test_a_missing_secret_is_75_and_prints_nothing(s):
    base(s)
    s.write("t.tmpl", '{{ with secret "kv/data/nope" }}x{{ end }}')
    agent = s.start("render", "-c", s.config(FILES + '[template_config]\nstart_grace = "0s"\n'), "t.tmpl")
    assert agent.wait_exit(10) == EX_NOT_READY and agent.stdout == "" and "kv/data/nope" in agent.stderr


# --- with made-up secrets


def test_values_stand_in_for_a_server(s):
    template = ('{{ with secret "kv/app" }}{{ .Data.data.user }}:{{ .Data.data.n }}:{{ .Data.metadata.version }}{{ end }} '
                '{{ with secret "database/creds/app" }}{{ .Data.username }}/{{ .LeaseDuration }}{{ end }} '
                '{{ range secrets "kv" }}{{ . }},{{ end }} {{ with secret "kv/data/none" }}x{{ else }}none{{ end }}')
    values = '''{"kv/data/app": {"data": {"user": "ann", "n": 1.50}}, "kv/metadata": ["a", "b/"], "kv/data/none": null,
                 "database/creds/app": {"lease_id": "l", "lease_duration": 60, "data": {"username": "u"}}}'''
    assert offline(s, template, values) == (0, "ann:1.50:1 u/60 a,b/, none", "")


def test_values_need_no_configuration_of_a_server(s):
    """Neither address nor login, nor the files of one."""
    text = FILES.replace('"boot/role-id"', '"nowhere"')
    s.write("v.json", '{"kv/data/app": {"data": {"user": "ann", "pass": "p"}}}')
    agent = s.start("render", "-c", s.config(text, addr="https://vault.example:8200"), "--values", "v.json")
    assert agent.wait_exit(5) == 0, agent.stderr
    assert agent.stdout == "> out/app.ini\n[app]\nuser = ann\npass = p\nport = 80\n> out/app.env\nPASS=\"p\"\n"
    agent = s.start("render", "-c", "agent.toml", "--values", "v.json", "--once")
    assert agent.wait_exit(5) == 0 and agent.stdout == ""
    assert s.read("out/app.ini") == "[app]\nuser = ann\npass = p\nport = 80\n" and s.read("hook-ran") is None


def test_values_that_lack_a_path(s):
    code, out, err = offline(s, '{{ with secret "kv/data/ap" }}x{{ end }}{{ range secrets "x" }}{{ end }}',
                             {"kv/data/app": {"data": {}}, "db/creds/rw": {}})
    assert (code, out) == (EX_NOT_READY, "")
    assert 'stdin: kv/data/ap is not in v.json; did you mean "kv/data/app"? It has db/creds/rw, kv/data/app\n' in err
    assert "the list x is not in v.json" in err


@pytest.mark.parametrize("values, said", [("{", "v.json:1:2: "), ("[]", "an object of paths"),
                                          ('{"a": true}', "v.json: a: expected"), ("", "v.json:1:1: ")])
def test_values_that_are_no_values(s, values, said):
    code, out, err = offline(s, "x", values)
    assert (code, out) == (EX_CONFIG, "") and said in err


def test_the_first_level_fails_and_the_others_are_rendered(s):
    s.write("v.json", '{"kv/data/app": {"data": {"user": "ann"}}}')
    agent = s.start("render", "-c", s.config(FILES, addr="http://127.0.0.1:1"), "--values", "v.json", "--template",
                    s.write("t", "hello\n") + ":out/t")
    assert agent.wait_exit(5) == EX_NOT_READY
    assert agent.stdout == "> out/t\nhello\n" and agent.stderr.count("keybearer: ") == 2


@pytest.mark.parametrize("flags", [("--diff", "--dry-run"), ("--diff", "t"), ("--once", "--dry-run"), ("t", "--once"),
                                   ("-", "--values", "-"), ("t", "--template", "a:b")])
def test_wrong_use(s, flags):
    agent = s.start("render", *flags)
    assert agent.wait_exit(5) == EX_USAGE and "--help" in agent.stderr


def test_a_full_disk_is_73(s):
    s.write("v.json", "{}")
    s.write("t", "x" * 100000)
    with open("/dev/full", "wb") as full:
        done = subprocess.run([PROGRAM, "render", "t", "--values", "v.json"], cwd=s.work, env=s.environment(), stdout=full,
                              stderr=subprocess.PIPE, timeout=20)
    assert done.returncode == EX_IO


def test_a_destination_that_can_not_be_written_is_73(s):
    os.mkdir(s.path("out/app.ini"))
    s.write("v.json", '{"kv/data/app": {"data": {"user": "ann", "pass": "p"}}}')
    agent = s.start("render", "-c", s.config(FILES, addr="http://127.0.0.1:1"), "--values", "v.json", "--diff")
    assert agent.wait_exit(5) == EX_IO and "out/app.ini: is a directory" in agent.stderr and "+PASS=" in agent.stdout


@pytest.mark.parametrize("words", [["version"], ["--help"], ["check", "--show", "-c", "agent.toml"]])
def test_what_is_said_must_arrive(s, words):
    base(s)
    s.config(FILES)
    with open("/dev/full", "wb") as full:
        done = subprocess.run([PROGRAM, *words], cwd=s.work, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == EX_IO and "standard output: No space left on device" in done.stderr, done
