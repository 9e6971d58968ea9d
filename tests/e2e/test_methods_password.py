"""userpass and ldap against the real server's own back ends (the directory of ldap is a stand-in): login, passwords that change while keybearer
runs, refusals, a directory that is away, awkward names."""
import pytest

from harness import EX_AUTH, wait_for
from identities import Directory, base, enable, quoted, start


def keys(method, user="bob", more=""):
    return f'type = "{method}"\nusername = "{user}"\n{more}'


FILE = 'password_file_path = "boot/password"\n'


@pytest.fixture
def directory():
    server = Directory()
    yield server
    server.close()


def ldap_base(s, directory, path="ldap", **options):
    value = base(s)
    enable(s, "ldap", path)
    s.vault.post(quoted(f"auth/{path}/config"), {"url": directory.url, "userdn": "ou=people", "userattr": "cn", "token_policies": "kv-reader",
                                         "token_ttl": "10m", **options})
    return value


def userpass_base(s, path="userpass", user="bob", **options):
    value = base(s)
    enable(s, "userpass", path)
    password = s.canary("password")
    s.vault.post(quoted(f"auth/{path}/users/{user}"), {"password": password, "token_policies": "kv-reader", "token_ttl": "10m", **options})
    return value, password


# --- userpass

@pytest.mark.parametrize("source", ["file", "environment", "removed"])
def test_userpass(s, source):
    value, password = userpass_base(s)
    if source == "environment":
        start(s, keys("userpass"), env={"VAULT_PASSWORD": password})
    else:
        s.write("boot/password", password + "\n")
        start(s, keys("userpass", more=FILE + ("remove_password_after_reading = true" if source == "removed" else "")))
    wait_for(lambda: s.read("out/value") == value, 5, "the value")
    assert (s.read("boot/password") is None) == (source != "file")


def test_userpass_wrong_password(s):
    userpass_base(s)
    s.write("boot/password", s.canary("wrong"))
    agent = start(s, keys("userpass", more=FILE))
    assert agent.wait_exit(20) == EX_AUTH
    assert len(s.tap.entries("auth/userpass/login/bob")) == 3, s.tap
    for text in ("login by userpass", "auth/userpass", "bob", "invalid username or password", "boot/password"):
        assert text in agent.stderr


def test_userpass_password_changed_while_running(s):
    _, password = userpass_base(s, token_type="batch", token_ttl="6s")
    s.write("boot/password", password)
    start(s, keys("userpass", more=FILE))
    wait_for(lambda: s.tap.count("auth/userpass/login/bob") == 1, 5, "a login")
    second = s.canary("second")
    s.vault.post("auth/userpass/users/bob/password", {"password": second})
    s.write("boot/password", second)
    entries = lambda: s.tap.entries("auth/userpass/login/bob")  # noqa: E731
    wait_for(lambda: [e for e in entries() if e.body["password"] == second and e.status == 200], 8, "a login with the new password")


def test_userpass_wrong_password_is_not_hammered_while_running(s):
    """Servers lock a user after five: what was refused is not sent again while the old token lives; a changed file is tried at once."""
    _, password = userpass_base(s, token_ttl="8s", token_max_ttl="9s")
    s.write("boot/password", password)
    agent = start(s, keys("userpass", more=FILE))
    wait_for(lambda: s.read("out/value"), 5, "the value")
    s.vault.post("auth/userpass/users/bob/password", {"password": s.canary("other")})
    agent.wait_line("invalid username or password", timeout=12)
    third = s.canary("third")
    s.vault.post("auth/userpass/users/bob/password", {"password": third})
    s.write("boot/password", third)
    entries = lambda: s.tap.entries("auth/userpass/login/bob")  # noqa: E731
    wait_for(lambda: [e for e in entries() if e.body["password"] == third and e.status == 200], 5, "a login with the third password")
    assert len([e for e in entries() if e.status == 400]) == 1, s.tap


def test_userpass_user_deleted_ends_renewals(s):
    """A 204 to a renewal is a refusal: one login before the end, and it is said why that fails."""
    value, password = userpass_base(s, token_ttl="8s")
    s.write("boot/password", password)
    agent = start(s, keys("userpass", more=FILE))
    wait_for(lambda: s.read("out/value") == value, 5, "the value")
    s.vault.request("DELETE", "auth/userpass/users/bob")
    wait_for(lambda: [e for e in s.tap.entries("auth/token/renew-self") if e.status == 204], 10, "a renewal")
    wait_for(lambda: s.tap.count("auth/userpass/login/bob") == 2, 5, "a login")
    s.vault.post("auth/userpass/users/bob", {"password": s.canary("new"), "token_policies": "kv-reader"})
    assert agent.wait_exit(12) == EX_AUTH
    assert s.tap.count("auth/token/renew-self") == 1 and s.tap.count("auth/userpass/login/bob") == 2, s.tap


@pytest.mark.parametrize("path", ["team/a b", "50%", "a%2Fb", "팀/비밀 100%"])
def test_userpass_mount_path_is_taken_literally(s, path):
    value, password = userpass_base(s, path)
    s.write("boot/password", password)
    start(s, keys("userpass", more=FILE + f'mount_path = "auth/{path}"'))
    wait_for(lambda: s.read("out/value") == value, 5, "the value")


@pytest.mark.parametrize("user", ["bob@example.org", "홍길동", "a b", "50%", "a/b"])
def test_userpass_user_that_no_server_knows(s, user):
    """The server answers 500 to a name that it can't have: no outage."""
    userpass_base(s)
    s.write("boot/password", s.canary("any"))
    agent = start(s, keys("userpass", user, FILE))
    assert agent.wait_exit(20) == EX_AUTH
    assert user in agent.stderr and "can't have a user" in agent.stderr


# --- ldap

@pytest.mark.parametrize("source", ["file", "environment"])
def test_ldap(s, directory, source):
    value = ldap_base(s, directory)
    password = directory.users["bob"] = s.canary("password")
    s.write("boot/password", password + "\n")
    start(s, keys("ldap", more=FILE if source == "file" else ""), env={"VAULT_PASSWORD": password} if source == "environment" else None)
    wait_for(lambda: s.read("out/value") == value, 5, "the value")
    assert directory.binds == ["bob"]


@pytest.mark.parametrize("user", ["a b", "50%", "50%2F", "홍 길동", "a/b", "o'hara", "x?y#z", "name@example.org"])
def test_ldap_user_is_taken_literally(s, directory, user):
    value = ldap_base(s, directory, path="회사/ldap 1%")
    directory.users[user] = s.canary("password")
    s.write("boot/password", directory.users[user])
    start(s, keys("ldap", user, FILE + 'mount_path = "회사/ldap 1%"'))
    wait_for(lambda: s.read("out/value") == value, 5, "the value")
    assert set(directory.binds) == {user}


def test_ldap_wrong_password(s, directory):
    ldap_base(s, directory)
    directory.users["bob"] = s.canary("password")
    s.write("boot/password", s.canary("wrong"))
    agent = start(s, keys("ldap", more=FILE))
    assert agent.wait_exit(20) == EX_AUTH
    assert s.tap.count("auth/ldap/login/bob") == 3, s.tap
    for text in ("login by ldap", "auth/ldap", "bob", "boot/password", "is wrong"):
        assert text in agent.stderr


def test_ldap_password_changed_while_running(s, directory):
    ldap_base(s, directory, token_type="batch", token_ttl="6s")
    directory.users["bob"] = s.canary("password")
    s.write("boot/password", directory.users["bob"])
    start(s, keys("ldap", more=FILE))
    wait_for(lambda: s.tap.count("auth/ldap/login/bob") == 1, 5, "a login")
    second = directory.users["bob"] = s.canary("second")
    s.write("boot/password", second)
    entries = lambda: s.tap.entries("auth/ldap/login/bob")  # noqa: E731
    wait_for(lambda: [e for e in entries() if e.body["password"] == second and e.status == 200], 8, "a login with the new password")


def test_ldap_directory_away_for_a_while(s, directory):
    """Its 400 hides an outage: tried on, slowly, with what is known."""
    ldap_base(s, directory, token_type="batch", token_ttl="8s")
    directory.users["bob"] = s.canary("password")
    s.write("boot/password", directory.users["bob"])
    agent = start(s, keys("ldap", more=FILE))
    wait_for(lambda: s.read("out/value"), 5, "the value")
    directory.refuse()
    agent.wait_line("login by ldap", "400", timeout=12)
    tries = s.tap.count("auth/ldap/login/bob")
    directory.accept()
    wait_for(lambda: s.tap.entries("auth/ldap/login/bob")[-1].status == 200, 20, "a login")
    assert agent.alive and tries <= 6, s.tap
    assert "can't reach its directory" in agent.stderr
