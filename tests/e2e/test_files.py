"""Rendered files: modes, odd targets, formats, nothing half written (behaviour.md 3)."""
import configparser
import json
import os
import stat
import subprocess

import pytest

from bases import kv_base
from harness import EX_CONFIG, EX_IO, EX_TEMPLATE, observe, wait_for

HEAD = '''
[vault]
address = "@addr@"
[auto_auth.method]
type = "approle"
role_id_file_path = "boot/role-id"
secret_id_file_path = "boot/secret-id"
remove_secret_id_file_after_reading = false
[template_config]
static_secret_render_interval = "1s"
start_grace = "2s"
'''
ONE = HEAD + '''
[[template]]
destination = "@dest@"
contents = '{{ with secret "kv/data/app" }}{{ .Data.data.value }}{{ end }}'
@more@
'''


def once(s, dest="out/file", more="", text=ONE):
    agent = s.render(text, "--once", dest=dest, more=more)
    return agent.wait_exit(6), agent


def mode(s, name):
    return oct(stat.S_IMODE(os.stat(s.path(name)).st_mode))


def test_file_0600_and_new_directories_0700(s):
    value = kv_base(s)
    code, agent = once(s, dest="out/a/b/file")
    assert code == 0, agent.stderr
    assert s.read("out/a/b/file") == value
    assert (mode(s, "out/a/b/file"), mode(s, "out/a/b"), mode(s, "out/a")) == ("0o600", "0o700", "0o700")


def test_perms_and_a_wider_mode_narrowed(s):
    kv_base(s)
    s.write("out/file", "old", 0o666)
    assert once(s)[0] == 0 and mode(s, "out/file") == "0o600"
    assert once(s, more='perms = "0640"')[0] == 0 and mode(s, "out/file") == "0o640"


def test_mode_of_equal_content_is_corrected(s):
    value = kv_base(s)
    s.write("out/file", value, 0o644)
    assert once(s)[0] == 0 and mode(s, "out/file") == "0o600"


def test_unchanged_file_is_not_written(s):
    value = kv_base(s)
    s.write("out/file", value, 0o600)
    before = os.stat(s.path("out/file"))
    assert once(s)[0] == 0
    after = os.stat(s.path("out/file"))
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@pytest.mark.parametrize("kind", ["directory", "fifo", "link-into-an-open-directory", "directory-open-to-all"])
def test_odd_targets_are_refused(s, kind):
    kv_base(s)
    target = s.path("out/file")
    dest = "out/file"
    if kind == "directory":
        os.mkdir(target)
    elif kind == "fifo":
        os.mkfifo(target)
    elif kind == "link-into-an-open-directory":
        os.mkdir(s.path("out/open"))
        os.chmod(s.path("out/open"), 0o777)
        s.write("out/open/real", "old")
        os.symlink("open/real", target)
    else:
        os.mkdir(s.path("out/open"))
        os.chmod(s.path("out/open"), 0o777)
        dest = "out/open/file"
    code, agent = once(s, dest=dest)
    assert code == EX_IO and dest in agent.stderr, agent.stderr


def test_link_in_directories_of_our_own(s):
    value = kv_base(s)
    s.write("out/real", "old")
    os.symlink("real", s.path("out/file"))
    assert once(s)[0] == 0
    assert os.path.islink(s.path("out/file")) and s.read("out/real") == value


def test_leftovers_of_a_killed_run_are_swept(s):
    """kill -9 at many moments: the file is old or new, and nothing else is in the directory afterwards."""
    kv_base(s)
    for number in range(8):
        agent = s.render(ONE, dest="out/file", more="")
        s.vault.put("kv/data/app", {"value": s.canary(f"kv-{number}") * 200})
        observe(0.01 * number, lambda: None, 0.01)
        agent.kill()
    code, agent = once(s)
    assert code == 0, agent.stderr
    assert os.listdir(s.path("out")) == ["file"]


def test_environment_file_that_shells_read_back(s):
    value = 'a "b" $c `d` \\ e \'f\'\nsecond line # ' + s.canary("tail")
    kv_base(s, value=value)
    text = HEAD + '''
[[template]]
destination = "out/file"
format = "env"
[template.values]
VALUE = { secret = "kv/data/app", key = "value" }
'''
    code, agent = once(s, text=text)
    assert code == 0, agent.stderr
    seen = subprocess.run(["/bin/sh", "-c", '. out/file; printf "%s" "$VALUE"'], cwd=s.work, capture_output=True, check=True)
    assert seen.stdout.decode() == value


VALUES = HEAD + '''
[[template]]
destination = "out/file"
format = "@format@"
[template.values.section]
value = { secret = "kv/data/app", key = "value" }
'''


def test_ini_format(s):
    value = 'a "b" %c = d ; e # ' + s.canary("tail")
    kv_base(s, value=value)
    code, agent = once(s, text=VALUES.replace("@format@", "ini"))
    assert code == 0, agent.stderr
    parser = configparser.ConfigParser()
    parser.read(s.path("out/file"))
    assert parser["section"]["value"] == value


def test_json_format(s):
    value = 'a "b" \\ \n' + s.canary("tail")
    kv_base(s, value=value)
    code, agent = once(s, text=VALUES.replace("@format@", "json"))
    assert code == 0, agent.stderr
    assert json.loads(s.read("out/file")) == {"section": {"value": value}}


def test_ini_refuses_a_line_feed(s):
    kv_base(s, value="one\n[other]\nkey = " + s.canary("tail"))
    code, agent = once(s, text=VALUES.replace("@format@", "ini"))
    assert code == EX_TEMPLATE and "out/file" in agent.stderr, agent.stderr


def test_many_templates_one_change_one_hook_each(s):
    kv_base(s)
    hook = 'command = "echo run >>@n@.log"'
    text = HEAD + "".join(f'''
[[template]]
destination = "out/{n}"
contents = '{{{{ with secret "kv/data/app" }}}}{n}{{{{ .Data.data.value }}}}{{{{ end }}}}'
{hook.replace("@n@", str(n))}
''' for n in range(5))
    s.render(text)
    wait_for(lambda: all((s.read(f"{n}.log") or "").count("run") == 1 for n in range(5)), 5, "the first hooks")
    s.vault.put("kv/data/app", {"value": s.canary("kv-second")})
    wait_for(lambda: all((s.read(f"{n}.log") or "").count("run") == 2 for n in range(5)), 5, "the second hooks")
    observe(3, lambda: None, 1.0)
    assert all(s.read(f"{n}.log").count("run") == 2 for n in range(5))


def test_a_template_that_fails_stops_no_other(s):
    value = kv_base(s)
    text = HEAD.replace('start_grace = "2s"\n', "") + '''
[[template]]
destination = "out/broken"
contents = '{{ with secret "kv/data/missing" }}{{ .Data.data.value }}{{ end }}'
[[template]]
destination = "out/file"
contents = '{{ with secret "kv/data/app" }}{{ .Data.data.value }}{{ end }}'
'''
    s.render(text)
    wait_for(lambda: s.read("out/file") == value, 5, "the file that can be rendered")
    assert s.read("out/broken") is None


def test_source_file_and_nested_look_ups(s):
    """A path that is itself a secret: fetched one level after another."""
    value = kv_base(s)
    s.vault.post("kv/data/pointer", {"data": {"path": "kv/data/app"}})
    s.write("a.tmpl", '{{ with secret "kv/data/pointer" }}{{ with secret .Data.data.path }}{{ .Data.data.value }}{{ end }}{{ end }}')
    text = HEAD + '[[template]]\nsource = "a.tmpl"\ndestination = "out/file"\n'
    code, agent = once(s, text=text)
    assert code == 0, agent.stderr
    assert s.read("out/file") == value


# --- whose the way to the file is (R10)

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs to make files of others")
NOBODY = 65534


@ROOT
@pytest.mark.parametrize("kind", ["link-of-another", "directory-of-another", "group-of-another", "his-directory-below-a-sticky-one",
                                  "link-in-a-sticky-one", "file-of-another-in-his-sticky-one"])
def test_directories_of_others_are_refused(s, kind):
    kv_base(s)
    pub, mine = s.path("out/pub"), s.path("out/mine")
    os.mkdir(pub), os.mkdir(mine)
    dest = "out/pub/d/file"
    if kind.startswith("link"):
        os.symlink("../mine", s.path("out/pub/d"))
        os.chown(s.path("out/pub/d"), NOBODY, NOBODY, follow_symlinks=False)
        os.chmod(pub, 0o1777 if "sticky" in kind else 0o755)
    elif kind == "file-of-another-in-his-sticky-one":
        dest = "out/pub/file"
        s.write("out/pub/file", "")
        os.chown(s.path(dest), NOBODY, NOBODY)
        os.chown(pub, NOBODY, NOBODY)
        os.chmod(pub, 0o1777)
    else:
        os.mkdir(s.path("out/pub/d"))
        target = s.path("out/pub/d")
        os.chown(target, 0 if kind.startswith("group") else NOBODY, NOBODY)
        os.chmod(target, 0o775 if kind.startswith("group") else 0o755)
        os.chmod(pub, 0o1777 if "sticky" in kind else 0o755)
    code, agent = once(s, dest=dest)
    assert code == EX_IO and dest in agent.stderr, agent.stderr
    assert os.listdir(mine) == []
    check = s.start("check", "-c", "agent.toml")
    assert check.wait_exit(5) == EX_IO, check.stderr


@ROOT
def test_new_directories_belong_to_whom_the_file_is_for(s):
    value = kv_base(s)
    os.chmod(s.directory, 0o755), os.chmod(s.work, 0o755), os.chmod(s.path("out"), 0o755)
    for user, group, mode_ in (("nobody", "", 0o700), ("nobody", "daemon", 0o750), ("", "daemon", 0o750)):
        dest = f"out/of-{user}-{group}/sub/file"
        code, agent = once(s, dest=dest, more=f'user = "{user}"\ngroup = "{group}"\nperms = "0640"\n')
        assert code == 0, agent.stderr
        for name in (os.path.dirname(dest), os.path.dirname(os.path.dirname(dest))):
            info = os.stat(s.path(name))
            assert (stat.S_IMODE(info.st_mode), info.st_uid) == (mode_, NOBODY if user else 0)
            assert not group or info.st_gid == 1
        assert once(s, dest=dest, more=f'user = "{user}"\ngroup = "{group}"\nperms = "0640"\n')[0] == 0
        assert s.read(dest) == value


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_modes_are_exact_under_any_umask(s, umask):
    kv_base(s)
    agent = s.start("render", "--once", "-c", s.config(ONE, dest="out/a/b/file", more='command = ["true"]'),
                    preexec=lambda: os.umask(umask))
    assert agent.wait_exit(6) == 0, agent.stderr
    assert (mode(s, "out/a/b/file"), mode(s, "out/a/b"), mode(s, "out/a")) == ("0o600", "0o700", "0o700")
    assert os.listdir(s.path("out/a/b")) == ["file"]


@ROOT
def test_an_existing_file_keeps_its_owner(s):
    value = kv_base(s)
    s.write("out/file", "old", 0o440)
    os.chown(s.path("out/file"), 1234, 1235)
    assert once(s)[0] == 0
    info = os.stat(s.path("out/file"))
    assert (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) == (1234, 1235, 0o400) and s.read("out/file") == value


@pytest.mark.parametrize("field", ["user", "group"])
def test_a_number_that_the_system_takes_for_as_it_is(s, field):
    kv_base(s)
    code, agent = once(s, more=f'{field} = "4294967295"')
    assert code == EX_CONFIG and "4294967295" in agent.stderr, agent.stderr


# --- standard output

def test_standard_output_as_destination(s):
    value = kv_base(s)
    code, agent = once(s, dest="-")
    s.canaries._values.pop(value)  # it is meant to be there
    assert code == 0 and agent.stdout == value, (code, agent.stderr)
    assert not os.path.exists(s.path("-"))


def test_standard_output_that_is_closed(s):
    kv_base(s)
    agent = s.start("render", "--once", "-c", s.config(ONE, dest="-", more=""), preexec=lambda: os.close(1))
    assert agent.wait_exit(6) == EX_IO and "standard output" in agent.stderr, agent.stderr


def test_standard_output_is_the_programs(s):
    kv_base(s)
    agent = s.run(ONE + '[exec]\ncommand = ["true"]\n', dest="-", more="")
    assert agent.wait_exit(6) == EX_CONFIG and '"-"' in agent.stderr, agent.stderr


def test_dev_stdout_is_no_file(s):
    kv_base(s)
    code, agent = once(s, dest="/dev/stdout")
    assert code == EX_IO and 'destination = \\"-\\"' in agent.stderr, agent.stderr


# --- what is done at the end and in the next run

def test_only_what_was_written_is_removed_at_the_end(s):
    kv_base(s)
    os.mkdir(s.path("out/real"))
    os.symlink("real/file", s.path("out/link"))
    s.write("out/never", "another's")
    text = HEAD
    for name, path in (("link", "app"), ("plain", "app"), ("never", "none")):
        text += f'''
[[template]]
destination = "out/{name}"
contents = '{{{{ with secret "kv/data/{path}" }}}}{{{{ .Data.data.value }}}}{{{{ end }}}}'
remove_on_exit = true
'''
    agent = s.render(text.replace('start_grace = "2s"', 'start_grace = "20s"'))
    wait_for(lambda: s.read("out/real/file") and s.read("out/plain"), 5, "the files")
    agent.stop()
    assert s.read("out/never") == "another's"
    assert os.listdir(s.path("out/real")) == [] and not os.path.exists(s.path("out/plain"))


def test_a_command_that_failed_is_run_by_the_next_run(s):
    """The bytes are equal, the command is due all the same."""
    kv_base(s)
    more = 'command = ["/bin/sh", "-c", "echo x >> out/tries; test -e out/good"]'
    code, agent = once(s, more=more)
    assert code == 75, agent.stderr
    tries = s.read("out/tries").count("x")
    assert tries >= 2, "it is tried again before it is given up"
    assert once(s, more=more)[0] == 75 and s.read("out/tries").count("x") > tries
    s.write("out/good", "")
    assert once(s, more=more)[0] == 0
    tries = s.read("out/tries").count("x")
    assert once(s, more=more)[0] == 0 and s.read("out/tries").count("x") == tries
    assert sorted(os.listdir(s.path("out"))) == ["file", "good", "tries"]


def test_a_command_that_was_never_run_is_run_by_the_next_run(s):
    """Killed between the file and its command."""
    kv_base(s)
    more = 'command = ["/bin/sh", "-c", "echo x >> out/tries; test -e out/good || exec sleep 60"]'
    agent = s.render(ONE, "--once", dest="out/file", more=more)
    wait_for(lambda: s.read("out/tries"), 5, "the command")
    agent.kill()
    s.write("out/good", "")
    assert once(s, more=more)[0] == 0 and s.read("out/tries") == "x\nx\n"
