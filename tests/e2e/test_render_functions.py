"""Functions of templates that do something: writes happen once, files are watched, the sandbox and the denylist hold."""
import os

import pytest

from bases import LOGIN, login_files, toml
from harness import EX_TEMPLATE, wait_for
from test_files import HEAD

RANDOM = "sys/tools/random/16"
TWO = HEAD + '''
[[template]]
destination = "out/one"
contents = """{{ with secret "kv/data/app" }}{{ .Data.data.value }}{{ end }} {{ with secret "@path@" "format=hex" }}{{ .Data.random_bytes }}{{ end }}"""
[[template]]
destination = "out/two"
contents = """{{ with secret "@path@" "format=hex" }}{{ .Data.random_bytes }}{{ end }} {{ with secret "@path@" "format=base64" }}x{{ end }}"""
'''


def base(s):
    value = s.canary("kv-first")
    s.vault.kv2("kv")
    s.vault.put("kv/data/app", {"value": value})
    s.vault.policy("app", "kv/data/*", "kv/metadata/*", **{RANDOM: ["update"], "auth/token/create": ["update"]})
    login_files(s, "app", "app")
    return value


def test_a_write_happens_once_however_often_its_template_is_evaluated(s):
    base(s)
    agent = s.render(TWO, path=RANDOM)
    wait_for(lambda: s.read("out/one") and s.read("out/two"), 10, "both files")
    first = s.read("out/two").split()[0]
    for round_ in range(3):
        value = s.canary(f"kv-{round_}")
        s.vault.put("kv/data/app", {"value": value})
        wait_for(lambda: s.read("out/one").startswith(value), 6, "the new value")
        assert s.read("out/one") == f"{value} {first}" and s.read("out/two").split()[0] == first
    assert s.tap.count(RANDOM) == 2  # one for each set of arguments, whichever templates ask
    assert agent.stop() == 0


def test_a_token_that_a_template_makes_is_one_and_goes_at_the_end(s):
    base(s)
    template = HEAD + '''
[[template]]
destination = "out/token"
contents = """{{ with secret "auth/token/create" "ttl=10m" }}{{ .Auth.ClientToken }}{{ end }}"""
[[template]]
destination = "out/app"
contents = """{{ with secret "auth/token/create" "ttl=10m" }}{{ .Auth.ClientToken }}{{ end }}{{ with secret "kv/data/app" }}{{ .Data.data.value }}{{ end }}"""
'''
    agent = s.render(template)
    wait_for(lambda: s.read("out/token") and s.read("out/app"), 10, "both files")
    token = s.read("out/token")
    value = s.canary("kv-second")
    s.vault.put("kv/data/app", {"value": value})
    wait_for(lambda: s.read("out/app") == token + value, 6, "the new value beside the same token")
    assert s.tap.count("auth/token/create") == 1 and s.vault.lookup(token)
    assert agent.stop() == 0 and not s.vault.lookup(token)


# --- files

FILE = HEAD + '''
[[template]]
destination = "out/copy"
contents = "{{ file \\"@file@\\" | trimSpace }}"
@more@
'''


def test_a_file_is_watched(s):
    base(s)
    s.write("boot/note", "one\n")
    agent = s.render(FILE, file=s.path("boot/note"), more="")
    wait_for(lambda: s.read("out/copy") == "one", 5, "the first content")
    s.write("boot/note", "two\n")  # replaced
    wait_for(lambda: s.read("out/copy") == "two", 5, "the second content")
    with open(s.path("boot/note"), "w", encoding="ascii") as file:  # written in place
        file.write("three\n")
    wait_for(lambda: s.read("out/copy") == "three", 5, "the third content")
    os.unlink(s.path("boot/note"))
    wait_for(lambda: agent.lines_about("boot/note", levels=("warn",)), 5, "a warning that it is gone")
    assert s.read("out/copy") == "three" and s.tap.data_reads("kv/*") == []
    s.write("boot/note", "four\n")
    wait_for(lambda: s.read("out/copy") == "four", 5, "the content that is back")
    assert agent.stop() == 0


@pytest.mark.parametrize("how", ["outside", "dots", "link", "directory-link", "prefix"])
def test_nothing_outside_of_the_sandbox_is_read(s, how):
    base(s)
    s.write("boot/secret", "OUTSIDE")
    s.write("boot/box-2/file", "OUTSIDE")
    s.write("boot/box/file", "inside")
    os.symlink("../secret", s.path("boot/box/link"))
    os.symlink("..", s.path("boot/box/up"))
    path = {"outside": "boot/secret", "dots": "boot/box/../secret", "link": "boot/box/link", "directory-link": "boot/box/up/secret",
            "prefix": "boot/box-2/file"}[how]
    agent = s.render(FILE, "--once", file=s.path(path), more=f'sandbox_path = "{s.path("boot/box")}"')
    assert agent.wait_exit(5) == EX_TEMPLATE and "outside of sandbox" in agent.stderr
    assert "OUTSIDE" not in agent.stderr and s.read("out/copy") is None


def test_inside_of_the_sandbox_links_are_followed(s):
    base(s)
    s.write("boot/box/file", "inside")
    os.symlink("file", s.path("boot/box/link"))
    agent = s.render(FILE, "--once", file=s.path("boot/box/link"), more=f'sandbox_path = "{s.path("boot/box")}"')
    assert agent.wait_exit(5) == 0 and s.read("out/copy") == "inside"


def test_a_link_that_comes_to_point_outside_is_refused_then(s):
    base(s)
    s.write("boot/secret", "OUTSIDE")
    s.write("boot/box/file", "inside")
    os.symlink("file", s.path("boot/box/link"))
    agent = s.render(FILE, file=s.path("boot/box/link"), more=f'sandbox_path = "{s.path("boot/box")}"')
    wait_for(lambda: s.read("out/copy") == "inside", 5, "the first content")
    os.symlink("../secret", s.path("boot/box/new"))
    os.rename(s.path("boot/box/new"), s.path("boot/box/link"))
    wait_for(lambda: agent.lines_about("outside of sandbox"), 6, "a warning")
    assert s.read("out/copy") == "inside"
    assert agent.stop() == 0


# --- functions that are not permitted


@pytest.mark.parametrize("call, denied", [('env \\"HOME\\"', "env"), ('base64Encode \\"x\\"', "base64*"), ('sprig_upper \\"x\\"', "sprig_*"),
                                          ('writeToFile \\"made\\" \\"\\" \\"\\" \\"0600\\" \\"x\\"', "writeToFile"),
                                          ('file \\"/etc/hostname\\"', "fi*e")])
def test_a_denied_function_fails_when_it_is_called(s, call, denied):
    base(s)
    text = HEAD + f'[[template]]\ndestination = "out/a"\ncontents = "{{{{ {call} }}}}"\nfunction_denylist = ["{denied}"]\n'
    agent = s.render(text, "--once")
    assert agent.wait_exit(5) == EX_TEMPLATE and "function is disabled" in agent.stderr
    assert s.read("out/a") is None and s.read("made") is None


def test_a_denied_function_that_is_not_called_does_no_harm(s):
    value = base(s)
    text = HEAD + '''[[template]]
destination = "out/a"
contents = """{{ with secret "kv/data/app" }}{{ .Data.data.value }}{{ else }}{{ env "HOME" }}{{ end }}"""
function_denylist = ["env"]
'''
    agent = s.render(text, "--once")
    assert agent.wait_exit(5) == 0 and s.read("out/a") == value


def test_a_dry_run_writes_no_file_of_the_template_either(s):
    base(s)
    text = HEAD + '''[[template]]
destination = "out/a"
contents = """{{ "x" | writeToFile "made" "" "" "0600" }}a"""
'''
    agent = s.render(text, "--dry-run")
    assert agent.wait_exit(5) == 0 and agent.stdout == "> out/a\na" and s.read("made") is None
    agent = s.render(text, "--once")
    assert agent.wait_exit(5) == 0 and s.read("made") == "x" and s.read("out/a") == "a"


PKI = '''
[[template]]
destination = "out/bundle.pem"
contents = """{{ with pkiCert "pki/issue/web" "common_name=@name@" "ttl=1h" }}{{ .Cert }}{{ .CA }}{{ .Key }}{{ end }}"""
'''


def test_pki_cert_keeps_what_is_good_on_the_disk(s):
    s.vault.post("sys/mounts/pki", {"type": "pki"})
    s.vault.post("pki/root/generate/internal", {"common_name": "Test CA", "ttl": "20h"})
    s.vault.post("pki/roles/web", {"allowed_domains": "test", "allow_subdomains": True, "max_ttl": "2h"})
    s.vault.policy("web", **{"pki/issue/web": ["update"]})
    login_files(s, "web", "web", token_ttl="10m")

    def once(name="a.test"):
        agent = s.render(toml(LOGIN) + PKI.replace("@name@", name), "--once")
        assert agent.wait_exit(6) == 0, agent.stderr
        return s.read("out/bundle.pem")
    first = once()
    assert first.count("BEGIN CERTIFICATE") == 2 and "PRIVATE KEY" in first
    assert once() == first and s.tap.count("pki/issue/web") == 1, "a start is no reason for a new one"
    other = once("b.test")
    assert other != first and s.tap.count("pki/issue/web") == 2, "another name is"
    s.write("out/bundle.pem", other[: other.index("-----BEGIN RSA")] if "-----BEGIN RSA" in other else other[:900], 0o600)
    assert once("b.test") != other and s.tap.count("pki/issue/web") == 3, "and so is a lost key"


def test_a_write_waits_for_what_is_read(s):
    """What is not read yet is nil on the first pass: nothing made of that is written."""
    s.vault.kv2("kv")
    s.vault.post("sys/mounts/kv1", {"type": "kv", "options": {"version": "1"}})
    s.vault.put("kv/data/a", {"value": "x"})
    s.vault.policy("w", "kv/data/*", **{"kv1/*": ["create", "update"], "kv/data/new": ["create", "update"]})
    login_files(s, "w", "w", token_ttl="10m")
    s.write("text", "from the file")
    agent = s.render(toml(LOGIN) + '''
[[template]]
destination = "out/a"
contents = '{{ with secret "kv/data/a" }}{{ secret "kv1/there" (printf "v=%s" .Data.data.value) }}{{ else }}{{ secret "kv1/absent" "v=else" }}{{ end }}'
[[template]]
destination = "out/b"
contents = '{{ secret "kv1/file" (printf "v=%s" (file "text")) }}'
[[template]]
destination = "out/c"
contents = '{{ with secret "kv/new" "v=1" }}{{ .Data.version }}{{ end }}'
''', "--once")
    assert agent.wait_exit(6) == 0, agent.stderr
    writes = [(e.path, e.body) for e in s.tap.entries() if e.method in ("PUT", "POST") and e.path.startswith("kv") and e.status < 300]
    assert sorted(writes) == [("kv/data/new", {"data": {"v": "1"}}), ("kv1/file", {"v": "from the file"}), ("kv1/there", {"v": "x"})], s.tap
    assert s.read("out/c") == "1"
