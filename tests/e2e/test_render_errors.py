"""Errors of templates: the place, the line and a caret, in colour on a terminal; and never a value."""
import json
import os
import re
import subprocess
from random import Random

import pytest

from harness import EX_NOT_READY, EX_TEMPLATE
from harness.agent import PROGRAM
from test_render import offline, on_terminal

VALUES = {"kv/data/app": {"data": {"user": "ann", "n": 7}}}
IN_APP = '{{ with secret "kv/data/app" }}'

BAD_CONFIG = '''
[[template]]
source = "t.tmpl"
destination = "out/a"
[[template]]
destination = "out/b"
contents = """
x
{{ if }}"""
[env]
A = "{{ .x "
'''


def bad(s):
    s.write("t.tmpl", "한국 \t{{ .Data | nosuch }}\n")
    return s.config(BAD_CONFIG)


BAD_TEXT = """\
keybearer: t.tmpl:1:20: function "nosuch" not defined
  | 한국 \t{{ .Data | nosuch }}
  |      \t           ^
keybearer: agent.toml:9:7: missing value for if
  | {{ if }}
  |       ^
keybearer: agent.toml:11:12: unclosed action
  | {{ .x \n  |       ^
"""


def test_check_shows_every_parse_error_with_its_place(s):
    agent = s.start("check", "-c", bad(s), env={"VAULT_TOKEN": "x"})
    assert agent.wait_exit(5) == EX_TEMPLATE
    assert agent.stderr == BAD_TEXT + "keybearer: 3 errors\n"


def test_render_shows_them_before_it_does_anything(s):
    agent = s.start("render", "-c", bad(s), "--diff", env={"VAULT_TOKEN": "x", "VAULT_ADDR": "http://127.0.0.1:1"})
    assert agent.wait_exit(5) == EX_TEMPLATE and agent.stdout == ""
    assert agent.stderr == BAD_TEXT[:BAD_TEXT.index("keybearer: agent.toml:11:12")]  # variables are not rendered


@pytest.mark.parametrize("env, coloured", [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True),
                                           ({"TERM": "dumb"}, False)])
def test_colour_on_a_terminal(s, env, coloured):
    code, shown = on_terminal(s, "check", "-c", bad(s), env={"VAULT_TOKEN": "x", **env})
    assert code == EX_TEMPLATE and ("\x1b[" in shown) == coloured
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown).replace("\r\n", "\n")
    assert plain == BAD_TEXT + "keybearer: 3 errors\n"


def test_the_log_on_a_terminal_shows_the_line(s):
    s.write("t.tmpl", "\n{{ index 1 2 }}\n")
    code, shown = on_terminal(s, "render", "--once", "--template", "t.tmpl:out/t",
                              env={"VAULT_TOKEN": "x", "VAULT_ADDR": "http://127.0.0.1:1", "NO_COLOR": "1"})
    assert code == EX_TEMPLATE
    assert "can't index item of type int\r\n  --> t.tmpl:2:4\r\n  | {{ index 1 2 }}\r\n  |    ^\r\n" in shown


@pytest.mark.parametrize("template, code, place, text", [
    (IN_APP + "{{ .Data.data.nope }}{{ end }}", EX_NOT_READY, "1:40", 'map has no entry for key "nope"'),
    ("a\n" + IN_APP + "{{ .Data.data.user.x }}{{ end }}", EX_TEMPLATE, "2:40", "can't evaluate field x in type"),
    (IN_APP + "{{ .Data.data.n | toUpper }}{{ end }}", EX_TEMPLATE, "1:50", "expected string; got json.Number"),
    (IN_APP + '{{ template "x" }}{{ end }}', EX_TEMPLATE, "1:44", 'template "x" not defined'),
    ('{{ parseInt "x" }}', EX_TEMPLATE, "1:4", "error calling parseInt"),
    ('{{ mustEnv "NOT_SET" }}', EX_TEMPLATE, "1:4", "NOT_SET"),
])
def test_a_run_time_error_has_its_place_and_code(s, template, code, place, text):
    got, out, err = offline(s, template, VALUES)
    assert (got, out) == (code, "") and text in err
    lines = err.splitlines()
    line, column = (int(part) for part in place.split(":"))
    assert lines[0].startswith(f"keybearer: template: stdin:{line}:{column - 1}: executing \"stdin\" at <")
    assert lines[1] == f"  --> line {line}, column {column}"
    assert lines[2] == "  | " + template.split("\n")[line - 1] and lines[3] == "  | " + " " * (column - 1) + "^"


def test_a_long_line_is_cut_and_an_escape_sequence_is_not_passed_on(s):
    code, _, err = offline(s, "x" * 5000 + "\x1b[31m{{ index 1 2 }}" + "y" * 5000, VALUES)
    shown, caret = err.splitlines()[2:4]
    assert code == EX_TEMPLATE and len(shown) < 200 and "\x1b" not in err
    assert shown[caret.index("^"):].startswith("index 1 2")


# --- no value in any error

CANARY = "cAnArY7c41d9"
NUMBER = "7391462"  # as text and as a number
AWKWARD = {"text": CANARY, "line": f"a\n{CANARY} {{{{", "path": f"/{CANARY}/x", "url": f"http://u:{CANARY}@h:{CANARY}/",
           "json": f'{{"{CANARY}": {CANARY}', "number": int(NUMBER), "digits": NUMBER + "z", "list": [CANARY, [CANARY]],
           "numbers": [int(NUMBER)], "map": {CANARY: CANARY}, "yes": True, "pem": f"-----BEGIN {CANARY}-----", "null": None,
           "toml": f"{CANARY} = ", "yaml": f"{CANARY}: [", "time": f"2006-{CANARY}", "regex": f"({CANARY}"}
# What a template's author writes between them.
CONSTANTS = ['"x"', "3", "true", "nil"]
# Made to say what they are given, slow on purpose, or made to start programs; and what asks for a path, which is named.
LEFT_OUT = {"plugin", "fail", "sprig_fail", "writeToFile", "sprig_genPrivateKey", "sprig_genCA", "sprig_genSelfSignedCert",
            "sprig_genSignedCert", "sprig_bcrypt", "sprig_htpasswd", "sprig_derivePassword", "sprig_getHostByName",
            "secret", "secrets", "pkiCert", "file"}
SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src", "tmpl")
PER_FUNCTION = 60


def functions():
    """Names of the functions' tables."""
    names = set()
    for parent, _, files in os.walk(SOURCES):
        for name in files:
            with open(os.path.join(parent, name), encoding="utf-8") as file:
                names |= set(re.findall(r'^ +\{"(\w+)", \w+, "[a-zA-Z]*"', file.read(), re.M))
    return sorted(name for name in names - LEFT_OUT if name[0].islower())  # the others are methods


def calls(random):
    """Calls of every function with secret values of every kind in every place, and chains and blocks on them."""
    arguments = [f"(index $v {json.dumps(key)})" for key in AWKWARD] + CONSTANTS
    for function in functions():
        for _ in range(PER_FUNCTION):
            given = [random.choice(arguments) for _ in range(random.choice([0, 1, 1, 2, 2, 2, 3, 4]))]
            if given and random.random() < 0.3 and given[-1] != "nil":
                yield f"{{{{ {given[-1]} | {function} {' '.join(given[:-1])} }}}}"
            else:
                yield f"{{{{ {function} {' '.join(given)} }}}}"
    for key in AWKWARD:
        for text in ("{{ $x.nope }}", "{{ $x.nope.nope }}", "{{ range $i, $e := $x }}{{ $e.nope }}{{ end }}",
                     "{{ range $x }}{{ .nope.nope }}{{ end }}", "{{ with $x }}{{ .nope }}{{ end }}", "{{ $x 1 }}",
                     "{{ template \"none\" $x }}", "{{ (index $v \"map\").nope }}", "{{ $x.Nope 1 }}"):
            if text != "{{ $x 1 }}":
                yield f"{{{{ $x := index $v {json.dumps(key)} }}}}" + text


def leaks(stderr):
    return [line for line in stderr.splitlines() if CANARY in line or NUMBER in line]


@pytest.mark.parametrize("seed", range(4))
def test_no_error_shows_a_value(s, seed):
    templates = list(calls(Random(seed)))
    random = Random(seed)
    random.shuffle(templates)
    s.write("v.json", json.dumps({"kv/data/app": {"data": AWKWARD}}))
    s.write("agent.toml", "".join(
        f"[[template]]\ndestination = \"out/{i}\"\ncontents = '{IN_APP}{{{{ $v := .Data.data }}}}{text}{{{{ end }}}}'\n"
        for i, text in enumerate(templates)))
    done = subprocess.run([PROGRAM, "render", "-c", "agent.toml", "--values", "v.json"], cwd=s.work, env=s.environment(),
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120)
    stderr = done.stderr.decode("utf-8", "replace")
    assert done.returncode in (EX_TEMPLATE, EX_NOT_READY), stderr[-2000:]
    assert stderr.count("keybearer: template: ") > len(templates) / 3, stderr[-2000:]
    assert leaks(stderr) == []
