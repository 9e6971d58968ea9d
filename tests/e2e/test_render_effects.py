"""Nothing that is nil reaches files or variables (R5); what templates do outside waits for complete passes, and counts as their
change (R7)."""
import os
import subprocess

import pytest

from bases import login_files
from harness import EX_CONFIG, EX_IO, EX_NOT_READY, EX_TEMPLATE, wait_for
from harness.agent import PROGRAM
from test_files import HEAD
from test_render import offline

VALUES = {"kv/data/app": {"data": {"api_key": "k", "void": None, "hosts": ["a", None], "db": {"pass": None}}}}
IN_APP = '{{ with secret "kv/data/app" }}'


def base(s, **data):
    s.vault.kv2("kv")
    s.vault.put("kv/data/app", data)
    s.vault.policy("app", "kv/data/*", "kv/metadata/*")
    login_files(s, "app", "app")


# --- R5

@pytest.mark.parametrize("action, key", [
    (".Data.data.nope", "nope"), ('index .Data.data "api-key"', "api-key"), (".Data.data.void", "void"), (".Data.data.db.pass", "pass"),
    ('printf "%s" .Data.data.void', "void"), ('printf "%d" (index .Data.data "nope")', "nope"), ("println .Data.data.void", "void"),
    ("range .Data.data.hosts }}{{ . }}{{ end", "element 1"), ("$x := .Data.data.void }}{{ $x", "void"),
    ('scratch.Get "unset"', "unset"), ('toJSON (index .Data.data "nope")', "nope"), ("index .Data.data.hosts 1", "element 1"),
    (".Data.data.void | toUpper", "void"), ('index .Data.data "db" "pass" | print', "pass")])
def test_what_is_not_there_is_an_error_with_its_place(s, action, key):
    code, out, err = offline(s, "\n" + IN_APP + "{{ " + action + " }}{{ end }}", VALUES)
    assert (code, out) == (EX_NOT_READY, "") and err.startswith("keybearer: template: stdin:2:") and key in err


def test_the_error_says_what_is_there(s):
    code, _, err = offline(s, IN_APP + '{{ index .Data.data "api-key" }}{{ end }}', VALUES)
    assert code == EX_NOT_READY
    assert 'no key "api-key" in kv/data/app; it has api_key, db, hosts, void; did you mean "api_key"?' in err


@pytest.mark.parametrize("template, output", [
    ('{{ with index .Data.data "nope" }}x{{ else }}none{{ end }}', "none"), ('{{ or .Data.data.void "d" }}', "d"),
    ('{{ .Data.data.void | sprig_default "d" }}', "d"), ("{{ if .Data.data.void }}x{{ end }}", "")])
def test_who_asks_may_ask(s, template, output):
    assert offline(s, IN_APP + template + "{{ end }}", VALUES) == (0, output, "")


@pytest.mark.parametrize("value", ['\'{{ with secret "kv/app" }}{{ index .Data.data "api-key" }}{{ end }}\'',
                                   '\'{{ with secret "kv/app" }}{{ .Data.data.void }}{{ end }}\'', '{ secret = "kv/app", key = "void" }'])
def test_no_program_is_started_with_a_variable_that_is_nil(s, value):
    base(s, value="x", void=None)
    agent = s.run(HEAD + f"[env]\nA = {value}\n", "sh", "-c", 'echo "[$A]"')
    assert agent.wait_exit(8) == EX_NOT_READY and "[" not in agent.stdout
    assert agent.lines_about("void" if "void" in value else "api-key", levels=("error",))


def test_a_null_is_left_out_of_the_environment_and_said_once(s):
    base(s, value="x", void=None)
    agent = s.run(HEAD + '[[env_from]]\nsecret = "kv/app"\n', "sh", "-c", "env | grep -c -e ^VOID -e ^VALUE=x")
    assert agent.wait_exit(8) == 0 and agent.stdout == "1\n"
    assert len(agent.lines_about("null", "void", "kv/app")) == 1


def test_a_default_stands_for_a_null(s):
    base(s, value="x", void=None)
    agent = s.run(HEAD + '[env]\nA = { secret = "kv/app", key = "void", default = "d" }\n', "sh", "-c", 'echo "[$A]"')
    assert agent.wait_exit(8) == 0 and agent.stdout == "[d]\n"


# --- R7

WRITE = HEAD + '''
[exec]
debounce = "100ms"
[[template]]
destination = "out/o"
contents = \'\'\'@body@\'\'\'
command = "echo ran >> ran"
'''


def test_a_file_beside_the_output_waits_for_what_is_missing(s):
    base(s, value="x")
    s.write("beside", "GOOD OLD")
    text = '{{ $s := "nothing" }}{{ with secret "kv/missing" }}{{ $s = .Data.data.x }}{{ end }}{{ $s | writeToFile "beside" "" "" "0600" }}'
    agent = s.render(WRITE, "--once", body=text)
    assert agent.wait_exit(8) == EX_NOT_READY and s.read("beside") == "GOOD OLD"


def test_a_change_of_the_file_beside_is_a_change_of_the_template(s):
    base(s, value="v1")
    text = '{{ with secret "kv/app" }}{{ .Data.data.value | writeToFile "beside" "" "" "0640" }}{{ end }}'
    agent = s.run(WRITE.replace("@body@", text), "sh", "-c", "echo start; exec sleep 60")
    wait_for(lambda: agent.stdout.count("start") == 1, 8, "the program")
    s.vault.put("kv/data/app", {"value": "v2"})
    wait_for(lambda: s.read("beside") == "v2", 8, "the new file")
    wait_for(lambda: agent.stdout.count("start") == 2, 8, "the restart")
    wait_for(lambda: s.read("ran").count("ran") == 2, 5, "the command")
    agent.stop()


def test_a_plugin_is_started_once_all_is_there(s):
    base(s, value="v1")
    s.write("boot/plugin", "#!/bin/sh\necho $1 >> calls\necho got-$1\n", 0o700)
    text = HEAD.replace('start_grace = "2s"', 'start_grace = "6s"') + f'''
[[template]]
destination = "out/o"
contents = """{{{{ $s := "nothing" }}}}{{{{ with secret "kv/later" }}}}{{{{ $s = .Data.data.x }}}}{{{{ end }}}}{{{{ plugin "{s.path('boot/plugin')}" $s }}}}"""
allow_plugin = true
'''
    agent = s.render(text, "--once")
    agent.wait_line("kv/later", timeout=5)
    assert s.read("calls") is None
    s.vault.put("kv/data/later", {"x": "v"})
    assert agent.wait_exit(12) == 0 and s.read("out/o") == "got-v" and s.read("calls") == "v\n"


@pytest.mark.parametrize("top, own, code", [("", "", EX_TEMPLATE), ("true", "", 0), ("true", "false", EX_TEMPLATE), ("", "true", 0),
                                            ("false", "true", 0)])
def test_programs_are_started_where_it_is_allowed(s, top, own, code):
    base(s, value="x")
    text = HEAD + (f"allow_plugin = {top}\n" if top else "") + """[[template]]
destination = "out/o"
contents = '{{ plugin "/bin/echo" "hello" }}'
""" + (f"allow_plugin = {own}\n" if own else "")
    agent = s.render(text, "--once")
    assert agent.wait_exit(5) == code and s.read("out/o") == ("hello" if code == 0 else None)
    assert code == 0 or "allow_plugin" in agent.stderr


@pytest.mark.parametrize("top", ["", "allow_plugin = true\n"])
def test_so_are_those_of_variables(s, top):
    base(s, value="x")
    agent = s.run(HEAD + top + "[env]\nA = '{{ plugin \"/bin/echo\" \"hello\" }}'\n", "sh", "-c", 'echo "[$A]"')
    assert agent.wait_exit(5) == (0 if top else EX_TEMPLATE) and agent.stdout == ("[hello]\n" if top else "")


# --- the sandbox

def test_a_sandbox_that_is_not_there_is_an_error_of_the_configuration(s):
    agent = s.render(HEAD + '[[template]]\ndestination = "out/a"\ncontents = "x"\nsandbox_path = "no-such"\n', "--once")
    assert agent.wait_exit(5) in (EX_CONFIG, EX_TEMPLATE) and "sandbox_path" in agent.stderr and s.read("out/a") is None


@pytest.mark.parametrize("call, why", [('plugin "/bin/echo" "x"', "outside of sandbox"), ('file "/etc/hostname"', "outside of sandbox")])
def test_programs_and_files_are_bound_to_the_sandbox(s, call, why):
    base(s, value="x")
    os.makedirs(s.path("box"))
    agent = s.render(HEAD + f"[[template]]\ndestination = \"out/a\"\ncontents = '{{{{ {call} }}}}'\nsandbox_path = \"box\"\n"
                     "allow_plugin = true\n", "--once")
    assert agent.wait_exit(5) == EX_TEMPLATE and why in agent.stderr and s.read("out/a") is None


# --- said at once

@pytest.mark.parametrize("path", ["kv/data/../metadata/x", "kv/./x"])
def test_a_path_with_dots_is_refused_at_once(s, path):
    code, _, err = offline(s, '{{ secret "' + path + '" }}', VALUES)
    assert code == EX_TEMPLATE and "a path can't have a part" in err


@pytest.mark.parametrize("template, hint", [
    ("{{ toUper \"x\" }}", 'did you mean "toUpper"?'), ("{{ with secret \"x\" }}", "{{ end }} is missing for {{ with at line 1, column 1"),
    ("{{ secret 'x' }}", "double quotes"), (IN_APP + "{{ .Data.data.api-key }}{{ end }}", 'index .Data.data "api-key"'),
    (IN_APP + "{{ .data.x }}{{ end }}", "write .Data")])
def test_hints(s, template, hint):
    code, _, err = offline(s, template, VALUES)
    assert code == EX_TEMPLATE and "\n  hint: " in err and hint in err


def test_standard_output_that_is_closed_is_an_error(s):
    s.write("v.json", "{}")
    done = subprocess.run(["sh", "-c", 'exec "$0" render - --values v.json >&-', PROGRAM], input="x", text=True, cwd=s.work,
                          env=s.environment(), stderr=subprocess.PIPE, timeout=20)
    assert done.returncode == EX_IO and "standard output can't be written" in done.stderr
