"""The token in files for other programs ([[auto_auth.sink]]), and who a login makes us, against the real server."""
import json
import os
import signal
import stat

import pytest

from bases import KV_DATA, LOGIN, kv_base, login_files, toml
from harness import EX_AUTH, EX_CONFIG, EX_IO, wait_for

SINK = '''
[[auto_auth.sink]]
path = "out/token"
'''
PROGRAM = '''
[env]
VALUE = "vault:kv/data/app#value"
[exec]
command = @app@
'''


def start(s, text, program=PROGRAM, **role):
    kv_base(s, **role)
    return s.run(toml(LOGIN) + text + program, app=s.app_toml("--file", "out/token"))


def logins(s):
    return [login for login in s.tap.logins() if login.status == 200 and login.reply]


def login_token(s, number=0):
    return logins(s)[number].reply["auth"]["client_token"]


def mode(s, name):
    return stat.S_IMODE(os.stat(s.path(name)).st_mode)


def test_a_sink_has_the_token_before_the_program_starts_and_not_after_the_end(s):
    agent = start(s, SINK)
    s.runlog.wait_starts(1, 5)
    assert s.read("out/token") == login_token(s) and mode(s, "out/token") == 0o600
    assert s.vault.lookup(s.read("out/token"))["policies"] == ["default", "kv-reader"]
    token = s.read("out/token")
    assert agent.stop() == 0
    assert s.read("out/token") is None and s.vault.lookup(token) is None


def test_several_sinks_with_owner_mode_and_directories(s):
    start(s, SINK + '''
[[auto_auth.sink]]
path = "out/deep/er/token"
mode = "0640"
user = "nobody"
group = "nogroup"
[[auto_auth.sink]]
path = "out/json"
format = "json"
''')
    s.runlog.wait_starts(1, 5)
    token = login_token(s)
    assert s.read("out/token") == s.read("out/deep/er/token") == token
    assert mode(s, "out/deep/er/token") == 0o640
    described = json.loads(s.read("out/json"))
    auth = s.tap.logins()[0].reply["auth"]
    assert described["token"] == token and described["accessor"] == auth["accessor"]
    assert described["policies"] == auth["policies"] and described["entity_id"] == auth["entity_id"]
    assert described["renewable"] is True and 590 <= described["ttl"] <= 600
    if os.getuid() == 0:
        import grp
        import pwd
        info = os.stat(s.path("out/deep/er/token"))
        assert (info.st_uid, info.st_gid) == (pwd.getpwnam("nobody").pw_uid, grp.getgrnam("nogroup").gr_gid)


def test_a_wrapped_token_is_unwrapped_once_and_works(s):
    start(s, SINK + 'wrap_ttl = "1m"\n')
    s.runlog.wait_starts(1, 5)
    wrap = json.loads(s.read("out/token"))
    assert list(wrap) == ["token", "accessor", "ttl", "creation_time", "creation_path", "wrapped_accessor"]
    assert wrap["ttl"] == 60 and wrap["creation_path"] == "sys/wrapping/wrap"
    inner = s.vault.post("sys/wrapping/unwrap", token=wrap["token"])["data"]["token"]
    assert inner == login_token(s)
    assert s.vault.raw("POST", "sys/wrapping/unwrap", {}, token=wrap["token"])[0] == 400


def test_a_wrapping_token_alone(s):
    start(s, SINK + 'wrap_ttl = "1m"\nformat = "token"\n')
    s.runlog.wait_starts(1, 5)
    s.canaries.add(s.read("out/token"), "wrapping token")
    assert s.vault.post("sys/wrapping/unwrap", token=s.read("out/token"))["data"]["token"] == login_token(s)


def test_a_wrapped_sink_is_the_login_of_another_instance(s):
    start(s, SINK + 'wrap_ttl = "1m"\n')
    s.runlog.wait_starts(1, 5)
    value = s.vault.get(KV_DATA)["data"]["data"]["value"]
    s.write("boot/handed", s.read("out/token"))
    text = '[vault]\naddress = "@addr@"\n[auto_auth.method]\ntype = "token_file"\ntoken_file_path = "boot/handed"\nunwrap = true\n' \
        '[[template]]\ndestination = "out/value"\ncontents = \'{{ with secret "kv/data/app" }}{{ .Data.data.value }}{{ end }}\'\n'
    config = s.config(text, "other.toml")
    assert s.start("get", "kv/app", "-c", config).wait_exit(5) == EX_CONFIG, "it would be used up"
    other = s.start("render", "--once", "-c", config)
    assert other.wait_exit(5) == 0 and s.read("out/value") == value, other.stderr
    again = s.start("render", "--once", "-c", config)
    assert again.wait_exit(5) == EX_AUTH and "somebody else has used it" in again.stderr


def test_token_helper(s):
    kv_base(s)
    token = s.vault.create_token(policies=["kv-reader"], ttl="10m")
    text = '[vault]\naddress = "@addr@"\n[auto_auth.method]\ntype = "token"\ntoken_helper = true\n'
    config = s.config(text)
    agent = s.start("get", "kv/app", "-c", config)
    assert agent.wait_exit(5) == EX_CONFIG and ".vault-token" in agent.stderr
    s.allow("home/.vault-token")
    s.write("home/.vault-token", token + "\n")
    agent = s.start("get", "kv/app", "-c", config)
    assert agent.wait_exit(5) == 0 and "value" in agent.stdout


def test_a_new_token_is_in_the_file_while_the_old_one_still_works(s):
    agent = start(s, SINK, token_ttl="4s", token_max_ttl="8s")
    s.runlog.wait_starts(1, 5)
    for number in range(1, 3):
        wait_for(lambda: len(logins(s)) > number, 12, "another login")
        wait_for(lambda: s.read("out/token") == login_token(s, number), 1, "the new token")
        assert s.vault.lookup(s.read("out/token"))
        assert s.vault.lookup(login_token(s, number - 1)), "the old token has still a while to live"
    renewals = [e for e in s.tap.entries("auth/token/renew-self") if e.status == 200]
    assert renewals, "renewed, too"
    wait_for(lambda: len(agent.lines_about("sink.written")) == len(logins(s)), 2, "one line for each token")


def test_a_sink_that_cannot_be_written(s):
    kv_base(s)
    s.write("out/file", "x")
    agent = s.run(toml(LOGIN) + SINK.replace("out/token", "out/file/token") + PROGRAM, app=s.app_toml())
    assert agent.wait_exit(5) == EX_IO and s.tap.count() == 0
    assert "auto_auth.sink" in agent.stderr and "out/file/token" in agent.stderr
    check = s.start("check", "-c", "agent.toml")
    assert check.wait_exit(5) == EX_IO and "agent.toml:" in check.stderr and "auto_auth.sink.path" in check.stderr


def test_a_sink_beneath_a_directory_of_others(s):
    kv_base(s)
    os.mkdir(s.path("out/open"))
    os.chmod(s.path("out/open"), 0o777)
    agent = s.run(toml(LOGIN) + SINK.replace("out/token", "out/open/token") + PROGRAM, app=s.app_toml())
    assert agent.wait_exit(5) == EX_IO and not os.listdir(s.path("out/open"))


@pytest.mark.parametrize("more, token_lives, file_there", [
    ("", True, True), ("remove_on_exit = true\n", True, False), ("[auto_auth]\nrevoke_on_exit = true\n", False, True)])
def test_exit_after_auth_leaves_a_token_that_lives(s, more, token_lives, file_there):
    kv_base(s)
    text = "exit_after_auth = true\n" + toml(LOGIN)
    if "[auto_auth]" in more:
        text, more = text.replace("[auto_auth]\n", "[auto_auth]\nrevoke_on_exit = true\n"), ""
    agent = s.render(text + SINK + more)
    assert agent.wait_exit(5) == 0, agent.stderr
    assert (s.read("out/token") == login_token(s)) == file_there
    assert bool(s.vault.lookup(login_token(s))) == token_lives
    assert s.tap.count("kv/*") == 0


def test_exit_after_auth_writes_sinks_and_files(s):
    value = kv_base(s)
    agent = s.render("exit_after_auth = true\n" + toml(LOGIN) + SINK + '''
[[template]]
destination = "out/value"
contents = '{{ with secret "kv/data/app" }}{{ .Data.data.value }}{{ end }}'
''')
    assert agent.wait_exit(5) == 0
    assert s.read("out/value") == value and s.vault.lookup(s.read("out/token"))


def test_a_preview_writes_no_token(s):
    kv_base(s)
    config = s.config(toml(LOGIN) + SINK + '[[template]]\ndestination = "out/x"\ncontents = "x"\n')
    for flag in ("--dry-run", "--diff"):
        assert s.start("render", flag, "-c", config).wait_exit(5) == 0 and s.read("out/token") is None


def test_a_reload_adds_changes_and_removes_sinks(s):
    agent = start(s, SINK + SINK.replace("token", "second"))
    s.runlog.wait_starts(1, 5)
    assert s.read("out/second")
    s.config(toml(LOGIN) + SINK + 'mode = "0640"\n' + SINK.replace("token", "third") + PROGRAM, app=s.app_toml("--file", "out/token"))
    agent.send(signal.SIGHUP)
    wait_for(lambda: s.read("out/third") == login_token(s), 5, "the new sink")
    wait_for(lambda: mode(s, "out/token") == 0o640, 5, "the new mode")
    wait_for(lambda: s.read("out/second") is None, 5, "the end of the one that is gone")
    assert len(s.runlog.starts()) == 1 and len(s.tap.logins()) == 1


def test_mistakes_in_sinks_have_their_place(s):
    kv_base(s)
    name = s.config(toml(LOGIN) + SINK + 'mode = 600\nwrap_ttl = "0s"\n' + SINK + '[[template]]\ncontents = ""\ndestination = "./out/token"\n')
    agent = s.start("check", "-c", name)
    assert agent.wait_exit(5) == EX_CONFIG
    for words in ("auto_auth.sink.mode: an integer", "auto_auth.sink.wrap_ttl: must be", "out/token is a template's destination"):
        assert words in agent.stderr, agent.stderr


# --- who a login makes us

IDENTITY = "[auto_auth.verify_identity]\n"


@pytest.mark.parametrize("wanted, differs", [
    ('policies = ["kv-reader", "default"]\nmetadata = { role_name = "app" }\nentity_id = "@entity@"', ""),
    ('entity_id = "other"', "entity_id"), ('policies = ["admin"]', "admin"), ('metadata = { role_name = "web" }', '"web"'),
    ('metadata = { team = "x" }', "team")])
def test_verify_identity(s, wanted, differs):
    kv_base(s)
    with open(s.path("boot/role-id")) as role_id, open(s.path("boot/secret-id")) as secret_id:
        ids = {"role_id": role_id.read().strip(), "secret_id": secret_id.read().strip()}
    entity = s.vault.post("auth/approle/login", ids)["auth"]["entity_id"]
    agent = s.run(toml(LOGIN) + IDENTITY + wanted.replace("@entity@", entity) + "\n" + PROGRAM, app=s.app_toml())
    if not differs:
        s.runlog.wait_starts(1, 5)
        return
    assert agent.wait_exit(5) == EX_AUTH
    assert "auto_auth.verify_identity" in agent.stderr and differs in agent.stderr.replace('\\"', '"')
    assert len(s.tap.logins()) == 1 and s.vault.lookup(login_token(s)) is None, "the token is revoked"
    assert s.tap.count("kv/*") == 0
    got = s.start("get", "kv/app", "-c", "agent.toml")
    assert got.wait_exit(5) == EX_AUTH and differs in got.stderr


def test_enable_reauth_is_taken_with_a_note(s):
    kv_base(s)
    text = toml(LOGIN).replace("[auto_auth]\n", "[auto_auth]\nenable_reauth_on_new_credentials = true\n")
    check = s.start("check", "-c", s.config(text))
    assert check.wait_exit(5) == 0 and "enable_reauth_on_new_credentials" in check.stderr
