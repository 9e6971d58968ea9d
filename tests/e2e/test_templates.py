"""The ready templates, each with awkward values, and what the reader of its format makes of them. No server: --values."""
import json
import os
import subprocess
import urllib.parse

import pytest

import readers
from harness import EX_NOT_READY, EX_TEMPLATE
from harness.agent import PROGRAM

TEMPLATES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "templates")
LINE = "it's \"q\" #h ;s $HOME ${x} $(id) `id` %p %(a)s %% back\\slash\\n \\ a=b:c {x} [y] <&> 한국어 😀 é end"
LINES = LINE + "\nsecond = line\n\n# third\n[section]\n\ttab\r\nend"
ENDS = " blanks at both ends "
KV = {"api_key": LINE, "multi-line": LINES, "ends": ENDS, "empty": "", "dotted.name": "x", "number": 8443, "yes": True}


def render(name, values, config=None, tmp_path=None):
    """Exit code, stdout, stderr."""
    flags = []
    if config:
        (tmp_path / "agent.toml").write_text(config)
        flags = ["-c", str(tmp_path / "agent.toml")]
    done = subprocess.run([PROGRAM, "render", *flags, "--values", "-", os.path.join(TEMPLATES, name)], timeout=20,
                          input=json.dumps(values, ensure_ascii=False).encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout, done.stderr.decode()


def made(name, values, **more):
    code, out, err = render(name, values, **more)
    assert (code, err) == (0, ""), err
    return out


def as_text(value):
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def test_every_template_is_told_of_and_tested():
    with open(os.path.join(TEMPLATES, "README.md"), encoding="utf-8") as file:
        readme = file.read()
    with open(__file__, encoding="utf-8") as file:
        tests = file.read()
    names = set(os.listdir(TEMPLATES)) - {"README.md"}
    assert len(names) == 12 and all(f"[{name}]({name})" in readme and f'"{name}"' in tests for name in names)


def test_app_env():
    out = made("app.env", {"kv/data/app": {"data": KV}})
    expected = {key.upper().replace("-", "_").replace(".", "_"): as_text(value) for key, value in KV.items()}
    assert readers.systemd(out) == expected
    assert readers.shell(out, list(expected)) == expected


@pytest.mark.parametrize("password", [LINE, LINES, ENDS])
def test_database_url_env(password):
    out = made("database-url.env", {"database/creds/app": {"username": "u/@:" + password, "password": password}})
    url = readers.systemd(out)["DATABASE_URL"].decode()
    assert readers.shell(out, ["DATABASE_URL"])["DATABASE_URL"].decode() == url and readers.docker(out)["DATABASE_URL"].decode() == url
    parts = urllib.parse.urlsplit(url)
    assert (parts.hostname, parts.port, parts.path) == ("localhost", 5432, "/app")
    # As libpq reads it: "+" stands for itself.
    assert [urllib.parse.unquote(part) for part in (parts.username, parts.password)] == ["u/@:" + password, password]


def test_optional_env(tmp_path):
    config = '[[secret]]\npath = "kv/data/feature"\noptional = true\n'
    assert made("optional.env", {"kv/data/feature": {"data": {"limit": 7}}}) == b"FEATURE_LIMIT=7\n"
    assert made("optional.env", {"kv/data/feature": None}) == b"FEATURE_LIMIT=100\n"
    assert made("optional.env", {}, config=config, tmp_path=tmp_path) == b"FEATURE_LIMIT=100\n"
    assert render("optional.env", {})[0] == EX_NOT_READY


def test_config_ini():
    values = {"kv/data/app": {"data": {"api_key": LINE}}, "database/creds/app": {"username": "u%s", "password": LINE}}
    assert readers.ini(made("config.ini", values)) == {"app": {"api_key": LINE.encode()},
                                                       "database": {"username": b"u%s", "password": LINE.encode()}}
    values["database/creds/app"]["password"] = "x\nadmin = yes"
    code, out, err = render("config.ini", values)
    assert (code, out) == (EX_TEMPLATE, b"") and "a line break" in err and "admin" not in err


def test_app_json():
    found = json.loads(made("app.json", {"kv/data/app": {"data": KV}}))
    assert found == {"settings": KV, "api_key": LINE}


def test_app_yaml():
    import yaml
    assert yaml.safe_load(made("app.yaml", {"kv/data/app": {"data": {**KV, "list": [LINES, 1], "map": {"a": LINES}}}})) == {
        "app": {**KV, "list": [LINES, 1], "map": {"a": LINES}}}


def test_app_toml():
    import tomllib
    values = {**KV, "list": [LINES, "x"]}
    assert tomllib.loads(made("app.toml", {"kv/data/app": {"data": values}}).decode()) == {"app": values}


def test_folder_json():
    name = "it's 한국어 \"x\""
    values = {"kv/data/team/web": {"data": KV}, f"kv/data/team/{name}": {"data": {}}, "kv/data/team/sub/x": {"data": {}},
              "kv/data/other": {"data": {}}}
    assert json.loads(made("folder.json", values)) == {"web": KV, name: {}}
    assert json.loads(made("folder.json", {"kv/metadata/team": [], "kv/data/x": {}})) == {}


@pytest.mark.parametrize("password", [LINE, LINES, ENDS, "\ttab", ""])
def test_application_properties(password):
    out = made("application.properties", {"database/creds/app": {"username": LINE, "password": password}})
    assert readers.java_properties(out, "utf-8") == {
        "spring.datasource.url": b"jdbc:postgresql://localhost:5432/app", "spring.datasource.username": LINE.encode(),
        "spring.datasource.password": password.encode()}


def test_nginx_upstream_conf():
    out = made("nginx-upstream.conf", {"kv/data/app": {"data": {"api_key": LINE}}})
    assert readers.nginx(out)[-1] == ["proxy_set_header", "X-Api-Key", LINE]
    code, _, err = render("nginx-upstream.conf", {"kv/data/app": {"data": {"api_key": "x\r\nEvil: yes"}}})
    assert code == EX_TEMPLATE and "a line break" in err and "Evil" not in err


def test_userlist_txt():
    out = made("userlist.txt", {"database/static-creds/app": {"username": 'u"x', "password": LINE}})
    assert readers.pgbouncer(out) == {'u"x': LINE}


def test_bundle_pem():
    def pem(kind, text):
        return f"-----BEGIN {kind}-----\n{text}\n-----END {kind}-----"
    key, cert, ca = pem("RSA PRIVATE KEY", "a2V5"), pem("CERTIFICATE", "Y2VydA=="), pem("CERTIFICATE", "Y2E=")
    values = {"pki/issue/web": {"private_key": key, "certificate": cert + "\n", "issuing_ca": ca, "ca_chain": [ca]}}
    assert made("bundle.pem", values).decode() == f"{key}\n{cert}\n{ca}\n"
